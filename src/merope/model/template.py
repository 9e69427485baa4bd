"""The template language: free-form attributes as text, as XML, and as an ordered multimap.

The text form is a sequence of `NAME = value`, `NAME = "quoted value"` and `NAME = [ KEY = value, … ]`;
the rules are those of OpenNebula 5.12's template language.  Deliberate differences, all on input that
5.12 damages silently: a character that no rule accepts is an error (5.12 drops it), a value that opens
with a double quote must close it, and what XML 1.0 cannot hold (control characters, a name that begins
with a digit) is refused, because the stored document could never be read again.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat


class Vector(dict[str, str]):
    """The pairs of one vector attribute; the parser upper-cases the keys, XML has them sorted."""

    __slots__ = ()


Value = str | Vector


class TemplateError(ValueError):
    """A template that cannot be read; `line` and `column` count from 1 (0: not known, the XML form)."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


# Every quantifier is possessive, so that no input makes the expression go back: the time is linear in
# the length of the text.  An item is `NAME = value` (with the white space and comments before it),
# a bare word, one other character, or the end.
_SKIP = r"(?:[ \t\n]++|\#[^\n]*+)*+"
_BARE = r"[^=# \t\n,\[\]]"
_ITEM = re.compile(
    rf"""{_SKIP} (?:
        ([A-Za-z0-9_]++) {_SKIP} = [ \t]*+ (?: ("(?:[^"\\]++|\\"|\\)*+)" (?!{_BARE}) | ({_BARE}++|\[|\n|) )
      | ([A-Za-z0-9_]++|.|)
    )""",
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z0-9_]++")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_PLAIN = re.compile(rf'(?!"){_BARE}++')
_TOKENS = {
    ",": "COMMA",
    "=": "EQUAL",
    "[": "OBRACKET",
    "]": "CBRACKET",
    "\n": "EQUAL_EMPTY",
    "": "end of file",
}
_ATTRIBUTE, _FIRST_KEY, _KEY, _SEPARATOR = range(4)
_EXPECTED = ("VARIABLE or end of file", "VARIABLE or CBRACKET", "VARIABLE", "COMMA or CBRACKET")
_ASCII_UPPER = {c: c - 32 for c in range(ord("a"), ord("z") + 1)}


class _Malformed(Exception):  # noqa: N818 - never leaves the module: the fast path's way to the slow one
    def __init__(self, index: int, mode: int) -> None:
        self.index = index
        self.mode = mode


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
        if "\r" in text:
            # XML readers turn these into line feeds, so the value would change when it is stored.
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if bad := _FORBIDDEN.search(text):
            _fail(text, f"character U+{ord(bad[0]):04X} cannot be stored", bad.start(), bad.end())
        try:
            template._items = _parse_text(text)
        except _Malformed as e:
            _diagnose(text, e.index, e.mode)
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
                    value.setdefault(_local_name(sub), sub.text or "")
            else:
                value = child.text or ""
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
            if "_" not in text:
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
        return [v for v in self._items.get(name, ()) if isinstance(v, Vector)]

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
        out = [f"<{tag}>"]
        put = out.append
        for name, values in sorted(self._items.items()):
            for value in values:
                if isinstance(value, str):
                    put(f"<{name}><![CDATA[{_cdata(value) if ']]>' in value else value}]]></{name}>")
                    continue
                put(f"<{name}>")
                for key, text in sorted(value.items()):
                    put(f"<{key}><![CDATA[{_cdata(text) if ']]>' in text else text}]]></{key}>")
                put(f"</{name}>")
        put(f"</{tag}>")
        xml = "".join(out)
        return _FORBIDDEN.sub("\ufffd", xml) if _FORBIDDEN.search(xml) else xml

    def to_text(self) -> str:
        """One attribute a line, a vector one pair a line; parsing it gives the template again, but for
        one value that the language cannot express: a last backslash beside blanks or brackets."""
        lines = []
        for name, value in self.items():
            if isinstance(value, str):
                lines.append(f"{name}={_quote(value)}\n")
            else:
                pairs = ",\n".join(f"  {key}={_quote(text)}" for key, text in sorted(value.items()))
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


def _quote(value: str) -> str:
    if value.endswith("\\"):
        # Inside quotes this backslash would escape the closing one.
        return value if _PLAIN.fullmatch(value) else _quote(value + " ")
    return '"' + value.replace('"', '\\"') + '"'


def _local_name(el: Element) -> str:
    return upper(el.tag.rpartition("}")[2])


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


def _parse_text(text: str) -> dict[str, list[Value]]:
    items: dict[str, list[Value]] = {}
    vector = Vector()
    mode = _ATTRIBUTE
    no_cdata = "]]>" not in text
    for index, (name, quoted, plain, mark) in enumerate(_ITEM.findall(text)):
        if name:
            value = quoted[1:] if quoted else plain
            if mode == _SEPARATOR or name < ":" or not (quoted or (plain and plain[0] != '"')):
                raise _Malformed(index, mode)
            if "\\" in value and quoted:
                value = value.replace('\\"', '"')
            if quoted and not (no_cdata or "]]>" not in value):
                raise _Malformed(index, mode)
            if mode == _ATTRIBUTE:
                if plain == "[":
                    vector = Vector()
                    items.setdefault(name.upper(), []).append(vector)
                    mode = _FIRST_KEY
                else:
                    items.setdefault(name.upper(), []).append("" if plain == "\n" else value)
            elif plain == "[" or plain == "\n":
                raise _Malformed(index, mode)
            else:
                vector.setdefault(name.upper(), value)
                mode = _SEPARATOR
        elif mark == "," and mode == _SEPARATOR:
            mode = _KEY
        elif mark == "]" and mode in (_SEPARATOR, _FIRST_KEY):
            mode = _ATTRIBUTE
        elif mark or mode != _ATTRIBUTE:
            raise _Malformed(index, mode)
    return items


def _diagnose(text: str, index: int, mode: int) -> NoReturn:
    """Find the item again, this time with its place, and say what is wrong with it."""
    found = _ITEM.finditer(text)
    for _ in range(index):
        next(found)
    item = next(found)
    if item[4] is not None:
        if not _NAME.match(item[4]) or mode == _SEPARATOR:
            _unexpected(text, item.start(4), _EXPECTED[mode])
        following = next(found)
        _unexpected(text, following.start(1 if following[1] else 4), "EQUAL")
    start, end = item.span(1)
    if mode == _SEPARATOR:
        _unexpected(text, start, _EXPECTED[mode])
    if item[1] < ":":
        _fail(text, f"the name {item[1]} begins with a digit", start, end)
    if item[2] is not None:
        _fail(text, f'the value of {item[1]} has "]]>"', item.start(2), item.end())
    start = item.start(3)
    if item[3].startswith('"'):
        _fail(text, f"the quotes of the value of {item[1]} do not end with it", start, start + 1)
    _unexpected(text, start, "STRING" if mode else "STRING or OBRACKET")


def _unexpected(text: str, start: int, expected: str) -> NoReturn:
    char = text[start : start + 1]
    if char in _TOKENS:
        token, end = _TOKENS[char], start + len(char)
    elif word := _NAME.match(text, start):
        token, end = "VARIABLE", word.end()
    else:
        token, end = f"character '{char}'", start + 1
    _fail(text, f"unexpected {token}, expecting {expected}", start, end)


def _fail(text: str, what: str, start: int, end: int) -> NoReturn:
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    last = column + max(end - start, 0)
    message = f"Parse error: syntax error, {what} at line {line}, columns {column}:{last}"
    raise TemplateError(message, line, column)
