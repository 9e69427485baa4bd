"""What every command of `onedb` works with: where the database is, and how it is opened."""

import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from merope.daemon.adoption import is_anothers
from merope.store.backup import backup, is_supervised
from merope.store.errors import StoreError
from merope.store.location import File, Location, open_beside, open_store
from merope.store.progress import Shown
from merope.store.server import Server
from merope.store.sql import SqlStore

_FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
)


@dataclass(frozen=True)
class Session:
    """One call of `onedb`. `server` is the one that the options name beside an SQLite file."""

    location: Location
    home: Path
    verbose: bool = False
    server: Server | None = None

    @property
    def name(self) -> str:
        return self.location.path.name if isinstance(self.location, File) else self.location.database

    def check_exists(self) -> None:
        if isinstance(self.location, File) and not self.location.path.exists():
            raise StoreError(f"There is no {self.location.where}.")

    @contextmanager
    def reading(self) -> Iterator[SqlStore]:
        """The database as it is, also while a core runs on it. Raises StoreError."""
        self.check_exists()
        with closing(open_beside(self.location)) as store:
            yield store

    @contextmanager
    def writing(self) -> Iterator[SqlStore]:
        """The database for us alone. Raises StoreError while a core runs on it."""
        self.check_exists()
        self.check_stopped()
        if is_anothers(self.location):
            where = f"{self.location.where[:1].upper()}{self.location.where[1:]}"
            raise StoreError(
                f"{where} is still OpenNebula's: take it over first (`onedb upgrade`, or `one start`)."
            )
        with closing(open_store(self.location)) as store:
            if not store.query("SELECT oid FROM user_pool LIMIT 1"):
                raise StoreError(f"There is no cloud in {store.where}.")
            yield store

    def check_stopped(self) -> None:
        """A supervisor would start the core again at any moment, one that has just died too."""
        if is_supervised(self.home):
            raise StoreError(f"The cloud in {self.home} runs: stop it first (`one stop`).")

    def save(self, target: Path | None, *, force: bool = False, why: str = "") -> Path:
        """Makes a backup: in `target`, or beside the files of the home."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        path = (target or self._directory / f"{self.name}_{stamp}.bck").absolute()
        if force:
            path.unlink(missing_ok=True)
        self.check_exists()
        with progress("saving") as shown:
            backup(self.home, path, shown, self.location)
        print(f"{why}{'the' if why else 'The'} database is saved in {path}: keep it as you keep a password.")
        return path

    @property
    def _directory(self) -> Path:
        return self.location.path.parent if isinstance(self.location, File) else self.home


@contextmanager
def progress(what: str) -> Iterator[Shown]:
    shown = Shown(what)
    try:
        yield shown
    finally:
        shown.end()


def moment(text: str) -> int:
    """Seconds since 1970 of a time in this machine's zone, for an option."""
    if text.isascii() and text.isdigit():
        return int(text)
    for form in _FORMATS:
        try:
            return int(datetime.strptime(text, form).astimezone().timestamp())
        except ValueError:
            continue
    raise ArgumentTypeError(f"{text!r} is no time: 2026-11-21, '2026-11-21 18:30' or seconds since 1970")
