"""MariaDB and MySQL, through PyMySQL.

Tables are InnoDB, in utf8mb4, and compare texts byte by byte: names that differ in case, accents or blanks
at the end are different names, as they are in memory and in the other databases.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pymysql
import pymysql.cursors
from pymysql.constants import CLIENT

from merope.model.change import Cell
from merope.store.dialect import MYSQL
from merope.store.errors import StoreError
from merope.store.mysql_tables import make_tables, selection
from merope.store.server import Connection, MakeTables, Server

_PORT = 3306
_CONNECT_SECONDS = 3
#: A server that says nothing for so long is gone.
_SILENT_SECONDS = 60
_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108
_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
#: Bytes of one statement that writes several rows, at most.
_STATEMENT = 1_000_000
_SPARE = 4096

#: Gone away, lost, shutting down, killed, aborted; cannot connect; too many connections.
_LOST = frozenset(
    {2002, 2003, 2006, 2013, 2014, 2055, 1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1927}
)
#: Lock wait timed out, deadlock.
_PASSING = frozenset({1205, 1213})
_UNKNOWN_THREAD = 1094


class MysqlDriver:
    """See `Driver`."""

    dialect = MYSQL
    errors: tuple[type[Exception], ...] = (pymysql.MySQLError,)
    conflicts: tuple[type[Exception], ...] = (pymysql.IntegrityError,)

    def connect(self, server: Server, *, token: str = "", autocommit: bool = False) -> Connection:  # noqa: ARG002 - for both kinds of server
        return self._connect(server, autocommit=autocommit, silent_seconds=_SILENT_SECONDS)

    def _connect(self, server: Server, *, autocommit: bool, silent_seconds: int | None) -> Connection:
        connection = pymysql.connect(
            host=server.host,
            port=server.port or _PORT,
            user=server.user,
            # As a text it would be sent in latin1.
            password=server.password.encode(),
            database=server.database,
            charset="utf8mb4",
            sql_mode=_MODE,
            autocommit=autocommit,
            client_flag=CLIENT.FOUND_ROWS,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=silent_seconds,
            write_timeout=silent_seconds,
            program_name="merope",
            defer_connect=True,
        )
        path = _socket_of(server)
        if path is None:
            connection.connect()
        else:
            # The library would not close a socket that it cannot connect.
            own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                own.settimeout(_CONNECT_SECONDS)
                own.connect(path)
                own.settimeout(None)
                connection.connect(own)
            except BaseException:
                own.close()
                raise
        return MysqlConnection(connection)

    def is_lost(self, error: Exception) -> bool:
        if isinstance(error, pymysql.InterfaceError):
            return True
        return isinstance(error, pymysql.MySQLError) and _code(error) in _LOST

    def is_passing(self, error: Exception) -> bool:
        return _code(error) in _PASSING

    def claim(self, connection: Connection, server: Server, token: str, seconds: float) -> str:
        # Locks are the server's, not the database's; their names have 64 characters at most.
        lock, own = _lock_name(server.database), _lock_name(f"session.{token}")
        lost = connection.rows("SELECT IS_USED_LOCK(%s)", (own,))[0][0]
        if lost is not None:
            self._end(connection, int(lost))
        if connection.rows("SELECT GET_LOCK(%s, %s)", (lock, seconds))[0][0] != 1:
            return self._holder(connection, lock)
        connection.rows("SELECT GET_LOCK(%s, 0)", (own,))
        if connection.rows("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", (lock,))[0][0] != 1:
            raise StoreError(
                f"The server of {server.where} gives a session one lock only: it must be MariaDB 10.0.2, "
                "MySQL 5.7.5 or later."
            )
        return ""

    def _end(self, connection: Connection, session: int) -> None:
        """Ends a session of ours whose connection is lost, and with it what it was doing."""
        try:
            connection.run(f"KILL {session:d}")
        except pymysql.MySQLError as error:
            if _code(error) != _UNKNOWN_THREAD:
                raise

    def _holder(self, connection: Connection, lock: str) -> str:
        session = connection.rows("SELECT IS_USED_LOCK(%s)", (lock,))[0][0]
        found = connection.rows("SELECT HOST FROM information_schema.PROCESSLIST WHERE ID=%s", (session,))
        return f"session {session}" + (f" from {found[0][0]}" if found else "")

    def begin_snapshot(self, connection: Connection) -> None:
        connection.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def columns(self, connection: Connection) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for table, column in connection.rows(
            "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=DATABASE()"
        ):
            found.setdefault(table, set()).add(column)
        return found

    def selection(self, connection: Connection, table: str) -> str:
        return selection(connection, table)

    def make(self, server: Server, make_tables_of: MakeTables) -> list[str]:
        # To turn a large table into another takes as long as it takes.
        with closing(self._connect(server, autocommit=True, silent_seconds=None)) as connection:
            return make_tables(connection, make_tables_of)

    def warnings(self, connection: Connection) -> list[str]:
        found = []
        wanted = {"innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "1"}
        for name, value in wanted.items():
            is_set = str(connection.rows(f"SELECT @@{name}")[0][0])
            if is_set not in (value, "ON"):
                found.append(
                    f"the server has {name}={is_set}: when its machine loses power, changes that were "
                    f"acknowledged may be lost; it should be {value}"
                )
        return found


class MysqlConnection:
    """See `Connection`."""

    def __init__(self, connection: "pymysql.Connection[Any]") -> None:
        self._connection = connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@max_allowed_packet")
            row = cursor.fetchone()
        self._packet = int(row[0]) if row else _STATEMENT

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        self._check_size([parameters])
        with self._connection.cursor() as cursor:
            return int(cursor.execute(statement, tuple(parameters) or None))

    def run_many(self, statement: str, rows: Sequence[Sequence[Cell]]) -> None:
        self._check_size(rows)
        with self._connection.cursor() as cursor:
            cursor.max_stmt_length = min(_STATEMENT, self._packet - _SPARE)
            cursor.executemany(statement, [tuple(row) for row in rows])

    def _check_size(self, rows: Sequence[Sequence[Any]]) -> None:
        """The server closes the connection when a row is too large, which would look like an outage."""
        for row in rows:
            texts = [cell for cell in row if isinstance(cell, str)]
            # Four bytes for a character at most, and each may need a backslash.
            if sum(map(len, texts)) * 4 <= self._packet:
                continue
            size = sum(len(pymysql.converters.escape_string(text).encode()) for text in texts)
            if size + _SPARE > self._packet:
                raise StoreError(
                    f"A row of {size} bytes is more than the server takes: its max_allowed_packet is "
                    f"{self._packet}. Nothing was stored."
                )

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            return list(cursor.fetchall())

    def stream(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(statement, tuple(parameters) or None)
            while rows := cursor.fetchmany(500):
                yield from rows

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()


def _socket_of(server: Server) -> str | None:
    """As MySQL's own clients: `localhost` without a port is the socket, where there is one."""
    if server.host.startswith("/"):
        return server.host
    if server.host == "localhost" and not server.port:
        return next((path for path in _SOCKETS if Path(path).exists()), None)
    return None


def _lock_name(name: str) -> str:
    lock = f"merope.{name}"
    return lock if len(lock) <= 64 else f"merope.{sha256(name.encode()).hexdigest()[:48]}"


def _code(error: Exception) -> int:
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0
