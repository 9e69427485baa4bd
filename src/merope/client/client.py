"""The client of the API: `Client(endpoint, auth).call("one.vm.info", 0, False)`."""

from types import TracebackType
from typing import TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.client.discovery import Cloud
from merope.client.errors import BadAnswer, OneError
from merope.client.kinds import KINDS, Filter
from merope.client.transport import HttpTransport, Transport
from merope.client.wire import Argument, Result, decode_answer, encode_call

#: Last words of the methods that only read: they may be sent again when a connection breaks.
_READING = frozenset(
    ("info", "infoextended", "version", "config", "monitoring", "accounting", "showback", "raftstatus")
)

Scalar = bool | int | str
T = TypeVar("T", bound=Scalar)


class Client:
    """One user at one endpoint, over one kept connection: use one client for each thread.

    `auth` is "user:password" or "user:token", `timeout` in seconds.  Every call may raise OneError (the
    cloud refused), Fault (the request is malformed), ConnectionFailed or BadAnswer; all are ClientError.
    """

    def __init__(
        self, endpoint: str, auth: str, transport: Transport | None = None, timeout: float = 60.0
    ) -> None:
        self.cloud = Cloud(endpoint, auth)
        self._transport = transport or HttpTransport(endpoint, timeout)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def call(self, method: str, *arguments: Argument) -> Scalar:
        """The value of a successful answer; the session is put in front of `arguments`."""
        body = encode_call(method, (self.cloud.auth, *arguments))
        repeatable = method.rpartition(".")[2] in _READING
        return unwrap(method, decode_answer(self._transport.send(body, repeatable)))

    def number(self, method: str, *arguments: Argument) -> int:
        """`call` of a method that answers with an id."""
        return _expect(int, method, self.call(method, *arguments))

    def text(self, method: str, *arguments: Argument) -> str:
        """`call` of a method that answers with a document or a token."""
        return _expect(str, method, self.call(method, *arguments))

    def document(self, method: str, *arguments: Argument) -> Element:
        """`text`, parsed."""
        return parse_document(self.text(method, *arguments), method)

    def info_text(self, kind: str, oid: int, *more: Argument) -> str:
        """The document of one object; `kind` is a key of KINDS, `more` are the method's further arguments."""
        return self.text(f"one.{KINDS[kind].api}.info", oid, *more)

    def info(self, kind: str, oid: int, *more: Argument) -> Element:
        return self.document(f"one.{KINDS[kind].api}.info", oid, *more)

    def pool_text(
        self, kind: str, filter_flag: int = Filter.ALL, start: int = -1, end: int = -1, state: int = -1,
        search: str = "",
    ) -> str:  # fmt: skip
        """The document of a pool.

        `filter_flag` is a Filter or a user's id, `start` and `end` bound the ids (-1: open), `state` is a
        VM state (-1: all but DONE, -2: all) or the type of documents, `search` a full text query of VMs.
        What the pool of `kind` does not take is not sent.
        """
        what = KINDS[kind]
        state = what.type if state == -1 else state
        arguments = (int(filter_flag), start, end, state)[: what.pool_arguments]
        return self.text(what.pool_method, *arguments, *((search,) if search else ()))

    def pool(
        self, kind: str, filter_flag: int = Filter.ALL, start: int = -1, end: int = -1, state: int = -1,
        search: str = "",
    ) -> list[Element]:  # fmt: skip
        """The objects of a pool, in the cloud's order."""
        what = KINDS[kind]
        text = self.pool_text(kind, filter_flag, start, end, state, search)
        return parse_document(text, what.pool_method).findall(what.root)


def parse_document(text: str, method: str = "") -> Element:
    """Raises BadAnswer when it is not XML; `method` says in the message where it came from."""
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - expat limits entity expansion itself
    except (ElementTree.ParseError, UnicodeEncodeError) as e:
        raise BadAnswer(f"[{method}] The document of the answer is not XML: {e}") from e


def whole(element: Element, path: str = ".", default: int = -1) -> int:
    """The whole number at `path` of a document, `default` when nothing is there.  Raises BadAnswer."""
    text = element.text if path == "." else element.findtext(path)
    try:
        return int(text) if text else default
    except ValueError as e:
        raise BadAnswer(f"{element.tag}/{path} of the answer is '{text}', which is no whole number.") from e


def unwrap(method: str, answer: Result) -> Scalar:
    match answer:
        case [True, bool() | int() | str() as value, *_]:
            return value
        case [False, str() as message, int() as code, int() as oid, *_]:
            raise OneError(code, message, oid)
        case [False, str() as message, int() as code, *_]:
            raise OneError(code, message)
    raise BadAnswer(f"[{method}] The answer is not a response tuple of OpenNebula.")


def _expect(kind: type[T], method: str, value: Scalar) -> T:
    if isinstance(value, kind):
        return value
    raise BadAnswer(f"[{method}] The answer is {value!r}, which should be of type {kind.__name__}.")
