"""One client's connection: requests in, replies out, in order, without ever blocking the loop."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from math import inf
from time import perf_counter
from typing import TypeVar, cast

from merope.api.backend import Fault, FaultCode, Outcome, Peer, Value
from merope.api.hall import Hall
from merope.api.outlet import SLICE, Outlet
from merope.api.pages import page, refusal
from merope.api.reply import CLOSE, CONTINUE, KEEP, XML, compress
from merope.api.request import HttpError, Request, RequestReader, inflate
from merope.api.strict import decode_strictly
from merope.api.xmlrpc import decode_fast, encode, encode_fault
from merope.model.errors import Code

log = logging.getLogger("merope.api")

INLINE = 16 * 1024
"""Bytes up to which the complete parser may work in the loop: a hostile call takes it 10 ms then."""

T = TypeVar("T")


class Connection(asyncio.Protocol):
    """Serves one request at a time and reads no further while others of the same client wait."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.settings = hall.settings
        self.queue: deque[Request] = deque()
        self.reader = RequestReader(hall.settings, hall, self.queue)
        self.request = Request()  # the one that is being served
        self.call_method = ""
        self.call_began = 0.0
        self.requests = 0
        self.since = hall.now  # when this connection last became idle
        self.held: list[bytes] | None = []  # what came before there was a place
        self.at_eof = False
        self.awaiting = False  # an answer or a thread's work is on its way
        self.ending = False  # nothing is served after what is on its way
        self.lingering_until = inf  # refused; what still arrives is thrown away

    # Coming and going

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.outlet = Outlet(self.hall, self.transport, self.advance)
        name = transport.get_extra_info("peername")
        self.peer = Peer(str(name[0]), int(name[1])) if isinstance(name, tuple) else Peer("", 0)
        if not self.hall.arrive(self):
            self.held = None
            text = "The server has as many connections as it can take (MAX_CONN, MAX_CONN_BACKLOG)."
            self.reader.refuse(HttpError(HTTPStatus.SERVICE_UNAVAILABLE, text))
            self.advance()
            self.transport.close()

    def enter(self) -> None:
        held, self.held = self.held, None
        self.since = self.hall.now
        for data in held or ():
            self.data_received(data)
        if self.at_eof and not self._end_of_input():
            self.transport.close()
        self.transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.ending = True
        self.reader.close()
        for request in self.queue:
            self.reader.release(request.charged)
        self.queue.clear()
        self.outlet.close()
        self.hall.leave(self)

    def wind_up(self) -> None:
        if not (self._busy() or self.queue or self.reader.in_message):
            self.transport.close()
        elif not (self.queue or self.reader.in_message):
            self.ending = True

    def abort(self) -> None:
        self.transport.abort()

    # Reading

    def data_received(self, data: bytes) -> None:
        if self.held is not None:
            self.held.append(data)
            self.transport.pause_reading()
            return
        if self.lingering_until != inf:
            return
        self.hall.received.value += len(data)
        self.reader.feed(data)
        if self.queue:
            self.advance()
            if self.queue:
                self.transport.pause_reading()
        elif self.reader.continue_due and not self._busy():
            self._continue()

    def eof_received(self) -> bool:
        """Keep the other direction open while something is on its way to the client."""
        self.at_eof = True
        return bool(self.held) if self.held is not None else self._end_of_input()

    def _end_of_input(self) -> bool:
        self.reader.stop()
        if self.queue:
            self.queue[-1].keep = False
        else:
            self.ending = True
        return bool(self.queue) or self._busy()

    def _continue(self) -> None:
        self.reader.continue_due = False
        self.transport.write(CONTINUE)

    # Serving

    def _busy(self) -> bool:
        return self.awaiting or self.outlet.busy

    def advance(self) -> None:
        """Serve what can be served now, and see to what follows."""
        outlet = self.outlet
        while self.queue and not (self.ending or self._busy()):
            self._serve(self.queue.popleft())
            if outlet.size >= SLICE:
                outlet.flush()
        if outlet.pieces and not outlet.busy:
            outlet.flush()
        if self._busy():
            return
        if self.ending:
            self._close()
        elif not self.queue:
            self.since = self.hall.now
            if self.reader.in_message:
                self.reader.allow_time()  # it could not be read while this one was busy
            self.transport.resume_reading()
            if self.reader.continue_due:
                self._continue()

    def _serve(self, request: Request) -> None:
        self.request = request
        self.requests += 1
        hall = self.hall
        if (
            not request.keep
            or hall.draining
            or hall.waiting
            or self.requests == self.settings.keepalive_requests
        ):
            self.ending = True
        if request.problem is not None:
            self._refuse(request.problem)
        elif request.method != b"POST":
            self.reader.release(request.charged)
            self._show()
        elif request.encoding or len(request.body) >= self.settings.offload_size:
            self._unpack(request)
        else:
            self.call_began = perf_counter()
            call = decode_fast(request.body)
            if call is not None:
                self.reader.release(request.charged)
                self._call(*call)
            elif len(request.body) > INLINE:
                self._unpack(request)
            else:
                self._unpacked(partial(decode_strictly, request.body))

    def _unpack(self, request: Request) -> None:
        work = partial(_unpack, request.body, request.encoding, self.settings.message_size)
        self._in_thread(work, self._unpacked, request.charged)

    def _unpacked(self, result: Callable[[], tuple[str, list[Value]]]) -> None:
        self.call_began = perf_counter()
        try:
            method, params = result()
        except HttpError as error:
            self._refuse(error)
        except Fault as fault:
            self._answer_fault("unknown", fault)
        else:
            self._call(method, params)

    def _call(self, method: str, params: list[Value]) -> None:
        self.call_method = method
        try:
            answer = self.hall.backend.call(method, params, self.peer)
            if not isinstance(answer, Outcome):
                self.hall.follow(answer, self._answered)
                self.awaiting = True
                return
        except Exception as error:
            self._answer_error(error)
            return
        self._answer(answer)

    def _answered(self, future: asyncio.Future[Outcome]) -> None:
        self.awaiting = False
        try:
            answer = future.result()
        except (Exception, asyncio.CancelledError) as error:
            self._answer_error(error)
        else:
            self._answer(answer)
        self.advance()

    def _in_thread(
        self, work: Callable[[], T], done: Callable[[Callable[[], T]], None], charged: int = 0
    ) -> None:
        """Do `work` in a thread, then call `done` with a function that gives its result or raises.

        `charged` is what it holds of the budget until then.
        """

        def finish(future: asyncio.Future[T]) -> None:
            self.reader.release(charged)
            # Asking for the exception marks it as seen, where nobody is left to be told.
            if future.cancelled() or (future.exception() and self.transport.is_closing()):
                return
            self.awaiting = False
            done(future.result)
            self.advance()

        self.awaiting = True
        self.hall.loop.run_in_executor(self.hall.threads, work).add_done_callback(finish)

    # Answering

    def _answer(self, outcome: Outcome) -> None:
        self.hall.calls.count(self.call_method, outcome.code, perf_counter() - self.call_began)
        self._reply(encode(outcome))

    def _answer_error(self, error: BaseException) -> None:
        method = self.call_method
        if isinstance(error, Fault):
            self._answer_fault("unknown" if error.code == FaultCode.NO_SUCH_METHOD else method, error)
            return
        log.error("%s failed by a fault of ours", method, exc_info=error)
        text = f"[{method}] Internal error; the log of the core says more."
        self._answer(Outcome.failure(Code.INTERNAL, text))

    def _answer_fault(self, method: str, fault: Fault) -> None:
        self.hall.calls.count(method, fault.code, perf_counter() - self.call_began)
        self._reply(encode_fault(fault))

    def _reply(self, pieces: Sequence[bytes]) -> None:
        if self.transport.is_closing():
            return
        size = sum(map(len, pieces))
        if not self.request.gzip or size < self.settings.gzip_size:
            self.outlet.put(self.hall.heads.call(size, self._connection_line(), gzip=False), *pieces)
        elif size < self.settings.offload_size:
            self._put_gzip(compress(pieces, self.settings.gzip_level))
        else:
            work = partial(compress, pieces, self.settings.gzip_level)
            self._in_thread(work, lambda result: self._put_gzip(result()))

    def _put_gzip(self, body: bytes) -> None:
        self.outlet.put(self.hall.heads.call(len(body), self._connection_line(), gzip=True), body)

    def _refuse(self, problem: Fault | HttpError) -> None:
        """Answer by a fault or a page, and read nothing more of this client."""
        self.ending = True
        self.lingering_until = self.hall.now + self.settings.linger_seconds
        if isinstance(problem, Fault):
            self.hall.refused.labels(str(int(problem.code))).inc()
            self.outlet.put(*self._whole(HTTPStatus.OK, XML, b"".join(encode_fault(problem))))
        else:
            self.hall.refused.labels(str(problem.status.value)).inc()
            self.outlet.put(*self._whole(*refusal(problem)))

    def _show(self) -> None:
        try:
            status, kind, body = page(self.hall, self.request.method, self.request.target)
        except HttpError as error:
            status, kind, body = refusal(error)
        lines = b"Allow: POST\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else b""
        head, body = self._whole(status, kind, body, lines)
        self.outlet.put(head) if self.request.method == b"HEAD" else self.outlet.put(head, body)

    def _whole(self, status: HTTPStatus, kind: bytes, body: bytes, lines: bytes = b"") -> tuple[bytes, bytes]:
        return self.hall.heads.page(status, kind, len(body), lines + self._connection_line()), body

    def _connection_line(self) -> bytes:
        if self.ending:
            return CLOSE
        return KEEP if self.request.says_keep else b""

    # Ending

    def pause_writing(self) -> None:
        self.outlet.pause()

    def resume_writing(self) -> None:
        self.outlet.resume()

    def _close(self) -> None:
        if self.transport.is_closing():
            return
        if self.lingering_until == inf or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
            self.transport.resume_reading()

    def look_at_clock(self) -> None:
        now = self.hall.now
        if self.lingering_until != inf:
            if now > self.lingering_until:
                self.transport.abort()
        elif self.outlet.paused:
            if now > self.outlet.stalled_at + self.settings.write_seconds:
                self.transport.abort()
        elif self.reader.in_message:
            if now > self.reader.deadline and not self._busy():
                text = f"The request did not arrive within {self.settings.read_seconds:g} s."
                self.reader.refuse(HttpError(HTTPStatus.REQUEST_TIMEOUT, text))
                self.advance()
        elif not self._busy() and now > self.since + self._patience():
            self.transport.close()

    def _patience(self) -> float:
        """Give the seconds for which this connection may be idle."""
        if not self.requests:
            return self.settings.read_seconds
        return min(self.settings.keepalive_seconds, 1.0 if self.hall.waiting else inf)


def _unpack(body: bytes, encoding: bytes, limit: int) -> tuple[str, list[Value]]:
    # Not by the patterns: each would hold the interpreter's lock over all of a large text, while the parser
    # lets the loop run between its events.
    return decode_strictly(inflate(body, encoding, limit))
