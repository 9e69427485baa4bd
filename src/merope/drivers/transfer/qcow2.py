"""Transfer on a shared file system where a VM's disk holds only its differences to the image."""

from pathlib import Path

from merope.drivers.diskimage import check_format, create_overlay, size_mb, virtual_size
from merope.drivers.files import new_file
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import existing_image
from merope.drivers.transfer.shared import SharedTransfer


class Qcow2Transfer(SharedTransfer):
    """The disks of cloned images are qcow2, whatever the image's format is."""

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        """Names the image by its absolute path, so that the VM's directory can be moved."""
        path = self._here(target)
        check_format(image_format)
        if not path.name.startswith("disk."):
            # A kernel is read by the hypervisor as the file that it is.
            self._copied(source, target, 0, "raw")
        elif self._needed(path):
            with new_file(path) as part:
                backing = existing_image(source)
                larger = size > size_mb(virtual_size(backing, image_format))
                create_overlay(part, backing, image_format, size if larger else None)
