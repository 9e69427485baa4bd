"""Empty disks, with a file system when one is named."""

from pathlib import Path

from merope.drivers.commands import run
from merope.drivers.diskimage import check_format, convert, create_qcow2
from merope.drivers.errors import DriverError
from merope.drivers.files import MB

_TIMEOUT = 3600.0

_MAKERS: dict[str, tuple[str, ...]] = {
    "ext2": ("mkfs.ext2", "-F", "-q"),
    "ext3": ("mkfs.ext3", "-F", "-q"),
    "ext4": ("mkfs.ext4", "-F", "-q"),
    "xfs": ("mkfs.xfs", "-f", "-q"),
    "btrfs": ("mkfs.btrfs", "-f", "-q"),
    "vfat": ("mkfs.vfat",),
    "ntfs": ("mkfs.ntfs", "-F", "-Q", "-q"),
    "swap": ("mkswap", "-L", "swap"),
}


def make_disk(path: Path, size: int, image_format: str, filesystem: str = "") -> None:
    """Writes a disk of `size` MB to `path`: raw or qcow2, empty or with the file system named.

    Raises DriverError for a size below 1 MB and for a format or a file system that is not known.
    """
    check_format(image_format)
    if size < 1:
        raise DriverError(f"a disk of {size} MB cannot be made; the least is 1 MB")
    if filesystem and filesystem.lower() not in _MAKERS:
        raise DriverError(f"the file system {filesystem!r} is not one of {', '.join(sorted(_MAKERS))}")
    if image_format == "qcow2" and not filesystem:
        create_qcow2(path, size)
        return
    raw = path if image_format == "raw" else path.with_name(path.name.removesuffix(".part") + ".raw.part")
    try:
        _make_raw(raw, size, filesystem.lower())
        if raw != path:
            convert(raw, "raw", path, image_format)
    finally:
        if raw != path:
            raw.unlink(missing_ok=True)


def _make_raw(path: Path, size: int, filesystem: str) -> None:
    # mkswap warns about files that others may read.
    path.touch(mode=0o600)
    with path.open("r+b") as stream:
        stream.truncate(size * MB)
    make_filesystem(path, filesystem)


def make_filesystem(path: Path, filesystem: str) -> None:
    """On a file or a device; nothing where none is named. Raises DriverError for one that is not known."""
    if filesystem and filesystem.lower() not in _MAKERS:
        raise DriverError(f"the file system {filesystem!r} is not one of {', '.join(sorted(_MAKERS))}")
    if filesystem:
        run([*_MAKERS[filesystem.lower()], str(path)], timeout=_TIMEOUT)
