"""What datastores have in common whose images are made elsewhere and only referred to here.

Nothing is copied, made or removed: SOURCE is what the image's PATH names. Images are persistent.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from merope.drivers.datastore.base import Exported, Stored, Usage
from merope.drivers.diskimage import size_mb
from merope.drivers.errors import DriverError
from merope.drivers.files import Progress
from merope.drivers.machine import Machine, bridge
from merope.drivers.ssh import Ssh
from merope.model.datastore import Datastore
from merope.model.image import Image

_PLENTY = 1024 * 1024
"""MB that such a datastore is said to have, as in 5.12: what there is is not its own."""


class ReferredDatastore(ABC):
    """`ssh` reaches the hosts of BRIDGE_LIST."""

    what: ClassVar[str]
    """What an image is, in messages."""

    def __init__(
        self, *, protected: tuple[Path, ...] = (), progress: Progress | None = None, ssh: Ssh | None = None
    ) -> None:
        self._ssh = ssh

    @abstractmethod
    def checked(self, path: str, datastore: Datastore) -> str:
        """SOURCE for an image of that PATH. Raises DriverError where it may not be one."""

    @abstractmethod
    def length(self, source: str, datastore: Datastore) -> int:
        """Bytes."""

    def copy(self, image: Image, datastore: Datastore) -> Stored:
        return Stored(self.checked(image.path, datastore), "raw")

    def stat(self, path: str, datastore: Datastore) -> int:
        return size_mb(self.length(self.checked(path, datastore), datastore))

    def remove(self, image: Image, datastore: Datastore) -> None:  # noqa: B027 - nothing is to be done
        """What is referred to stays as it is."""

    def monitor(self, datastore: Datastore) -> Usage:
        return Usage(_PLENTY, 0, _PLENTY)

    def make(self, image: Image, datastore: Datastore) -> Stored:
        raise self._cannot("be made")

    def clone(self, image: Image, source: str, datastore: Datastore) -> Stored:
        raise self._cannot("be cloned")

    def export(self, image: Image, datastore: Datastore) -> Exported:
        raise self._cannot("be offered in a marketplace")

    def snapshot_delete(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        raise self._cannot("have snapshots")

    def snapshot_revert(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        raise self._cannot("have snapshots")

    def snapshot_flatten(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        raise self._cannot("have snapshots")

    def machine(self, datastore: Datastore) -> Machine:
        """Where the storage is asked: here, or on a host of BRIDGE_LIST."""
        return bridge(datastore.template.get("BRIDGE_LIST"), datastore.id, self._ssh)

    def _cannot(self, what: str) -> DriverError:
        return DriverError(f"an image that is {self.what} cannot {what}: it is made and kept elsewhere")
