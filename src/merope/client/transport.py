"""HTTP for the API and nothing else: one POST at a time over a kept connection.

A raw socket, because http.client (through email) costs 12 ms of every command's start-up.
"""

import contextlib
import select
import socket
from typing import TYPE_CHECKING, NamedTuple, Protocol

from merope.client.errors import BadAnswer, ConnectionFailed

if TYPE_CHECKING:
    import ssl

#: Seconds until a connection attempt is given up; an answer may take `timeout`.
CONNECT_TIMEOUT = 10.0
_MAX_HEAD = 65536
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


class Transport(Protocol):
    """Carries the body of a request to the cloud and the body of the answer back."""

    def send(self, body: bytes, repeatable: bool) -> bytes:
        """`repeatable`: executing the request twice does no harm, so it may be sent again when the
        connection broke under it.  Raises ConnectionFailed or BadAnswer."""

    def close(self) -> None:
        """Give back the connection; a later `send` opens another one."""


class Endpoint(NamedTuple):
    """The parts of http[s]://host[:port]/path."""

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Raises ConnectionFailed when `url` is not of that form."""
        scheme, separator, rest = url.strip().partition("://")
        authority, _, path = rest.partition("/")
        if authority.startswith("["):
            host, _, tail = authority[1:].partition("]")
            port = tail.removeprefix(":")
        else:
            host, _, port = authority.partition(":")
        default = {"http": 80, "https": 443}.get(scheme.lower())
        if default is None or not separator or not host or not (port.isdecimal() or not port):
            raise ConnectionFailed(
                url, "this is not an endpoint; it should look like http://localhost:2633/RPC2"
            )
        if any(c <= " " or c > "~" for c in rest):
            raise ConnectionFailed(url, "an endpoint has neither spaces nor special characters")
        return cls(scheme.lower() == "https", host, int(port or default), "/" + path)


class HttpTransport:
    """`timeout` in seconds, for the whole silence between two packets; `verify` checks the certificate of
    an https endpoint, against the authorities in the file or directory `ca` when one is given."""

    def __init__(self, url: str, timeout: float = 60.0, verify: bool = True, ca: str | None = None) -> None:
        self.url = url
        self._endpoint = Endpoint.parse(url)
        self._timeout = timeout
        self._verify = verify
        self._ca = ca
        self._socket: socket.socket | None = None

    def send(self, body: bytes, repeatable: bool) -> bytes:
        request = self._head(len(body)) + body
        kept = self._socket is not None and not self._is_stale(self._socket)
        try:
            return self._exchange(request)
        except ConnectionFailed as e:
            # A server may close a kept connection at the very moment it is used again.
            if not (kept and repeatable and e.sent):
                raise
            return self._exchange(request)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _head(self, length: int) -> bytes:
        e = self._endpoint
        host = f"[{e.host}]" if ":" in e.host else e.host
        encoding = "" if e.host in _LOOPBACK else "Accept-Encoding: gzip\r\n"
        return (
            f"POST {e.path} HTTP/1.1\r\nHost: {host}:{e.port}\r\nUser-Agent: merope\r\n"
            f"Content-Type: text/xml\r\n{encoding}Content-Length: {length}\r\n\r\n"
        ).encode("ascii")

    def _is_stale(self, kept: socket.socket) -> bool:
        """Readable before anything was asked means that the other side has closed it."""
        if not select.select([kept], [], [], 0)[0]:
            return False
        self.close()
        return True

    def _exchange(self, request: bytes) -> bytes:
        connection = self._socket or self._connect()
        self._socket = connection
        sent = False
        try:
            connection.sendall(request)
            sent = True
            answer = _read_answer(connection)
        except TimeoutError as e:
            self.close()
            why = (
                f"no answer within {self._timeout:g} seconds; the request may still be executed "
                "(ONE_XMLRPC_TIMEOUT sets the time)"
            )
            raise ConnectionFailed(self.url, why, sent) from e
        except OSError as e:
            self.close()
            raise ConnectionFailed(self.url, f"the connection broke: {_reason(e)}", sent) from e
        except BaseException:
            self.close()
            raise
        if answer.closing:
            self.close()
        return answer.checked_body(self.url)

    def _connect(self) -> socket.socket:
        e = self._endpoint
        try:
            plain = socket.create_connection((e.host, e.port), min(CONNECT_TIMEOUT, self._timeout))
        except OSError as error:
            raise ConnectionFailed(self.url, _unreachable(error)) from error
        plain.settimeout(self._timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not e.secure:
            return plain
        try:
            return self._tls().wrap_socket(plain, server_hostname=e.host)
        except OSError as error:
            plain.close()
            why = (
                f"no secure connection: {_reason(error)}. ONE_CERT_DIR names certificates to trust, "
                "ONE_DISABLE_SSL_VERIFY=1 skips the check"
            )
            raise ConnectionFailed(self.url, why) from error

    def _tls(self) -> "ssl.SSLContext":
        import os
        import ssl

        is_directory = self._ca is not None and os.path.isdir(self._ca)
        context = ssl.create_default_context(
            cafile=None if is_directory else self._ca, capath=self._ca if is_directory else None
        )
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closing(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    def checked_body(self, url: str) -> bytes:
        if self.status != 200:
            raise BadAnswer(
                f"{url} answered with HTTP status {self.status}: is this the XML-RPC endpoint of a cloud "
                "(its path is usually /RPC2)?"
            )
        if self.headers.get("content-encoding", "").lower() == "gzip":
            import zlib

            with contextlib.suppress(zlib.error):
                return zlib.decompress(self.body, 31)
            raise BadAnswer(f"{url} answered with a damaged gzip body")
        return self.body


def _read_answer(connection: socket.socket) -> _Answer:
    with connection.makefile("rb") as stream:
        status = _status(stream.readline(_MAX_HEAD))
        headers: dict[str, str] = {}
        while (line := stream.readline(_MAX_HEAD)) not in (b"\r\n", b"\n"):
            if not line:
                raise ConnectionResetError("closed in the middle of the answer")
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return _Answer(status, headers, _read_chunks(stream))
        if (length := headers.get("content-length")) is None:
            headers["connection"] = "close"
            return _Answer(status, headers, stream.read())
        if not length.isdecimal():
            raise BadAnswer(f"The answer has a Content-Length of {length!r}.")
        return _Answer(status, headers, _read_exactly(stream, int(length)))


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...


def _status(line: bytes) -> int:
    if not line:
        raise ConnectionResetError("closed before the answer")
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise BadAnswer(f"The answer is not HTTP: {line[:40]!r}")
    return int(words[1])


def _read_chunks(stream: _Stream) -> bytes:
    chunks: list[bytes] = []
    while True:
        size = stream.readline(_MAX_HEAD).split(b";")[0].strip()
        try:
            length = int(size, 16)
        except ValueError as e:
            raise BadAnswer(f"The answer has a chunk of size {size[:20]!r}.") from e
        if not length:
            while stream.readline(_MAX_HEAD) not in (b"\r\n", b"\n", b""):
                continue
            return b"".join(chunks)
        chunks.append(_read_exactly(stream, length))
        stream.readline(_MAX_HEAD)


def _read_exactly(stream: _Stream, length: int) -> bytes:
    body = stream.read(length)
    if len(body) < length:
        raise ConnectionResetError("closed in the middle of the answer")
    return body


def _unreachable(error: OSError) -> str:
    return (
        f"cannot connect: {_reason(error)}. Is the cloud running ('one status')? Another endpoint can be "
        "named with --endpoint, ONE_XMLRPC or ~/.one/one_endpoint"
    )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
