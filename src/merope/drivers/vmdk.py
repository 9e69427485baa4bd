"""Disk images of VMware in one file (VMDK, sparse or stream-optimized), before they are converted.

The descriptor inside can name another file as the parent; such an image is refused, and one in several files.
"""

import re
import struct

_HEADER = struct.Struct("<4sIIQQQQ")
"""Magic, version, flags; in sectors: capacity, size of a grain, place and length of the descriptor."""
_SECTOR = 512
_PARENT = re.compile(rb"parentFileNameHint|parentCID\s*=\s*(?!ffffffff)", re.IGNORECASE)
_EXTENT = re.compile(rb"^\s*(RW|RDONLY|NOACCESS)\s", re.MULTILINE)


class VmdkError(Exception):
    """Says what is wrong with an image, as the end of a sentence about it."""


def is_vmdk(header: bytes) -> bool:
    return header.startswith(b"KDMV")


def size(header: bytes) -> int:
    """Bytes of the disk in the image that begins with `header` (its first 64 KiB). Raises VmdkError."""
    if len(header) < _HEADER.size:
        raise VmdkError("is cut off in its header")
    _, version, _, capacity, _, place, length = _HEADER.unpack_from(header)
    if version not in (1, 2, 3):
        raise VmdkError(f"has version {version}, which is unknown")
    end = (place + length) * _SECTOR
    if not place or end > len(header):
        raise VmdkError("has its descriptor elsewhere")
    descriptor = header[place * _SECTOR : end].partition(b"\0")[0]
    if _PARENT.search(descriptor):
        raise VmdkError("is built on another file")
    if len(_EXTENT.findall(descriptor)) != 1:
        raise VmdkError("is not in one file")
    return int(capacity) * _SECTOR
