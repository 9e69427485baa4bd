"""What transfer drivers have in common whose images are made elsewhere: a VM uses the image itself."""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

from abc import abstractmethod
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import LiveSnapshot, Place
from merope.drivers.transfer.storage import StorageTransfer


class LinkedTransfer(StorageTransfer):
    @abstractmethod
    def reach(self, disk: Place, source: Path) -> None:
        """Makes the image the VM's disk."""

    def link(self, source: Path, target: Place, image_format: str) -> None:
        self.require_raw(image_format)
        self.numbers(target)
        self.reach(target, source)

    def activate(self, disk: Place) -> None:
        self.reach(disk, Path(self.disk["SOURCE"]))

    def save_back(self, disk: Place, source: Path) -> None:
        """The guest wrote to the image itself."""
        self.delete(disk)

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        raise self._cannot("be copied: make the image persistent")

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        raise self._cannot("be volatile")

    def resize(self, target: Place, size: int, image_format: str) -> None:
        raise self._cannot("be resized")

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        raise self._cannot("have snapshots")

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        raise self._cannot("have snapshots")

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        raise self._cannot("have snapshots")

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        raise self._cannot("have snapshots")

    def image_target(self, source: Path) -> Path:
        raise self._cannot("be saved over")

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        raise self._cannot("be saved as images")

    def _cannot(self, what: str) -> DriverError:
        return DriverError(f"{self.what} cannot {what}")
