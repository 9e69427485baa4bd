"""What every database does the same way: load, commit in groups, answer what is not held in memory.

A subclass says how one connects, how one transaction is made, and what its driver's errors mean.
"""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from merope.model.change import Cell, Change, Delete, Key, Operation, Put
from merope.model.document import escape
from merope.model.effect import TABLE as EFFECT_TABLE
from merope.model.hook_run import TABLE as HOOK_RUN_TABLE
from merope.model.host_failure import TABLE as HOST_FAILURE_TABLE
from merope.model.kinds import BY_TABLE, KINDS
from merope.model.long_text import LongText
from merope.model.state import Entry, State
from merope.model.states import VmState
from merope.store import parts
from merope.store.dialect import Dialect
from merope.store.errors import StoreError
from merope.store.parts import Parts, Plan, Whole
from merope.store.schema import TABLES, VERSION, VERSION_TABLES, check_layout

#: Tables beside the pools and the history that a start reads whole.
LOADED = (
    "acl",
    "user_quotas",
    "group_quotas",
    "system_attributes",
    "pool_control",
    "hook_log",
    EFFECT_TABLE,
    HOOK_RUN_TABLE,
    HOST_FAILURE_TABLE,
)
#: Keys that one statement removes.
_KEYS = 200
_LARGEST = 1 << 23
"""Characters of a row that is made whole: MEDIUMTEXT has 16 MB, and a packet of MySQL not much more."""
Read = Callable[..., Iterator[tuple[Any, ...]]]
"""Yields the rows of (statement, parameters)."""


class Transaction(Protocol):
    """One transaction of the connection that writes."""

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Answers how many rows the statement found."""
        ...

    def run_many(self, statement: str, rows: Sequence[Sequence[Cell]]) -> None: ...


class SqlStore(ABC):
    """A database that holds a cloud. `where` names it in sentences. May be used from any thread.

    Whoever opens one has the claim on it until `close`. Errors of every method are StoreErrors.
    """

    dialect: Dialect
    #: What the driver raises when a constraint is broken.
    conflicts: tuple[type[Exception], ...]

    def __init__(self, where: str) -> None:
        self.where = where
        self.adopted = False
        """Whether the database was another's when it was opened: one that OpenNebula wrote."""
        self.made: list[str] = []
        """What was made of another's tables when it was opened, in sentences."""
        self.warnings: list[str] = []
        """What of the server's configuration puts stored changes at risk."""
        self._parts = Parts()

    # What a kind of database does in its own way

    @abstractmethod
    def reading(self) -> AbstractContextManager[Read]:
        """Reads that all see the database as it is at one moment."""

    @abstractmethod
    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement of ours, with `?` for a parameter."""

    @abstractmethod
    def commit(self, changes: Sequence[Change]) -> None:
        """Makes the changes durable, all of them or (StoreError) none; InDoubtError: one of the two."""

    @abstractmethod
    def settle(self, index: int) -> bool:
        """Whether the change of that number is stored, after an InDoubtError."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]:
        """One transaction: whole when the block ends, nothing of it when it raises."""

    @abstractmethod
    def columns(self) -> dict[str, set[str]]:
        """The columns of each table that is there."""

    def selection(self, table: str) -> str:
        """The columns of a table, as they are to be read when the database may be another's still."""
        return ", ".join(TABLES[table].names)

    @abstractmethod
    def close(self) -> None:
        """Gives the claim back. To be called when no other thread uses it any more."""

    # Layout

    def check(self) -> dict[str, set[str]]:
        """The columns that are there. Raises StoreError unless they are a cloud's of our version, or none."""
        found = self.columns()
        versions = {table: self._version(table) for table in VERSION_TABLES if table in found}
        check_layout(found, versions, self.where)
        return found

    def _version(self, table: str) -> str | None:
        rows = self.query(f"SELECT version FROM {table} ORDER BY oid DESC LIMIT 1")  # noqa: S608 - names of ours
        return str(rows[0][0]) if rows else None

    def _note_tables(self, found: Mapping[str, set[str]]) -> None:
        """What is there before anything is made."""
        self.adopted = bool(found) and "merope_log" not in found
        added = [name for name in TABLES if name not in found]
        if self.adopted and added:
            self.made.append(f"Tables were added: {', '.join(added)}")

    def _write_plainly(self, tx: Transaction) -> None:
        """Another's documents are written as ours are: an empty element is one tag. Nothing else changes."""
        tables = {kind.table: ("oid",) for kind in KINDS} | {"history": ("vid", "seq")}
        mark = self.dialect.mark
        for table, key in tables.items():
            texts = ("body", "short_body") if table == "vm_pool" else ("body",)
            found = ", ".join((*key, *texts))
            update = f"UPDATE {table} SET {', '.join(f'{text}={mark}' for text in texts)} WHERE "  # noqa: S608 - names of ours
            update += " AND ".join(f"{column}={mark}" for column in key)
            with self.reading() as read:
                for row in read(f"SELECT {found} FROM {table}"):  # noqa: S608 - names of ours
                    plain = [plainly(str(text or "")) for text in row[len(key) :]]
                    if plain != list(row[len(key) :]):
                        tx.run(update, (*plain, *row[: len(key)]))

    def _make_tables(self, run: Callable[[str], object], suffix: str = "") -> None:
        for name in TABLES:
            run(self.dialect.create(name, suffix))

    def _note_version(self, tx: Transaction) -> None:
        """A new database says of which version it is, and begins to count changes."""
        now, comment = int(time.time()), "created by Merope"
        if not self.query("SELECT oid FROM db_versioning LIMIT 1"):
            tx.run(self.dialect.put("db_versioning"), (0, VERSION, now, comment))
            tx.run(self.dialect.put("local_db_versioning"), (0, VERSION, now, comment, 0))
        if not self.query("SELECT id FROM merope_log"):
            tx.run(self.dialect.put("merope_log"), (0, 0))

    # Loading

    def load(self, state: State) -> None:
        """Reads everything that lives into `state`. Raises StoreError, also for what is no document."""
        with self.reading() as read:
            whole = Whole(read(parts.SELECT))
            for row in read("SELECT change_index FROM merope_log WHERE id=0"):
                state.index = row[0]
            for kind in KINDS:
                live = f" WHERE state <> {VmState.DONE:d}" if kind.table == "vm_pool" else ""
                self._load_table(read, state, kind.table, f"{live} ORDER BY oid", whole)
            for name in LOADED:
                self._load_table(read, state, name, "", whole)
            live = f" WHERE vid IN (SELECT oid FROM vm_pool WHERE state <> {VmState.DONE:d})"  # noqa: S608
            self._load_table(read, state, "history", live, whole)

    def _load_table(self, read: Read, state: State, name: str, condition: str, whole: Whole) -> None:
        table = TABLES[name]
        names, keys = table.names, [table.names.index(column) for column in table.key]
        query = f"SELECT {', '.join(names)} FROM {name}{condition}"  # noqa: S608 - no text of a user
        for row in read(query):
            key: Key = row[keys[0]] if len(keys) == 1 else tuple(row[place] for place in keys)
            try:
                found = dict(zip(names, row, strict=True))
                if name in BY_TABLE:
                    found["body"] = whole.body(name, row[keys[0]], found["body"])
                state.load(name, key, found)
            except (ValueError, TypeError, KeyError) as error:
                raise StoreError(
                    f"Cannot read row {key} of {name} in {self.where}: {error}. "
                    "`one fsck` says more; `one restore` puts a backup back."
                ) from error

    # Rows in parts

    def whole_rows(self, table: str, condition: str = "", parameters: Sequence[Any] = ()) -> list[list[Any]]:
        """Rows of a table with all its columns, as they are whole, also while another process writes."""
        names = TABLES[table].names
        statement = f"SELECT {', '.join(names)} FROM {table}{condition}"  # noqa: S608 - no text of a user
        with self.reading() as read:
            whole = self.whole(read)
            rows = [list(row) for row in read(statement, parameters)]
        if table in BY_TABLE:
            oid, body = names.index("oid"), names.index("body")
            for row in rows:
                row[body] = whole.body(table, row[oid], row[body])
        return rows

    def whole(self, read: Read) -> Whole:
        """What makes the rows whole that `read` reads; the database may be one without parts."""
        return Whole(read(parts.SELECT)) if parts.TABLE in self.columns() else Whole()

    def _make_whole(self, tx: Transaction) -> None:
        """Writes rows that are in parts whole; but those that would be too large stay as they are."""
        with self.reading() as read:
            whole = Whole(read(parts.SELECT))
            for table, oid in whole.objects:
                for (head,) in list(read(f"SELECT body FROM {table} WHERE oid=?", (oid,))):  # noqa: S608 - names of ours
                    self._put_whole(tx, (table, oid), whole.body(table, oid, head))

    def _put_whole(self, tx: Transaction, subject: parts.Object, body: str) -> None:
        mark = self.dialect.mark
        update = f"UPDATE {subject[0]} SET body={mark} WHERE oid={mark}"  # noqa: S608 - names of ours
        try:
            if len(body) > _LARGEST:
                raise StoreError("The row would be too large.")
            tx.run(update, (body, subject[1]))
        except StoreError:
            self._parts.keep(subject)
        else:
            self._clear_parts(tx, subject)

    def _clear_parts(self, tx: Transaction, subject: parts.Object) -> None:
        mark = self.dialect.mark
        tx.run(f"DELETE FROM {parts.TABLE} WHERE tablename={mark} AND oid={mark}", subject)  # noqa: S608

    def _write_parts(self, tx: Transaction, plan: Plan) -> None:
        for subject in plan.cleared:
            self._clear_parts(tx, subject)
        self._delete_keys(tx, parts.TABLE, plan.removed)
        if plan.put:
            tx.run_many(self.dialect.put(parts.TABLE), plan.put)

    # Writing

    def _put_group(self, tx: Transaction, changes: Sequence[Change]) -> None:
        """The last row of each object that the changes touch, table by table."""
        deleted, put = _last_of_each_row(changes)
        for table, keys in deleted.items():
            self._delete_keys(tx, table, keys)
        for table, rows in put.items():
            if not self.dialect.replaces(table):
                key = TABLES[table].key
                places = [TABLES[table].names.index(column) for column in key]
                self._delete_keys(tx, table, [tuple(row[place] for place in places) for row in rows])
            tx.run_many(self.dialect.put(table), rows)

    def _delete_keys(self, tx: Transaction, table: str, keys: Sequence[Sequence[Cell]]) -> None:
        for first in range(0, len(keys), _KEYS):
            some = keys[first : first + _KEYS]
            tx.run(self.dialect.delete_many(table, len(some)), [cell for key in some for cell in key])

    def _put_one_by_one(self, tx: Transaction, changes: Sequence[Change]) -> None:
        """Every row in the order in which it was written.

        Names that were swapped within the group collide when only the last row of each is written.
        """
        for change in changes:
            for operation in change.operations:
                if isinstance(operation, Delete):
                    tx.run(self.dialect.delete(operation.table), _key_cells(operation.key))
                    continue
                if not self.dialect.replaces(operation.table):
                    tx.run(self.dialect.delete(operation.table), _key_cells(operation.key))
                tx.run(self.dialect.put(operation.table), _cells(operation))

    def _put_index(self, tx: Transaction, before: int, index: int) -> bool:
        """Notes the number of the last change; False when another has written since `before`."""
        mark = self.dialect.mark
        update = f"UPDATE merope_log SET change_index={mark} WHERE id=0 AND change_index={mark}"  # noqa: S608
        return tx.run(update, (index, before)) == 1

    def probe(self) -> None:
        """Whether writing works, tried by a write that changes nothing; raises StoreError."""
        with self.transaction() as tx:
            tx.run("UPDATE merope_log SET change_index=change_index")

    def write_rows(self, table: str, rows: Iterable[Sequence[Cell]]) -> None:
        """Rows that are no part of a change (monitoring); raises StoreError."""
        with self.transaction() as tx:
            tx.run_many(self.dialect.put(table), list(rows))

    def expire(self, table: str, before: int) -> None:
        """Removes measurements older than an epoch; raises StoreError."""
        column = TABLES[table].key[1]
        with self.transaction() as tx:
            tx.run(f"DELETE FROM {table} WHERE {column} < {self.dialect.mark}", (before,))  # noqa: S608

    # Reading what is not in memory

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


_EMPTY = re.compile(r"<!\[CDATA\[.*?\]\]>|<(\w+)></\1>", re.DOTALL)


def plainly(document: str) -> str:
    """A document whose empty elements are one tag each; texts in it stay as they are."""
    return _EMPTY.sub(lambda found: f"<{found[1]}/>" if found[1] else found[0], document)


def _with_records(body: str, records: Sequence[str]) -> str:
    """The document of a VM with its closed records, each without the VM of then, before the last one."""
    bare = [f"{record.partition('<VM>')[0].removesuffix('</HISTORY>')}</HISTORY>" for record in records[:-1]]
    return body.replace("<HISTORY_RECORDS>", f"<HISTORY_RECORDS>{''.join(bare)}", 1)


_Rows = dict[str, list[Sequence[Cell]]]


def _last_of_each_row(changes: Sequence[Change]) -> tuple[_Rows, _Rows]:
    """Keys to delete and rows to write, by table."""
    last: dict[tuple[str, Key], Operation] = {}
    for change in changes:
        for operation in change.operations:
            last[operation.table, operation.key] = operation
    deleted: _Rows = {}
    put: _Rows = {}
    for operation in last.values():
        if isinstance(operation, Put):
            put.setdefault(operation.table, []).append(_cells(operation))
        else:
            deleted.setdefault(operation.table, []).append(_key_cells(operation.key))
    return deleted, put


def _key_cells(key: Key) -> tuple[Cell, ...]:
    return key if isinstance(key, tuple) else (key,)


def _cells(operation: Put) -> list[Cell]:
    row = operation.row
    cells = [row.get(column) for column in TABLES[operation.table].names]
    return [cell.head if isinstance(cell, LongText) else cell for cell in cells]
