"""Transfer on a file system that every host mounts: images are copied, persistent ones used in place."""

from pathlib import Path

from merope.drivers.paths import vm_path
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import LocalTransfer


class SharedTransfer(LocalTransfer):
    """A path is the same file on every host, so each host can do everything."""

    def _here(self, place: Place) -> Path:
        return vm_path(self.location, place.path)

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        self._copied(source, target, size, image_format)

    def link(self, source: Path, target: Place, image_format: str) -> None:  # noqa: ARG002 - it is the image itself
        self._linked(source, target)

    def save_back(self, disk: Place, source: Path) -> None:
        self._returned(disk, source)
