"""Transfer to hosts with storage of their own: every disk is a copy, persistent ones are returned."""

from pathlib import Path

from merope.drivers.diskimage import check_format
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import LocalTransfer


class SshTransfer(LocalTransfer):
    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        self._copied(source, target, size, check_format(image_format))

    def link(self, source: Path, target: Place, image_format: str) -> None:
        self._brought(source, target, image_format)

    def save_back(self, disk: Place, source: Path) -> None:
        self._returned(disk, source)
