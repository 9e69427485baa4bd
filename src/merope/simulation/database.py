"""A real database beside the simulated one, which must end up the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from merope.model.change import Change, Put
from merope.model.state import State
from merope.simulation.disk import Broken, Disk
from merope.simulation.portrait import difference, portrait
from merope.store.sqlite import SqliteStore

#: Where there is one, a directory in memory.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a private directory is made in it


@contextmanager
def real_database(disk: Disk) -> Iterator[None]:
    """Everything that `disk` gets is also written to SQLite while the block runs, and then compared."""
    where = str(_IN_MEMORY) if _IN_MEMORY.is_dir() else None
    with TemporaryDirectory(prefix="merope-", dir=where) as directory:
        store = SqliteStore(Path(directory) / "one.db")
        try:
            rows = ((table, key, row) for table, found in disk.rows.items() for key, row in found.items())
            store.commit([Change(disk.index, 0, tuple(Put(*each) for each in rows))])
            disk.twin = store
            yield
            compare(disk, store)
            store.close()
            store = SqliteStore(Path(directory) / "one.db")
            compare(disk, store)
        finally:
            store.close()


def compare(disk: Disk, store: SqliteStore) -> None:
    """Raises Broken where a start from the real database differs from one from the simulated one."""
    state = State()
    store.load(state)
    found = difference(portrait(state), portrait(disk.loaded()))
    if found:
        raise Broken(f"SQLite (first) and the simulated database differ: {found[:1500]}")
    archived = [entry.body for entry in store.archived_vms()]
    if archived != [entry.body for entry in disk.archived_vms()]:
        raise Broken("SQLite and the simulated database have different finished VMs")
