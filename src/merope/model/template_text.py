"""The text form of templates: `NAME = value`, `NAME = "quoted value"`, `NAME = [ KEY = value, … ]`.

The rules are those of OpenNebula 5.12's template language.  Deliberate differences, all on input that
5.12 damages silently: a character that no rule accepts is an error (5.12 drops it), a value that opens
with a double quote must close it, and what XML 1.0 cannot hold (control characters, a name that begins
with a digit) is refused, because the stored document could never be read again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import NamedTuple


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
# What may stand between the values of a text that a program wrote, each of them in quotes: names of keys
# after a comma, and names of attributes, behind the end of a vector or a blank; a key with the beginning of
# a vector before it.
_WORD = r"([A-Za-z_][A-Za-z0-9_]*+)[ \t\n]*+=[ \t]*+"
_KEY_FOLLOWS = re.compile(rf"[ \t\n]*+,[ \t\n]*+{_WORD}")
_NAME_FOLLOWS = re.compile(rf"(?:[ \t\n]++|[ \t\n]*+(\])[ \t\n]*+){_WORD}(?:\[[ \t\n]*+{_WORD})?")
_WRITTEN_SIZE = 1 << 16
_BETWEEN_SIZE = 100
_NAME = re.compile(r"[A-Za-z0-9_]++")
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ALLOWED = bytes(code for code in range(256) if not _CONTROLS.match(chr(code)))
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


class _Malformed(Exception):  # noqa: N818 - internal: where the fast path stopped
    def __init__(self, index: int, mode: int) -> None:
        self.index = index
        self.mode = mode


def is_storable(text: str) -> bool:
    """Whether the text has no character that XML 1.0 cannot hold."""
    # Nearly every text is ASCII, and to look through one by a table takes a third of the time.
    return not (text.encode().translate(None, _ALLOWED) if text.isascii() else FORBIDDEN.search(text))


def parse_text(text: str) -> dict[str, list[Value]]:
    """The attributes of a text by name, equal names in the order of the text.  Raises TemplateError."""
    if "\r" in text:
        # XML readers turn these into line feeds, so the value would change when it is stored.
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not is_storable(text) and (bad := FORBIDDEN.search(text)):
        raise _error(text, f"character U+{ord(bad[0]):04X} cannot be stored", bad.start(), bad.end())
    if len(text) <= _WRITTEN_SIZE:
        written = _read_written(text)
        if written is not None:
            return written
    try:
        return _read(text)
    except _Malformed as e:
        stop = e
    raise _diagnose(text, stop.index, stop.mode)


def _read_written(text: str) -> dict[str, list[Value]] | None:
    """As `_read`, in a third of the time, for what programs write; None for everything else.

    Every value is in quotes, and there are no comments: the text is values and what stands between them by
    turns, and what stands between them is nearly always something that was seen before.
    """
    if "]]>" in text:
        return None
    # No text has this character.
    parts = text.replace('\\"', "\0").split('"')
    last = parts.pop()
    if len(parts) % 2 or not parts:
        return None
    # An attribute stands behind a blank; so does the first one now.
    parts[0] = f"\n{parts[0]}"
    items: dict[str, list[Value]] = {}
    vector: Vector | None = None
    pairs = iter(parts)
    for between, value in zip(pairs, pairs, strict=True):
        known = _names_in(between) if len(between) <= _BETWEEN_SIZE else None
        if known is None or known.in_vector is not (vector is not None):
            return None
        if "\0" in value:
            value = value.replace("\0", '"')
        if not known.attribute:
            assert vector is not None
            vector.setdefault(known.key, value)
        elif known.key:
            vector = Vector({known.key: value})
            items.setdefault(known.attribute, []).append(vector)
        else:
            vector = None
            items.setdefault(known.attribute, []).append(value)
    return items if last.strip(" \t\n") == ("" if vector is None else "]") else None


class _Names(NamedTuple):
    """`in_vector`: whether it stands behind a value of a vector."""

    in_vector: bool
    attribute: str
    key: str


@lru_cache(maxsize=4096)
def _names_in(between: str) -> _Names | None:
    if found := _KEY_FOLLOWS.fullmatch(between):
        return _Names(True, "", found[1].upper())
    if found := _NAME_FOLLOWS.fullmatch(between):
        return _Names(found[1] is not None, found[2].upper(), (found[3] or "").upper())
    return None


def _read(text: str) -> dict[str, list[Value]]:
    items: dict[str, list[Value]] = {}
    vector = Vector()
    mode = _ATTRIBUTE
    cdata_end = "]]>" in text
    for index, (name, quoted, plain, mark) in enumerate(_ITEM.findall(text)):
        if name:
            value = quoted[1:] or plain
            if mode == _SEPARATOR or name < ":" or not (quoted or (plain and plain[0] != '"')):
                raise _Malformed(index, mode)
            if quoted and "\\" in value:
                value = value.replace('\\"', '"')
            if cdata_end and "]]>" in value:
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


def _diagnose(text: str, index: int, mode: int) -> TemplateError:
    """Find the item again, this time with its place, and say what is wrong with it."""
    found = islice(_ITEM.finditer(text), index, None)
    item = next(found)
    if item[4] is not None:
        if mode == _SEPARATOR or not _NAME.match(item[4]):
            return _unexpected(text, item.start(4), _EXPECTED[mode])
        following = next(found)
        return _unexpected(text, following.start(1 if following[1] else 4), "EQUAL")
    start, end = item.span(1)
    name = item[1][:40]
    if mode == _SEPARATOR:
        return _unexpected(text, start, _EXPECTED[mode])
    if name < ":":
        return _error(text, f"the name {name} begins with a digit", start, end)
    if item[2] is not None:
        return _error(text, f'the value of {name} has "]]>"', item.start(2), item.end())
    start = item.start(3)
    if item[3].startswith('"'):
        return _error(text, f"the quotes of the value of {name} do not end with it", start, start + 1)
    return _unexpected(text, start, "STRING" if mode else "STRING or OBRACKET")


def _unexpected(text: str, start: int, expected: str) -> TemplateError:
    char = text[start : start + 1]
    if char in _TOKENS:
        token, end = _TOKENS[char], start + len(char)
    elif word := _NAME.match(text, start):
        token, end = "VARIABLE", word.end()
    else:
        token, end = f"character '{char}'", start + 1
    return _error(text, f"unexpected {token}, expecting {expected}", start, end)


def _error(text: str, what: str, start: int, end: int) -> TemplateError:
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    columns = f"{column}:{column + end - start}"
    return TemplateError(f"Parse error: syntax error, {what} at line {line}, columns {columns}", line, column)


def quote(value: str) -> str:
    """A value as `parse_text` reads it back; see Template.to_text for the one exception."""
    if value.endswith("\\"):
        # Inside quotes this backslash would escape the closing one.
        return value if _PLAIN.fullmatch(value) else quote(value + " ")
    return '"' + value.replace('"', '\\"') + '"'
