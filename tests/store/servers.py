"""Database servers of the tests' own: each in a directory that goes with it, on a socket in it.

They are the distribution's packages (`mariadb-server`, `postgresql`), started as whoever may: both drop
what root may do, and PostgreSQL insists on it.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from merope.store.server import Server

PASSWORD = "a'b\\c\"d%é"  # as awkward as an administrator may choose it
_PATIENCE = 30.0


class DatabaseServer:
    """One server process. `start`, `kill` and `start` again keep what was committed."""

    backend = ""
    user = ""

    def __init__(self, directory: Path | None = None) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="merope-", dir=directory))
        self.data = self.place / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.place / "log"
        self._give(self.place)

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.user)
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.place,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            user=self.user if os.geteuid() == 0 else None,
            group=self.user if os.geteuid() == 0 else None,
        )
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def _spawn(self, *command: str) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "LC_ALL": "C"},
                user=self.user if os.geteuid() == 0 else None,
                group=self.user if os.geteuid() == 0 else None,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def database(self, **options: object) -> Server:
        """A new, empty database, and who may use it."""
        raise NotImplementedError

    def kill(self) -> None:
        """As if the machine had lost its power, as far as a process can tell."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_PATIENCE)
            self._process = None

    def remove(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.place, ignore_errors=True)


class Mariadb(DatabaseServer):
    backend = "mysql"
    user = "mysql"

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__(directory)
        self.socket = self.place / "socket"
        self._run(
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={self.data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )

    def start(self) -> None:
        self._spawn(
            _mariadbd(),
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            "--skip-networking",
            f"--pid-file={self.place / 'pid'}",
            "--innodb-buffer-pool-size=64M",
            "--max-allowed-packet=16M",
        )

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.socket))
            except OSError:
                return False
            return bool(client.recv(1))

    def sql(self, *statements: str, database: str = "mysql", charset: str = "utf8mb4") -> None:
        """Statements of the server's administrator."""
        import pymysql

        connection = pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, autocommit=True, charset=charset
        )
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def database(self, **options: object) -> Server:
        import pymysql

        name = f"one_{secrets.token_hex(4)}"
        password = pymysql.converters.escape_string(PASSWORD)
        self.sql(
            f"CREATE DATABASE {name} {options.get('charset', '')}",
            f"CREATE USER IF NOT EXISTS oneadmin@localhost IDENTIFIED BY '{password}'",
            f"GRANT ALL ON {name}.* TO oneadmin@localhost",
        )
        return Server(self.backend, str(self.socket), 0, "oneadmin", PASSWORD, name)


class Postgresql(DatabaseServer):
    backend = "postgresql"
    user = "postgres"

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__(directory)
        self._run(_postgres("initdb"), "-D", str(self.data), "-U", "admin", "-A", "trust", "-E", "UTF8", "-N")
        # Whoever is no administrator gives a password.
        rules = "local all admin trust\nlocal all all scram-sha-256\n"
        (self.data / "pg_hba.conf").write_text(rules)

    def start(self) -> None:
        self._spawn(
            _postgres("postgres"), "-D", str(self.data), "-k", str(self.place), "-c", "listen_addresses="
        )

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(host=str(self.place), user="admin", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def database(self, **options: object) -> Server:
        import psycopg
        from psycopg import sql

        name = f"one_{secrets.token_hex(4)}"
        with psycopg.connect(
            host=str(self.place), user="admin", dbname="postgres", autocommit=True
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname='oneadmin'").fetchone():
                role = sql.SQL("CREATE ROLE oneadmin LOGIN PASSWORD {}").format(sql.Literal(PASSWORD))
                connection.execute(role)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER oneadmin").format(sql.Identifier(name)))
        return Server(self.backend, str(self.place), 0, "oneadmin", PASSWORD, name)

    def kill(self) -> None:
        """All of its processes at once: one that lived on would wait for ever for what a dead one holds."""
        assert self._process is not None
        # Stopped, it makes no more of them.
        os.kill(self.pid, signal.SIGSTOP)
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in map(int, children):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        super().kill()
        deadline = time.monotonic() + _PATIENCE
        while any(_lives(int(child)) for child in children) and time.monotonic() < deadline:
            time.sleep(0.01)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        self._end(signal.SIGINT)


def _lives(pid: int) -> bool:
    """Not gone, and more than its remains are there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _mariadbd() -> str:
    found = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert found
    return found


def _postgres(program: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(versions[-1])


@cache
def missing(backend: str) -> str:
    """Why a server of this kind cannot be started here; empty when it can."""
    if backend == "mysql":
        if shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
            return "there is no mariadbd: apt-get install mariadb-server"
        library = "pymysql"
    else:
        if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
            return "there is no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql"
        library = "psycopg"
    try:
        __import__(library)
    except ImportError:
        return f"the library {library} is not installed: pip install 'merope[{backend}]'"
    return ""


_KINDS: dict[str, type[DatabaseServer]] = {"mysql": Mariadb, "postgresql": Postgresql}
_running: dict[str, DatabaseServer] = {}


def running(backend: str) -> DatabaseServer:
    """The server that the tests of this process share; skips where there is none."""
    reason = missing(backend)
    if reason:
        pytest.skip(reason)
    if backend not in _running:
        _running[backend] = made(backend)
    return _running[backend]


def made(backend: str, directory: Path | None = None) -> DatabaseServer:
    server = _KINDS[backend](directory)
    try:
        server.start()
    except BaseException:
        server.remove()
        raise
    return server


@contextmanager
def of_its_own(backend: str) -> Iterator[DatabaseServer]:
    """A server that a test may kill."""
    reason = missing(backend)
    if reason:
        pytest.skip(reason)
    server = made(backend)
    try:
        yield server
    finally:
        server.remove()


def end_all() -> None:
    for server in _running.values():
        server.remove()
    _running.clear()
