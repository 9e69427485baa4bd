"""A database in a server of its own: MariaDB, MySQL, PostgreSQL.

One connection writes and holds the claim, a lock that the server gives to one session at a time; a few
others read. When the server goes away, writes are refused after a short patience and connections are made
anew by whoever needs one. A group whose COMMIT was not answered is looked for by the number of its last
change: it is never written twice, and never taken for written when it is not.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, TypeVar

from merope.model.change import Cell, Change
from merope.store.dialect import Dialect
from merope.store.errors import InDoubtError, InUseError, StoreError, SupersededError, sentence
from merope.store.parts import Plan
from merope.store.schema import TABLES
from merope.store.sql import Read, SqlStore, Transaction

T = TypeVar("T")

#: Seconds that a write waits for a server that has just gone away, before it is refused.
PATIENCE = 2.0
#: Seconds in which a server that was found gone is not asked again.
_PAUSE = 0.5
_STEP = 0.05
#: Seconds for the session of an ended process, or of our own lost connection, to be noticed by the server.
CLAIM_SECONDS = 1.0
RECLAIM_SECONDS = 5.0


@dataclass(frozen=True)
class Server:
    """Where a database is. `port` 0 is the usual one; a `host` that begins with / is a socket's place."""

    backend: str
    host: str = "localhost"
    port: int = 0
    user: str = "oneadmin"
    password: str = field(default="", repr=False)
    database: str = "opennebula"
    connections: int = 25

    @property
    def where(self) -> str:
        at = self.host + (f":{self.port}" if self.port else "")
        return f"the database {self.database} of {self.backend} at {at}"


MakeTables = Callable[[Callable[[str], object], str], None]
"""Makes missing tables: given what runs a statement, and what is said after the columns."""


class Connection(Transaction, Protocol):
    """One session; a transaction begins with the first statement, except where it commits by itself."""

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def stream(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows as they come, not all in memory at once; to be read to the end or closed."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class Driver(Protocol):
    """What differs between servers."""

    dialect: Dialect
    errors: tuple[type[Exception], ...]
    conflicts: tuple[type[Exception], ...]

    def connect(self, server: Server, *, token: str = "", autocommit: bool = False) -> Connection:
        """`token` marks the session that writes, so that it is found again when its connection is lost."""
        ...

    def is_lost(self, error: Exception) -> bool:
        """Whether the connection, or the server, is gone."""
        ...

    def is_passing(self, error: Exception) -> bool:
        """Whether the server undid the transaction and wants it again (a deadlock)."""
        ...

    def claim(self, connection: Connection, server: Server, token: str, seconds: float) -> str:
        """Takes the lock, ending an own session that was lost. Answers who has it, empty when we do."""
        ...

    def begin_snapshot(self, connection: Connection) -> None: ...

    def selection(self, connection: Connection, table: str) -> str:
        """The columns of a table, as bytes where what it says of its texts is not to be trusted."""
        ...

    def columns(self, connection: Connection) -> dict[str, set[str]]: ...

    def make(self, server: Server, make_tables_of: MakeTables) -> list[str]:
        """Makes tables and indexes that are missing; says which others it turned into what they must be."""
        ...

    def warnings(self, connection: Connection) -> list[str]: ...


class ServerStore(SqlStore):
    """Opens the database, which must exist, makes what tables are missing, and holds the claim.

    `claimed` False: reads only, beside a process that has the claim; nothing is made or changed then.
    """

    def __init__(
        self, server: Server, driver: Driver, *, claimed: bool = True, patience: float = PATIENCE
    ) -> None:
        super().__init__(server.where)
        self.server = server
        self._driver = driver
        self.dialect, self.conflicts = driver.dialect, driver.conflicts
        self._patience = patience
        self._token = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._writer: Connection | None = None
        self._index = 0
        self._gone: tuple[float, str] | None = None
        self._readers = Readers(
            lambda: driver.connect(server, autocommit=True), max(1, server.connections - 1)
        )
        try:
            if claimed:
                self._open()
            else:
                self.columns()
        except StoreError:
            self.close()
            raise
        except self._failures as error:
            self.close()
            raise StoreError(f"Cannot open {self.where}: {sentence(error)}.") from error

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        return (*self._driver.errors, OSError)

    def _open(self) -> None:
        writer = self._connect(CLAIM_SECONDS)
        found = self.check()
        self._note_tables(found)
        self.made += self._driver.make(self.server, self._make_tables)
        self._note_version(writer)
        if self.adopted:
            self._write_plainly(writer)
        writer.commit()
        self._index = self._stored(writer)
        self._make_whole(writer)
        writer.commit()
        self.warnings = self._driver.warnings(writer)
        writer.commit()

    def _connect(self, seconds: float) -> Connection:
        connection = self._driver.connect(self.server, token=self._token)
        self._writer = connection
        holder = self._driver.claim(connection, self.server, self._token, seconds)
        connection.commit()
        if holder:
            self._drop()
            raise InUseError(
                f"{self.where[:1].upper()}{self.where[1:]} is in use by {holder}: stop that cloud first "
                "(`one stop`)."
            )
        return connection

    def _connected(self) -> Connection:
        """The connection that writes. Raises what the driver raises, and SupersededError."""
        if self._writer is not None:
            return self._writer
        if self._gone is not None and time.monotonic() < self._gone[0]:
            raise ConnectionError(0, self._gone[1])
        try:
            writer = self._connect(RECLAIM_SECONDS)
        except InUseError as error:
            raise SupersededError(f"{error} This process had it before.") from error
        except self._failures as error:
            self._drop()
            self._gone = (time.monotonic() + _PAUSE, sentence(error))
            raise
        self._gone = None
        return writer

    def _drop(self) -> None:
        if self._writer is not None:
            with suppress(*self._failures):
                self._writer.close()
            self._writer = None

    def close(self) -> None:
        if self._parts and self._writer is not None:
            # What cannot be done now is done when it is opened the next time.
            with suppress(StoreError, *self._failures), self._lock:
                # Waits for whoever is just writing; another's rows are not ours to touch.
                if self._stored(self._writer) == self._index:
                    self._make_whole(self._writer)
                    self._writer.commit()
        self._drop()
        self._readers.close()

    def columns(self) -> dict[str, set[str]]:
        with self._reader() as reader:
            return self._driver.columns(reader)

    def selection(self, table: str) -> str:
        with self._reader() as reader:
            return self._driver.selection(reader, table)

    # Writing

    def commit(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        with self._lock:
            self._commit(changes)

    def _commit(self, changes: Sequence[Change]) -> None:
        index = changes[-1].index
        deadline = time.monotonic() + (self._patience if self._gone is None else 0)
        attempt = _Attempt(self._put_group, self._parts.plan(changes))
        while True:
            try:
                if self._is_done(attempt, changes, index):
                    break
            except self._failures as error:
                self._failed(attempt, error, deadline)
        self._index = index
        self._parts.written(attempt.parts)

    def _is_done(self, attempt: "_Attempt", changes: Sequence[Change], index: int) -> bool:
        """Writes the group, unless an attempt whose end is not known has written it."""
        writer = self._connected()
        if attempt.in_doubt:
            stored = self._stored(writer)
            writer.rollback()
            if stored == index:
                return True
            attempt.in_doubt = False
        attempt.put(writer, changes)
        self._write_parts(writer, attempt.parts)
        if not self._put_index(writer, self._index, index):
            writer.rollback()
            raise SupersededError(
                f"Somebody else has written to {self.where} after change {self._index}: this process must "
                "start anew."
            )
        attempt.in_doubt = True
        writer.commit()
        return True

    def _failed(self, attempt: "_Attempt", error: Exception, deadline: float) -> None:
        """Returns when the group is to be tried again; raises StoreError when not."""
        if isinstance(error, self.conflicts) and not attempt.in_doubt and not attempt.one_by_one:
            self._roll_back()
            attempt.put, attempt.one_by_one = self._put_one_by_one, True
            return
        # Nobody knows what an error means that COMMIT answered: it is looked up, by a new connection.
        if attempt.in_doubt or self._driver.is_lost(error) or isinstance(error, OSError):
            self._drop()
        elif self._driver.is_passing(error):
            self._roll_back()
        else:
            self._roll_back()
            self._refuse(error)
        if time.monotonic() >= deadline:
            if attempt.in_doubt:
                self._parts.doubt(attempt.parts)
                raise InDoubtError(
                    f"The connection to {self.where} was lost while changes were being stored: whether they "
                    f"are stored will be known when it answers again. {sentence(error)}"
                ) from error
            self._gone = self._gone or (time.monotonic() + _PAUSE, sentence(error))
            self._refuse(error)
        time.sleep(_STEP)

    def _roll_back(self) -> None:
        if self._writer is not None:
            try:
                self._writer.rollback()
            except self._failures:
                self._drop()

    def _refuse(self, error: Exception) -> NoReturn:
        raise StoreError(f"Cannot write to {self.where}: {sentence(error)}.") from error

    def _stored(self, connection: Connection) -> int:
        """The number of the last change; waits for a transaction that is just writing it."""
        rows = connection.rows("SELECT change_index FROM merope_log WHERE id=0 FOR UPDATE")
        return int(rows[0][0]) if rows else 0

    def settle(self, index: int) -> bool:
        with self._lock:
            try:
                writer = self._connected()
                stored = self._stored(writer)
                writer.rollback()
            except self._failures as error:
                self._drop()
                self._refuse(error)
            if stored not in (self._index, index):
                raise SupersededError(f"Somebody else has written to {self.where}.")
            self._index = stored
            return stored == index

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._lock:
            try:
                writer = self._connected()
                yield writer
                writer.commit()
            except self._failures as error:
                self._drop()
                self._refuse(error)
            except BaseException:
                self._roll_back()
                raise

    def write_rows(self, table: str, rows: Iterable[Sequence[Cell]]) -> None:
        """Measurements go over a connection of their own: changes need not wait for them."""
        found = list(rows)
        self._aside(lambda side: side.run_many(self.dialect.put(table), found))

    def expire(self, table: str, before: int) -> None:
        column = TABLES[table].key[1]
        statement = f"DELETE FROM {table} WHERE {column} < {self.dialect.mark}"  # noqa: S608 - names of TABLES
        self._aside(lambda side: side.run(statement, (before,)))

    def _aside(self, write: Callable[[Connection], object]) -> None:
        try:
            self._readers.use(write, self._driver.is_lost)
        except self._failures as error:
            self._refuse(error)

    # Reading

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        translated = self.dialect.translated(statement)
        try:
            return self._readers.use(lambda reader: reader.rows(translated, parameters), self._driver.is_lost)
        except self._failures as error:
            raise StoreError(f"Cannot read {self.where}: {sentence(error)}.") from error

    @contextmanager
    def reading(self) -> Iterator[Read]:
        with self._reader() as reader:
            self._driver.begin_snapshot(reader)

            def read(statement: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
                return reader.stream(self.dialect.translated(statement), parameters)

            try:
                yield read
            finally:
                reader.rollback()

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        """A connection that is made for this, for what takes long or must be whole."""
        try:
            with contextlib.closing(self._driver.connect(self.server, autocommit=True)) as reader:
                yield reader
        except self._failures as error:
            raise StoreError(f"Cannot read {self.where}: {sentence(error)}.") from error


@dataclass
class _Attempt:
    """How a group is being written; `in_doubt` from the COMMIT on until it is answered."""

    put: Callable[[Transaction, Sequence[Change]], None]
    parts: Plan
    one_by_one: bool = False
    in_doubt: bool = False


class Readers:
    """Connections that are used by one thread at a time and kept for the next; at most `limit`."""

    def __init__(self, connect: Callable[[], Connection], limit: int) -> None:
        self._connect = connect
        self._free = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    def use(self, work: Callable[[Connection], T], is_lost: Callable[[Exception], bool]) -> T:
        """What `work` answers. It is done again, once, when a kept connection turns out to be gone."""
        with self._free:
            kept = self._take()
            if kept is not None:
                try:
                    return self._done(kept, work)
                except Exception as error:
                    if not is_lost(error) and not isinstance(error, OSError):
                        raise
                self.drop()
            return self._done(self._connect(), work)

    def _done(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        try:
            answer = work(connection)
        except BaseException:
            with suppress(Exception):
                connection.close()
            raise
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return answer
        connection.close()
        return answer

    def _take(self) -> Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def drop(self) -> None:
        """After one was found gone: the others are as old."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(Exception):
                connection.close()

    def close(self) -> None:
        self._closed = True
        self.drop()
