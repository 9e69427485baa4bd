"""Disks that are block devices of the hosts: `disk.<id>` in the VM's directory is a link to the device."""

import os
import stat
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.files import leftovers, make_directory, remove, replaced_file
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.linked import LinkedTransfer


class DevTransfer(LinkedTransfer):
    what = "disks that are devices"

    def reach(self, disk: Place, source: Path) -> None:
        path = self._here(disk)
        if not source.is_absolute() or ".." in source.parts:
            raise DriverError(f"the device {source} must be an absolute path")
        try:
            is_device = stat.S_ISBLK(source.stat().st_mode)
        except OSError as error:
            raise DriverError(f"the device {source} is not there: {error.strerror}") from error
        if not is_device:
            raise DriverError(f"{source} is not a block device")
        if not path.is_symlink() or os.readlink(path) != str(source):
            make_directory(path.parent)
            with replaced_file(path) as part:
                part.symlink_to(source)

    def move(self, source: Place, target: Place) -> None:
        """The device is where it was; a directory that is moved takes its links along."""
        if not self.is_disk(source):
            super().move(source, target)
        elif self._here(source) != self._here(target):
            self.activate(target)
            remove(self._here(source))

    def delete(self, target: Place) -> None:
        """The link goes and the device stays."""
        if not self.is_disk(target):
            super().delete(target)
            return
        path = self._here(target)
        leftovers(path)
        remove(path)
