"""A database that OpenNebula 5.12 wrote, opened for the first time: copied as it was, then taken over."""

import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from merope.core import lifecycle
from merope.model import passwords
from merope.model.kinds import KINDS
from merope.model.phase import phase_of
from merope.model.state import State
from merope.model.states import VmState
from merope.model.user import User
from merope.store.backup import backup
from merope.store.copying import Progress
from merope.store.errors import StoreError
from merope.store.location import File, Location, open_beside, open_store
from merope.store.sql import SqlStore

_OURS = "merope_log"


def is_anothers(location: Location) -> bool:
    """Whether there is a database that no Merope has opened yet. Raises StoreError."""
    if isinstance(location, File) and (not location.path.exists() or not location.path.stat().st_size):
        return False
    with closing(open_beside(location)) as store:
        found = store.check()
    return bool(found) and _OURS not in found


def adopt(
    home: Path,
    location: Location,
    *,
    login: str = "",
    copy: Path | None = None,
    copied: bool = True,
    progress: Progress | None = None,
) -> list[str]:
    """Takes another's database over; answers what was done, in sentences, empty when there is none.

    The copy is made first, in `copy` or beside the files of `home`; `copied` False: none. `login` is
    `user:password` of the administrator, which must be the one that the database knows. Raises StoreError:
    of another version, damaged, in use.
    """
    if not is_anothers(location):
        return []
    kept = None
    if copied:
        name = location.path.name if isinstance(location, File) else location.database
        kept = copy or home / f"{name}.before-merope-{time.strftime('%Y%m%d-%H%M%S')}.backup"
        backup(home, kept, progress, location)
    try:
        with closing(open_store(location)) as store:
            state = State()
            store.load(state)
            return list(_sentences(store, state, kept, login))
    except StoreError as error:
        where = f" What it held is in {kept}." if kept else ""
        raise StoreError(f"{error}{where}") from error


def _sentences(store: SqlStore, state: State, kept: Path | None, login: str) -> Iterable[str]:
    where = f"{store.where[:1].upper()}{store.where[1:]}"
    wrote = store.query("SELECT version, comment FROM local_db_versioning ORDER BY oid DESC LIMIT 1")
    version = wrote[0][0] if wrote else "5.12"
    yield f"{where} was written by OpenNebula {version}. It holds {_counts(store, state)}."
    if kept is not None:
        yield f"As it was, it is kept in {kept}; `one restore` puts it back. Keep it as you keep a password."
    yield from (f"{sentence}." for sentence in store.made)
    waiting = sorted(_waiting(state))
    if waiting:
        named = ", ".join(f"{oid} ({phase})" for oid, phase in waiting[:20])
        more = f" and {len(waiting) - 20} more" if len(waiting) > 20 else ""
        yield f"Operations that OpenNebula had under way are begun anew: VM {named}{more}."
    if login and not _knows(state, login):
        yield (
            "The login in .one/one_auth is not the administrator's of this database: put the one_auth (and "
            "one_key, sunstone_auth and the like) of the old front-end's ~oneadmin/.one there."
        )


def _counts(store: SqlStore, state: State) -> str:
    words = []
    for kind in KINDS:
        count = len(state.pools[kind.table])
        if kind.table == "vm_pool":
            done = store.query(f"SELECT COUNT(*) FROM vm_pool WHERE state={VmState.DONE:d}")[0][0]  # noqa: S608
            words.append(f"{count} VMs and {done} that are done")
        elif count:
            words.append(f"{count} {kind.label}{'' if count == 1 else 's'}")
    return ", ".join(words)


def _waiting(state: State) -> Iterable[tuple[int, str]]:
    for oid in state.pools["vm_pool"].by_state.get(VmState.ACTIVE, ()):
        entry = state.pools["vm_pool"].entries[oid]
        with suppress(ValueError, KeyError):
            phase = phase_of(entry.state, entry.lcm_state)
            if phase in lifecycle.EFFECTS:
                yield oid, phase.name


def _knows(state: State, login: str) -> bool:
    name, _, password = login.partition(":")
    oid = state.pools["user_pool"].named(name, 0)
    user = None if oid is None else state.pools["user_pool"].parsed(oid)
    return isinstance(user, User) and passwords.verify(user.password, password)
