"""XML-RPC on the wire: calls decoded, outcomes and faults encoded.

A call in the form that ordinary clients write is read by three compiled patterns in one or two microseconds.
Whatever they do not match goes to the complete parser in `strict`, which also words the faults; so the
patterns may be narrow, but what they accept must mean the same to both.
"""

import re
from collections.abc import Callable
from itertools import chain

from merope.api.backend import I8, Fault, Outcome, Value, Wire
from merope.api.strict import decode_strictly

__all__ = ["decode", "decode_fast", "encode", "encode_fault", "escape"]

# Possessive quantifiers and a class without '<' leave nothing to try again: time is linear in the size.
_SPACE = r"[ \t\n]*+"
_TEXT = r"([^<]*+)"
_INT = r"([+-]?[0-9]{1,10})"
_HEAD = re.compile(
    r"(?:<\?xml version=(?:'1\.0'|\"1\.0\")(?: encoding=(?:'(?i:utf-8)'|\"(?i:utf-8)\"))? ?\?>)?"
    + _SPACE
    + r"<methodCall>"
    + _SPACE
    + r"<methodName>([A-Za-z0-9_.:/-]++)</methodName>"
    + _SPACE
    + r"<params>"
    + _SPACE
)
_PARAM = re.compile(
    r"<param>"
    + _SPACE
    + r"<value>(?:<string>"
    + _TEXT
    + r"</string>|<i4>"
    + _INT
    + r"</i4>|<int>"
    + _INT
    + r"</int>|<i8>([+-]?[0-9]{1,18})</i8>|<boolean>([01])</boolean>|"
    + _TEXT
    + r")</value>"
    + _SPACE
    + r"</param>"
    + _SPACE
)
_TAIL = re.compile(r"</params>" + _SPACE + r"</methodCall>" + _SPACE + r"\Z")
_OTHER_REFERENCE = re.compile(r"&(?!(?:lt|gt|amp|quot|apos);)")
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\r")
_NONCHARACTER = re.compile("[\ufffe\uffff]")
_MOST_PARAMS = 64
_INT32 = 2**31


def decode(body: bytes) -> tuple[str, list[Value]]:
    """Give the method and the parameters of a request body; raise `Fault` when it is no XML-RPC call."""
    return decode_fast(body) or decode_strictly(body)


def decode_fast(body: bytes) -> tuple[str, list[Value]] | None:
    """Decode a call in its ordinary form; None for any other, well-formed or not."""
    # XML has no place for control characters. Deleting them to compare lengths is four times faster than
    # leaving them out of the patterns' classes.
    if len(body.translate(None, _CONTROLS)) != len(body):
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = _HEAD.match(text)
    if found is None or not (text.isascii() or _NONCHARACTER.search(text) is None):
        return None
    method: str = found[1]
    params: list[Value] = []
    next_param = _PARAM.match
    end = found.end()
    for _ in range(_MOST_PARAMS):
        found = next_param(text, end)
        if found is None:
            break
        value = _VALUES[found.lastindex or 0](found[found.lastindex or 0])
        if value is None:
            return None
        params.append(value)
        end = found.end()
    if _TAIL.match(text, end) is None:
        return None
    return method, params


def _string(text: str) -> str | None:
    """Replace the five named references; None where there is another one, or a stray end of CDATA."""
    if "]]>" in text:
        return None
    if "&" not in text:
        return text
    if _OTHER_REFERENCE.search(text):
        return None
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&apos;", "'")
    return text.replace("&amp;", "&")


def _int32(digits: str) -> int | None:
    number = int(digits)
    return number if -_INT32 <= number < _INT32 else None


# By the group of _PARAM that matched; None sends the whole call to the complete parser.
_VALUES: tuple[Callable[[str], Value | None], ...] = (
    lambda _: None,
    _string,
    _int32,
    _int32,
    int,
    lambda digit: digit == "1",
    _string,
)


# XML 1.0 has no way to write these, so a client could not read the reply that holds one.
_WITHOUT_CONTROLS = bytes(ord("?") if c < 32 and c not in b"\t\n\r" else c for c in range(256))
_NONCHARACTERS = ((b"\xef\xbf\xbe", b"\xef\xbf\xbd"), (b"\xef\xbf\xbf", b"\xef\xbf\xbd"))
_MARKUP = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"), (b"\r", b"&#x0d;"))


def escape(text: str) -> bytes:
    """Give `text` as UTF-8 that may stand inside an element, for `Wire`; what XML cannot hold becomes '?'.

    A carriage return is written as a reference, because a parser would make a line feed of it.
    """
    data = text.encode("utf-8", "replace").translate(_WITHOUT_CONTROLS)
    for plain, written in chain(_MARKUP, _NONCHARACTERS):
        data = data.replace(plain, written)
    return data


_PROLOGUE = b'<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n'
_ARRAY = _PROLOGUE + b"<params>\r\n<param><value><array><data>\r\n"
_ARRAY_END = b"</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n"
_SUCCESS = _ARRAY + b"<value><boolean>1</boolean></value>\r\n<value>"
_SUCCESS_END = b"</value>\r\n<value><i4>0</i4></value>\r\n" + _ARRAY_END
_STRING_SUCCESS = _SUCCESS + b"<string>"
_STRING_SUCCESS_END = b"</string>" + _SUCCESS_END
_FAILURE = (
    _ARRAY
    + b"<value><boolean>0</boolean></value>\r\n<value><string>%b</string></value>\r\n"
    + b"<value><i4>%d</i4></value>\r\n<value><i4>%d</i4></value>\r\n<value><i8>%d</i8></value>\r\n"
    + _ARRAY_END
)
_FAULT = (
    _PROLOGUE
    + b"<fault>\r\n<value><struct>\r\n"
    + b"<member><name>faultCode</name>\r\n<value><i4>%d</i4></value></member>\r\n"
    + b"<member><name>faultString</name>\r\n<value><string>%b</string></value></member>\r\n"
    + b"</struct></value>\r\n</fault>\r\n</methodResponse>\r\n"
)


def encode(outcome: Outcome) -> tuple[bytes, ...]:
    """Give a response's body in pieces to be written one after the other; a `Wire`'s are among them."""
    if outcome.code:
        return (_FAILURE % (escape(outcome.message), outcome.code, outcome.oid, outcome.index),)
    value = outcome.value
    if isinstance(value, Wire):
        return (_STRING_SUCCESS, *value.pieces, _STRING_SUCCESS_END)
    if isinstance(value, str):
        return (_STRING_SUCCESS, escape(value), _STRING_SUCCESS_END)
    if isinstance(value, bool):
        return (b"%b<boolean>%d</boolean>%b" % (_SUCCESS, value, _SUCCESS_END),)
    if isinstance(value, I8) or not -_INT32 <= value < _INT32:
        return (b"%b<i8>%d</i8>%b" % (_SUCCESS, value, _SUCCESS_END),)
    return (b"%b<i4>%d</i4>%b" % (_SUCCESS, value, _SUCCESS_END),)


def encode_fault(fault: Fault) -> tuple[bytes, ...]:
    """Give a fault's body, in the form of `encode`."""
    return (_FAULT % (fault.code, escape(fault.text)),)
