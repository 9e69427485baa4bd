"""PostgreSQL, through psycopg 3. Names compare byte by byte there by themselves."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
from psycopg import errors

from merope.model.change import Cell
from merope.store.dialect import POSTGRESQL
from merope.store.schema import TABLES
from merope.store.server import Connection, MakeTables, Server

_CONNECT_SECONDS = 3
#: Milliseconds without an acknowledgement after which a connection counts as lost.
_SILENT_MS = 15_000
#: The lock that says who writes: one number for every cloud, as locks belong to one database.
_LOCK = 0x6D65726F7065
_STEP = 0.05
#: Ended by an administrator, crashed, starting or stopping; too many connections.
_LOST_STATES = ("57P01", "57P02", "57P03", "53300")
_PASSING = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)


class PostgresqlDriver:
    """See `Driver`."""

    dialect = POSTGRESQL
    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    conflicts: tuple[type[Exception], ...] = (psycopg.IntegrityError,)

    def connect(self, server: Server, *, token: str = "", autocommit: bool = False) -> Connection:
        connection = psycopg.connect(
            host=server.host,
            port=server.port or 5432,
            user=server.user,
            password=server.password,
            dbname=server.database,
            connect_timeout=_CONNECT_SECONDS,
            application_name=_application(token),
            tcp_user_timeout=_SILENT_MS,
            client_encoding="utf8",
            autocommit=autocommit,
        )
        return PostgresqlConnection(connection)

    def is_lost(self, error: Exception) -> bool:
        if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return False
        # Without a state the error is the library's own: there is no connection.
        return error.sqlstate is None or error.sqlstate in _LOST_STATES or error.sqlstate.startswith("08")

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, _PASSING)

    def claim(self, connection: Connection, server: Server, token: str, seconds: float) -> str:  # noqa: ARG002 - for both kinds of server
        connection.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name=%s AND pid <> pg_backend_pid()",
            (_application(token),),
        )
        deadline = time.monotonic() + seconds
        while not connection.rows("SELECT pg_try_advisory_lock(%s)", (_LOCK,))[0][0]:
            if time.monotonic() >= deadline:
                return self._holder(connection)
            time.sleep(_STEP)
        return ""

    def _holder(self, connection: Connection) -> str:
        found = connection.rows(
            "SELECT a.pid, a.client_addr, a.client_port FROM pg_locks l "
            "JOIN pg_stat_activity a ON a.pid=l.pid "
            "WHERE l.locktype='advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint)=%s "
            "AND l.database=(SELECT oid FROM pg_database WHERE datname=current_database())",
            (_LOCK,),
        )
        if not found:
            return "another session"
        pid, address, port = found[0]
        return f"session {pid}" + (f" from {address}:{port}" if address else "")

    def begin_snapshot(self, connection: Connection) -> None:
        connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def columns(self, connection: Connection) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for table, column in connection.rows(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema=current_schema()"
        ):
            found.setdefault(table, set()).add(column)
        return found

    def selection(self, connection: Connection, table: str) -> str:  # noqa: ARG002 - for both kinds of server
        return ", ".join(TABLES[table].names)

    def make(self, server: Server, make_tables_of: MakeTables) -> list[str]:
        with closing(self.connect(server)) as connection:
            make_tables_of(connection.run, "")
            for statement in POSTGRESQL.indexes():
                connection.run(statement)
            connection.commit()
        return []

    def warnings(self, connection: Connection) -> list[str]:
        found = []
        for name in ("fsync", "full_page_writes"):
            if connection.rows(f"SHOW {name}")[0][0] != "on":
                found.append(
                    f"the server has {name}=off: when its machine loses power, changes that were "
                    "acknowledged may be lost"
                )
        return found


class PostgresqlConnection:
    """See `Connection`."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection
        # Whole numbers of 64 bits without a sign are NUMERIC here.
        connection.adapters.register_loader("numeric", _WholeLoader)
        if connection.info.parameter_status("server_encoding") not in ("UTF8", None):
            connection.close()
            raise psycopg.OperationalError("the database must be in the encoding UTF8")
        connection.execute("SET synchronous_commit=on")
        if not connection.autocommit:
            connection.commit()

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self._connection.execute(statement.encode(), tuple(parameters) or None).rowcount

    def run_many(self, statement: str, rows: Sequence[Sequence[Cell]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.encode(), [tuple(row) for row in rows])

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement.encode(), tuple(parameters) or None).fetchall()

    def stream(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            yield from cursor.stream(statement.encode(), tuple(parameters) or None)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()


class _WholeLoader(psycopg.adapt.Loader):
    def load(self, data: Any) -> int:
        return int(bytes(data))


def _application(token: str) -> str:
    return f"merope {token}" if token else "merope"
