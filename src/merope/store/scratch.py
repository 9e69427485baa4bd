"""SQL of an administrator, run on a copy of the tables that it names: it can read no other file, wait for no
lock and change nothing by itself. What it would change is answered, for the core to decide.

The copy is SQLite's whatever the database is, and so is the language.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from merope.model.change import Cell, Key, Row
from merope.store.dialect import Dialect
from merope.store.schema import TABLES

ROWS = 20_000
"""Rows of a table that is copied, and of an answer, at most."""
_ANSWER_BYTES = 8 << 20
"""Of an answer, or of all that a statement changes: what the core takes without holding others up."""
_SECONDS = 10.0
#: Between two looks at the clock; few, as each can be a function's work on a text of megabytes.
_STEPS = 200
#: What a statement of megabytes could make long or quadratic work of, between those looks.
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 8 << 20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 20,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
_TRIMMED = 100
"""Characters that TRIM takes away, at most: every one is compared with every character of the text."""
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION})
_RECURSIVE = 33
_WRITING = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
#: Those that are there; others of SQLite read files, make much of little, or take quadratic time.
_FUNCTIONS = frozenset(
    (
        "abs avg char coalesce count cume_dist date datetime dense_rank first_value format glob group_concat "
        "hex ifnull iif instr julianday lag last_value lead length like lower ltrim max min nth_value ntile "
        "nullif percent_rank printf quote random rank replace round row_number rtrim sign strftime substr "
        "substring sum time total trim typeof unicode unixepoch upper"
    ).split()
)
_SQLITE = Dialect("sqlite")


class ScratchError(ValueError):
    """SQL that cannot be run; the text is a sentence."""


class Rows(Protocol):
    """Answers a statement, or a table, with rows; blocks."""

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def whole_rows(self, table: str) -> list[list[Any]]: ...


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
        cursor = connection.execute(statement)
        names = [column[0] for column in cursor.description or ()]
        return names, _fetched(cursor)


def differences(source: Rows, statement: str) -> list[Difference]:
    """What a statement that writes would change. Raises ScratchError."""
    allowed = _READING | _WRITING | {_RECURSIVE}
    with _copied(source, statement, allowed) as (connection, tables):
        before = {table: _keyed(connection, table) for table in tables}
        connection.execute(statement)
        found = []
        for table in tables:
            after = _keyed(connection, table)
            for key in sorted(before[table].keys() | after.keys(), key=repr):
                old, new = before[table].get(key), after.get(key)
                if old != new:
                    found.append(Difference(table, key, old, new))
        rows = (row for item in found for row in (item.before, item.after) if row is not None)
        size = sum(_weight(row.values()) for row in rows)
        if size > _ANSWER_BYTES:
            raise ScratchError(f"The statement changes more than {_ANSWER_BYTES} bytes; change fewer rows.")
        return found


def _fetched(cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += _weight(row)
        if len(rows) > ROWS:
            raise ScratchError(f"The answer has more than {ROWS} rows.")
        if size > _ANSWER_BYTES:
            raise ScratchError(f"The answer has more than {_ANSWER_BYTES} bytes.")
    return rows


def _weight(cells: Iterable[Any]) -> int:
    """Bytes of cells as they are shown, each with its tags."""
    return sum(30 + (len(cell) if isinstance(cell, str | bytes) else 0) for cell in cells)


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
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)
        _replace_functions(connection)
        connection.set_authorizer(_Authorizer(allowed))
        deadline = time.monotonic() + _SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        with _explained():
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
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _FUNCTIONS:
            return sqlite3.SQLITE_DENY
        if action in _WRITING | {sqlite3.SQLITE_READ} and first in TABLES:
            self.tables.add(first)
        return sqlite3.SQLITE_OK


def _named(connection: sqlite3.Connection, statement: str, allowed: frozenset[int]) -> list[str]:
    """The tables that the statement names, found out by preparing it."""
    authorizer = _Authorizer(allowed)
    connection.set_authorizer(authorizer)
    with _explained():
        connection.execute(f"EXPLAIN {statement}")
    connection.set_authorizer(None)
    return sorted(authorizer.tables)


def _fill(connection: sqlite3.Connection, source: Rows, table: str) -> None:
    [(count,)] = source.query(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - a name of TABLES
    if count > ROWS:
        raise ScratchError(f"Table {table} has {count} rows; statements run on tables of {ROWS} at most.")
    marks = ", ".join("?" * len(TABLES[table].names))
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", source.whole_rows(table))  # noqa: S608 - as above


@contextmanager
def _explained() -> Iterator[None]:
    """What SQLite refuses, and what is cut short, as a ScratchError; it can come with any row."""
    try:
        yield
    except ScratchError:
        raise
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise ScratchError(f"The statement cannot be run: {error}.") from error
        raise ScratchError(f"The statement took more than {_SECONDS:g} seconds.") from error
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        raise ScratchError(f"The statement cannot be run: {error}.") from error


def _replace_functions(connection: sqlite3.Connection) -> None:
    """Puts functions of linear time in the place of SQLite's quadratic ones; with the same results."""
    connection.create_function("instr", 2, _instr, deterministic=True)
    connection.create_function("replace", 3, _replace, deterministic=True)
    for name, strip in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
        connection.create_function(name, 2, _trimming(strip), deterministic=True)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _instr(text: Any, part: Any) -> int | None:
    return None if text is None or part is None else _text(text).find(_text(part)) + 1


def _replace(text: Any, old: Any, new: Any) -> str | None:
    if text is None or old is None or new is None:
        return None
    text, old, new = _text(text), _text(old), _text(new)
    if not old:
        return str(text)
    if len(text) + text.count(old) * (len(new) - len(old)) > _LIMITS[sqlite3.SQLITE_LIMIT_LENGTH]:
        raise ValueError("string or blob too big")
    return str(text.replace(old, new))


def _trimming(strip: Callable[[str, str], str]) -> Callable[[Any, Any], str | None]:
    def trim(text: Any, characters: Any) -> str | None:
        if text is None or characters is None:
            return None
        if len(_text(characters)) > _TRIMMED:
            raise ValueError("too many characters to trim")
        return strip(_text(text), _text(characters))

    return trim


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
