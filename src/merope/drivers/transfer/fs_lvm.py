"""Disks as logical volumes of a group that all hosts reach: `vg-one-<datastore>/lv-one-<vm>-<disk>`.

Images are files in a datastore `fs` that hosts have at the same path; every disk is a copy, that of a
persistent image is returned. `disk.<id>` in the VM's directory is a link to the device. A snapshot is a
volume of its own, `lv-one-<vm>-<disk>_<snapshot>`. Names are those of 5.12.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

import os
import re
from pathlib import Path

from merope.drivers import lvm
from merope.drivers.diskimage import check_format, convert, size_mb, virtual_size
from merope.drivers.errors import DriverError
from merope.drivers.files import MB, leftovers, make_directory, remove, replaced_file
from merope.drivers.filesystems import make_filesystem
from merope.drivers.paths import vm_parts
from merope.drivers.snapshot_files import image_files, snapshot_numbers, take_over
from merope.drivers.transfer.base import LiveSnapshot, Place
from merope.drivers.transfer.local import existing_image
from merope.drivers.transfer.storage import StorageTransfer, require_size


class FsLvmTransfer(StorageTransfer):
    what = "logical volumes"
    copies_running = True

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        if not hasattr(self, "disk"):
            self._copied(source, target, size, image_format)
            return
        self._filled(existing_image(source), target, size, check_format(image_format))

    def link(self, source: Path, target: Place, image_format: str) -> None:
        """With the image's snapshots; the disk comes last and says that all are there."""
        image, volume = image_files(existing_image(source)), self._volume(target)
        for number in snapshot_numbers(image):
            kept = image.snapshot(number)
            with lvm.new_volume(_snapshot(volume, number), size_mb(virtual_size(kept, image_format))) as made:
                if made is not None:
                    lvm.write(kept, image_format, made)
        self._filled(source, target, 0, check_format(image_format))

    def _filled(self, source: Path, target: Place, size: int, image_format: str) -> None:
        megabytes = max(size, size_mb(virtual_size(source, image_format)), 1)
        volume = self._volume(target)
        with lvm.new_volume(volume, megabytes) as made:
            if made is not None:
                lvm.write(source, image_format, made)
        self._link(target)

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        self.require_raw(image_format)
        require_size(size)
        with lvm.new_volume(self._volume(target), size) as made:
            if made is not None:
                lvm.zero(made)
                make_filesystem(made, filesystem)
        self._link(target)

    def activate(self, disk: Place) -> None:
        """Gives this host the device, and the VM's directory a link to it."""
        lvm.activate(self._volume(disk))
        self._link(disk)

    def _link(self, disk: Place) -> None:
        volume, path = self._volume(disk), self._here(disk)
        target = str(lvm.device(volume))
        if not path.is_symlink() or os.readlink(path) != target:
            make_directory(path.parent)
            with replaced_file(path) as part:
                part.symlink_to(target)

    def deactivate(self, disk: Place) -> None:
        lvm.deactivate(self._volume(disk))

    def move(self, source: Place, target: Place) -> None:
        """The volume is where every host finds it; it is renamed when it goes to another VM."""
        if not self.is_disk(source):
            super().move(source, target)
            return
        before, after = self._volume(source), self._volume(target)
        if before == after:
            return
        for number in self._snapshots(before):
            lvm.rename(_snapshot(before, number), _snapshot(after, number))
        lvm.rename(before, after)
        remove(self._here(source))
        self.activate(target)

    def save_back(self, disk: Place, source: Path) -> None:
        volume, image = self._volume(disk), existing_image(source)
        if lvm.size(volume) is not None:
            self._return_snapshots(volume, image)
            lvm.activate(volume)
            length = max(virtual_size(image, "raw"), int(self.disk.get("SIZE") or 0) * MB)
            lvm.read(lvm.device(volume), image, min(length, lvm.require(volume)))
        self.delete(disk)

    def _return_snapshots(self, volume: str, image: Path) -> None:
        coming = image.with_name(f".{image.name}.returned")
        remove(coming)
        make_directory(coming)
        for number in self._snapshots(volume):
            lvm.read(
                self._device_of(volume, number), coming / str(number), lvm.require(_snapshot(volume, number))
            )
        take_over(image, coming)

    def delete(self, target: Place) -> None:
        if not self.is_disk(target):
            super().delete(target)
            return
        volume, path = self._volume(target), self._here(target)
        group, _, name = volume.partition("/")
        own = [each for each in lvm.volumes(group) if re.fullmatch(rf"{name}(_\w+)?(\.part)?", each)]
        for each in sorted(own, key=len, reverse=True):
            lvm.remove(f"{group}/{each}")
        remove(path)
        leftovers(path)

    def resize(self, target: Place, size: int, image_format: str) -> None:
        lvm.grow(self._volume(target), size)

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        """Of one moment, whether a guest writes or not."""
        volume = self._volume(disk)
        length = lvm.require(volume)
        with lvm.new_volume(_snapshot(volume, snapshot), size_mb(length)) as made:
            if made is not None:
                with lvm.at_one_moment(volume, f"{_name(volume)}_now") as seen:
                    lvm.write(seen, "raw", made)

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        self.snapshot_create(disk, snapshot, image_format)
        return None

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        volume = self._volume(disk)
        lvm.require(volume)
        lvm.activate(volume)
        lvm.write(self._device_of(volume, snapshot), "raw", lvm.device(volume))

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        volume = self._volume(disk)
        lvm.require(volume)
        for name in (f"{_snapshot(volume, snapshot)}.part", _snapshot(volume, snapshot)):
            lvm.remove(name)

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        target, volume = self.image_target(source), self._volume(disk)
        lvm.require(volume)
        if snapshot >= 0:
            _write_out(self._device_of(volume, snapshot), target, source_format)
            return
        with lvm.at_one_moment(volume, f"{_name(volume)}_now") as seen:
            _write_out(seen, target, source_format)

    def _volume(self, place: Place) -> str:
        vm, number = self.numbers(place)
        datastore = vm_parts(self.location, place.path)[0]
        return f"vg-one-{int(datastore)}/lv-one-{vm}-{number}"

    @staticmethod
    def _snapshots(volume: str) -> list[int]:
        group, _, name = volume.partition("/")
        found = (each.partition("_") for each in lvm.volumes(group) if each.startswith(f"{name}_"))
        return sorted(int(number) for _, _, number in found if number.isdecimal())

    @staticmethod
    def _device_of(volume: str, snapshot: int) -> Path:
        kept = _snapshot(volume, snapshot)
        if lvm.size(kept) is None:
            raise DriverError(f"the snapshot {snapshot} of {volume} is not there")
        lvm.activate(kept)
        return lvm.device(kept)


def _write_out(source: Path, target: Path, target_format: str) -> None:
    with replaced_file(target) as part:
        convert(source, "raw", part, target_format)


def _name(volume: str) -> str:
    return volume.partition("/")[2]


def _snapshot(volume: str, number: int) -> str:
    return f"{volume}_{number}"
