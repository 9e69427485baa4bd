"""The complete XML-RPC parser: every form the protocol allows, and a sentence for everything else.

Expat reads the XML; a table says which element may stand where. Documents with a DOCTYPE are refused before
anything in it is looked at, so there are no entities to expand and nothing external to fetch.
"""

import re
from collections.abc import Callable
from typing import Final
from xml.parsers import expat

from merope.api.backend import Fault, FaultCode, Foreign, Value

MOST_VALUES: Final = 100_000
"""Values in one call, at any depth; the longest real one is a list of group ids."""
MOST_LEVELS: Final = 64
"""Elements inside each other; an array inside an array takes three."""

_ENCODINGS = frozenset({"UTF-8", "US-ASCII", "ISO-8859-1", "UTF-16"})
_NOT_A_CALL = "Call XML not a proper XML-RPC call.  "
_NOT_XML = _NOT_A_CALL + "Call is not valid XML.  "
# The words of 5.12's fault; its token is left out, since it may be a piece of the session string.
_IN_CONTENT = "Invalid XML \"content\".  Problem with token at '...': "

_SCALARS = frozenset({"string", "i4", "int", "i8", "boolean", "double", "dateTime.iso8601", "base64", "nil"})
_CHILDREN: dict[str, frozenset[str]] = {
    "": frozenset({"methodCall"}),
    "methodCall": frozenset({"methodName", "params"}),
    "params": frozenset({"param"}),
    "param": frozenset({"value"}),
    "value": _SCALARS | {"array", "struct"},
    "array": frozenset({"data"}),
    "data": frozenset({"value"}),
    "struct": frozenset({"member"}),
    "member": frozenset({"name", "value"}),
}
# Elements whose children are fixed: what they must be, in order, in one of these ways.
_SHAPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "methodCall": (("methodName",), ("methodName", "params")),
    "param": (("value",),),
    "array": (("data",),),
    "member": (("name", "value"),),
}
_HOLDS_TEXT = _SCALARS | {"methodName", "name", "value"}


def _improper(reason: str) -> Fault:
    return Fault(FaultCode.PARSE, _NOT_A_CALL + reason)


def _integer(kind: str, bits: int) -> Callable[[str], int]:
    limit = 2 ** (bits - 1)

    def read(text: str) -> int:
        digits = text.strip(" \t\r\n")
        if not re.fullmatch(r"[+-]?[0-9]{1,40}", digits):
            raise _improper(f"<{kind}> holds no integer.")
        number = int(digits)
        if not -limit <= number < limit:
            raise _improper(f"<{kind}> value {number} does not fit {bits} bits.")
        return number

    return read


def _boolean(text: str) -> bool:
    digit = text.strip(" \t\r\n")
    if digit not in ("0", "1"):
        raise _improper("<boolean> holds neither 0 nor 1.")
    return digit == "1"


_READERS: dict[str, Callable[[str], Value]] = {
    "string": str,
    "i4": _integer("i4", 32),
    "int": _integer("int", 32),
    "i8": _integer("i8", 64),
    "boolean": _boolean,
}


class _Element:
    __slots__ = ("children", "name", "text", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text: list[str] = []
        self.children: list[str] = []
        self.values: list[Value] = []


class _Reader:
    """Builds one call from expat's events."""

    def __init__(self) -> None:
        self.method = ""
        self.root = _Element("")
        self.path = [self.root]
        self.values = 0
        self.parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.upper() not in _ENCODINGS:
            raise _improper(f"Encoding '{encoding}' is not understood; send UTF-8 or ISO-8859-1.")

    def _doctype(self, *_: object) -> None:
        raise _improper("A document type declaration (DOCTYPE) is not accepted.")

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        parent = self.path[-1]
        if name not in _CHILDREN.get(parent.name, ()):
            place = f"inside <{parent.name}>" if parent.name else "as the outermost element"
            raise _improper(f"<{name[:60]}> has no place {place}.")
        if len(self.path) > MOST_LEVELS:
            raise Fault(
                FaultCode.LIMIT_EXCEEDED, _NOT_A_CALL + f"More than {MOST_LEVELS} levels of elements."
            )
        parent.children.append(name)
        self.path.append(_Element(name))

    def _characters(self, text: str) -> None:
        element = self.path[-1]
        if element.name in _HOLDS_TEXT:
            element.text.append(text)
        elif text.strip(" \t\r\n"):
            raise _improper(f"Text has no place inside <{element.name}>.")

    def _end(self, name: str) -> None:
        element = self.path.pop()
        parent = self.path[-1]
        shapes = _SHAPES.get(name)
        if shapes is not None and tuple(element.children) not in shapes:
            wanted = " or ".join(" ".join(f"<{child}>" for child in shape) for shape in shapes)
            raise _improper(f"<{name}> must hold {wanted}.")
        if name == "value":
            self._keep(parent, _content(element))
        elif name in _SCALARS:
            reader = _READERS.get(name)
            text = "".join(element.text)
            parent.values.append(reader(text) if reader else Foreign(name, text))
        elif name == "data":
            parent.values.append(element.values)
        elif name == "struct":
            parent.values.append(Foreign("struct"))
        elif name == "methodName":
            self.method = "".join(element.text)
        elif name != "member":
            parent.values.extend(element.values)

    def _keep(self, parent: _Element, value: Value) -> None:
        self.values += 1
        if self.values > MOST_VALUES:
            raise Fault(FaultCode.LIMIT_EXCEEDED, _NOT_A_CALL + f"More than {MOST_VALUES} values.")
        parent.values.append(value)


def _content(element: _Element) -> Value:
    """Give what a <value> holds: its one typed element, or its text, which is a string."""
    text = "".join(element.text)
    if not element.children:
        return text
    if len(element.children) > 1 or text.strip(" \t\r\n"):
        raise _improper("<value> must hold one typed element or text.")
    return element.values[0]


def decode_strictly(body: bytes) -> tuple[str, list[Value]]:
    """Give the method and the parameters of any XML-RPC call; raise `Fault` for everything else.

    Time and memory are linear in the size of `body`.
    """
    reader = _Reader()
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as error:
        in_content = len(reader.path) > 1
        words = expat.ErrorString(error.code) or "unknown error"
        raise Fault(FaultCode.PARSE, _NOT_XML + (_IN_CONTENT if in_content else "") + words) from None
    return reader.method, reader.root.values
