"""How far something is that takes long, for the person who waits."""

import sys
import time
from typing import TextIO

_EVERY_SECONDS = 0.2
_EVERY_SECONDS_IN_FILES = 10.0


class Shown:
    """Called with (done, in all). A terminal has one line that changes; a file gets a line now and then."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._told = time.monotonic()
        self._open = False

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told < (_EVERY_SECONDS if self._terminal else _EVERY_SECONDS_IN_FILES):
            return
        self._told = now
        share = f"{100 * done // max(total, 1):3d} %"
        if self._terminal:
            self._open = True
            self._stream.write(f"\r{self._what}: {share} ")
        else:
            self._stream.write(f"{self._what}: {share}\n")
        self._stream.flush()

    def end(self) -> None:
        """Removes the line from a terminal."""
        if self._open:
            self._stream.write("\r\033[K")
            self._stream.flush()
            self._open = False
