"""HTTP requests, as they are read from a connection."""

import re
import zlib
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

import httptools

from merope.api.backend import Fault, FaultCode
from merope.api.settings import DoorSettings

LARGE = 64 * 1024
"""Bytes from which a body is counted against the budget and gets more time to arrive."""


class HttpError(Exception):
    """A request that is refused by HTTP's own means: a status and a sentence for the client."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class Request:
    """One request. With a `problem`, that is the answer, and nothing else of it counts."""

    __slots__ = ("body", "charged", "encoding", "gzip", "keep", "method", "problem", "says_keep", "target")

    def __init__(self, problem: Fault | HttpError | None = None) -> None:
        self.method = b""
        self.target = b""
        self.body = b""
        self.encoding = b""
        self.gzip = False  # the client takes a compressed reply
        self.keep = False  # the connection may go on
        self.says_keep = False  # ... and the client wants to hear so (HTTP/1.0)
        self.charged = 0  # bytes that this body holds of the budget
        self.problem = problem


class Meter(Protocol):
    """What a reader needs of the place that it stands in."""

    now: float
    held_bytes: int


class RequestReader:
    """Reads requests from one connection's bytes and appends them to `queue`.

    After a refused request, or one that ends the connection, it is `deaf`: it takes nothing more.
    """

    def __init__(self, settings: DoorSettings, meter: Meter, queue: deque[Request]) -> None:
        self.settings = settings
        self.meter = meter
        self.queue = queue
        self.parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self.deaf = False
        self.in_message = False  # a request has begun and is not complete
        self.in_head = False
        self.continue_due = False  # the client waits for "100 Continue" before it sends the body
        self.deadline = 0.0  # for the request that is being read, on the meter's clock
        self.charged = 0
        self.raw_left = -1  # bytes of a body that the parser does not read, see _upgraded
        self.on_message_begin()
        self.in_message = self.in_head = False

    def feed(self, data: bytes) -> None:
        """Take what arrived; requests that it completes, and at most one refusal, are in the queue then."""
        if self.raw_left >= 0:
            data = self._take_raw(data)
        if self.deaf or self.parser is None:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            self.refuse(HttpError(HTTPStatus.BAD_REQUEST, f"{error}."))
        if self.in_head:
            self.head_size += len(data)
            self._check_head()

    def refuse(self, problem: Fault | HttpError) -> None:
        """Answer `problem`, behind the requests that are complete, and take nothing more."""
        if not self.deaf:
            self.stop()
            self.queue.append(Request(problem))

    def allow_time(self) -> None:
        """Give the request that is being read its full time from now on."""
        self.deadline = self.meter.now + self.settings.read_seconds

    def stop(self) -> None:
        """Take nothing more, and forget a request that is not complete."""
        self.deaf = True
        self.in_message = self.in_head = self.continue_due = False
        self.release(self.charged)
        self.charged = 0
        self.chunks.clear()

    def close(self) -> None:
        """Let go of everything; the parser and the reader refer to each other."""
        self.stop()
        self.parser = None

    def release(self, charged: int) -> None:
        """Give `charged` bytes back to the budget."""
        self.meter.held_bytes -= charged

    # What httptools calls, in this order.

    def on_message_begin(self) -> None:
        self.request = Request()
        self.in_message = self.in_head = True
        self.allow_time()
        self.head_size = 0
        self.length = -1
        self.chunked = False
        self.expect = b""
        self.size = 0
        self.chunks: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.request.target += url
        self.head_size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head_size += len(name) + len(value)
        take = _HEADERS.get(name.lower())
        if take is not None:
            take(self, value)

    def on_headers_complete(self) -> None:
        self.in_head = False
        self._check_head()
        if self.length > self.settings.message_size:
            self.refuse(too_large(self.settings.message_size, self.length))
        if self.expect and not self.deaf:
            if self.expect.lower() == b"100-continue":
                self.continue_due = True
            else:
                self.refuse(HttpError(HTTPStatus.EXPECTATION_FAILED, "Only 100-continue can be expected."))

    def on_body(self, chunk: bytes) -> None:
        if self.deaf:
            return
        self.chunks.append(chunk)
        self.size += len(chunk)
        if self.size > LARGE:
            self._grow(len(chunk))

    def on_message_complete(self) -> None:
        parser = self.parser
        if self.deaf or parser is None:
            return
        request = self.request
        request.method = parser.get_method()
        request.keep = parser.should_keep_alive()
        if parser.should_upgrade() and not self._is_complete(request.method):
            return
        self.in_message = self.continue_due = False
        if self.length < 0 and not self.chunked and request.method == b"POST":
            self.refuse(HttpError(HTTPStatus.LENGTH_REQUIRED, "A call needs a Content-Length."))
            return
        chunks = self.chunks
        request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        request.charged, self.charged = self.charged, 0
        self.deaf = not request.keep
        self.queue.append(request)

    # Limits

    def _check_head(self) -> None:
        if self.head_size > self.settings.header_size:
            text = f"The headers are larger than {self.settings.header_size} bytes."
            self.refuse(HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text))

    def _grow(self, count: int) -> None:
        if self.size > self.settings.message_size:
            self.refuse(too_large(self.settings.message_size))
            return
        self.deadline += count / LARGE
        self.charged += count
        self.meter.held_bytes += count
        if self.meter.held_bytes > self.settings.message_budget:
            text = "The server holds too many large requests at the moment; try again."
            self.refuse(HttpError(HTTPStatus.SERVICE_UNAVAILABLE, text))

    # A client may offer another protocol (Java's sends "Upgrade: h2c" with each call). We go on in HTTP/1.1,
    # as RFC 9110 7.8 allows, but the parser leaves off after such headers: the body is ours to read.

    def _is_complete(self, method: bytes) -> bool:
        """Tell whether the parser has read all of a request that offers an upgrade, or refuse it."""
        if self.chunked or method == b"CONNECT":
            self.refuse(HttpError(HTTPStatus.BAD_REQUEST, "Another protocol cannot be spoken here."))
            return False
        return self.size >= self.length

    def _upgraded(self, rest: bytes) -> None:
        if self.in_message and not self.deaf:
            self.raw_left = self.length
            rest = self._take_raw(rest)
        if rest and not self.deaf:
            self.feed(rest)

    def _take_raw(self, data: bytes) -> bytes:
        """Take the body's part of `data`, give what is behind it."""
        body, rest = data[: self.raw_left], data[self.raw_left :]
        self.raw_left -= len(body)
        self.on_body(body)
        if self.raw_left == 0:
            self.raw_left = -1
            self.on_message_complete()
        return rest

    # Headers that mean something here

    def _content_length(self, value: bytes) -> None:
        self.length = int(value)

    def _transfer_encoding(self, value: bytes) -> None:
        self.chunked = True
        if value.strip().lower() != b"chunked":
            self.refuse(HttpError(HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding can be chunked only."))

    def _content_encoding(self, value: bytes) -> None:
        self.request.encoding = value.strip().lower()

    def _accept_encoding(self, value: bytes) -> None:
        self.request.gzip = accepts_gzip(value)

    def _expect(self, value: bytes) -> None:
        self.expect = value

    def _connection(self, value: bytes) -> None:
        self.request.says_keep = b"keep-alive" in value.lower()


_HEADERS: dict[bytes, Callable[[RequestReader, bytes], None]] = {
    b"content-length": RequestReader._content_length,
    b"transfer-encoding": RequestReader._transfer_encoding,
    b"content-encoding": RequestReader._content_encoding,
    b"accept-encoding": RequestReader._accept_encoding,
    b"expect": RequestReader._expect,
    b"connection": RequestReader._connection,
}

_GZIP = re.compile(rb"(?:^|,)[ \t]*(?:x-)?gzip[ \t]*(?:;[ \t]*q=([0-9.]{1,5})[ \t]*)?(?:,|$)", re.IGNORECASE)


@lru_cache(maxsize=256)
def accepts_gzip(header: bytes) -> bool:
    """Tell whether an Accept-Encoding header asks for gzip; a weight of 0 forbids it (RFC 9110 12.5.3)."""
    found = _GZIP.search(header)
    return found is not None and (found[1] is None or found[1].strip(b"0.") != b"")


def too_large(limit: int, size: int | None = None) -> Fault:
    """Give the fault for a body of `size` bytes where `limit` are accepted."""
    what = f"The request has {size} bytes" if size is not None else "The request has more bytes than accepted"
    return Fault(FaultCode.LIMIT_EXCEEDED, f"{what}; at most {limit} are accepted (MESSAGE_SIZE).")


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Undo a Content-Encoding; raise `HttpError` for an unknown or a broken one, `Fault` beyond `limit`."""
    if encoding in (b"", b"identity"):
        return body
    if encoding not in (b"gzip", b"x-gzip"):
        name = encoding.decode("ascii", "replace")[:40]
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding '{name}' is not understood.")
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"The body is not gzip: {error}.") from None
    if len(plain) > limit:
        raise too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise HttpError(HTTPStatus.BAD_REQUEST, "The body is not one complete gzip member.")
    return plain
