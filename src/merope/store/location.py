"""Where a cloud's database is, and how it is opened."""

from dataclasses import dataclass
from pathlib import Path

from merope.model.settings import Settings
from merope.store.errors import StoreError
from merope.store.server import Driver, Server, ServerStore
from merope.store.sql import SqlStore
from merope.store.sqlite import SqliteStore

_EXTRAS = {"mysql": "PyMySQL", "postgresql": "psycopg"}


@dataclass(frozen=True)
class File:
    """An SQLite database; `timeout_ms` is how long it waits for a lock of another process."""

    path: Path
    timeout_ms: int = 2500

    @property
    def where(self) -> str:
        return f"the database {self.path}"


Location = File | Server


def location_of(settings: Settings, file: Path) -> Location:
    """What DB of oned.conf says; `file` is where SQLite keeps it."""
    if settings.db_backend == "sqlite":
        return File(file, settings.db_timeout)
    return Server(
        settings.db_backend,
        settings.db_server,
        settings.db_port,
        settings.db_user,
        settings.db_passwd,
        settings.db_name,
        settings.db_connections,
    )


def open_store(location: Location) -> SqlStore:
    """Opens it, and makes what is missing in it. Raises StoreError: in use, not there, not to be read."""
    if isinstance(location, File):
        return SqliteStore(location.path, lock_timeout_ms=location.timeout_ms)
    return ServerStore(location, driver_of(location))


def open_beside(location: Location) -> SqlStore:
    """Opens it for reading, whoever has the claim; nothing is changed in it."""
    if isinstance(location, File):
        return SqliteStore(location.path, lock_timeout_ms=location.timeout_ms, claimed=False)
    return ServerStore(location, driver_of(location), claimed=False)


def driver_of(server: Server) -> Driver:
    """Its library is loaded only where it is used. Raises StoreError where it is not installed."""
    try:
        if server.backend == "mysql":
            from merope.store.mysql import MysqlDriver

            return MysqlDriver()
        from merope.store.postgresql import PostgresqlDriver

        return PostgresqlDriver()
    except ImportError as error:
        raise StoreError(
            f"DB/BACKEND {server.backend!r} needs the library {_EXTRAS[server.backend]}: "
            f"pip install 'merope[{server.backend}]'"
        ) from error
