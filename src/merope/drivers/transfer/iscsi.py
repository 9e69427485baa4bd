"""Disks that are targets of iSCSI, which the hypervisor logs in to: there is nothing on the host."""

from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.linked import LinkedTransfer


class IscsiTransfer(LinkedTransfer):
    what = "disks that are targets of iSCSI"

    def reach(self, disk: Place, source: Path) -> None:
        self.numbers(disk)
        if not str(source).startswith("iqn."):
            raise DriverError(f"{str(source)!r} is not the name of a target of iSCSI")

    def move(self, source: Place, target: Place) -> None:
        if not self.is_disk(source):
            super().move(source, target)

    def delete(self, target: Place) -> None:
        if not self.is_disk(target):
            super().delete(target)
