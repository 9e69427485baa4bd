"""The table engine: columns and cells to lines of text.

A cell is cut to its column's width, columns are separated by one space, a line ends at its last
character; the heading keeps its width.  That is what 5.12 prints (recorded examples).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from merope.cli.declare import Column
from merope.cli.errors import UsageError

#: Colours of a terminal by the word in a STAT column.
_COLOURS = {
    "\x1b[32m": frozenset(("on", "runn", "rdy", "used", "yes")),
    "\x1b[31m": frozenset(("err", "fail", "unkn", "error")),
    "\x1b[33m": frozenset(("pend", "hold", "prol", "boot", "lock", "clon", "init", "off", "dsbl", "disa")),
}
_PLAIN = "\x1b[0m"
_HEADING = "\x1b[1m\x1b[4m"


class Style(NamedTuple):
    """How wide the terminal is (0: no terminal, nothing is expanded) and whether it shows colours."""

    width: int = 0
    colour: bool = False
    heading: bool = True


def heading(line: str, style: Style) -> str:
    return f"{_HEADING}{line}{_PLAIN}" if style.colour else line


def lines(columns: Sequence[Column], rows: Iterable[Sequence[str]], style: Style = Style()) -> list[str]:  # noqa: B008
    """The heading (if wanted) and one line for each row of cells."""
    cells = [[_printable(c) for c in row] for row in rows]
    columns = fit(columns, cells, style.width)
    result = [heading(_heading(columns), style)] if style.heading else []
    forms = [(i, c, c.size) for i, c in enumerate(columns)]
    for row in cells:
        line = " ".join([_place(row[i], c, size) for i, c, size in forms]).rstrip()
        result.append(_coloured(line, row, columns) if style.colour else line)
    return result


def csv(columns: Sequence[Column], rows: Iterable[Sequence[str]], separator: str, header: bool) -> list[str]:
    """Cells in full; one that holds the separator, a quote or a line break is quoted."""
    table = [list(row) for row in rows]
    if header:
        table.insert(0, [c.name for c in columns])
    return [separator.join([_quoted(cell, separator) for cell in row]) for row in table]


def fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[Column]:
    """Adjust columns to their content, then share the free width of the terminal among the expanding ones."""
    fitted = [
        c._replace(size=max([c.size, *(len(row[i]) for row in rows)])) if c.adjust else c
        for i, c in enumerate(columns)
    ]
    expanding = [i for i, c in enumerate(fitted) if c.expand]
    free = width - sum(c.size for c in fitted) - (len(fitted) - 1)
    if free <= 0 or not expanding:
        return fitted
    share, extra = divmod(free, len(expanding))
    for n, i in enumerate(expanding):
        fitted[i] = fitted[i]._replace(size=fitted[i].size + share + (n < extra))
    return fitted


def share_width(columns: Sequence[Column], shares: Mapping[str, float], width: int) -> list[Column]:
    """The columns with the free width divided among those of `shares` (all of them when it is empty)."""
    require(columns, shares)
    shares = shares or {c.name: 1.0 for c in columns}
    free = width - sum(c.size for c in columns) - (len(columns) - 1)
    total = sum(shares.values())
    plain = [c._replace(expand=False) for c in columns]
    if free <= 0:
        return plain
    return [c._replace(size=c.size + int(free * shares.get(c.name, 0.0) / total)) for c in plain]


def require(columns: Iterable[Column], names: Iterable[str]) -> dict[str, Column]:
    """The columns by name.  Raises UsageError for a name that is not among them."""
    by_name = {c.name: c for c in columns}
    for name in names:
        if name not in by_name:
            raise UsageError(f"There is no column {name}; there are {', '.join(by_name)}.")
    return by_name


def _heading(columns: Sequence[Column]) -> str:
    return " ".join([_place(c.name, c._replace(whole=False), c.size) for c in columns])


def _place(cell: str, column: Column, size: int) -> str:
    if len(cell) > size and not column.whole:
        return cell[:size]
    return cell.ljust(size) if column.left else cell.rjust(size)


def _printable(cell: str) -> str:
    """A name must not move the cursor or change the terminal's title."""
    return cell if cell.isprintable() else "".join([c if c.isprintable() else "?" for c in cell])


def _coloured(line: str, row: Sequence[str], columns: Sequence[Column]) -> str:
    for cell, column in zip(row, columns, strict=True):
        if column.name == "STAT":
            for code, words in _COLOURS.items():
                if cell in words:
                    return f"{code}{line}{_PLAIN}"
    return line


def _quoted(cell: str, separator: str) -> str:
    if separator in cell or '"' in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell
