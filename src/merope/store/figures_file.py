"""Where SQLite keeps what is measured: a file of its own beside the database (docs/adr/0010).

Whoever measures writes there, such as the receiver beside the core. SQLite lets one write at a time, and
thousands of rows a second would be in the way of changes that somebody waits for.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from merope.model.change import Cell
from merope.store.dialect import SQLITE
from merope.store.schema import FIGURES, TABLES

#: Rows that one transaction removes, and how much of the write-ahead log is kept.
_CHUNK = 2000
_LOG_BYTES = 64 * 1024 * 1024


def beside(database: Path) -> Path:
    return database.with_name(f"{database.name}.monitoring")


class FiguresFile:
    """Makes the file where there is none. May be used from any thread; raises what sqlite3 raises."""

    def __init__(self, path: Path, seconds: float) -> None:
        """`seconds` is how long a write waits for another process's."""
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=seconds, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        # A power failure may take the last seconds of figures with it; it damages nothing.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
        for table in FIGURES:
            self._connection.execute(SQLITE.create(table))

    def write(self, table: str, rows: Iterable[Sequence[Cell]]) -> None:
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(SQLITE.put(table), rows)

    def expire(self, table: str, before: int) -> None:
        """Rows are in the order in which they came, so the oldest are found without looking at the others."""
        column = TABLES[table].key[1]
        statement = (
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY rowid LIMIT {_CHUNK}) "  # noqa: S608 - names of TABLES
            f"AND {column} < ?"
        )
        while True:
            with self._lock:
                if self._connection.execute(statement, (before,)).rowcount < _CHUNK:
                    return

    def close(self) -> None:
        self._connection.close()


def show(connection: sqlite3.Connection, path: Path) -> bool:
    """Lets a connection that reads find the rows of the file and of the database's own tables as one.

    False where there is no file yet, which somebody else may make at any time.
    """
    try:
        if not path.stat().st_size:
            return False
    except FileNotFoundError:
        return False
    _attach(connection, path)
    for table in FIGURES:
        both = " UNION ALL ".join(f"SELECT * FROM {name}.{table}" for name in ("main", "figures"))  # noqa: S608 - names of TABLES
        connection.execute(f"CREATE TEMP VIEW {table} AS {both}")
    return True


def copy(writing: sqlite3.Connection, path: Path) -> None:
    """Puts the rows of the file into a database's own tables; they are as they are when they are read."""
    if not path.exists():
        return
    _attach(writing, path)
    for table in FIGURES:
        writing.execute(f"INSERT OR REPLACE INTO main.{table} SELECT * FROM figures.{table}")  # noqa: S608 - names of TABLES
    writing.commit()
    writing.execute("DETACH DATABASE figures")


def put_aside(database: Path, kept: Path) -> None:
    """The file of a database that is kept under another name goes with it. Nobody has it open."""
    for side in ("", "-wal", "-shm"):
        path = beside(database)
        path = path.with_name(path.name + side)
        if path.exists():
            target = beside(kept)
            path.rename(target.with_name(target.name + side))


def _attach(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("ATTACH DATABASE ? AS figures", (f"{path.absolute().as_uri()}?mode=ro",))
