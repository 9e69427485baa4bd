"""Where partitions lie in an image: the tables of PCs (MBR) and GPT, which no command need be there for."""

import struct
from dataclasses import dataclass
from pathlib import Path

_SECTOR = 512
_LINUX = 0x83
_PROTECTIVE = 0xEE
_ENTRIES = 0x1BE
_GPT_TYPES = frozenset(
    bytes.fromhex(text)
    # Linux file system, and root on x86-64, as GPT stores them.
    for text in ("af3dc60f838472478e793d69d8477de4", "e3bc684fcde8b14d96e7fbcaf984b709")
)
_LARGEST_TABLE = 1024


@dataclass(frozen=True, slots=True)
class Partition:
    """In bytes."""

    offset: int
    length: int


def linux_partitions(image: Path) -> list[Partition]:
    """Those for file systems of Linux, in the order of the table; none where there is no table."""
    with image.open("rb") as stream:
        first = stream.read(_SECTOR)
        if len(first) < _SECTOR or first[510:] != b"\x55\xaa":
            return []
        entries = [struct.unpack_from("<B3sB3sII", first, _ENTRIES + 16 * number) for number in range(4)]
        if not any(each[2] == _PROTECTIVE for each in entries):
            found = [(start, count) for _, _, kind, _, start, count in entries if kind == _LINUX]
        else:
            stream.seek(_SECTOR)
            header = stream.read(92)
            if header[:8] != b"EFI PART" or len(header) < 92:
                return []
            table, count, size = struct.unpack_from("<QII", header, 72)
            stream.seek(table * _SECTOR)
            content = stream.read(min(count, _LARGEST_TABLE) * size)
            found = _gpt(content, size)
    return [Partition(start * _SECTOR, count * _SECTOR) for start, count in found]


def _gpt(content: bytes, size: int) -> list[tuple[int, int]]:
    found = []
    for offset in range(0, len(content) - 127, max(size, 128)):
        kind = content[offset : offset + 16]
        first, last = struct.unpack_from("<QQ", content, offset + 32)
        if kind in _GPT_TYPES and last >= first:
            found.append((first, last - first + 1))
    return found
