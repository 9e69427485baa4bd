"""XML-RPC as OpenNebula speaks it: calls to bytes, answers to values.

Only what the API uses is here (i4, i8, boolean, string, double, array; struct for faults), because the
standard library's xmlrpc costs a command more than half of its start-up time.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.client.errors import BadAnswer, ClientError, Fault

Argument: TypeAlias = "bool | int | float | str | Sequence[Argument]"
Result: TypeAlias = "bool | int | float | str | list[Result] | dict[str, Result]"

#: Characters that XML 1.0 cannot carry, not even as references.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_INTEGERS = frozenset(("i4", "int", "i8"))
#: A success whose value is an integer, as the core writes it: what most calls that change something answer.
_INTEGER_ANSWER = re.compile(
    rb'(?:<\?xml version="1\.0" encoding="UTF-8"\?>)?[\r\n]*<methodResponse>[\r\n]*<params>[\r\n]*'
    rb"<param><value><array><data>[\r\n]*<value><boolean>1</boolean></value>[\r\n]*"
    rb"<value><(i4|i8)>(-?[0-9]{1,18})</\1></value>[\r\n]*<value><i4>0</i4></value>[\r\n]*"
    rb"</data></array></value></param>[\r\n]*</params>[\r\n]*</methodResponse>[\r\n]*"
)


def encode_call(method: str, arguments: Sequence[Argument]) -> bytes:
    """The body of a request.  Raises ClientError for a character that XML cannot carry."""
    params = "".join([f"<param>{_encode(a)}</param>" for a in arguments])
    return (
        f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName>"
        f"<params>{params}</params></methodCall>"
    ).encode()


def _encode(value: Argument) -> str:
    if isinstance(value, bool):
        return f"<value><boolean>{value:d}</boolean></value>"
    if isinstance(value, int):
        tag = "i4" if -(2**31) <= value < 2**31 else "i8"
        return f"<value><{tag}>{int(value)}</{tag}></value>"
    if isinstance(value, float):
        return f"<value><double>{value!r}</double></value>"
    if isinstance(value, str):
        return f"<value><string>{escape(value)}</string></value>"
    items = "".join([_encode(v) for v in value])
    return f"<value><array><data>{items}</data></array></value>"


def escape(text: str) -> str:
    """Text as XML content; a carriage return survives, which plain XML would turn into a line feed."""
    if bad := _FORBIDDEN.search(text):
        raise ClientError(f"The character U+{ord(bad[0]):04X} (position {bad.start()}) cannot be sent.")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\r", "&#13;")


def decode_answer(body: bytes) -> Result:
    """The value of a methodResponse.  Raises Fault for a fault, BadAnswer for anything else."""
    if plain := _INTEGER_ANSWER.fullmatch(body):
        return [True, int(plain[2]), 0]
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - expat limits entity expansion itself
    except ElementTree.ParseError as e:
        raise BadAnswer(f"The answer is not XML ({e}): {_excerpt(body)}") from e
    if root.tag != "methodResponse":
        raise BadAnswer(f"The answer is not an XML-RPC response: {_excerpt(body)}")
    try:
        if (fault := root.find("fault/value")) is not None:
            raise _fault(_decode(fault))
        value = root.find("params/param/value")
        if value is None:
            raise BadAnswer(f"The answer has no value: {_excerpt(body)}")
        return _decode(value)
    except ValueError as e:
        raise BadAnswer(f"The answer has a malformed value ({e}): {_excerpt(body)}") from e


def _decode(value: Element) -> Result:
    if not len(value):
        return value.text or ""
    typed = value[0]
    text = typed.text or ""
    match typed.tag:
        case "string":
            return text
        case "boolean":
            return _boolean(text)
        case "double":
            return float(text)
        case "array":
            return [_decode(v) for v in typed.iterfind("data/value")]
        case "struct":
            return {m.findtext("name", ""): _decode(_member_value(m)) for m in typed.iterfind("member")}
        case tag if tag in _INTEGERS:
            return int(text)
        case tag:
            raise ValueError(f"type {tag}")


def _boolean(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"boolean {text!r}")
    return text == "1"


def _member_value(member: Element) -> Element:
    if (value := member.find("value")) is None:
        raise ValueError("a member without a value")
    return value


def _fault(value: Result) -> Fault:
    fields = value if isinstance(value, dict) else {}
    code = fields.get("faultCode", 0)
    return Fault(code if isinstance(code, int) else 0, str(fields.get("faultString", "unknown fault")))


def _excerpt(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace"))
