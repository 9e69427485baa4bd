"""Disks as volumes of Ceph, named as in 5.12: `<pool>/one-<image>-<vm>-<disk>`, `<pool>/one-sys-<vm>-<disk>`.

Persistent images are used in place; clones hold their differences to the image. Where the system datastore
keeps files (TM_MAD_SYSTEM ssh) a disk is a copy of the volume in the VM's directory.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

import tempfile
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.files import leftovers, make_directory, new_file, remove
from merope.drivers.filesystems import make_disk
from merope.drivers.rbd import DEFAULT_POOL, Cluster, checked
from merope.drivers.transfer.base import LiveSnapshot, Place
from merope.drivers.transfer.storage import StorageTransfer, require_size

_COPY = "copy"
"""The snapshot that a disk is saved from, so that what is saved is of one moment."""


class CephTransfer(StorageTransfer):
    what = "volumes of Ceph"
    copies_running = True

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        if not hasattr(self, "disk"):
            self._copied(source, target, size, image_format)
            return
        self.require_raw(image_format)
        if self.is_file:
            self._exported(source, target)
            if size:
                self.resize(target, size, image_format)
            return
        volume = self._volume(target)
        self._cluster.clone(checked(str(source)), volume)
        if size:
            self._cluster.grow(volume, size)

    def link(self, source: Path, target: Place, image_format: str) -> None:
        self.require_raw(image_format)
        if self.is_file:
            self._exported(source, target)
            return
        self.numbers(target)
        self._cluster.size(checked(str(source)))
        self._cluster.retire_base(str(source))

    def _exported(self, source: Path, target: Place) -> None:
        path = self._here(target)
        if [name for name in self._cluster.snapshots(str(source)) if name.isdecimal()]:
            raise DriverError(f"the image {source} has snapshots, and cannot be brought to a host as a file")
        if self._needed(path):
            with new_file(path) as part:
                self._cluster.read(checked(str(source)), part)

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        self.require_raw(image_format)
        require_size(size)
        volume, path = self._volume(target), self._here(target)
        if not filesystem:
            self._cluster.create(volume, size)
            return
        make_directory(path.parent)
        leftovers(path)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=".part", dir=path.parent) as staging:
            made = Path(staging) / "disk"
            make_disk(made, size, image_format, filesystem)
            self._cluster.take(made, volume)

    def move(self, source: Place, target: Place) -> None:
        """The volume is where every host finds it; it is renamed when it goes to another VM."""
        if not self.is_disk(source):
            super().move(source, target)
        elif not self.is_image:
            self._cluster.rename(self._volume(source), self._volume(target))

    def save_back(self, disk: Place, source: Path) -> None:
        self._cluster.size(checked(str(source)))
        path = self._here(disk)
        if self.is_file and path.exists():
            self._cluster.overwrite(path, str(source))
            remove(path)

    def delete(self, target: Place) -> None:
        if not self.is_disk(target):
            super().delete(target)
            return
        leftovers(self._here(target))
        if not self.is_image:
            to_trash = self.disk.get("CEPH_TRASH", "").upper() == "YES"
            self._cluster.remove(self._volume(target), to_trash=to_trash)

    def resize(self, target: Place, size: int, image_format: str) -> None:
        if self.is_file:
            super().resize(target, size, image_format)
        else:
            self._cluster.grow(self._volume(target), size)

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        if self.is_file:
            super().snapshot_create(disk, snapshot, image_format)
        else:
            self._cluster.snap(self._volume(disk), str(snapshot))

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        """Ceph takes it at one moment while the guest writes."""
        if self.is_file:
            return super().snapshot_live(disk, snapshot, image_format)
        self._cluster.snap(self._volume(disk), str(snapshot))
        return None

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        if self.is_file:
            super().snapshot_revert(disk, snapshot, image_format)
        else:
            self._cluster.revert(self._volume(disk), str(snapshot))

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        if self.is_file:
            super().snapshot_delete(disk, snapshot)
        else:
            self._cluster.unsnap(self._volume(disk), str(snapshot))

    def image_target(self, source: Path) -> Path:
        return Path(checked(str(source)))

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        target = checked(str(source))
        if self.is_file:
            self._cluster.overwrite(self._there(disk), target)
            return
        volume = self._volume(disk)
        if snapshot >= 0:
            self._cluster.replace(volume, target, str(snapshot))
            return
        self._cluster.unsnap(volume, _COPY)
        self._cluster.snap(volume, _COPY)
        self._cluster.replace(volume, target, _COPY)
        self._cluster.unsnap(volume, _COPY)

    @property
    def _cluster(self) -> Cluster:
        return Cluster.of(self.disk)

    def _volume(self, place: Place) -> str:
        """The volume of the VM's disk: a volatile one, a clone, or the image itself."""
        vm, number = self.numbers(place)
        source = self.disk.get("SOURCE", "")
        if not source:
            return checked(f"{self.disk.get('POOL_NAME') or DEFAULT_POOL}/one-sys-{vm}-{number}")
        return checked(source) if self.is_image else checked(f"{source}-{vm}-{number}")
