"""Who may be connected: so many connections of one address, and so long without a word.

aiohttp bounds neither, and a guest that opens connections and says nothing would keep the others out.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import cast

#: Seconds in which a new connection must say something.
SILENCE = 20.0


class Census:
    """How many connections each address has; `most` of one address may be there."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._there: Counter[str] = Counter()

    def arrive(self, address: str) -> bool:
        if self._there[address] >= self._most:
            return False
        self._there[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._there[address] -= 1
        if not self._there[address]:
            del self._there[address]


class Watched(asyncio.Protocol):
    """A connection that is let in passes everything on to the protocol that serves it."""

    def __init__(
        self, census: Census, make: Callable[[], asyncio.Protocol], silence: float = SILENCE
    ) -> None:
        self._census = census
        self._make = make
        self._silence = silence
        self._inner: asyncio.Protocol | None = None
        self._address = ""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        self._address = str(name[0]) if isinstance(name, tuple) else ""
        if not self._census.arrive(self._address):
            transport.close()
            return
        self._timer = asyncio.get_running_loop().call_later(self._silence, transport.close)
        self._inner = self._make()
        self._inner.connection_made(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is None:
            return
        self._census.leave(self._address)
        self._inner.connection_lost(error)
        self._inner = None
