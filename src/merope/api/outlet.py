"""The writing half of a connection: replies go out in order, large ones in slices, at the client's pace."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from math import inf

from merope.api.hall import Hall

SLICE = 256 * 1024
"""Bytes handed to the transport in one write; smaller replies are joined up to this."""
TURN = 4 * SLICE
"""Bytes written before the loop sees to the other connections."""


class Outlet:
    """Holds what is to be written; `busy` while the client has to take some of it first."""

    def __init__(self, hall: Hall, transport: asyncio.Transport, resumed: Callable[[], None]) -> None:
        """`resumed` is called when this is no longer busy."""
        self.hall = hall
        self.transport = transport
        self.resumed = resumed
        self.pieces: list[bytes] = []  # not yet handed to the transport
        self.size = 0
        self.slices: Iterator[bytes | memoryview] | None = None  # a large reply on its way
        self.paused = False  # the transport is full
        self.stalled_at = inf  # since when, on the hall's clock

    @property
    def busy(self) -> bool:
        return self.paused or self.slices is not None

    def put(self, *pieces: bytes) -> None:
        """Add a reply; `flush` sends it."""
        self.pieces += pieces
        self.size += sum(map(len, pieces))

    def flush(self) -> None:
        """Hand over what was put; do not call it while busy."""
        pieces, self.pieces = self.pieces, []
        size, self.size = self.size, 0
        if self.transport.is_closing():
            return
        self.hall.sent.value += size
        if size < SLICE:
            self.transport.write(b"".join(pieces))
        else:
            self.slices = _slices(pieces)
            self._pump()

    def close(self) -> None:
        """Drop everything: the client has gone."""
        self.resumed = _nobody
        self.pieces.clear()
        self.slices = None
        self.paused = False

    def pause(self) -> None:
        self.paused = True
        self.stalled_at = self.hall.now

    def resume(self) -> None:
        self.paused = False
        self.stalled_at = inf
        self._continue()

    def _continue(self) -> None:
        self._pump()
        if not self.busy:
            self.resumed()

    def _pump(self) -> None:
        """Write slices until the transport is full, or it is the other connections' turn."""
        written = 0
        while self.slices is not None and not self.paused:
            if written >= TURN:
                self.hall.loop.call_soon(self._continue)
                return
            piece = next(self.slices, None)
            if piece is None:
                self.slices = None
            else:
                self.transport.write(piece)
                written += len(piece)


def _nobody() -> None:
    """Stands where the connection stood, so that the two no longer refer to each other."""


def _slices(pieces: Sequence[bytes]) -> Iterator[bytes | memoryview]:
    """The pieces in slices of about SLICE: small ones joined, large ones cut."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) <= SLICE:
            small.append(piece)
            size += len(piece)
            if size < SLICE:
                continue
        yield b"".join(small)
        small, size = [], 0
        if len(piece) > SLICE:
            # Views: a cached document of 60 MB is never copied on its way to the socket.
            whole = memoryview(piece)
            for start in range(0, len(piece), SLICE):
                yield whole[start : start + SLICE]
    yield b"".join(small)
