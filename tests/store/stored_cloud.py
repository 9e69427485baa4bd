"""A small cloud whose changes are in a database."""

from pathlib import Path
from typing import Any

from tests.core.vm_world import Cloud

from merope.core.transaction import Transaction
from merope.model.change import Change
from merope.store.sqlite import SqliteStore


class StoredCloud(Cloud):
    """Two hosts, a network, two images, user ann; whatever happens to it is noted for `write`."""

    def __init__(self, **settings: Any) -> None:
        self.changes: list[Change] = []
        super().__init__(**settings)

    def commit(self, tx: Transaction) -> None:
        self.changes.append(tx.commit(self.index + 1)[0])
        super().commit(tx)

    def write(self, path: Path) -> None:
        """Stores every change, in groups."""
        store = SqliteStore(path)
        for first in range(0, len(self.changes), 7):
            store.commit(self.changes[first : first + 7])
        store.close()


def eventful() -> StoredCloud:
    """VMs: 0 at rest, 1 finished, 2 on its way to the other host, 3 held, 4 starting."""
    cloud = StoredCloud()
    off = cloud.running()
    cloud.call(2, "one.vm.action", "poweroff", off)
    cloud.steps(1)
    done = cloud.running()
    cloud.call(2, "one.vm.action", "terminate-hard", done)
    cloud.steps(2)
    cloud.call(0, "one.vm.migrate", cloud.running(), 1, False, False, -1, 0)
    cloud.vm(hold=True)
    cloud.call(0, "one.vm.deploy", cloud.vm(), 1)
    cloud.image("being-made", made=False)
    return cloud
