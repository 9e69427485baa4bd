"""What the transfer drivers have in common when the host is this machine."""

import os
from collections.abc import Collection
from pathlib import Path

from merope.drivers import context as context_image
from merope.drivers.context import Context
from merope.drivers.diskimage import check_format, grow, size_mb, virtual_size
from merope.drivers.errors import DriverError
from merope.drivers.files import (
    copy_file,
    is_complete,
    leftovers,
    make_directory,
    move_file,
    new_file,
    remove,
    sync_directory,
)
from merope.drivers.filesystems import make_disk
from merope.drivers.localhost import is_local
from merope.drivers.paths import Allowed, vm_path
from merope.drivers.transfer.base import Place

_CLOSED_TO_CONTEXT = tuple(map(Path, ("/dev", "/etc", "/proc", "/root", "/run", "/sys")))


class LocalTransfer:
    """Everything but how an image becomes a disk and goes back.

    `location` is DATASTORE_LOCATION. `local_names` are names that hosts may have here besides this
    machine's own. `context_files` says what CONTEXT/FILES and FILES_DS may name: by default the
    datastores, and everything else but the directories of the system's and of the cloud's secrets.
    """

    def __init__(
        self, location: Path, *, local_names: Collection[str] = (), context_files: Allowed | None = None
    ) -> None:
        self.location = location
        self._local_names = frozenset(local_names)
        real = Path(os.path.realpath(location))
        self._context_files = context_files or Allowed((real,), (*_CLOSED_TO_CONTEXT, real.parent))

    def make_swap(self, size: int, target: Place) -> None:
        self.make_image(size, "raw", "swap", target)

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        path = self._here(target)
        if self._needed(path):
            with new_file(path) as part:
                make_disk(part, size, image_format, filesystem)

    def make_context(self, context: Context, target: Place) -> None:
        context_image.build(self._here(target), context, self._context_files)

    def move(self, source: Place, target: Place) -> None:
        origin, destination = self._here(source), self._here(target)
        if origin == destination:
            return
        if origin.is_dir() and not origin.is_symlink():
            _move_directory(origin, destination)
        elif os.path.lexists(origin):
            make_directory(destination.parent)
            move_file(origin, destination)
        # A directory that was never there had no disks, and there is nothing to bring.
        elif not os.path.lexists(destination) and origin.parent.parent != self.location:
            raise DriverError(f"{origin} is not there, and has not been moved to {destination}")

    def delete(self, target: Place) -> None:
        path = self._here(target)
        leftovers(path)
        remove(path)

    def resize(self, target: Place, size: int, image_format: str) -> None:
        path = self._here(target)
        if not path.is_file():
            raise DriverError(f"the disk {path} is not there and cannot be resized")
        grow(path, image_format, size)

    def _copied(self, source: Path, target: Place, size: int, image_format: str) -> None:
        path = self._here(target)
        check_format(image_format)
        if self._needed(path):
            with new_file(path) as part:
                copy_file(existing_image(source), part)
                if size > size_mb(virtual_size(part, image_format)):
                    grow(part, image_format, size)

    def _linked(self, source: Path, target: Place) -> None:
        path = self._here(target)
        if self._needed(path):
            path.symlink_to(existing_image(source))
            sync_directory(path.parent)

    def _returned(self, disk: Place, source: Path) -> None:
        """A disk that is a copy replaces its image, one that is a link to it is removed."""
        path = self._here(disk)
        if path.is_symlink():
            path.unlink()
        elif path.exists():
            move_file(path, Path(os.path.realpath(source)))
        else:
            existing_image(source)

    def _here(self, place: Place) -> Path:
        if place.host not in self._local_names and not is_local(place.host):
            raise DriverError(f"{place.host} is not this machine, and disks cannot be brought to it yet")
        return vm_path(self.location, place.path)

    @staticmethod
    def _needed(path: Path) -> bool:
        """Whether the disk has still to be made, in a directory that is there."""
        if is_complete(path):
            return False
        make_directory(path.parent)
        return True


def existing_image(source: Path) -> Path:
    """`source`, checked to be an image file. Raises DriverError."""
    if not source.is_absolute():
        raise DriverError(f"the image {source} must be an absolute path")
    if not source.is_file():
        raise DriverError(f"the image {source} is not there")
    return source


def _move_directory(origin: Path, destination: Path) -> None:
    make_directory(destination)
    for entry in sorted(origin.iterdir()):
        if entry.name.endswith(".part"):
            remove(entry)
        elif entry.is_dir() and not entry.is_symlink():
            _move_directory(entry, destination / entry.name)
        else:
            move_file(entry, destination / entry.name)
    origin.rmdir()
    sync_directory(destination.parent)
