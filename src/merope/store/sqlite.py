"""The embedded database: SQLite in WAL mode with `synchronous=FULL`.

One connection writes, in groups of changes; others read what is not held in memory (finished VMs,
history, monitoring). Every write asks the disk anew: when what went wrong is over, the next one succeeds.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from merope.model.change import Cell, Change, Delete, Key, Operation, Put
from merope.model.document import escape
from merope.model.effect import TABLE as EFFECT_TABLE
from merope.model.kinds import KINDS
from merope.model.state import Entry, State
from merope.model.states import VmState
from merope.store.claim import Claim
from merope.store.errors import StoreError, sentence
from merope.store.schema import (
    INDEXES,
    TABLES,
    VERSION,
    check_layout,
    create_statement,
    delete_statement,
    upsert_statement,
)

_LOADED = ("acl", "user_quotas", "group_quotas", "system_attributes", "pool_control", EFFECT_TABLE)
_UPSERT = {name: upsert_statement(name) for name in TABLES}
_DELETE = {name: delete_statement(name) for name in TABLES}


class SqliteStore:
    """Opens or creates the database at `path`, and holds the claim on it until `close`.

    Raises StoreError with a sentence when that fails: in use, no directory to write, damaged, of another
    version. May be used from any thread; writes wait for each other.
    """

    def __init__(self, path: Path, *, lock_timeout_ms: int = 2500) -> None:
        self.path = path
        self._timeout = lock_timeout_ms / 1000
        self._lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._of_thread = threading.local()
        self._claim = Claim(path)
        try:
            with _explained(f"Cannot open the database {path}"):
                path.touch(mode=0o600)
                self._writer = self._connect()
                self._prepare()
        except StoreError:
            self._claim.release()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    @property
    def _reader(self) -> sqlite3.Connection:
        """A connection of the calling thread's own, so that a long query keeps nobody waiting."""
        reader: sqlite3.Connection | None = getattr(self._of_thread, "reader", None)
        if reader is None:
            reader = self._of_thread.reader = self._connect()
            self._readers.append(reader)
        return reader

    def _prepare(self) -> None:
        check_layout(self._writer, self.path)
        with self._writing() as run:
            for name in TABLES:
                run(create_statement(name))
            for statement in INDEXES:
                run(statement)
            if run("SELECT COUNT(*) FROM db_versioning").fetchone()[0] == 0:
                now = int(time.time())
                comment = "created by Merope"
                run("INSERT INTO db_versioning VALUES (0, ?, ?, ?)", (VERSION, now, comment))
                run("INSERT INTO local_db_versioning VALUES (0, ?, ?, ?, 0)", (VERSION, now, comment))

    def close(self) -> None:
        """To be called when no other thread uses it any more."""
        for reader in self._readers:
            reader.close()
        self._writer.close()
        self._claim.release()

    # Loading

    def load(self, state: State) -> None:
        """Reads everything that lives into `state`. Raises StoreError, also for what is no document."""
        with _explained(f"Cannot read the database {self.path}"):
            self._load(state)

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
            try:
                state.load(name, key, dict(zip(names, row, strict=True)))
            except (ValueError, TypeError, KeyError) as error:
                raise StoreError(
                    f"Cannot read row {key} of {name} in the database {self.path}: {error}. "
                    "`one fsck` says more; `one restore` puts a backup back."
                ) from error

    # Writing

    def commit(self, changes: Sequence[Change]) -> None:
        """Makes the changes durable, all of them or (StoreError) none."""
        if not changes:
            return
        index = changes[-1].index
        with _explained(f"Cannot write to the database {self.path}"), self._lock:
            try:
                self._write(_last_of_each_row(changes), index)
            except sqlite3.IntegrityError:
                # Names that were swapped within the group collide when only the last row of each is written.
                self._write([operation for change in changes for operation in change.operations], index)

    def _write(self, operations: Iterable[Operation], index: int) -> None:
        with self._writing() as run:
            for operation in operations:
                if isinstance(operation, Delete):
                    run(_DELETE[operation.table], _key_cells(operation.key))
                else:
                    run(_UPSERT[operation.table], _cells(operation))
            run(_UPSERT["merope_log"], (0, index))

    @contextmanager
    def _writing(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """One transaction: whole when the block ends, nothing of it when it raises."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer.execute
            self._writer.execute("COMMIT")
        except BaseException:
            # Some errors have rolled back by themselves.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def probe(self) -> None:
        """Whether writing works, tried by a write that changes nothing; raises StoreError."""
        with _explained(f"Cannot write to the database {self.path}"), self._lock, self._writing() as run:
            run("UPDATE merope_log SET change_index=change_index")

    def write_rows(self, table: str, rows: Iterable[Sequence[Cell]]) -> None:
        """Rows that are no part of a change (monitoring); raises StoreError."""
        with _explained(f"Cannot write to the database {self.path}"), self._lock, self._writing():
            self._writer.executemany(_UPSERT[table], rows)

    def expire(self, table: str, before: int) -> None:
        """Removes measurements older than an epoch; raises StoreError."""
        column = TABLES[table].key[1]
        with _explained(f"Cannot write to the database {self.path}"), self._lock:
            self._writer.execute(f"DELETE FROM {table} WHERE {column} < ?", (before,))  # noqa: S608

    # Reading what is not in memory

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement of ours, on the reading connection; raises StoreError."""
        with _explained(f"Cannot read the database {self.path}"):
            return self._reader.execute(statement, parameters).fetchall()

    def archived_vms(self, oid: int | None = None) -> list[Entry]:
        """Finished VMs, or the one of that id with its whole history, by ascending id."""
        names = TABLES["vm_pool"].names
        condition = "" if oid is None else " AND oid=?"
        rows = self.query(
            f"SELECT {', '.join(names)} FROM vm_pool WHERE state={VmState.DONE:d}{condition} ORDER BY oid",  # noqa: S608
            () if oid is None else (oid,),
        )
        entries = [Entry(row[0], dict(zip(names, row, strict=True)), 0) for row in rows]
        if oid is not None:
            for entry in entries:
                entry.info_wire = escape(_with_records(entry.body, self.history(oid))).encode()
        return entries

    def history(self, oid: int) -> list[str]:
        """The closed history records of a VM with their VM documents, oldest first."""
        return [row[0] for row in self.query("SELECT body FROM history WHERE vid=? ORDER BY seq", (oid,))]


def _with_records(body: str, records: Sequence[str]) -> str:
    """The document of a VM with its closed records, each without the VM of then, before the last one."""
    bare = [f"{record.partition('<VM>')[0].removesuffix('</HISTORY>')}</HISTORY>" for record in records[:-1]]
    return body.replace("<HISTORY_RECORDS>", f"<HISTORY_RECORDS>{''.join(bare)}", 1)


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


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns what SQLite and the system say into a StoreError that begins with `what`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{what}: {sentence(error)}.") from error
