"""Backups: one file that is an SQLite database, with the secrets of the cloud beside its tables.

So it is whatever database the cloud is kept in, and a backup of one can be restored into another.

Layout of a home, as far as it matters here: `one.db`, and the secrets in `.one/` (the administrator's
login, the services' logins, the key of encrypted attributes).
"""

import fcntl
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from merope.model.state import State
from merope.store import figures_file
from merope.store.claim import Claim
from merope.store.copying import Progress, fill
from merope.store.errors import StoreError, sentence
from merope.store.location import File, Location, open_beside, open_store
from merope.store.parts import TABLE as PART_TABLE
from merope.store.schema import OURS
from merope.store.server import Server
from merope.store.sqlite import SqliteStore

SECRETS = "merope_secret"
_MAX_SECRET = 65536
#: Pages copied between two words to the one who waits.
_PAGES = 2048
_SIDES = ("-wal", "-shm", "-journal")


def database_of(home: Path) -> Path:
    return home / "one.db"


def backup(
    home: Path, target: Path, progress: Progress | None = None, location: Location | None = None
) -> None:
    """Writes the database and the secrets of `home` to the new file `target`, mode 0600.

    `location` is where the database is when not in the home. May be done while the cloud runs: what is
    copied is the database as it was at one moment. Raises StoreError; then there is no file.
    """
    source = location or File(database_of(home))
    if isinstance(source, File) and not source.path.exists():
        raise StoreError(f"There is no cloud in {home}: it has no {source.path.name}.")
    if target.exists():
        raise StoreError(f"{target} exists: a backup is written to a new file.")
    part = target.with_name(target.name + ".part")
    try:
        _new_private(part)
        if isinstance(source, Server):
            copy_server(source, part, progress)
        else:
            with closing(sqlite3.connect(source.path)) as reading, closing(sqlite3.connect(part)) as writing:
                copy(reading, writing, progress)
                ours = _has_table(writing, PART_TABLE)
            if ours:
                # Opening it makes rows whole that a cloud which runs has in parts.
                SqliteStore(part).close()
        with closing(sqlite3.connect(part.absolute().as_uri(), uri=True)) as writing:
            if isinstance(source, File):
                figures_file.copy(writing, figures_file.beside(source.path))
            writing.execute("PRAGMA journal_mode=DELETE")
            with writing:
                writing.execute(f"CREATE TABLE {SECRETS} (name VARCHAR(128) PRIMARY KEY, body BLOB)")
                writing.executemany(
                    f"INSERT INTO {SECRETS} VALUES (?, ?)",  # noqa: S608 - a name of ours
                    _secrets(home),
                )
        _make_durable(part)
        os.link(part, target)
        _make_durable(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"Cannot write the backup {target}: {sentence(error)}.") from error
    finally:
        for name in (part, *_beside(part), _lock_of(part)):
            with suppress(OSError):
                name.unlink(missing_ok=True)


def copy_server(source: Server, target: Path, progress: Progress | None = None) -> None:
    """A server's database as an SQLite file. One that is still another's stays that."""
    with closing(open_beside(source)) as reading, closing(SqliteStore(target)) as writing:
        found = reading.check()
        if not found:
            raise StoreError(f"There is no cloud in {source.where}: it is empty.")
        fill(writing, reading, progress)
        if "merope_log" not in found:
            with writing.transaction() as tx:
                for table in OURS:
                    tx.run(f"DROP TABLE {table}")


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def copy(reading: sqlite3.Connection, writing: sqlite3.Connection, progress: Progress | None = None) -> None:
    """Copies a database as it is at this moment; raises sqlite3.Error."""
    # One read transaction holds the moment: else every change of another process begins the copy anew.
    reading.execute("BEGIN")
    size = reading.execute("PRAGMA page_size").fetchone()[0]

    def tell(_status: int, left: int, total: int) -> None:
        if progress is not None:
            progress((total - left) * size, total * size)

    reading.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    reading.backup(writing, pages=_PAGES, progress=tell, sleep=0)
    reading.execute("ROLLBACK")


def _secrets(home: Path) -> list[tuple[str, bytes]]:
    directory = home / ".one"
    if not directory.is_dir():
        return []
    return [
        (path.name, path.read_bytes())
        for path in sorted(directory.iterdir())
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_SECRET
    ]


def restore(
    home: Path, source: Path, progress: Progress | None = None, location: Location | None = None
) -> Path | None:
    """Puts a backup in the place of the database of `home`; answers where the old one is kept, if any.

    `location` is where the database is when not in the home.
    The backup is verified and loaded before anything is touched. Secrets that differ are kept beside the
    restored ones. Raises StoreError, and then the home is as it was.
    """
    if not source.is_file():
        raise StoreError(f"There is no backup {source}.")
    for directory in (home, home / ".one"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_supervised(home):
        raise StoreError(f"The cloud in {home} runs: stop it first (`one stop`).")
    fresh = home / "one.db.restoring"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    claim = Claim(location.path if isinstance(location, File) else database_of(home))
    try:
        secrets = _unpacked(source, fresh)
        if isinstance(location, Server):
            kept = _into_server(home, fresh, location, stamp, progress)
        else:
            kept = _into_file(fresh, location.path if location else database_of(home), stamp)
        for name, body in secrets:
            _put_secret(home / ".one" / name, body, stamp)
        _make_durable(home)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"Cannot restore {source}: {sentence(error)}.") from error
    finally:
        claim.release()
        for path in (fresh, *_beside(fresh), _lock_of(fresh)):
            path.unlink(missing_ok=True)
    return kept


def _into_file(fresh: Path, database: Path, stamp: str) -> Path | None:
    kept = _put_aside(database, stamp)
    if kept is not None:
        figures_file.put_aside(database, kept)
    fresh.replace(database)
    return kept


def _into_server(
    home: Path, fresh: Path, server: Server, stamp: str, progress: Progress | None
) -> Path | None:
    """What the server's database held is kept in a backup beside the home's files."""
    with closing(open_store(server)) as target, closing(SqliteStore(fresh)) as source:
        kept = None
        if target.query("SELECT oid FROM user_pool LIMIT 1"):
            kept = _unused(home / f"{server.database}.before-{stamp}.backup")
            backup(home, kept, progress, server)
        fill(target, source, progress)
    return kept


def is_supervised(home: Path) -> bool:
    """Whether a supervisor has its file locked: it would start the core again at any moment."""
    try:
        descriptor = os.open(home / "run" / "supervisor.pid", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _unpacked(source: Path, fresh: Path) -> list[tuple[str, bytes]]:
    """Makes the database of a backup in `fresh`, verified; answers the secrets. Raises StoreError."""
    fresh.unlink(missing_ok=True)
    _new_private(fresh)
    found: list[tuple[str, bytes]] = []
    address = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as reading, closing(sqlite3.connect(fresh)) as writing:
        copy(reading, writing)
        faults = integrity_faults(writing)
        if faults:
            raise StoreError(f"The backup {source} is damaged: {faults[0]}.")
        if _has_table(writing, SECRETS):
            found = writing.execute(f"SELECT name, body FROM {SECRETS}").fetchall()  # noqa: S608 - our name
            writing.execute(f"DROP TABLE {SECRETS}")
            writing.commit()
    try:
        store = SqliteStore(fresh)
        try:
            store.load(State())
        finally:
            store.close()
    except StoreError as error:
        raise StoreError(str(error).replace(str(fresh), str(source))) from error
    _make_durable(fresh)
    return [(name, body) for name, body in found if _is_plain(name)]


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name=?", (name,)).fetchone() is not None


def integrity_faults(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the file, at most 100 sentences."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def _is_plain(name: str) -> bool:
    """Whether the name, which came from a file, is that of a file in the directory and nothing else."""
    return bool(name) and name == Path(name).name and name not in (".", "..")


def _unused(path: Path) -> Path:
    """A name that no file has: two restores may be of one second."""
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{path.name.partition('.backup')[0]}-{number}.backup")
    return path


def _put_aside(old: Path, stamp: str) -> Path | None:
    """The old database under another name, with all that is committed in it; it stays where it is as well."""
    if not old.exists():
        return None
    kept = old.with_name(f"{old.name}.before-{stamp}")
    with suppress(sqlite3.Error), closing(sqlite3.connect(old)) as connection:
        # A write-ahead log that stayed would be taken for that of the new database.
        connection.execute("PRAGMA journal_mode=DELETE")
    for beside in _beside(old):
        # Only where the old one is too damaged to be closed properly.
        if beside.exists():
            beside.rename(kept.with_name(kept.name + beside.name.removeprefix(old.name)))
    os.link(old, kept)
    return kept


def _put_secret(path: Path, body: bytes, stamp: str) -> None:
    if path.exists() and path.read_bytes() != body:
        path.rename(path.with_name(f"{path.name}.before-{stamp}"))
    if path.exists():
        return
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    _new_private(part)
    part.write_bytes(body)
    _make_durable(part)
    part.replace(path)


def _new_private(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + side) for side in _SIDES]


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
