"""The embedded database: SQLite in WAL mode with `synchronous=FULL`.

One connection writes, in groups of changes; another reads what is not held in memory (finished VMs,
history, monitoring).
"""

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from merope.model.change import Cell, Change, Delete, Key, Operation, Put
from merope.model.effect import TABLE as EFFECT_TABLE
from merope.model.kinds import KINDS
from merope.model.state import Entry, State
from merope.model.states import VmState
from merope.store.errors import StoreError
from merope.store.schema import (
    INDEXES,
    TABLES,
    VERSION,
    create_statement,
    delete_statement,
    upsert_statement,
)

_LOADED = ("acl", "user_quotas", "group_quotas", "system_attributes", "pool_control", EFFECT_TABLE)
_UPSERT = {name: upsert_statement(name) for name in TABLES}
_DELETE = {name: delete_statement(name) for name in TABLES}


class SqliteStore:
    """Opens or creates the database at `path`; raises StoreError with a sentence when that fails."""

    def __init__(self, path: Path, *, lock_timeout_ms: int = 2500) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.touch(mode=0o600)
            self._writer = self._connect(lock_timeout_ms)
            self._reader = self._connect(lock_timeout_ms)
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"Cannot open the database {path}: {error}") from error

    def _connect(self, lock_timeout_ms: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=lock_timeout_ms / 1000, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _prepare(self) -> None:
        run = self._writer.execute
        run("BEGIN IMMEDIATE")
        for name in TABLES:
            run(create_statement(name))
        for statement in INDEXES:
            run(statement)
        if run("SELECT COUNT(*) FROM db_versioning").fetchone()[0] == 0:
            now = int(time.time())
            comment = "created by Merope"
            run("INSERT INTO db_versioning VALUES (0, ?, ?, ?)", (VERSION, now, comment))
            run("INSERT INTO local_db_versioning VALUES (0, ?, ?, ?, 0)", (VERSION, now, comment))
        run("COMMIT")

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    # Loading

    def load(self, state: State) -> None:
        """Reads everything that lives into `state`. Raises StoreError, also for a damaged file."""
        try:
            self._load(state)
        except sqlite3.Error as error:
            raise StoreError(f"Cannot read the database {self.path}: {error}") from error

    def _load(self, state: State) -> None:
        row = self._reader.execute("SELECT change_index FROM merope_log WHERE id=0").fetchone()
        state.index = row[0] if row else 0
        for kind in KINDS:
            live = f" WHERE state <> {VmState.DONE:d}" if kind.table == "vm_pool" else ""
            self._load_table(state, kind.table, f"{live} ORDER BY oid")
        for name in _LOADED:
            self._load_table(state, name, "")
        live = f" WHERE vid IN (SELECT oid FROM vm_pool WHERE state <> {VmState.DONE:d})"  # noqa: S608
        self._load_table(state, "history", live)

    def _load_table(self, state: State, name: str, condition: str) -> None:
        table = TABLES[name]
        names, keys = table.names, [table.names.index(column) for column in table.key]
        query = f"SELECT {', '.join(names)} FROM {name}{condition}"  # noqa: S608 - no text of a user
        for row in self._reader.execute(query):
            key: Key = row[keys[0]] if len(keys) == 1 else tuple(row[place] for place in keys)
            state.load(name, key, dict(zip(names, row, strict=True)))

    # Writing

    def commit(self, changes: Sequence[Change]) -> None:
        """Makes the changes durable, all of them or (StoreError) none."""
        if not changes:
            return
        try:
            self._commit(_last_of_each_row(changes), changes[-1].index)
        except sqlite3.IntegrityError:
            # Names that were swapped within the group collide when only the last row of each is written.
            self._commit(
                [operation for change in changes for operation in change.operations], changes[-1].index
            )
        except sqlite3.Error as error:
            raise StoreError(f"Cannot write to the database {self.path}: {error}") from error

    def _commit(self, operations: Iterable[Operation], index: int) -> None:
        with self._lock:
            self._write(operations, index)

    def _write(self, operations: Iterable[Operation], index: int) -> None:
        run = self._writer.execute
        run("BEGIN IMMEDIATE")
        try:
            for operation in operations:
                if isinstance(operation, Delete):
                    run(_DELETE[operation.table], _key_cells(operation.key))
                else:
                    run(_UPSERT[operation.table], _cells(operation))
            run(_UPSERT["merope_log"], (0, index))
            run("COMMIT")
        except sqlite3.Error:
            if self._writer.in_transaction:
                run("ROLLBACK")
            raise

    def write_rows(self, table: str, rows: Iterable[Sequence[Cell]]) -> None:
        """Rows that are no part of a change (monitoring); raises StoreError."""
        try:
            with self._lock:
                self._writer.execute("BEGIN IMMEDIATE")
                self._writer.executemany(_UPSERT[table], rows)
                self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise StoreError(f"Cannot write to the database {self.path}: {error}") from error

    def expire(self, table: str, before: int) -> None:
        """Removes measurements older than an epoch; raises StoreError."""
        column = TABLES[table].key[1]
        try:
            with self._lock:
                self._writer.execute(f"DELETE FROM {table} WHERE {column} < ?", (before,))  # noqa: S608
        except sqlite3.Error as error:
            raise StoreError(f"Cannot write to the database {self.path}: {error}") from error

    # Reading what is not in memory

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement of ours, on the reading connection; raises StoreError."""
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"Cannot read the database {self.path}: {error}") from error

    def archived_vms(self, oid: int | None = None) -> list[Entry]:
        """Finished VMs, or the one of that id, by ascending id."""
        names = TABLES["vm_pool"].names
        condition = "" if oid is None else " AND oid=?"
        rows = self.query(
            f"SELECT {', '.join(names)} FROM vm_pool WHERE state={VmState.DONE:d}{condition} ORDER BY oid",  # noqa: S608
            () if oid is None else (oid,),
        )
        return [Entry(row[0], dict(zip(names, row, strict=True)), 0) for row in rows]

    def history(self, oid: int) -> list[str]:
        """The closed history records of a VM with their VM documents, oldest first."""
        return [row[0] for row in self.query("SELECT body FROM history WHERE vid=? ORDER BY seq", (oid,))]


def _last_of_each_row(changes: Sequence[Change]) -> list[Operation]:
    last: dict[tuple[str, Key], Operation] = {}
    for change in changes:
        for operation in change.operations:
            last[operation.table, operation.key] = operation
    deletes = [operation for operation in last.values() if isinstance(operation, Delete)]
    return deletes + [operation for operation in last.values() if isinstance(operation, Put)]


def _key_cells(key: Key) -> tuple[Cell, ...]:
    return key if isinstance(key, tuple) else (key,)


def _cells(operation: Put) -> list[Cell]:
    row = operation.row
    return [row.get(column) for column in TABLES[operation.table].names]
