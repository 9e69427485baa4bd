"""What transfer drivers have in common whose disks are on a storage that hosts reach by themselves.

A VM's directory is its host's own, with its CONTEXT and what else is a file. Where a disk is follows from
what the VM's template says of it (SOURCE, CLONE, what it has of its datastore) and from the ids in its path.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from merope.drivers.diskimage import check_format
from merope.drivers.errors import DriverError
from merope.drivers.paths import vm_parts
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import LocalTransfer


class StorageTransfer(LocalTransfer, ABC):
    """`disk` is the DISK that the driver is for, see `for_disk`."""

    what: ClassVar[str]
    """What the disks are called in messages."""
    disk: Mapping[str, str]

    @abstractmethod
    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None: ...

    @abstractmethod
    def link(self, source: Path, target: Place, image_format: str) -> None: ...

    @abstractmethod
    def save_back(self, disk: Place, source: Path) -> None: ...

    def activate(self, disk: Place) -> None:
        """Makes sure that this host reaches the disk, before a guest starts that uses it."""

    def deactivate(self, disk: Place) -> None:
        """After a guest has gone: another host may be the next."""

    def for_disk(self, disk: Mapping[str, str]) -> Self:
        """The driver for one disk of a VM."""
        bound = copy.copy(self)
        bound.disk = disk
        return bound

    @property
    def is_image(self) -> bool:
        """Whether the disk is a persistent image, and not a copy of one."""
        return bool(self.disk.get("SOURCE")) and self.disk.get("CLONE", "").upper() != "YES"

    @property
    def is_file(self) -> bool:
        """Whether the disk is a file in the VM's directory, where the system datastore keeps files."""
        return self.disk.get("DISK_TYPE", "").upper() == "FILE"

    def numbers(self, place: Place) -> tuple[int, int]:
        """The ids of the VM and of the disk that a place is for. Raises DriverError where it is none."""
        self._here(place)
        _, vm, *name = vm_parts(self.location, place.path)
        kind, _, number = (name or [""])[0].partition(".")
        if kind != "disk" or not number.isdecimal():
            raise DriverError(f"{place.path} is not a disk")
        return int(vm), int(number)

    def is_disk(self, place: Place) -> bool:
        """Whether a place is one of a disk on the storage; directories and CONTEXT are files."""
        self._here(place)
        names = vm_parts(self.location, place.path)
        return len(names) == 3 and hasattr(self, "disk") and not self.is_file

    def require_raw(self, image_format: str) -> None:
        if check_format(image_format) != "raw":
            raise DriverError(f"{self.what} hold disks of the image format raw, not {image_format}")


def require_size(size: int) -> None:
    if size < 1:
        raise DriverError(f"a disk of {size} MB cannot be made; the least is 1 MB")
