"""The page that `show` prints: headings, fields, tables and templates, one after the other."""

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple
from xml.etree.ElementTree import Element

from merope.cli import table
from merope.cli.declare import Column, column
from merope.cli.table import Style
from merope.cli.view import text

#: A heading reaches to the 80th column, the value of a field is padded to 20.
HEADING_WIDTH = 80

_UGO = (("OWNER", "OWNER"), ("GROUP", "GROUP"), ("OTHER", "OTHER"))
_BITS = (("U", "u"), ("M", "m"), ("A", "a"))


class Field(NamedTuple):
    """A line of a page; no line at all when `value` gives None."""

    label: str
    value: Callable[[Element], str | None]


class Page:
    """Lines in the making; `label_width` is the column of the colons."""

    def __init__(self, label_width: int, style: Style, print_line: Callable[[str], None]) -> None:
        self._label_width = label_width
        self._style = style._replace(width=0)
        self._print = print_line

    def heading(self, title: str) -> None:
        self._print(table.heading(f"{title:<{HEADING_WIDTH}}", self._style))

    def line(self, content: str = "") -> None:
        self._print(content)

    def field(self, label: str, value: str) -> None:
        """Control characters of a value (a name may hold them) don't reach the terminal."""
        clean = value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)
        self._print(f"{label:<{self._label_width}}: {clean:<20}")

    def fields(self, declared: Iterable[Field], el: Element) -> None:
        for label, read in declared:
            if (value := read(el)) is not None:
                self.field(label, value)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]], header: bool = True) -> None:
        for line in table.lines(columns, rows, self._style._replace(heading=header)):
            self._print(line)

    def permissions(self, el: Element) -> None:
        self.heading("PERMISSIONS")
        self.permission_fields(el)

    def permission_fields(self, el: Element) -> None:
        for label, who in _UGO:
            bits = [
                letter if el.findtext(f"PERMISSIONS/{who}_{bit}") == "1" else "-" for bit, letter in _BITS
            ]
            self.field(label, "".join(bits))

    def template(self, title: str, element: Element | None, without: Iterable[str] = ()) -> None:
        """A template's attributes as text; `without` are the names that were shown above."""
        from merope.model.template import Template

        template = Template() if element is None else Template.from_element(element)
        for name in without:
            template.remove(name)
        self.heading(title)
        self._print(template.to_text().rstrip("\n"))

    def ids(self, title: str, el: Element, path: str) -> None:
        """A list of ids under its title, both padded to 15."""
        self._print(table.heading(f"{title:<15}", self._style))
        for oid in el.iterfind(f"{path}/ID"):
            self._print(f"{oid.text or '':<15}")


def cells(*layouts: str) -> tuple[Column, ...]:
    """Columns whose cells the page fills."""
    return tuple(column(layout, "", text("")) for layout in layouts)


def path(name: str, default: str = "") -> Callable[[Element], str]:
    return lambda el: el.findtext(name) or default


def enum_name(kind: type[IntEnum], number: str | None) -> str:
    """The name of a state or type; the number itself when 5.12 has no name for it."""
    try:
        return kind(int(number or "")).name
    except ValueError:
        return number or ""


def yes_no(name: str, upper: bool = False) -> Callable[[Element], str]:
    yes, no = ("YES", "NO") if upper else ("Yes", "No")
    return lambda el: yes if el.findtext(name) == "1" else no


#: The first lines of most pages.
OWNED = (
    Field("ID", path("ID")),
    Field("NAME", path("NAME")),
    Field("USER", path("UNAME")),
    Field("GROUP", path("GNAME")),
)

_LOCK_NAMES = {"1": "Use", "2": "Manage", "3": "Admin", "4": "All"}

LOCK = Field("LOCK", lambda el: _LOCK_NAMES.get(el.findtext("LOCK/LOCKED") or "", "None"))
CLUSTERS = Field("CLUSTERS", lambda el: ",".join(e.text or "" for e in el.iterfind("CLUSTERS/ID")))
