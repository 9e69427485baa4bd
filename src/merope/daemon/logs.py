"""`one logs`: the end of the services' logs, and what is added to them."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from merope.daemon.layout import Layout
from merope.daemon.service import SERVICES

_POLL = 0.2
_BLOCK = 65536


@dataclass
class Followed:
    """A log that is read as it grows; it is opened again when it is replaced (rotated) or cut."""

    name: str
    path: Path
    file: BinaryIO | None = None
    rest: bytes = b""

    def last(self, lines: int) -> list[str]:
        """The last lines; reading goes on after them."""
        self._open()
        if self.file is None:
            return []
        end = self.file.seek(0, os.SEEK_END)
        text = b""
        while end > 0 and text.count(b"\n") <= lines:
            begin = max(0, end - _BLOCK)
            self.file.seek(begin)
            text = self.file.read(end - begin) + text
            end = begin
        self.file.seek(0, os.SEEK_END)
        return self._lines(text)[-lines:] if lines else []

    def new(self) -> list[str]:
        """The lines that came since."""
        found = self._read()
        if self._replaced():
            self.close()
            self.file, self.rest = None, b""
            self._open()
            found += self._read()
        return found

    def close(self) -> None:
        if self.file:
            self.file.close()

    def _read(self) -> list[str]:
        return self._lines(self.rest + self.file.read()) if self.file else []

    def _lines(self, text: bytes) -> list[str]:
        *lines, self.rest = text.split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _open(self) -> None:
        try:
            self.file = self.path.open("rb")
        except FileNotFoundError:
            self.file = None

    def _replaced(self) -> bool:
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        if self.file is None:
            return True
        mine = os.fstat(self.file.fileno())
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev) or now.st_size < self.file.tell()


def show(
    layout: Layout, service: str | None, lines: int, follow: bool, pause: Callable[[], None] | None = None
) -> int:
    """Print the logs; `pause` waits between two looks while following (KeyboardInterrupt ends it)."""
    names = [*(s.name for s in SERVICES), "supervisor"]
    if service and service not in names:
        print(f"one: there is no service {service}: there are {', '.join(names)}", file=sys.stderr)
        return 1
    logs = [Followed(name, layout.log(name)) for name in ([service] if service else names)]
    try:
        for log in logs:
            _print(log, log.last(lines), len(logs) > 1)
        while follow:
            (pause or _sleep)()
            for log in logs:
                _print(log, log.new(), len(logs) > 1)
    finally:
        for log in logs:
            log.close()
    return 0


def _sleep() -> None:
    time.sleep(_POLL)


def _print(log: Followed, lines: list[str], named: bool) -> None:
    prefix = f"{log.name:<10} | " if named else ""
    for line in lines:
        print(prefix + line)
    if lines:
        sys.stdout.flush()
