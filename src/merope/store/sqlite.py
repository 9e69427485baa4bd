"""The embedded database: SQLite in WAL mode with `synchronous=FULL`.

One connection writes, in groups of changes; others read what is not held in memory (finished VMs,
history, monitoring). Every write asks the disk anew: when what went wrong is over, the next one succeeds.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from merope.model.change import Cell, Change
from merope.store.claim import Claim
from merope.store.dialect import SQLITE
from merope.store.errors import StoreError, sentence
from merope.store.figures_file import FiguresFile, beside, show
from merope.store.parts import Plan
from merope.store.schema import TABLES
from merope.store.sql import Read, SqlStore, Transaction

Put = Callable[[Transaction, Sequence[Change]], None]


class SqliteStore(SqlStore):
    """Opens or creates the database at `path`, and holds the claim on it until `close`.

    Raises StoreError with a sentence when that fails: in use, no directory to write, damaged, of another
    version. May be used from any thread; writes wait for each other. `claimed` False: reads only, beside a
    process that has the claim; nothing is made or changed then.
    """

    dialect = SQLITE
    conflicts = (sqlite3.IntegrityError,)

    def __init__(self, path: Path, *, lock_timeout_ms: int = 2500, claimed: bool = True) -> None:
        super().__init__(f"the database {path}")
        self.path = path
        self._timeout = lock_timeout_ms / 1000
        self._lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._of_thread = threading.local()
        self._figures_path = beside(path)
        self._figures: FiguresFile | None = None
        self._claim = Claim(path) if claimed else None
        try:
            with _explained(f"Cannot open {self.where}"):
                if not claimed:
                    self._writer = self._connect()
                    return
                path.touch(mode=0o600)
                self._writer = self._connect()
                self._prepare()
        except StoreError:
            self._close_all()
            raise

    def _connect(self) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}{'' if self._claim else '?mode=ro'}"
        connection = sqlite3.connect(
            address, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        if self._claim is None:
            return connection
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
        if not getattr(self._of_thread, "figures", False) and not reader.in_transaction:
            self._of_thread.figures = show(reader, self._figures_path)
        return reader

    def _prepare(self) -> None:
        found = self.check()
        self._note_tables(found)
        with self._writing() as tx:
            self._make_tables(tx.run)
            for statement in self.dialect.indexes():
                tx.run(statement)
        with self._writing() as tx:
            self._note_version(tx)
            self._make_whole(tx)
            if self.adopted:
                self._write_plainly(tx)

    def columns(self) -> dict[str, set[str]]:
        with _explained(f"Cannot read {self.where}"):
            tables = self._writer.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
            return {
                name: {row[1] for row in self._writer.execute(f'PRAGMA table_info("{name}")')}
                for (name,) in tables
            }

    def close(self) -> None:
        if self._parts:
            # What cannot be done now is done when it is opened the next time.
            with suppress(StoreError), self.transaction() as tx:
                self._make_whole(tx)
        self._close_all()

    def _close_all(self) -> None:
        for reader in self._readers:
            reader.close()
        if hasattr(self, "_writer"):
            self._writer.close()
        if self._figures is not None:
            self._figures.close()
        if self._claim is not None:
            self._claim.release()

    # Writing

    def commit(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        with _explained(f"Cannot write to {self.where}"), self._lock:
            plan = self._parts.plan(changes)
            try:
                self._commit(self._put_group, changes, plan)
            except sqlite3.IntegrityError:
                self._commit(self._put_one_by_one, changes, plan)
            self._parts.written(plan)

    def _commit(self, put: Put, changes: Sequence[Change], plan: Plan) -> None:
        with self._writing() as tx:
            put(tx, changes)
            self._write_parts(tx, plan)
            tx.run(self.dialect.put("merope_log"), (0, changes[-1].index))

    def settle(self, index: int) -> bool:
        """SQLite never leaves that open; it is answered all the same."""
        return bool(self.query("SELECT 1 FROM merope_log WHERE id=0 AND change_index=?", (index,)))

    def write_rows(self, table: str, rows: Iterable[Sequence[Cell]]) -> None:
        """Also beside a process that has the claim: what was measured is in a file of its own."""
        with _explained(f"Cannot write to {self._figures_path}"):
            self._file_of_figures().write(table, rows)

    def expire(self, table: str, before: int) -> None:
        with _explained(f"Cannot write to {self._figures_path}"):
            self._file_of_figures().expire(table, before)
        # What 5.12 measured, or we did before there was the file.
        column = TABLES[table].key[1]
        old = f"SELECT 1 FROM main.{table} WHERE {column} < ? LIMIT 1"  # noqa: S608 - names of TABLES
        if self._claim and self.query(old, (before,)):
            super().expire(table, before)

    def _file_of_figures(self) -> FiguresFile:
        with self._lock:
            if self._figures is None:
                self._figures = FiguresFile(self._figures_path, self._timeout)
            return self._figures

    @contextmanager
    def transaction(self) -> "Iterator[_Transaction]":
        with _explained(f"Cannot write to {self.where}"), self._lock, self._writing() as tx:
            yield tx

    @contextmanager
    def _writing(self) -> "Iterator[_Transaction]":
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield _Transaction(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            # Some errors have rolled back by themselves.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    # Reading

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with _explained(f"Cannot read {self.where}"):
            return self._reader.execute(statement, parameters).fetchall()

    @contextmanager
    def reading(self) -> Iterator[Read]:
        with _explained(f"Cannot read {self.where}"):
            reader = self._reader
            reader.execute("BEGIN")
            try:
                yield reader.execute
            finally:
                if reader.in_transaction:
                    reader.execute("ROLLBACK")


class _Transaction:
    """A transaction that has begun."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self._connection.execute(statement, parameters).rowcount

    def run_many(self, statement: str, rows: Sequence[Sequence[Cell]]) -> None:
        self._connection.executemany(statement, rows)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns what SQLite and the system say into a StoreError that begins with `what`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{what}: {sentence(error)}.") from error
