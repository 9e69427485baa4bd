"""The client of the API for services that live in an asyncio loop: many users, a few kept connections.

A connection carries one request at a time; callers wait for a free one. `Client` is the one for commands.
"""

import asyncio
import ssl
from collections import deque
from typing import cast

import httptools

from merope.client.client import Scalar, unwrap
from merope.client.errors import BadAnswer, ConnectionFailed
from merope.client.transport import CONNECT_TIMEOUT, Endpoint
from merope.client.wire import Argument, decode_answer, encode_call

#: Seconds until an answer is given up.
TIMEOUT = 60.0


class _Connection(asyncio.Protocol):
    """One kept connection, and the answer that is awaited on it."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[bytes] | None = None
        self.open = True
        self._parts: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, data: bytes) -> "asyncio.Future[bytes]":
        self.waiting = asyncio.get_running_loop().create_future()
        self._parts = []
        self.transport.write(data)
        return self.waiting

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.open = False
            self.transport.close()
        status = self._parser.get_status_code()
        waiting, self.waiting = self.waiting, None
        self._parser = httptools.HttpResponseParser(self)
        if waiting is None or waiting.done():
            return
        if status == 200:
            waiting.set_result(b"".join(self._parts))
        else:
            waiting.set_exception(BadAnswer(f"The cloud answered with HTTP status {status}."))

    def connection_lost(self, _error: Exception | None) -> None:
        self.open = False
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(ConnectionResetError("the connection broke"))


class AsyncClient:
    """Calls of many users at one endpoint; `connections` is how many requests are under way at most.

    Calls raise as those of `Client` do. A ConnectionFailed with `sent` leaves open whether it was executed.
    """

    def __init__(self, endpoint: str, connections: int = 16, timeout: float = TIMEOUT) -> None:
        self.url = endpoint
        self._endpoint = Endpoint.parse(endpoint)
        self._timeout = timeout
        self._idle: deque[_Connection] = deque()
        self._places = asyncio.Semaphore(connections)
        host = f"[{self._endpoint.host}]" if ":" in self._endpoint.host else self._endpoint.host
        self._head = (
            f"POST {self._endpoint.path} HTTP/1.1\r\nHost: {host}:{self._endpoint.port}\r\n"
            "User-Agent: merope\r\nContent-Type: text/xml\r\nContent-Length: "
        ).encode()

    async def call(self, session: str, method: str, *arguments: Argument) -> Scalar:
        """The value of a successful answer; `session` is "user:password" or a service's token."""
        body = encode_call(method, (session, *arguments))
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        async with self._places:
            answer = await self._exchange(request)
        return unwrap(method, decode_answer(answer))

    async def _exchange(self, request: bytes) -> bytes:
        connection = await self._take()
        try:
            async with asyncio.timeout(self._timeout):
                answer = await connection.ask(request)
        except TimeoutError as error:
            connection.transport.abort()
            raise ConnectionFailed(self.url, f"no answer within {self._timeout:g} seconds", True) from error
        except OSError as error:
            raise ConnectionFailed(self.url, f"the connection broke: {error}", True) from error
        except BaseException:
            connection.transport.abort()
            raise
        if connection.open:
            self._idle.append(connection)
        return answer

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open and not connection.transport.is_closing():
                return connection
        secure = ssl.create_default_context() if self._endpoint.secure else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, made = await asyncio.get_running_loop().create_connection(
                    _Connection, self._endpoint.host, self._endpoint.port, ssl=secure
                )
        except OSError as error:
            raise ConnectionFailed(self.url, f"cannot connect: {error.strerror or error}") from error
        return made

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().transport.close()
