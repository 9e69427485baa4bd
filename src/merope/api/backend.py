"""What the door asks of the dispatcher behind it, and the values that pass between the two."""

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias


class FaultCode(IntEnum):
    """XML-RPC fault codes that clients of 5.12 may look for (numbers of xmlrpc-c)."""

    TYPE = -501
    PARSE = -503
    NO_SUCH_METHOD = -506
    LIMIT_EXCEEDED = -509


class Fault(Exception):  # noqa: N818 - the protocol calls it so
    """A call that never became a call: answered by an XML-RPC fault, not by a tuple.

    `code` is one of `FaultCode`: TYPE for a wrong type or number of parameters, NO_SUCH_METHOD for an unknown
    method, PARSE for a request that is not well-formed, LIMIT_EXCEEDED for one that is too large.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = FaultCode(code)
        self.text = text


@dataclass(frozen=True, slots=True)
class Foreign:
    """A parameter of a type that no method takes; the dispatcher answers it with `FaultCode.TYPE`.

    `kind` is the XML-RPC element's name (double, dateTime.iso8601, base64, struct, nil), `text` its content
    as it came ("" for struct and nil).
    """

    kind: str
    text: str = ""


Value: TypeAlias = bool | int | str | Foreign | list["Value"]
"""A decoded parameter: <boolean>; <i4>, <int> and <i8> (within 32, 32 and 64 bits); <string>; <array>."""


class I8(int):
    """An integer result that is declared as i8 on the wire whatever its size."""

    __slots__ = ()


class Wire:
    """A string result that is already escaped for XML, in UTF-8 (see `xmlrpc.escape`).

    The pieces go to the socket one after the other, without a copy where they are large: keep them, and hand
    them out again.
    """

    __slots__ = ("pieces",)

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces


Result: TypeAlias = bool | int | str | I8 | Wire


class Outcome:
    """The answer to one call: a `value` when `code` is 0, else an error of the API.

    A failure is sent as (False, message, code, oid, index): `code` is a `model.errors.Code`, `message`
    carries its "[method] " prefix already, `oid` is the object concerned or -1, `index` the replication
    index or -1.
    """

    __slots__ = ("code", "index", "message", "oid", "value")

    def __init__(
        self, value: Result = "", code: int = 0, message: str = "", oid: int = -1, index: int = -1
    ) -> None:
        self.value = value
        self.code = code
        self.message = message
        self.oid = oid
        self.index = index

    @classmethod
    def failure(cls, code: int, message: str, oid: int = -1, index: int = -1) -> "Outcome":
        """An error of the API; `code` must not be 0."""
        return cls("", code, message, oid, index)

    def __repr__(self) -> str:
        if self.code:
            return f"Outcome.failure({self.code}, {self.message!r}, oid={self.oid}, index={self.index})"
        return f"Outcome({self.value!r})"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: an IP address and its port, or "" and 0 on a Unix socket."""

    host: str
    port: int


class Backend(Protocol):
    """The dispatcher, seen from the door."""

    def call(self, method: str, params: list[Value], peer: Peer) -> Outcome | Awaitable[Outcome]:
        """Execute one call; `params[0]` is the session string if the client sent one.

        An `Outcome` is sent at once. Anything else is awaited (a change that is being made durable) and the
        connection's next request waits behind it; it is awaited to its end even when the client has gone.
        Both may raise `Fault`. Any other exception is a bug: it is logged, and the client is told so.
        """
