"""SQL of an administrator, run on a copy of the tables that it names: it can read no other file, wait for no
lock and change nothing by itself. What it would change is answered, for the core to decide.

The copy is SQLite's whatever the database is, and so is the language.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from merope.model.change import Cell, Key, Row
from merope.store.dialect import Dialect
from merope.store.schema import TABLES

ROWS = 20_000
"""Rows of a table that is copied, and of an answer, at most."""
_SECONDS = 20.0
_STEPS = 10_000
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION})
_RECURSIVE = 33
_WRITING = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_FORBIDDEN_FUNCTIONS = frozenset(
    {"load_extension", "readfile", "writefile", "edit", "randomblob", "zeroblob"}
)
_SQLITE = Dialect("sqlite")


class ScratchError(ValueError):
    """SQL that cannot be run; the text is a sentence."""


class Rows(Protocol):
    """Answers a statement with rows; blocks."""

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """A row before and after; None where it is not there."""

    table: str
    key: Key
    before: Row | None
    after: Row | None


def read(source: Rows, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of the columns and the rows that a SELECT answers. Raises ScratchError."""
    with _copied(source, statement, _READING | {_RECURSIVE}) as (connection, _):
        cursor = _executed(connection, statement)
        rows = cursor.fetchmany(ROWS + 1)
        if len(rows) > ROWS:
            raise ScratchError(f"The answer has more than {ROWS} rows.")
        return [column[0] for column in cursor.description or ()], rows


def differences(source: Rows, statement: str) -> list[Difference]:
    """What a statement that writes would change. Raises ScratchError."""
    allowed = _READING | _WRITING | {_RECURSIVE}
    with _copied(source, statement, allowed) as (connection, tables):
        before = {table: _keyed(connection, table) for table in tables}
        _executed(connection, statement)
        found = []
        for table in tables:
            after = _keyed(connection, table)
            for key in sorted(before[table].keys() | after.keys(), key=repr):
                old, new = before[table].get(key), after.get(key)
                if old != new:
                    found.append(Difference(table, key, old, new))
        return found


@contextmanager
def _copied(
    source: Rows, statement: str, allowed: frozenset[int]
) -> Iterator[tuple[sqlite3.Connection, list[str]]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for table in TABLES:
            connection.execute(_SQLITE.create(table))
        tables = _named(connection, statement, allowed)
        for table in tables:
            _fill(connection, source, table)
        connection.set_authorizer(_Authorizer(allowed))
        deadline = time.monotonic() + _SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        yield connection, tables


class _Authorizer:
    """Lets a statement do what is allowed, and notes the tables that it names."""

    def __init__(self, allowed: frozenset[int]) -> None:
        self._allowed = allowed
        self.tables: set[str] = set()

    def __call__(
        self, action: int, first: str | None, second: str | None, _database: str | None, _by: str | None
    ) -> int:
        if action not in self._allowed:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FORBIDDEN_FUNCTIONS:
            return sqlite3.SQLITE_DENY
        if action in _WRITING | {sqlite3.SQLITE_READ} and first in TABLES:
            self.tables.add(first)
        return sqlite3.SQLITE_OK


def _named(connection: sqlite3.Connection, statement: str, allowed: frozenset[int]) -> list[str]:
    """The tables that the statement names, found out by preparing it."""
    authorizer = _Authorizer(allowed)
    connection.set_authorizer(authorizer)
    _executed(connection, f"EXPLAIN {statement}")
    connection.set_authorizer(None)
    return sorted(authorizer.tables)


def _fill(connection: sqlite3.Connection, source: Rows, table: str) -> None:
    [(count,)] = source.query(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - a name of TABLES
    if count > ROWS:
        raise ScratchError(f"Table {table} has {count} rows; statements run on tables of {ROWS} at most.")
    names = TABLES[table].names
    rows = source.query(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608 - names of TABLES
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - as above


def _executed(connection: sqlite3.Connection, statement: str) -> sqlite3.Cursor:
    try:
        return connection.execute(statement)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise ScratchError(f"The statement cannot be run: {error}.") from error


def _keyed(connection: sqlite3.Connection, table: str) -> dict[Key, Row]:
    declared = TABLES[table]
    cursor = connection.execute(f"SELECT {', '.join(declared.names)} FROM {table}")  # noqa: S608 - names of ours
    found: dict[Key, Row] = {}
    for values in cursor:
        row: dict[str, Cell] = dict(zip(declared.names, values, strict=True))
        cells = tuple(row[column] for column in declared.key)
        key: Any = cells[0] if len(cells) == 1 else cells
        found[key] = row
    return found
