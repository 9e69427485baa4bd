"""The log of calls, in the original's format (LOG_CALL_FORMAT), written in batches.

Parameters that are declared hidden, and the session, are never written out; of a template nothing that stands
after the name of an attribute that is a secret.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from merope.api.backend import Peer
from merope.core.methods import Method, Type
from merope.core.transaction import Caller

FLUSH_SECONDS = 0.2
_HIDDEN = "****"
_RESULT_LENGTH = 20
_MESSAGE_LENGTH = 1000
#: Names of attributes in templates after which a secret stands, those that are stored encrypted among them.
_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|EC2_ACCESS|AZ_(?:SUB|CLIENT|TENANT)", re.IGNORECASE)
_TOKEN = re.compile(r"%(?:l(?P<length>\d*)|(?P<letter>[a-zA-Z%]))")


@dataclass(frozen=True, slots=True)
class Call:
    """What the format can show of a call. `arguments` are those after the session."""

    number: int
    method: Method
    arguments: Sequence[Any]
    caller: Caller
    peer: Peer


_PARTS: dict[str, Callable[[Call], str]] = {
    "i": lambda call: str(call.number),
    "m": lambda call: call.method.name,
    "u": lambda call: str(call.caller.uid),
    "U": lambda call: call.caller.name,
    "g": lambda call: str(call.caller.gid),
    "G": lambda call: call.caller.group_name,
    "a": lambda _: _HIDDEN,
    "p": lambda _: _HIDDEN,
    "A": lambda call: call.peer.host,
    "P": lambda call: str(call.peer.port),
    "%": lambda _: "%",
}


def _parameters(length: int) -> Callable[[Call], str]:
    def show(call: Call) -> str:
        shown = []
        for param, value in zip(call.method.params, call.arguments, strict=False):
            text = _HIDDEN if param.hidden else _text(value)
            if isinstance(value, int) and len(text) <= length:
                shown.append(text)
                continue
            begin = _without_secret(text[:length])
            shown.append(_one_line(begin if begin != text[:length] or len(text) <= length else f"{begin}..."))
        return "".join(f", {text}" for text in shown)

    return show


def _without_secret(text: str) -> str:
    named = _SECRET.search(text)
    return text if named is None else f"{text[: named.end()]}{_HIDDEN}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def compile_format(text: str) -> Callable[[Call], str]:
    """The function that writes a call as LOG_CALL_FORMAT says; unknown letters stay as they are."""
    pieces: list[Callable[[Call], str]] = []
    end = 0
    for token in _TOKEN.finditer(text):
        pieces.append(_literal(text[end : token.start()]))
        if token["letter"] is None:
            pieces.append(_parameters(int(token["length"] or 20)))
        else:
            pieces.append(_PARTS.get(token["letter"], _literal(token[0])))
        end = token.end()
    pieces.append(_literal(text[end:]))
    return lambda call: "".join([piece(call) for piece in pieces])


def _literal(text: str) -> Callable[[Call], str]:
    return lambda _: text


class CallLog:
    """Writes to `stream` a few times a second; a process that dies loses the last lines only."""

    def __init__(self, stream: TextIO, text: str) -> None:
        self._stream = stream
        self._show = compile_format(text)
        self._lines: list[str] = []
        self._stamp = ("", 0)

    def invoked(self, call: Call, code: int, message: str, value: object) -> None:
        """One line for the call and one for what it answered, as the original has them."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        prefix = self._prefix()
        if code:
            result = f"FAILURE {_one_line(message[:_MESSAGE_LENGTH])}"
        else:
            result = f"SUCCESS, {_HIDDEN if _is_secret(call.method) else _shortened(value)}"
        self._lines.append(f"{prefix}{self._show(call)}\n")
        self._lines.append(
            f"{prefix}Req:{call.number} UID:{call.caller.uid} {call.method.name} result {result}\n"
        )

    def _prefix(self) -> str:
        now = int(time.time())
        if self._stamp[1] != now:
            self._stamp = (time.strftime("%a %b %e %H:%M:%S %Y [Z0][ReM][D]: ", time.localtime(now)), now)
        return self._stamp[0]

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write("".join(lines))
            self._stream.flush()


def _is_secret(method: Method) -> bool:
    """A method that takes a secret and answers a text answers a secret: a login token."""
    return method.returns is Type.STRING and any(param.hidden for param in method.params)


def _shortened(value: object) -> str:
    if isinstance(value, bytes):
        head = (
            value[: 2 * _RESULT_LENGTH].decode("utf-8", "replace").replace("&lt;", "<").replace("&gt;", ">")
        )
        return _one_line(f'"{head[:_RESULT_LENGTH]}..."')
    text = _text(value)
    return _one_line(text if len(text) <= _RESULT_LENGTH else f"{text[:_RESULT_LENGTH]}...")


def _one_line(text: str) -> str:
    """What users sent, where it can neither begin a line of its own nor steer the terminal of a reader."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else " " for char in text])
