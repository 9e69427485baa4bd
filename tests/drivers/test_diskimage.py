"""Formats are read from headers that nobody vouches for."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.drivers import diskimage
from merope.drivers.diskimage import DiskImage, create_overlay, grow, probe, probe_file, size_mb, virtual_size
from merope.drivers.errors import DriverError

MB = 1024 * 1024
needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="needs qemu-img")


def header(
    *,
    version: int = 3,
    size: int = 10 * MB,
    backing: int = 0,
    incompatible: int = 0,
    extensions: bytes = bytes(8),
) -> bytes:
    fixed = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, backing, 9, 16, size, 0, 1, 0, 0, 0, 0, 0)
    extended = struct.pack(">QQQII", incompatible, 0, 0, 4, 104) if version == 3 else b""
    return fixed + extended + extensions


@given(st.binary(max_size=300))
def test_whatever_a_file_begins_with_is_a_format_or_a_refusal(data: bytes) -> None:
    try:
        found = probe(data, "x")
    except DriverError:
        return
    assert found.image_format in diskimage.FORMATS


@given(st.binary(max_size=300))
def test_whatever_follows_the_magic_of_qcow2_it_is_never_taken_for_raw(data: bytes) -> None:
    try:
        found = probe(b"QFI\xfb" + data, "x")
    except DriverError:
        return
    assert found.image_format == "qcow2"


@pytest.mark.parametrize("version", [2, 3])
def test_a_plain_qcow2_header_tells_the_size_of_the_disk(version: int) -> None:
    assert probe(header(version=version), "x") == DiskImage("qcow2", 10 * MB)


@pytest.mark.parametrize("version", [2, 3])
def test_a_backing_file_is_refused(version: int) -> None:
    with pytest.raises(DriverError, match="x is not accepted: the qcow2 image has a backing file"):
        probe(header(version=version, backing=200), "x")


@given(st.integers(0, 2**64 - 1))
def test_the_flag_of_a_data_file_is_seen_among_all_others(flags: int) -> None:
    with pytest.raises(DriverError, match="data file"):
        probe(header(incompatible=flags | 4), "x")


@given(st.lists(st.tuples(st.integers(1, 2**32 - 1), st.binary(max_size=20)), max_size=4))
def test_the_name_of_a_data_file_is_seen_behind_other_extensions(others: list[tuple[int, bytes]]) -> None:
    found = [*others, (0x44415441, b"/etc/shadow")]
    packed = b"".join(
        struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8) for kind, data in found
    )
    with pytest.raises(DriverError, match="data file"):
        probe(header(extensions=packed + bytes(8)), "x")


def test_extensions_without_an_end_are_refused() -> None:
    with pytest.raises(DriverError, match="cut off"):
        probe(header(extensions=struct.pack(">II", 5, 2**31)), "x")


@pytest.mark.parametrize("version", [0, 1, 4])
def test_an_unknown_version_is_refused(version: int) -> None:
    with pytest.raises(DriverError, match=f"version {version}"):
        probe(header(version=version), "x")


@needs_qemu_img
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-o", "compat=0.10"),
        ("-o", "cluster_size=512"),
        ("-o", "lazy_refcounts=on"),
        ("-o", "extended_l2=on"),
    ],
)
def test_what_qemu_img_makes_is_understood(tmp_path: Path, options: tuple[str, ...]) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, tmp_path / "q", "20M"], check=True)
    assert probe_file(tmp_path / "q") == DiskImage("qcow2", 20 * MB)


def test_a_raw_image_is_as_large_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(b"x" * 1000)
    assert probe_file(tmp_path / "r") == DiskImage("raw", 1000)


@pytest.mark.parametrize(("size", "mb"), [(0, 0), (1, 1), (MB, 1), (MB + 1, 2)])
def test_sizes_are_rounded_up_to_mb(size: int, mb: int) -> None:
    assert size_mb(size) == mb


@needs_qemu_img
def test_an_overlay_refers_to_its_image_with_the_format_said(tmp_path: Path) -> None:
    backing = tmp_path / "raw"
    # What a guest wrote on its raw disk to have a host file read.
    backing.write_bytes(header(backing=104, extensions=b"/etc/passwd").ljust(MB, b"\0"))
    create_overlay(tmp_path / "overlay", backing, "raw", 3)
    assert virtual_size(tmp_path / "overlay", "qcow2") == 3 * MB
    info = subprocess.run(
        ["qemu-img", "info", "--backing-chain", tmp_path / "overlay"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "/etc/passwd" not in info
    assert "backing file format: raw" in info


@needs_qemu_img
def test_growing_a_raw_disk_does_not_look_at_its_content(tmp_path: Path) -> None:
    disk = tmp_path / "raw"
    disk.write_bytes(header(backing=104, extensions=b"/nowhere"))
    grow(disk, "raw", 2)
    assert disk.stat().st_size == 2 * MB
    with pytest.raises(DriverError, match="qemu-img failed"):
        grow(disk, "qcow2", 20)


def test_a_disk_that_is_not_of_the_format_said_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(MB))
    with pytest.raises(DriverError, match="is not a qcow2 image"):
        virtual_size(tmp_path / "raw", "qcow2")
