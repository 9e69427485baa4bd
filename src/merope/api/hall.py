"""What all connections share: who is in, who waits for a place, the clock, and the counts."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from merope.api.backend import Backend, Outcome
from merope.api.metrics import Counter, Histogram, Registry
from merope.api.reply import Heads
from merope.api.settings import DoorSettings

log = logging.getLogger("merope.api")

Health = Callable[[], str | None]
"""None while all is well, else a sentence that says what is not."""


class Guest(Protocol):
    """A connection, as the hall sees it."""

    def enter(self) -> None:
        """Begin to read: there is a place."""

    def look_at_clock(self) -> None:
        """Act on any time-out that has passed."""

    def wind_up(self) -> None:
        """End after what has been asked is answered."""

    def abort(self) -> None:
        """End at once."""


class CallCounts:
    """Counts calls by method and code; the metrics of one pair are looked up once."""

    def __init__(self, registry: Registry) -> None:
        self.families = (
            registry.counter("merope_rpc_calls_total", "Answered calls.", ("method", "code")),
            registry.histogram(
                "merope_rpc_seconds", "Time from a call's last byte to its encoded answer.", ("method",)
            ),
        )
        self.known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count(self, method: str, code: int, seconds: float) -> None:
        """Count one call; `method` is one that exists, else "unknown": clients can make up others."""
        pair = self.known.get((method, code))
        if pair is None:
            calls, times = self.families
            pair = self.known[method, code] = calls.labels(method, str(code)), times.labels(method)
        pair[0].value += 1
        pair[1].observe(seconds)


class Hall:
    """One for each `Door`. `now` is the loop's clock as of the last tick, so up to a tick behind."""

    def __init__(
        self, backend: Backend, settings: DoorSettings, registry: Registry, health: Health | None = None
    ) -> None:
        self.backend = backend
        self.settings = settings
        self.registry = registry
        self.health = health
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time()
        self.heads = Heads()
        self.held_bytes = 0
        self.guests: set[Guest] = set()
        self.waiting: deque[Guest] = deque()
        self.draining = False
        self.empty = asyncio.Event()
        self.empty.set()
        self.pending: set[asyncio.Future[Outcome]] = set()
        self.threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="door")
        self._timer = self.loop.call_later(settings.tick_seconds, self._tick)
        self._register(registry)

    def _register(self, registry: Registry) -> None:
        self.calls = CallCounts(registry)
        connections = registry.gauge("merope_http_connections", "Connections now.", ("state",))
        connections.labels("open").follow(lambda: len(self.guests))
        connections.labels("waiting").follow(lambda: len(self.waiting))
        pending = registry.gauge("merope_rpc_pending", "Calls that wait for their change to be durable.")
        pending.labels().follow(lambda: len(self.pending))
        held = registry.gauge("merope_http_held_bytes", "Bytes of large request bodies held now.")
        held.labels().follow(lambda: self.held_bytes)
        self.accepted = registry.counter("merope_http_connections_total", "Accepted connections.").labels()
        self.received = registry.counter("merope_http_received_bytes_total", "Bytes read.").labels()
        self.sent = registry.counter("merope_http_sent_bytes_total", "Bytes written.").labels()
        self.refused = registry.counter(
            "merope_http_refused_total", "Requests refused before they were calls.", ("status",)
        )

    # Places

    def arrive(self, guest: Guest) -> bool:
        """Give a place, or one in the queue for a place; False when both are full."""
        self.accepted.value += 1
        if len(self.guests) < self.settings.max_connections:
            self._seat(guest)
        elif len(self.waiting) < self.settings.connection_backlog:
            self.waiting.append(guest)
        else:
            return False
        return True

    def leave(self, guest: Guest) -> None:
        """Take the place back and give it to the one that has waited longest."""
        if guest not in self.guests:
            if guest in self.waiting:
                self.waiting.remove(guest)
            return
        self.guests.remove(guest)
        if self.waiting:
            self._seat(self.waiting.popleft())
        elif not self.guests:
            self.empty.set()

    def _seat(self, guest: Guest) -> None:
        self.guests.add(guest)
        self.empty.clear()
        guest.enter()

    # Work that is not done at once

    def follow(self, work: Awaitable[Outcome], done: Callable[[asyncio.Future[Outcome]], None]) -> None:
        """Await a backend's answer to its end, whatever becomes of the client, then call `done`."""
        future = asyncio.ensure_future(work)
        # The loop keeps weak references only.
        self.pending.add(future)

        def end(_: asyncio.Future[Outcome]) -> None:
            self.pending.discard(future)
            done(future)

        future.add_done_callback(end)

    # Time

    def _tick(self) -> None:
        self._timer = self.loop.call_later(self.settings.tick_seconds, self._tick)
        self.now = self.loop.time()
        self.heads.refresh()
        for guest in list(self.guests):
            guest.look_at_clock()

    # The end

    async def close(self, drain_seconds: float) -> None:
        """Let every connection end its work for so long, then end it."""
        self.draining = True
        waiting, self.waiting = self.waiting, deque()
        for guest in waiting:
            guest.abort()
        for guest in list(self.guests):
            guest.wind_up()
        try:
            if self.guests:
                await asyncio.wait_for(self.empty.wait(), drain_seconds)
        except TimeoutError:
            log.warning("%d connections were cut off after %g s", len(self.guests), drain_seconds)
            for guest in list(self.guests):
                guest.abort()
            await self.empty.wait()
        self._timer.cancel()
        self.threads.shutdown(wait=False, cancel_futures=True)
