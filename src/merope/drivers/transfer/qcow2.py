"""Transfer on a shared file system where a VM's disk holds only its differences to the image."""

from pathlib import Path

from merope.drivers.diskimage import check_format, create_overlay, size_mb, virtual_size
from merope.drivers.files import is_complete, new_file, new_link
from merope.drivers.snapshot_files import begin_chain, image_files
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import existing_image
from merope.drivers.transfer.shared import SharedTransfer


class Qcow2Transfer(SharedTransfer):
    """The disks of cloned images are qcow2, whatever the image's format is, and their snapshots chains."""

    chains = True

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        """Names the image by its absolute path, so that the VM's directory can be moved."""
        path = self._here(target)
        check_format(image_format)
        if not path.name.startswith("disk."):
            # A kernel is read by the hypervisor as the file that it is.
            self._copied(source, target, 0, "raw")
        elif self._needed(path):
            first = begin_chain(path)
            if not is_complete(first):
                with new_file(first) as part:
                    backing = image_files(existing_image(source)).active
                    larger = size > size_mb(virtual_size(backing, image_format))
                    create_overlay(part, backing, image_format, size if larger else None)
            new_link(path, Path(first.parent.name, first.name))
