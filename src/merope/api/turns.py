"""Turns for what is slow on purpose: key derivations, few at a time, and in fair order.

A derivation takes tens of milliseconds of a processor and 16 MiB. A flood of wrong passwords must cost
neither the calls of those who are logged in, nor the logins of others: whoever has fewest waiting is next,
by peer and user first, then by peer.
"""

import asyncio
import heapq
import os
from collections import Counter
from types import TracebackType

AT_ONCE = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Derivations at the same time: some processors are left for the calls."""


class Turns:
    """Used from the loop's thread only: `async with turns.of(host, uid): …`."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = at_once
        self._queue: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._by_pair: Counter[tuple[str, int]] = Counter()
        self._by_host: Counter[str] = Counter()
        self._arrivals = 0

    def of(self, host: str, uid: int) -> "Turn":
        """`uid` is the user whose secret is to be verified, -1 for names that nobody has."""
        return Turn(self, host, uid)

    async def take(self, host: str, uid: int) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        entry = (self._by_pair[host, uid], self._by_host[host], self._arrivals, turn)
        heapq.heappush(self._queue, entry)
        self._by_pair[host, uid] += 1
        self._by_host[host] += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise
        finally:
            self._by_pair[host, uid] -= 1
            self._by_host[host] -= 1
            # Peers come and go: what counts nothing is not kept.
            if not self._by_pair[host, uid]:
                del self._by_pair[host, uid]
            if not self._by_host[host]:
                del self._by_host[host]

    def give_back(self) -> None:
        while self._queue:
            turn = heapq.heappop(self._queue)[3]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Turn:
    """One place among those that work at the same time."""

    __slots__ = ("_host", "_turns", "_uid")

    def __init__(self, turns: Turns, host: str, uid: int) -> None:
        self._turns = turns
        self._host = host
        self._uid = uid

    async def __aenter__(self) -> None:
        await self._turns.take(self._host, self._uid)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.give_back()
