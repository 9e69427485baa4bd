"""Logical volumes of LVM, and what is copied to and from block devices.

A volume is `<group>/<name>`, its device `/dev/<group>/<name>`. What is made gets its name when it is whole;
it is called `<name>.part` before. A new volume never shows what was on the disks: the rest of it is zeroed.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from merope.drivers.commands import CompletedCommand, run
from merope.drivers.diskimage import check_format, qemu_img, virtual_size
from merope.drivers.errors import DriverError
from merope.drivers.files import MB, SparseWriter, replaced_file

_TIMEOUT = 24 * 3600.0
_FAILED = 5
_SECTOR = 4096
_CHUNK = 4 * MB


def device(volume: str) -> Path:
    return Path("/dev") / volume


def size(volume: str) -> int | None:
    """Bytes; None when the volume is not there. Raises DriverError when its group is not there."""
    group, _, name = volume.partition("/")
    return volumes(group).get(name)


def volumes(group: str) -> dict[str, int]:
    """The volumes of a group and their sizes in bytes. Raises DriverError when the group is not there."""
    shown = ("--noheadings", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", "lv_name,lv_size")
    done = _run("lvs", *shown, group, accepted=(0, _FAILED))
    if done.code:
        raise DriverError(f"the volume group {group} is not there: {done.stderr.strip().splitlines()[-1]}")
    rows = json.loads(done.stdout)["report"][0]["lv"]
    return {row["lv_name"]: int(row["lv_size"]) for row in rows}


def require(volume: str) -> int:
    """The size of a volume in bytes. Raises DriverError when it is not there."""
    found = size(volume)
    if found is None:
        raise DriverError(f"the volume {volume} is not there")
    return found


@contextmanager
def new_volume(volume: str, megabytes: int) -> Iterator[Path | None]:
    """The device of a volume to be filled, which then gets its name; None when it is there already."""
    group, _, name = volume.partition("/")
    part, there = f"{volume}.part", volumes(group)
    if f"{name}.part" in there:
        remove(part)
    if name in there:
        activate(volume)
        yield None
        return
    _run("lvcreate", "-y", "-W", "n", "-Z", "n", "-L", f"{megabytes}m", "-n", f"{name}.part", group)
    try:
        yield device(part)
        _run("lvrename", group, f"{name}.part", name)
    except BaseException:
        remove(part)
        raise


def activate(volume: str) -> None:
    """Makes the device of a volume of a group that other hosts have too."""
    _run("lvchange", "-a", "y", volume)


def deactivate(volume: str) -> None:
    """Takes the device of a volume away; the volume stays, for another host."""
    if size(volume) is not None:
        _run("lvchange", "-a", "n", volume)


def remove(volume: str) -> None:
    """One that is not there is removed already."""
    if size(volume) is not None:
        _run("lvremove", "-f", "-y", volume)


def rename(volume: str, name: str) -> None:
    """`name` is `<group>/<name>` of the same group; one that has it already is left alone."""
    if volume == name or (size(volume) is None and size(name) is not None):
        return
    require(volume)
    _run("lvrename", volume, name)


def grow(volume: str, megabytes: int) -> None:
    """What is added is zeroed before the guest can see it. A volume never shrinks."""
    before = require(volume)
    if before < megabytes * MB:
        activate(volume)
        _run("lvextend", "-L", f"{megabytes}m", volume)
        zero(device(volume), before)


@contextmanager
def at_one_moment(volume: str, name: str) -> Iterator[Path]:
    """The device of what a volume is now, while a guest may write to it; gone afterwards."""
    group = volume.partition("/")[0]
    remove(f"{group}/{name}")
    activate(volume)
    # As large as its origin it can never overflow.
    _run("lvcreate", "-y", "-s", "-l", "100%ORIGIN", "-n", name, volume)
    try:
        yield device(f"{group}/{name}")
    finally:
        remove(f"{group}/{name}")


def write(source: Path, image_format: str, target: Path) -> None:
    """Writes the disk in a file, or on a device (raw), to a device, and zeroes the rest of it."""
    qemu_img("convert", "-q", "-n", "-f", check_format(image_format), "-O", "raw", str(source), str(target))
    length = _length(source) if source.is_block_device() else virtual_size(source, image_format)
    zero(target, length)


def read(source: Path, target: Path, length: int) -> None:
    """Makes the file `target` the first `length` bytes of a device, with holes where it is zero."""
    with replaced_file(target) as part, FileIO(source) as reading, SparseWriter(part, length) as writer:
        left = length
        while left and (data := reading.read(min(left, _CHUNK))):
            writer.write(data)
            left -= len(data)
        if left:
            raise DriverError(f"{source} ended {left} bytes early")


def zero(target: Path, offset: int = 0) -> None:
    """Zeroes a device from `offset` bytes to its end."""
    length = _length(target)
    start = min(-(-offset // _SECTOR) * _SECTOR, length)
    if offset < start:
        with target.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), bytes(start - offset), offset)
    if start < length:
        run(
            ["blkdiscard", "-z", "-f", "-o", str(start), "-l", str(length - start), str(target)],
            timeout=_TIMEOUT,
        )


def _length(path: Path) -> int:
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def _run(*argv: str, accepted: tuple[int, ...] = (0,)) -> CompletedCommand:
    return run(argv, timeout=_TIMEOUT, accepted=accepted, env={"LVM_SUPPRESS_FD_WARNINGS": "1"})
