"""What the transfer drivers have in common when the host is this machine."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from merope.drivers import context as context_image
from merope.drivers import snapshot_files
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
    new_link,
    remove,
    sync_directory,
)
from merope.drivers.filesystems import make_disk
from merope.drivers.localhost import is_local
from merope.drivers.paths import Allowed, vm_path
from merope.drivers.snapshot_files import DiskFiles, disk_files, image_files, snapshot_directory
from merope.drivers.transfer.base import LiveSnapshot, Place

_CLOSED_TO_CONTEXT = tuple(map(Path, ("/dev", "/etc", "/proc", "/root", "/run", "/sys")))


class LocalTransfer:
    """Everything but how an image becomes a disk and goes back.

    With `chains` a snapshot of a qcow2 image that is used in place begins a chain of differences;
    otherwise snapshots are copies.

    `location` is DATASTORE_LOCATION. `local_names` are names that hosts may have here besides this
    machine's own. `context_files` says what CONTEXT/FILES and FILES_DS may name: by default the
    datastores, and everything else but the directories of the system's and of the cloud's secrets.
    """

    chains = False
    copies_running: ClassVar[bool] = False

    def __init__(
        self, location: Path, *, local_names: Collection[str] = (), context_files: Allowed | None = None
    ) -> None:
        self.location = location
        self._local_names = frozenset(local_names)
        self._context_files = context_files or files_of_context(location)

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
            if snapshot_directory(origin).is_dir():
                _move_directory(snapshot_directory(origin), snapshot_directory(destination))
            move_file(origin, destination)
        # A directory that was never there had no disks, and there is nothing to bring.
        elif not os.path.lexists(destination) and origin.parent.parent != self.location:
            raise DriverError(f"{origin} is not there, and has not been moved to {destination}")

    def delete(self, target: Place) -> None:
        path = self._here(target)
        leftovers(path)
        if path.parent.parent != self.location:
            remove(path)
            snapshot_files.discard(path)
            return
        # At once: half a directory would be taken for all of it by who moves the VM a second time.
        gone = path.with_name(f".{path.name}.gone")
        remove(gone)
        if path.is_dir() and not path.is_symlink():
            path.rename(gone)
            sync_directory(path.parent)
            remove(gone)
        else:
            remove(path)

    def resize(self, target: Place, size: int, image_format: str) -> None:
        path = self._here(target)
        if not path.is_file():
            raise DriverError(f"the disk {path} is not there and cannot be resized")
        grow(path, image_format, size)

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        files = self._snapshots_of(disk, image_format)
        snapshot_files.create(files, snapshot)

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        files = self._snapshots_of(disk, image_format)
        if files.chained:
            return LiveSnapshot(snapshot_files.extend(files, snapshot), chained=True)
        target = snapshot_files.place_for_copy(files, snapshot)
        return None if target is None else LiveSnapshot(target, chained=False)

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        check_format(image_format)
        snapshot_files.revert(disk_files(self._there(disk)), snapshot)

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        snapshot_files.delete(disk_files(self._there(disk)), snapshot)

    def image_target(self, source: Path) -> Path:
        store = source.parent
        if ".." in source.parts or store.parent != self.location or not store.name.isdecimal():
            raise DriverError(f"{source} is not an image in a datastore below {self.location}")
        if source.is_symlink():
            raise DriverError(f"{source} is a link, and a disk cannot be saved over it")
        return existing_image(source)

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        self._write_out(disk, snapshot, image_format, self.image_target(source), source_format)

    def copy_beside(
        self, disk: Place, snapshot: int, image_format: str, target: Place, target_format: str
    ) -> None:
        """Like copy_out, to a file in the VM's directory."""
        self._write_out(disk, snapshot, image_format, self._here(target), target_format)

    def _write_out(
        self, disk: Place, snapshot: int, image_format: str, target: Path, target_format: str
    ) -> None:
        files = disk_files(self._there(disk))
        kept = files.active if snapshot < 0 else files.snapshot(snapshot)
        snapshot_files.write_out(kept, check_format(image_format), target, check_format(target_format))

    def _snapshots_of(self, disk: Place, image_format: str) -> DiskFiles:
        files = disk_files(self._there(disk))
        begins = self.chains and check_format(image_format) == "qcow2"
        if files.is_image and (begins or files.chained):
            return snapshot_files.chain_of_image(files)
        return files

    def _there(self, disk: Place) -> Path:
        path = self._here(disk)
        if not path.is_file():
            raise DriverError(f"the disk {path} is not there")
        return path

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
            new_link(path, image_files(existing_image(source)).active)

    def _brought(self, source: Path, target: Place, image_format: str) -> None:
        """A copy of an image with its snapshots; the disk comes last and says that all are there."""
        path, image = self._here(target), image_files(existing_image(source))
        check_format(image_format)
        if image.chained:
            raise DriverError(
                f"the image {source} has snapshots that are built on each other, "
                "and cannot be brought to a host with storage of its own"
            )
        if self._needed(path):
            snapshot_files.copy_all(image, path)
            with new_file(path) as part:
                copy_file(source, part)

    def _returned(self, disk: Place, source: Path) -> None:
        """A disk that is a copy replaces its image, one that is a link to it is removed."""
        path, image = self._here(disk), Path(os.path.realpath(source))
        if path.is_symlink():
            path.unlink()
            return
        existing_image(source)
        coming = image.with_name(f".{image.name}.returned")
        if snapshot_directory(path).is_dir():
            _move_directory(snapshot_directory(path), coming)
        if coming.is_dir():
            snapshot_files.take_over(image, coming)
        if path.exists():
            move_file(path, image)

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


def files_of_context(location: Path) -> Allowed:
    """What CONTEXT may name by default: all but the directories of the system's and the cloud's secrets."""
    real = Path(os.path.realpath(location))
    return Allowed((real,), (*_CLOSED_TO_CONTEXT, real.parent))


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
