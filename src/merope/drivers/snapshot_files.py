"""The snapshots of a disk or an image as files, laid out as OpenNebula 5.12 has them: `<file>.snap/<id>`.

They have two forms. Copied: the file is the disk, and each snapshot a copy of it. Chained (qcow2): the
files of the directory hold the differences from one to the next, the newest is the disk, and `<file>` of
a VM's disk is a link to it. The files of a VM's own disk name each other relative to the VM's directory,
and the directory of the chain has a link to itself of its own name, so that the names are right from both
places and a VM's directory can be moved. The files of an image name each other in full.

A snapshot's id is usually the name of the file that was the newest when it was taken; where that file has
another number the id is a link to it. Ids are given once.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from merope.drivers.diskimage import backing_file, convert, create_layer
from merope.drivers.errors import DriverError
from merope.drivers.files import (
    copy_file,
    is_complete,
    leftovers,
    make_directory,
    new_file,
    remove,
    replaced_file,
    sync_directory,
)


@dataclass(frozen=True, slots=True)
class DiskFiles:
    """What a disk consists of.

    `base` is the file that the snapshots are beside: a VM's disk, or the image that it is. `active` is
    what the guest writes to. `link` is the VM's disk where that is a link, None where nothing links.
    """

    base: Path
    active: Path
    link: Path | None = None

    @property
    def directory(self) -> Path:
        return snapshot_directory(self.base)

    @property
    def chained(self) -> bool:
        return is_chained(self.base)

    @property
    def is_image(self) -> bool:
        """Whether the VM's disk is a link to the image itself, and no chain has taken its place."""
        return self.link is not None and self.active == self.base

    def snapshot(self, number: int) -> Path:
        """The file of a snapshot. Raises DriverError when it is not there."""
        path = followed(self.directory / str(number))
        if not path.is_file():
            raise DriverError(f"the snapshot {number} of {self.base} is not there")
        return path


def snapshot_directory(base: Path) -> Path:
    return base.with_name(f"{base.name}.snap")


def is_chained(base: Path) -> bool:
    directory = snapshot_directory(base)
    return (directory / directory.name).is_symlink()


def followed(path: Path) -> Path:
    """The file at the end of the links that `path` is; the directories above it stay as they are named."""
    for _ in range(8):
        if not path.is_symlink():
            return path
        path = path.parent / os.readlink(path)
    raise DriverError(f"{path} is a link to a link to a link")


def disk_files(disk: Path) -> DiskFiles:
    """The files of a VM's disk."""
    if not disk.is_symlink():
        return DiskFiles(disk, disk)
    target = disk.parent / os.readlink(disk)
    owner = target.parent.name.removesuffix(".snap")
    if target.name.isdecimal() and owner != target.parent.name:
        return DiskFiles(target.parent.with_name(owner), target, disk)
    return DiskFiles(target, target, disk)


def image_files(source: Path) -> DiskFiles:
    """The files of an image: the end of its chain is the newest file."""
    if not is_chained(source):
        return DiskFiles(source, source)
    directory = snapshot_directory(source)
    return DiskFiles(source, directory / str(max(_numbers(directory), default=0)))


def begin_chain(base: Path) -> Path:
    """Makes the directory of a chain beside `base`; answers where its first file is or will be."""
    directory = snapshot_directory(base)
    make_directory(directory)
    _point(directory / directory.name, ".")
    return directory / "0"


def create(files: DiskFiles, number: int) -> None:
    """Keeps what nobody writes to as the snapshot `number`; one that is there is left alone."""
    if files.chained:
        extend(files, number)
        return
    target = place_for_copy(files, number)
    if target is not None:
        with new_file(target) as part:
            copy_file(files.active, part)


def place_for_copy(files: DiskFiles, number: int) -> Path | None:
    """Where the copy goes that becomes the snapshot `number`; None when it is there."""
    make_directory(files.directory)
    target = files.directory / str(number)
    return None if is_complete(target) else target


def extend(files: DiskFiles, number: int) -> Path:
    """Makes the newest file of a chain the snapshot `number` and puts another one over it, which it answers.

    The link is turned before a running guest goes over: what it still writes to the file below is seen
    through the empty one, so nothing is lost wherever this is cut off.
    """
    if files.link is None:
        raise DriverError(f"{files.base} has a chain of snapshots, and is not a link to the end of it")
    newest, name = int(files.active.name), files.directory / str(number)
    if newest != number and os.path.lexists(name):
        return files.active
    over = files.directory / str(max(newest, number) + 1)
    _layer(files, over, files.active)
    _point(files.link, _named(files, over))
    if newest != number:
        _point(name, files.active.name)
    return over


def chain_of_image(files: DiskFiles) -> DiskFiles:
    """Begins a chain for an image that a VM uses in place: the image is its first file."""
    first = begin_chain(files.base)
    _point(first, str(files.base))
    assert files.link is not None
    _point(files.link, str(first))
    return DiskFiles(files.base, first, files.link)


def revert(files: DiskFiles, number: int) -> None:
    kept = files.snapshot(number)
    if not files.chained:
        with replaced_file(files.active) as part:
            copy_file(kept, part)
    elif files.active != kept:
        _layer(files, files.active, kept)


def delete(files: DiskFiles, number: int) -> None:
    """Raises DriverError when the disk or another snapshot is built on it."""
    name = files.directory / str(number)
    if not os.path.lexists(name):
        leftovers(name)
        return
    kept = followed(name)
    if files.chained:
        _require_alone(files, number, kept)
    if kept.parent == files.directory:
        remove(kept)
    remove(name)
    leftovers(name)
    sync_directory(files.directory)


def flatten(files: DiskFiles, number: int, image_format: str) -> None:
    """Makes an image what its snapshot was, and removes all snapshots. Without snapshots it is done."""
    if not files.directory.is_dir():
        leftovers(files.base)
        return
    kept = files.snapshot(number)
    with replaced_file(files.base) as part:
        if files.chained:
            convert(kept, image_format, part, image_format)
        else:
            copy_file(kept, part)
    discard(files.base)


def discard(base: Path) -> None:
    """Removes the snapshots that are beside a file, all or none of them."""
    directory = snapshot_directory(base)
    if directory.is_dir():
        going = base.with_name(f".{base.name}.snap.part")
        remove(going)
        directory.rename(going)
        sync_directory(base.parent)
    leftovers(base)


def copy_all(image: DiskFiles, disk: Path) -> None:
    """Copies the snapshots of an image beside a VM's disk that is going to be a copy of it."""
    if image.directory.is_dir():
        make_directory(snapshot_directory(disk))
        for number in sorted(_numbers(image.directory)):
            target = snapshot_directory(disk) / str(number)
            if not is_complete(target):
                with new_file(target) as part:
                    copy_file(image.snapshot(number), part)


def take_over(base: Path, coming: Path) -> None:
    """Makes the files in `coming` the snapshots of `base`, in place of those that it had."""
    discard(base)
    directory = snapshot_directory(base)
    coming.rename(directory)
    if not os.listdir(directory):
        directory.rmdir()
    sync_directory(base.parent)


def write_out(source: Path, source_format: str, target: Path, target_format: str) -> None:
    """Replaces the image `target` by a disk, as a file that needs no other."""
    with replaced_file(target) as part:
        if source_format == target_format == "raw":
            copy_file(source, part)
        else:
            convert(source, source_format, part, target_format)


def snapshot_numbers(image: DiskFiles) -> list[int]:
    """The ids of the snapshots of an image that are copies of their own."""
    return sorted(_numbers(image.directory)) if image.directory.is_dir() and not image.chained else []


def _numbers(directory: Path) -> list[int]:
    return [int(name) for name in os.listdir(directory) if name.isdecimal()]


def _named(files: DiskFiles, path: Path) -> str:
    """How a file of a chain is called: relative when the chain is of a VM's own disk, else in full."""
    own = files.link is not None and files.base == files.link
    return f"{path.parent.name}/{path.name}" if own else str(path)


def _layer(files: DiskFiles, over: Path, below: Path) -> None:
    with replaced_file(over) as part:
        create_layer(part, below, _named(files, below))


def _point(link: Path, target: str) -> None:
    """Makes `link` a link to `target`, at once."""
    if not link.is_symlink() or os.readlink(link) != target:
        with replaced_file(link) as part:
            part.symlink_to(target)


def _require_alone(files: DiskFiles, number: int, kept: Path) -> None:
    newest = int(files.active.name)
    for other in sorted(_numbers(files.directory)):
        path = files.directory / str(other)
        # What is beyond the newest was not finished, and nobody uses it.
        if other > newest or path.is_symlink() or path == kept:
            continue
        below = path.parent / backing_file(path)
        if below.exists() and kept.exists() and below.samefile(kept):
            what = "the disk" if other == newest else f"snapshot {other}"
            raise DriverError(f"snapshot {number} of {files.base} cannot go: {what} is built on it")
    if files.active == kept:
        raise DriverError(f"snapshot {number} of {files.base} cannot go: it is the disk itself")
