"""Transfer to hosts with storage of their own: every disk is a copy, persistent ones are returned."""

from pathlib import Path

from merope.drivers.carrier import carried_name
from merope.drivers.diskimage import check_format, grow, size_mb, virtual_size
from merope.drivers.files import move_file, remove
from merope.drivers.snapshot_files import snapshot_directory
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import LocalTransfer


class SshTransfer(LocalTransfer):
    """On a host, what the front-end has carried there (`drivers/carrier.py`) becomes the disk; images are not
    on hosts."""

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        if not self._taken(target, size, check_format(image_format)):
            self._copied(source, target, size, image_format)

    def link(self, source: Path, target: Place, image_format: str) -> None:
        if not self._taken(target, 0, check_format(image_format)):
            self._brought(source, target, image_format)

    def _taken(self, target: Place, size: int, image_format: str) -> bool:
        """Whether there was something carried. The disk comes last and says that all of it is there."""
        path = self._here(target)
        coming = carried_name(path)
        if not coming.is_file():
            return False
        if not self._needed(path):
            remove(coming)
            return True
        if size > size_mb(virtual_size(coming, image_format)):
            grow(coming, image_format, size)
        if snapshot_directory(coming).is_dir():
            remove(snapshot_directory(path))
            snapshot_directory(coming).rename(snapshot_directory(path))
        move_file(coming, path)
        return True

    def save_back(self, disk: Place, source: Path) -> None:
        self._returned(disk, source)
