"""Images that are mounted for containers, without a container."""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import file_system
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.idmapped import IdRange
from merope.drivers.hypervisor.mounted_disks import MountedDisks, mounted, mounts
from merope.drivers.hypervisor.partitions import Partition, linux_partitions

RANGES = [IdRange(True, True, 0, 100000, 65536)]
needs_mount = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="mounting needs root and e2fsprogs"
)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[MountedDisks]:
    made = MountedDisks(tmp_path / "disks")
    yield made
    made.unmount_all()
    assert not [each for each in mounts() if each.target.is_relative_to(tmp_path)]


@needs_mount
def test_a_container_sees_its_own_owners(disks: MountedDisks, tmp_path: Path) -> None:
    image = tmp_path / "image"
    file_system(image, 1)
    seen = disks.mount(3, image, "raw", RANGES)
    assert (disks.place(3).stat().st_uid, seen.stat().st_uid) == (0, 100000)
    assert disks.mount(3, image, "raw", RANGES) == seen
    assert disks.directory.stat().st_mode & 0o077 == 0
    disks.unmount(3)
    disks.unmount(3)
    assert mounted(seen) is None


@needs_mount
def test_what_holds_no_file_system_is_not_mounted(disks: MountedDisks, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    with pytest.raises(DriverError, match="disk 3 has no file system that can be mounted"):
        disks.mount(3, image, "raw", RANGES)


@needs_mount
@pytest.mark.helper_vm
@pytest.mark.runs("hypervisor/lxd", "disk_resize", where="helper VM")
def test_a_file_system_grows_in_use(disks: MountedDisks, tmp_path: Path) -> None:
    """Needs CAP_SYS_RESOURCE, which not every machine gives its root."""
    subprocess.run(["modprobe", "loop"], check=True)
    image = tmp_path / "image"
    file_system(image, 8)
    seen = disks.mount(3, image, "raw", RANGES)
    before = os.statvfs(seen).f_blocks
    for size in (20, 20, 12):
        disks.grow(3, image, size)
    assert os.statvfs(seen).f_blocks > 2 * before


def table(*entries: tuple[int, int, int]) -> bytes:
    """An MBR with partitions (kind, first sector, sectors)."""
    packed = b"".join(struct.pack("<B3sB3sII", 0, bytes(3), kind, bytes(3), *at) for kind, *at in entries)
    return bytes(0x1BE) + packed.ljust(64, b"\0") + b"\x55\xaa"


def test_partitions_of_linux_are_found_in_a_table_of_pcs(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(table((0x82, 2048, 10), (0x83, 4096, 20)))
    assert linux_partitions(image) == [Partition(4096 * 512, 20 * 512)]


def test_partitions_of_linux_are_found_in_a_gpt(tmp_path: Path) -> None:
    kind = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
    entry = kind + bytes(16) + struct.pack("<QQ", 2048, 4095) + bytes(80)
    header = b"EFI PART".ljust(72, b"\0") + struct.pack("<QII", 2, 1, 128)
    image = tmp_path / "image"
    image.write_bytes(table((0xEE, 1, 99)) + header.ljust(512, b"\0") + entry)
    assert linux_partitions(image) == [Partition(2048 * 512, 2048 * 512)]


@given(st.binary(max_size=2048), st.booleans())
def test_no_image_makes_the_reader_stumble(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, gpt: bool
) -> None:
    image = tmp_path_factory.mktemp("image") / "image"
    image.write_bytes((table((0xEE, 1, 99)) + b"EFI PART" if gpt else b"") + data)
    for each in linux_partitions(image):
        assert each.length >= 0
