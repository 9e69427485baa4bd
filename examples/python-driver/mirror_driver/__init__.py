"""A transfer driver in Python: every disk is a copy, and every copy of a persistent image goes back to it.

Also hosts need the package, in the Python that runs workers (SSH/PYTHON of oned.conf).
"""

from pathlib import Path

from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import LocalTransfer


class MirrorTransfer(LocalTransfer):
    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        self._copied(source, target, size, image_format)

    def link(self, source: Path, target: Place, image_format: str) -> None:
        self._brought(source, target, image_format)

    def save_back(self, disk: Place, source: Path) -> None:
        self._returned(disk, source)
