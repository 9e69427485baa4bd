"""Templates: free-form attributes as an ordered multimap, read from text or XML and written as both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from merope.model.template_text import (
    FORBIDDEN,
    TemplateError,
    Value,
    Vector,
    is_storable,
    parse_text,
    quote,
)

__all__ = ["Template", "TemplateError", "Value", "Vector", "restricted_attribute", "upper"]

_ASCII_UPPER = {c: c - 32 for c in range(ord("a"), ord("z") + 1)}


class Template:
    """An ordered multimap of attributes: names in upper case and sorted, equal names in the order given."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, Value]] = ()) -> None:
        self._items: dict[str, list[Value]] = {}
        for name, value in items:
            self.add(name, value)

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read either form: XML when the very first character is `<`.  Raises TemplateError."""
        template = cls()
        if text.startswith("<"):
            template._read(_parse_xml(text))
            _refuse_unwritable(template)
            return template
        template._items = parse_text(text)
        return template

    @classmethod
    def from_element(cls, el: Element) -> Template:
        """The children of `el` as attributes; a child that has element children is a vector."""
        template = cls()
        template._read(el)
        return template

    def _read(self, el: Element) -> None:
        items = self._items
        for child in el:
            value: Value
            if len(child):
                value = Vector()
                for sub in child:
                    value.setdefault(_local_name(sub), _text(sub))
            else:
                value = _text(child)
            items.setdefault(_local_name(child), []).append(value)

    def get(self, name: str, default: str = "") -> str:
        """The first single value of that name."""
        for value in self._items.get(name, ()):
            if isinstance(value, str):
                return value
        return default

    def get_int(self, name: str, default: int | None = None) -> int | None:
        """The first single value as an integer; ValueError names the attribute when it is not one."""
        text = self._first(name)
        if text is None:
            return default
        try:
            if text.isascii() and "_" not in text:
                return int(text)
        except ValueError:
            pass
        raise ValueError(f'{name} must be an integer, not "{text}"')

    def get_float(self, name: str, default: float | None = None) -> float | None:
        """The first single value as a finite number; ValueError names the attribute when it is not one."""
        text = self._first(name)
        if text is None:
            return default
        try:
            if "_" not in text and math.isfinite(number := float(text)):
                return number
        except ValueError:
            pass
        raise ValueError(f'{name} must be a number, not "{text}"')

    def get_bool(self, name: str, default: bool = False) -> bool:
        """True for YES in any case, False for everything else that is there."""
        text = self._first(name)
        return default if text is None else text.upper() == "YES"

    def _first(self, name: str) -> str | None:
        return next((v for v in self._items.get(name, ()) if isinstance(v, str)), None)

    def vector(self, name: str) -> Vector | None:
        """The first vector of that name: the one in the template, not a copy."""
        return next((v for v in self._items.get(name, ()) if isinstance(v, Vector)), None)

    def vectors(self, name: str) -> list[Vector]:
        found = self._items.get(name)
        return [v for v in found if type(v) is Vector] if found else []

    def values(self, name: str) -> list[Value]:
        return list(self._items.get(name, ()))

    def set(self, name: str, value: Value) -> None:
        """Replace everything of that name."""
        self._items[upper(name)] = [value]

    def add(self, name: str, value: Value) -> None:
        self._items.setdefault(upper(name), []).append(value)

    def remove(self, name: str) -> list[Value]:
        """Take out everything of that name and return it."""
        return self._items.pop(name, [])

    def merge(self, other: Template) -> None:
        """Every name of `other` replaces all attributes of that name here; vectors are copied."""
        self._items.update(other.copy()._items)

    def parted(self, part: Callable[[str], tuple[Template | None, str]]) -> None:
        """Copies every attribute into the template that `part` names for its name, under the name that it
        gives (upper case); None leaves one out."""
        for name in sorted(self._items):
            target, kept = part(name)
            if target is not None:
                copies = [v if isinstance(v, str) else Vector(v) for v in self._items[name]]
                target._items.setdefault(kept, []).extend(copies)

    def copy(self) -> Template:
        new = Template()
        new._items = {
            name: [Vector(v) if isinstance(v, Vector) else v for v in values]
            for name, values in self._items.items()
        }
        return new

    def names(self) -> list[str]:
        return sorted(self._items)

    def items(self) -> Iterator[tuple[str, Value]]:
        """Every attribute, sorted by name, equal names in the order in which they were added."""
        for name, values in sorted(self._items.items()):
            for value in values:
                yield name, value

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __len__(self) -> int:
        return sum(map(len, self._items.values()))

    def __bool__(self) -> bool:
        return bool(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Template) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Template({list(self.items())!r})"

    def to_xml(self, tag: str = "TEMPLATE") -> str:
        """One line, values in CDATA, names and keys sorted.  The result is always readable: a character
        that XML cannot hold (a driver's message may bring one) becomes U+FFFD."""
        if not self._items:
            return f"<{tag}/>"
        return f"<{tag}>{self.xml_of(*sorted(self._items))}</{tag}>"

    def xml_of(self, *names: str) -> str:
        """The attributes of these names alone, in this order, in the form of `to_xml`."""
        out: list[str] = []
        put = out.append
        for name in names:
            for value in self._items.get(name, ()):
                if isinstance(value, str):
                    put(f"<{name}><![CDATA[{_cdata(value) if ']]>' in value else value}]]></{name}>")
                    continue
                pairs = [
                    f"<{key}><![CDATA[{_cdata(text) if ']]>' in text else text}]]></{key}>"
                    for key, text in sorted(value.items())
                ]
                put(f"<{name}>{''.join(pairs)}</{name}>")
        xml = "".join(out)
        return xml if is_storable(xml) else FORBIDDEN.sub("\ufffd", xml)

    def to_text(self) -> str:
        """One attribute a line, a vector one pair a line; parsing it gives the template again, but for
        one value that the language cannot express: a last backslash beside blanks or brackets."""
        lines = []
        for name, value in self.items():
            if isinstance(value, str):
                lines.append(f"{name}={quote(value)}\n")
            else:
                pairs = ",\n".join(f"  {key}={quote(text)}" for key, text in sorted(value.items()))
                lines.append(f"{name}=[\n{pairs} ]\n" if pairs else f"{name}=[ ]\n")
        return "".join(lines)


def restricted_attribute(
    template: Template, names: Iterable[str], base: Template | None = None
) -> str | None:
    """The first restricted attribute that `template` sets or changes, None when there is none.

    `names` are entries `A` (a single attribute, or whole vectors) and `A/B` (a key of vector A).
    Without `base` any occurrence counts.  With it, A must have the values of the base, and the B's of
    all A vectors must be the base's in any order, if `template` has an A; an A that is missing is put
    back from the base (this changes `template`).
    """
    for entry in names:
        name, _, key = entry.partition("/")
        if base is None:
            if _key_counts(template, name, key) if key else name in template:
                return entry
        elif key:
            if name in template and _key_counts(template, name, key) != _key_counts(base, name, key):
                return entry
        elif name not in template:
            for value in base.copy().values(name):
                template.add(name, value)
        elif template.values(name) != base.values(name):
            return entry
    return None


def upper(name: str) -> str:
    """A name in the case in which it is kept: only ASCII letters change."""
    return name.upper() if name.isascii() else name.translate(_ASCII_UPPER)


def _key_counts(template: Template, name: str, key: str) -> Counter[str]:
    return Counter(v[key] for v in template.vectors(name) if key in v)


def _cdata(value: str) -> str:
    return value.replace("]]>", "]]]]><![CDATA[>")


def _local_name(el: Element) -> str:
    return upper(el.tag.rpartition("}")[2])


def _text(el: Element) -> str:
    text = el.text or ""
    # Only a character reference brings one, and it would not survive being stored.
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _parse_xml(text: str) -> Element:
    try:
        if "<!DOCTYPE" in text:
            _refuse_doctype(text)
        return ElementTree.fromstring(text)  # noqa: S314 - no entity can be declared without a DOCTYPE
    except (ElementTree.ParseError, expat.ExpatError, UnicodeEncodeError) as e:
        raise TemplateError("Parse error: XML Template malformed.") from e


def _refuse_doctype(text: str) -> None:
    """A value may speak of a DOCTYPE; only expat knows whether this is one."""

    def refuse(*_: object) -> None:
        raise TemplateError("Parse error: XML Template malformed. A DOCTYPE is not accepted.")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(text, True)


def _refuse_unwritable(template: Template) -> None:
    for name, value in template.items():
        for text in value.values() if isinstance(value, Vector) else (value,):
            if "]]>" in text:
                raise TemplateError(f'Parse error: XML Template malformed. The value of {name} has "]]>".')
