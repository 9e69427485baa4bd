"""The interface of a transfer driver: how a VM's disks get to a host and back.

Idempotent: a target that is already there and complete is left alone or replaced as a whole (written
beside it, then renamed); deleting what is not there succeeds; moving what has already arrived succeeds.

A VM's directory is `<DATASTORE_LOCATION>/<system datastore id>/<vm id>`; in it are `disk.<DISK_ID>`,
`checkpoint` (the memory of a suspended guest), `kernel` and `initrd`. What belongs to a disk, as its
snapshots in `disk.<DISK_ID>.snap`, comes and goes with it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from merope.drivers.context import Context


@dataclass(frozen=True, slots=True)
class Place:
    """A path on a host; `host` is empty for the front-end."""

    host: str
    path: Path


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """What the hypervisor has to do for a snapshot of a disk whose guest runs.

    `chained`: the guest goes on in the file `path`, which is there, and what it wrote to before is the
    snapshot. Otherwise the disk is copied to `path`, which is the snapshot.
    """

    path: Path
    chained: bool


class Transfer(Protocol):
    """Raises DriverError. Sizes in MB. Every target is a VM's directory or a file in it, and checked to be.

    The format of a disk is always said by the caller, who knows it, and never guessed from its content,
    which the guest can write.
    """

    copies_running: ClassVar[bool]
    """Whether copy_out may be given a disk that a guest writes to, and then keeps one moment of it."""

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        """A private copy of an image for a VM's disk, grown to `size` when that is larger.

        `image_format` is the image's (raw or qcow2); 0 for `size` leaves the size as it is (kernel, initrd).
        """
        ...

    def link(self, source: Path, target: Place, image_format: str) -> None:
        """Gives a VM the image itself (persistent images), or a copy that `save_back` returns.

        Its snapshots come along.
        """
        ...

    def make_swap(self, size: int, target: Place) -> None: ...

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        """A volatile disk: raw or qcow2, with a file system when one is named."""
        ...

    def make_context(self, context: Context, target: Place) -> None:
        """The CONTEXT CD-ROM; replaces the one that is there, so that every boot sees the newest values."""
        ...

    def move(self, source: Place, target: Place) -> None:
        """Moves a disk or a whole system directory between hosts, or host and front-end.

        A directory's content is merged into a target directory that is there.
        """
        ...

    def save_back(self, disk: Place, source: Path) -> None:
        """Returns a persistent disk to its image after use; the disk is gone afterwards."""
        ...

    def delete(self, target: Place) -> None:
        """Removes a disk or a system directory; inside the datastore location only."""
        ...

    def resize(self, target: Place, size: int, image_format: str) -> None:
        """Grows the disk of a VM that does not run to `size`; a disk never shrinks."""
        ...

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        """Keeps the disk of a VM that does not run as it is now, as its snapshot of that id.

        An id is given once to a disk; what has the id already is that snapshot.
        """
        ...

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        """Prepares a snapshot of a disk whose guest runs; None when it is there already and whole."""
        ...

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        """Makes the disk of a VM that does not run what it was; the snapshot stays."""
        ...

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        """Also while the guest runs. Refused when the disk or another snapshot is built on it."""
        ...

    def image_target(self, source: Path) -> Path:
        """Where a disk may be saved to: `source`, checked to be an image in a datastore of this cloud."""
        ...

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        """Writes a disk that nobody writes to, or its snapshot (-1: none), over the image `source`.

        `image_format` is the disk's, `source_format` the one that the image has.
        """
        ...
