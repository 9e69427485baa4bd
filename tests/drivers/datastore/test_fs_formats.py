"""The fs datastore: formats, file systems and what a hostile image can refer to."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.drivers.datastore.images import DISK, MB, image, needs_qemu_img, qcow2, refused, stored

from merope.drivers.datastore.fs import FsDatastore
from merope.drivers.errors import DriverError
from merope.model.datastore import Datastore
from merope.model.states import ImageType


@needs_qemu_img
def test_a_qcow2_image_is_recognised_with_the_size_of_its_disk(datastore: Datastore, tmp_path: Path) -> None:
    path = qcow2(tmp_path / "safe" / "q.img", size="100M")
    assert FsDatastore().stat(str(path), datastore) == 100
    assert FsDatastore().copy(image(path), datastore).image_format == "qcow2"


@needs_qemu_img
@pytest.mark.parametrize(
    "options",
    [
        ("-b", "/etc/passwd", "-F", "raw"),
        ("-u", "-b", "json:{}", "-F", "raw"),
        ("-o", "data_file={tmp}/data"),
        ("-o", "data_file={tmp}/data,data_file_raw=on"),
        ("-o", "compat=0.10", "-u", "-b", "/dev/sda", "-F", "raw"),
    ],
)
def test_a_qcow2_image_that_refers_to_another_file_is_refused(
    datastore: Datastore, tmp_path: Path, options: tuple[str, ...]
) -> None:
    words = [word.replace("{tmp}", str(tmp_path)) for word in options]
    path = qcow2(tmp_path / "safe" / "q.img", *words)
    refused(path, datastore, r"backing file|data file")
    # However well it is wrapped up.
    path.write_bytes(gzip.compress(path.read_bytes()))
    refused(path, datastore, r"backing file|data file")


@needs_qemu_img
def test_an_image_is_converted_to_the_format_of_the_datastore(datastore: Datastore, upload: Path) -> None:
    datastore.template.set("DRIVER", "qcow2")
    done = FsDatastore().copy(image(upload), datastore)
    assert done.image_format == "qcow2"
    assert FsDatastore().copy(image(upload), datastore) == done
    info = subprocess.run(
        ["qemu-img", "info", done.source], check=True, capture_output=True, text=True
    ).stdout
    assert "file format: qcow2" in info
    assert FsDatastore().make(image("", 6), datastore).image_format == "qcow2"
    assert FsDatastore().clone(image("", 7), done.source, datastore).image_format == "qcow2"


def test_a_cdrom_is_not_converted(datastore: Datastore, upload: Path) -> None:
    datastore.template.set("DRIVER", "qcow2")
    cdrom = image(upload)
    cdrom.type = ImageType.CDROM
    assert stored(cdrom, datastore) == DISK


def test_an_image_that_is_not_what_it_is_said_to_be_is_refused(datastore: Datastore, upload: Path) -> None:
    with pytest.raises(DriverError, match=r"image 5 is said to be qcow2, but .*disk.img is not"):
        FsDatastore().copy(image(upload, DRIVER="qcow2"), datastore)


@needs_qemu_img
@pytest.mark.parametrize("subformat", ["monolithicSparse", "streamOptimized"])
@pytest.mark.parametrize(("driver", "becomes"), [("", "qcow2"), ("raw", "raw"), ("qcow2", "qcow2")])
def test_a_vmdk_image_is_converted_with_its_content_and_holes(
    datastore: Datastore, upload: Path, subformat: str, driver: str, becomes: str
) -> None:
    upload.write_bytes(DISK.ljust(8 * MB, b"\0"))
    path = upload.with_name("disk.vmdk")
    options = ("-O", "vmdk", "-o", f"subformat={subformat}", str(upload), str(path))
    subprocess.run(["qemu-img", "convert", "-f", "raw", *options], check=True)
    if driver:
        datastore.template.set("DRIVER", driver)
    assert FsDatastore().stat(str(path), datastore) == 8
    done = FsDatastore().copy(image(path), datastore)
    assert done.image_format == becomes
    raw = upload.with_name("raw")
    subprocess.run(["qemu-img", "convert", "-f", becomes, "-O", "raw", done.source, str(raw)], check=True)
    assert raw.read_bytes() == upload.read_bytes()
    assert Path(done.source).stat().st_blocks * 512 < 2 * MB


@needs_qemu_img
@pytest.mark.parametrize(
    ("instead_of", "written", "why"),
    [
        (b"parentCID=ffffffff", b"parentCID=00000001", "built on another file"),
        (b"version=1", b'parentFileNameHint="/etc/passwd"\nversion=1', "built on another file"),
        (b"RW 16384", b'RW 1 FLAT "/etc/passwd" 0\nRW 16384', "is not in one file"),
        (b"KDMV\x01", b"KDMV\x09", "has version 9"),
    ],
)
def test_a_vmdk_image_that_refers_to_another_file_is_refused(
    datastore: Datastore, upload: Path, instead_of: bytes, written: bytes, why: str
) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", str(upload), "8M"], check=True)
    content = upload.read_bytes()
    start = content[:8192].replace(instead_of, written, 1)[:8192]
    assert start != content[:8192]
    upload.write_bytes(start + content[8192:])
    refused(upload, datastore, why)
    assert not any(Path(datastore.base_path).glob("*"))


@pytest.mark.parametrize("start", [b"COWD", b"# Disk DescriptorFile\n", b"conectix", b"vhdxfile", b"QED\0"])
def test_formats_of_other_hypervisors_are_refused(datastore: Datastore, upload: Path, start: bytes) -> None:
    upload.write_bytes(start + DISK)
    refused(upload, datastore, "convert it to raw or qcow2 first")


def test_a_clone_of_a_raw_disk_is_raw_whatever_a_guest_wrote_on_it(
    datastore: Datastore, upload: Path
) -> None:
    source = FsDatastore().copy(image(upload), datastore).source
    Path(source).write_bytes(b"QFI\xfb" + bytes(4 * MB))
    clone = image("", 6)
    clone.fstype = "raw"
    assert FsDatastore().clone(clone, source, datastore).image_format == "raw"


def test_a_clone_of_what_is_not_there_is_refused(datastore: Datastore) -> None:
    with pytest.raises(DriverError, match="/nowhere, is not there"):
        FsDatastore().clone(image("", 6), "/nowhere", datastore)


@pytest.mark.parametrize("name", ["ext4", "EXT4", "swap"])
def test_a_file_system_is_made(datastore: Datastore, name: str) -> None:
    if not shutil.which("mkfs.ext4") or not shutil.which("mkswap"):
        pytest.skip("needs mkfs.ext4 and mkswap")
    path = Path(FsDatastore().make(image("", FS=name), datastore).source)
    assert path.stat().st_size == 4 * MB
    magic = {"ext4": (1080, b"\x53\xef"), "swap": (4086, b"SWAPSPACE2")}[name.lower()]
    with path.open("rb") as stream:
        stream.seek(magic[0])
        assert stream.read(len(magic[1])) == magic[1]


@pytest.mark.parametrize("name", ["minix", "ext4 -d /etc", "../sh", ";reboot"])
def test_a_file_system_that_is_not_known_is_refused(datastore: Datastore, name: str) -> None:
    with pytest.raises(DriverError, match="is not one of btrfs, ext2"):
        FsDatastore().make(image("", FS=name), datastore)
