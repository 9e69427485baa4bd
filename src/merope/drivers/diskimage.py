"""Disk image formats: which one a file has, how large its disk is, and qemu-img with the format forced.

A format is never guessed by a tool that would then follow what the file says: a guest can write any
header into its raw disk, and a qcow2 header can name host files as backing or data file. So the header
is read here, and a qcow2 image that refers to another file is refused.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from merope.drivers import vmdk
from merope.drivers.commands import run
from merope.drivers.errors import DriverError
from merope.drivers.files import MB

FORMATS = ("raw", "qcow2")
HEADER_SIZE = 64 * 1024
"""Bytes from the start of an image that `probe` needs; a qcow2 header fits its first cluster."""

_QCOW2 = b"QFI\xfb"
_FOREIGN = {
    b"KDMV": "VMDK",
    b"COWD": "VMDK",
    b"# Disk DescriptorFile": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
    b"<<< ": "VDI",
    b"QED\x00": "QED",
}
_FIXED_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")
_DATA_FILE_FLAG = 1 << 2
_DATA_FILE_NAME = 0x44415441
_QEMU_IMG_TIMEOUT = 24 * 3600.0
"""Seconds: a conversion may move terabytes; the engine has the time-out of the operation."""


@dataclass(frozen=True, slots=True)
class DiskImage:
    """`image_format` is one of FORMATS; `size` in bytes is the guest's disk, None when the file tells it."""

    image_format: str
    size: int | None = None


def probe(header: bytes, name: str) -> DiskImage:
    """What the file whose first HEADER_SIZE bytes (or all, when shorter) are `header` is.

    `name` is for messages. Raises DriverError for a qcow2 image that is damaged, has a version unknown
    here or refers to another file, and for formats that Merope does not run.
    """
    if not header.startswith(_QCOW2):
        for magic, kind in _FOREIGN.items():
            if header.startswith(magic):
                raise DriverError(f"{name} is a {kind} image; convert it to raw or qcow2 first")
        return DiskImage("raw")
    try:
        return DiskImage("qcow2", _qcow2_size(header))
    except _RefusedError as error:
        raise DriverError(f"{name} is not accepted: the qcow2 image {error}") from error


def probe_upload(header: bytes, name: str) -> DiskImage:
    """`probe` for what is to be registered, which may be of a format that is converted then: `vmdk`."""
    if not vmdk.is_vmdk(header):
        return probe(header, name)
    try:
        return DiskImage("vmdk", vmdk.size(header))
    except vmdk.VmdkError as error:
        raise DriverError(f"{name} is not accepted: the VMDK image {error}") from error


class _RefusedError(Exception):
    """Says what is wrong with a qcow2 image, as the end of a sentence about it."""


def _qcow2_size(header: bytes) -> int:
    if len(header) < _FIXED_HEADER.size:
        raise _RefusedError("is cut off in its header")
    fields = _FIXED_HEADER.unpack_from(header)
    version, backing_offset, size = fields[1], fields[2], fields[5]
    if version not in (2, 3):
        raise _RefusedError(f"has version {version}, which is unknown")
    if backing_offset:
        raise _RefusedError("has a backing file")
    length = _FIXED_HEADER.size
    if version == 3:
        if len(header) < length + _VERSION_3.size:
            raise _RefusedError("is cut off in its header")
        incompatible, _, _, _, length = _VERSION_3.unpack_from(header, length)
        if incompatible & _DATA_FILE_FLAG:
            raise _RefusedError("has a data file outside itself")
    _check_extensions(header, length)
    return int(size)


def _check_extensions(header: bytes, offset: int) -> None:
    while offset + _EXTENSION.size <= len(header):
        kind, length = _EXTENSION.unpack_from(header, offset)
        if kind == 0:
            return
        if kind == _DATA_FILE_NAME:
            raise _RefusedError("has a data file outside itself")
        offset += _EXTENSION.size + (length + 7) // 8 * 8
    raise _RefusedError("is cut off in its header")


def probe_file(path: Path, probed: Callable[[bytes, str], DiskImage] = probe) -> DiskImage:
    """`probe`, or `probe_upload`, for a file on this machine; a raw disk is as large as its file."""
    try:
        with path.open("rb") as stream:
            found = probed(stream.read(HEADER_SIZE), str(path))
            return found if found.size is not None else DiskImage("raw", path.stat().st_size)
    except OSError as error:
        raise DriverError(f"{path} cannot be read: {error.strerror}") from error


def check_format(image_format: str) -> str:
    """Raises DriverError unless `image_format` is one of FORMATS."""
    if image_format not in FORMATS:
        raise DriverError(f"the image format {image_format!r} is not one of {', '.join(FORMATS)}")
    return image_format


def size_mb(size: int) -> int:
    """Bytes as MB, rounded up."""
    return -(-size // MB)


def virtual_size(path: Path, image_format: str) -> int:
    """Bytes of the guest's disk in `path`, whose format is known; it may be an overlay of ours."""
    if image_format == "raw":
        return path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(_FIXED_HEADER.size)
    if len(header) < _FIXED_HEADER.size or not header.startswith(_QCOW2):
        raise DriverError(f"{path} is not a qcow2 image")
    return int(_FIXED_HEADER.unpack(header)[5])


def create_qcow2(path: Path, size: int) -> None:
    """An empty qcow2 image of `size` MB."""
    qemu_img("create", "-q", "-f", "qcow2", str(path), f"{size}M")


def create_overlay(path: Path, backing: Path, backing_format: str, size: int | None) -> None:
    """A qcow2 image that holds the differences to `backing`, of `size` MB or as large as it is."""
    grown = [] if size is None else [f"{size}M"]
    options = ("-b", str(backing), "-F", check_format(backing_format))
    qemu_img("create", "-q", "-f", "qcow2", *options, str(path), *grown)


def create_layer(path: Path, below: Path, name: str) -> None:
    """A qcow2 image over the qcow2 image `below`, as large as it, that calls it `name`.

    Neither is opened by the tool: a guest may be writing to the one below.
    """
    size = virtual_size(below, "qcow2")
    qemu_img("create", "-q", "-f", "qcow2", "-u", "-b", name, "-F", "qcow2", str(path), str(size))


def backing_file(path: Path) -> str:
    """What a qcow2 image of ours calls the file below it; empty when it has none."""
    with path.open("rb") as stream:
        header = stream.read(HEADER_SIZE)
    if len(header) < _FIXED_HEADER.size or not header.startswith(_QCOW2):
        raise DriverError(f"{path} is not a qcow2 image")
    offset, length = _FIXED_HEADER.unpack_from(header)[2:4]
    return header[offset : offset + length].decode() if offset else ""


def convert(source: Path, source_format: str, target: Path, target_format: str) -> None:
    """Writes the disk in `source` to `target` in another format, with its holes.

    What `probe_upload` accepts may be converted from `vmdk`.
    """
    from_format = source_format if source_format == "vmdk" else check_format(source_format)
    formats = ("-f", from_format, "-O", check_format(target_format))
    qemu_img("convert", "-q", *formats, str(source), str(target))


def inner_snapshots(path: Path) -> list[str]:
    """The names of the snapshots that are inside a qcow2 image, which may be in use."""
    listed = json.loads(qemu_img("info", "-U", "-f", "qcow2", "--output=json", str(path)))
    return [str(each.get("name", "")) for each in listed.get("snapshots", ())]


def delete_inner_snapshot(path: Path, name: str) -> None:
    """Removes a snapshot that is inside a qcow2 image which nobody uses; nothing when it is not there."""
    if name in inner_snapshots(path):
        # This command has no -f; a comma in a value of these options is written twice.
        file = str(path).replace(",", ",,")
        options = f"driver=qcow2,file.driver=file,file.filename={file}"
        qemu_img("snapshot", "-q", "-d", name, "--image-opts", options)


def grow(path: Path, image_format: str, size: int) -> None:
    """Makes the disk `size` MB large; one that is as large already is left alone (disks never shrink)."""
    if virtual_size(path, check_format(image_format)) >= size * MB:
        return
    if image_format == "raw":
        with path.open("r+b") as stream:
            stream.truncate(size * MB)
    else:
        qemu_img("resize", "-q", "-f", image_format, str(path), f"{size}M")


def qemu_img(*arguments: str) -> str:
    """Runs qemu-img and returns what it says. Raises DriverError."""
    return run(["qemu-img", *arguments], timeout=_QEMU_IMG_TIMEOUT).stdout
