"""The interface of a transfer driver: how a VM's disks get to a host and back.

Idempotent: a target that is already there and complete is left alone or replaced as a whole (written
beside it, then renamed); deleting what is not there succeeds; moving what has already arrived succeeds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Place:
    """A path on a host; `host` is empty for the front-end."""

    host: str
    path: Path


class Transfer(Protocol):
    """Raises DriverError. Sizes in MB."""

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        """A private copy of an image for a VM's disk, grown to `size` when that is larger."""
        ...

    def link(self, source: Path, target: Place) -> None:
        """Gives a VM the image itself (persistent images), or a copy that `save_back` returns."""
        ...

    def make_swap(self, size: int, target: Place) -> None: ...

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        """A volatile disk: raw or qcow2, with a file system when one is named."""
        ...

    def move(self, source: Place, target: Place) -> None:
        """Moves a disk or a whole system directory between hosts, or host and front-end."""
        ...

    def save_back(self, disk: Place, source: Path) -> None:
        """Returns a persistent disk to its image after use."""
        ...

    def delete(self, target: Place) -> None:
        """Removes a disk or a system directory; inside the datastore location only."""
        ...

    def resize(self, target: Place, size: int) -> None: ...
