"""The interface of a datastore driver: how images get into a datastore and out of it. Idempotent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from merope.model.datastore import Datastore
from merope.model.image import Image


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an image was put (SOURCE) and what format it has (raw, qcow2 …)."""

    source: str
    image_format: str


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that holds an image whole, the size of the disk in it in MB, and its format.

    A `staged` file was made for this, and is removed by whoever asked for it.
    """

    path: Path
    size: int
    image_format: str
    staged: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Capacity of a datastore in MB."""

    total: int
    used: int
    free: int


class DatastoreDriver(Protocol):
    """Raises DriverError. Paths are resolved and checked against SAFE_DIRS and RESTRICTED_DIRS.

    An image is known by its id and REGTIME and the datastore's id: done again for the same image, an
    operation answers what it answered before and stores nothing new.
    """

    def copy(self, image: Image, datastore: Datastore) -> Stored:
        """Registers the file or URL in the image's PATH; MD5 and SHA1 of its template are checked."""
        ...

    def make(self, image: Image, datastore: Datastore) -> Stored:
        """An empty image of SIZE MB, with the file system named FS when there is one."""
        ...

    def clone(self, image: Image, source: str, datastore: Datastore) -> Stored:
        """A copy of the image whose SOURCE is `source`, for the new `image`.

        `image.fstype` should be the original's format: a guest may have written to the original, so its
        content does not tell.
        """
        ...

    def remove(self, image: Image, datastore: Datastore) -> None:
        """Nothing is removed that this datastore has not made; what is not there is removed already."""
        ...

    def snapshot_delete(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        """Removes a snapshot of a persistent image; refused when the image is built on it."""
        ...

    def snapshot_revert(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        """Makes the image what it was when the snapshot was taken; the snapshot stays."""
        ...

    def snapshot_flatten(self, image: Image, snapshot: int, datastore: Datastore) -> None:
        """Makes the image what it was when the snapshot was taken, and removes all snapshots."""
        ...

    def export(self, image: Image, datastore: Datastore) -> Exported:
        """Where the image can be read from, to be offered in a marketplace. Nothing is changed."""
        ...

    def stat(self, path: str, datastore: Datastore) -> int:
        """Virtual size in MB (rounded up) of what `path` (a file or URL) would become as an image.

        Refuses what `copy` would refuse.
        """
        ...

    def monitor(self, datastore: Datastore) -> Usage: ...
