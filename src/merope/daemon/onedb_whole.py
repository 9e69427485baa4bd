"""Commands of `onedb` on the database as a whole: versions, copies, checks, moves, patches."""

import argparse
import runpy
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from merope.daemon import fsck as checks
from merope.daemon.adoption import adopt, is_anothers
from merope.daemon.onedb_session import Session, progress
from merope.model.state import State
from merope.store import backup as backups
from merope.store.copying import fill
from merope.store.errors import StoreError
from merope.store.location import File, Location, open_store
from merope.store.schema import TABLES, VERSION
from merope.store.server import Server
from merope.store.sqlite import SqliteStore

_NONE, _OLDER, _NEWER = 1, 2, 3
_FEDERATED = frozenset(name for name, table in TABLES.items() if table.federated)
_TABLES = (("Shared", "db_versioning"), ("Local", "local_db_versioning"))


def version(session: Session, _: argparse.Namespace) -> int:
    with session.reading() as store:
        if "db_versioning" not in store.columns():
            print(f"There is no cloud in {store.where} yet.")
            return _NONE
        found = {}
        for label, table in _TABLES:
            rows = store.query(
                f"SELECT version, comment, timestamp FROM {table} ORDER BY oid DESC LIMIT 1"  # noqa: S608 - names of ours
            )
            if rows:
                found[label] = str(rows[0][0])
                more = f"  {_time(rows[0][2])}  {rows[0][1]}" if session.verbose else ""
                print(f"{label + ':':<8}{rows[0][0]}{more}")
    if session.verbose:
        print(f"This release works with {VERSION}.")
    wanted = _numbers(VERSION)
    numbers = [_numbers(text) for text in found.values()]
    return _OLDER if any(n < wanted for n in numbers) else _NEWER if any(n > wanted for n in numbers) else 0


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def history(session: Session, _: argparse.Namespace) -> int:
    with session.reading() as store:
        for label, table in _TABLES:
            rows = store.query(f"SELECT version, timestamp, comment FROM {table} ORDER BY oid")  # noqa: S608
            for number, when, comment in rows:
                print(f"{label}: {number}\n  time:    {_time(when)}\n  comment: {comment}")
    return 0


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def upgrade(session: Session, args: argparse.Namespace) -> int:
    if args.version not in (None, VERSION):
        raise StoreError(f"This release works with version {VERSION}: it makes no other.")
    session.check_exists()
    session.check_stopped()
    if not is_anothers(session.location):
        with session.writing() as store:
            print(f"Nothing is to be done: {store.where} is of version {VERSION}.")
        return 0
    if args.backup and args.force:
        args.backup.unlink(missing_ok=True)
    directory = session.location.path.parent if isinstance(session.location, File) else session.home
    with progress("copying the database") as shown:
        sentences = adopt(
            directory, session.location, copy=args.backup, copied=not args.no_backup, progress=shown
        )
    print("\n".join(sentences))
    return 0


def fsck(session: Session, args: argparse.Namespace) -> int:
    session.check_exists()
    if not args.dry:
        session.check_stopped()
        # In use or of another version: said before a copy is made.
        with session.writing():
            pass
        session.save(args.backup, force=args.force, why="Before anything is changed, ")
    return checks.run(session.home, not args.dry, False, session.location)


def save(session: Session, args: argparse.Namespace) -> int:
    path = session.save(Path(args.file) if args.file else None, force=args.force)
    if args.federated:
        with closing(SqliteStore(path)) as store, store.transaction() as tx:
            for name in TABLES.keys() - _FEDERATED:
                tx.run(f"DELETE FROM {name}")  # noqa: S608 - names of TABLES
        _without_companions(path)
        print(f"Only the tables of a federation are in it: {', '.join(sorted(_FEDERATED))}.")
    return 0


def _without_companions(path: Path) -> None:
    """The file alone is the backup."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DELETE FROM {backups.SECRETS}")  # noqa: S608 - a name of ours
        connection.commit()
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode=DELETE")
    path.with_name(path.name + ".lock").unlink(missing_ok=True)


def restore(session: Session, args: argparse.Namespace) -> int:
    session.check_stopped()
    source = Path(args.file).absolute()
    if args.federated:
        return _restore_federated(session, source)
    _check_replaceable(session.location, args.force)
    with progress("restoring") as shown:
        kept = backups.restore(_home_of(session), source, shown, session.location)
    print(
        f"{source} is restored in {session.location.where}."
        + (f" What it held is kept in {kept}." if kept else "")
    )
    return 0


def _home_of(session: Session) -> Path:
    return session.location.path.parent if isinstance(session.location, File) else session.home


def _restore_federated(session: Session, source: Path) -> int:
    """The tables of a federation only; the rest stays."""
    if not source.is_file():
        raise StoreError(f"There is no backup {source}.")
    with session.writing() as target, closing(SqliteStore(source, claimed=False)) as saved:
        with progress("restoring") as shown:
            count = fill(target, saved, shown, tables=_FEDERATED)
        target.load(State())
    print(f"{count} rows of the tables of a federation are restored in {session.location.where}.")
    return 0


def _check_replaceable(location: Location, force: bool) -> None:
    if force or (isinstance(location, File) and not location.path.exists()):
        return
    with closing(open_store(location)) as store:
        if store.query("SELECT oid FROM user_pool LIMIT 1"):
            raise StoreError(
                f"{location.where[:1].upper()}{location.where[1:]} holds a cloud: --force replaces it."
            )


def sqlite_to_server(session: Session, args: argparse.Namespace) -> int:
    source, target = session.location, session.server
    if not isinstance(source, File) or target is None:
        raise StoreError("Give the SQLite file (-s) and the server (-S, -P, -u, -d).")
    if not source.path.exists():
        raise StoreError(f"There is no {source.where}.")
    session.check_stopped()
    if is_anothers(source):
        raise StoreError(f"{source.path} is still OpenNebula's: take it over first (`onedb upgrade -s …`).")
    if args.backup:
        Session(target, session.home).save(args.backup, why="Before anything is changed, ")
    _check_replaceable(target, args.force)
    # Holding both claims: neither database changes meanwhile.
    with closing(open_store(target)) as into, closing(open_store(source)) as out_of:
        out_of.load(State())
        with progress("copying") as shown:
            rows = fill(into, out_of, shown)
        into.load(State())
    print(f"{rows} rows of {source.path} are in {target.where}. In oned.conf: {_as_configured(target)}")
    return 0


def _as_configured(server: Server) -> str:
    port = f", PORT={server.port}" if server.port else ""
    return (
        f'DB = [ BACKEND="{server.backend}", SERVER="{server.host}"{port}, USER="{server.user}", PASSWD="…", '
        f'DB_NAME="{server.database}" ]'
    )


def patch(session: Session, args: argparse.Namespace) -> int:
    """Runs what the administrator wrote, in one transaction; raises what it raises."""
    path = Path(args.file)
    if not path.is_file():
        raise StoreError(f"There is no file {path}.")
    apply: Callable[..., Any] | None = runpy.run_path(str(path)).get("patch")
    if apply is None:
        raise StoreError(f"{path} has no function patch(transaction, read).")
    with session.writing() as store:
        if args.backup:
            session.save(args.backup, why="Before anything is changed, ")
        words = args.extra.split(",") if args.extra else []
        with store.reading() as read, store.transaction() as tx:
            apply(tx, read, *words)
        store.load(State())
    print(f"{path.name} has been applied to {session.location.where}.")
    return 0
