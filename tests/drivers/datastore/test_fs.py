"""The fs datastore: what it takes in, what it refuses, and what it leaves alone."""

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.drivers.datastore.web import Web, serving

from merope.drivers.datastore.fs import FsDatastore
from merope.drivers.errors import DriverError
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.states import DatastoreType, ImageType
from merope.model.template import Template

MB = 1024 * 1024
DISK = b"\x55\xaa" * 1000 + bytes(2 * MB) + b"end"
needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="needs qemu-img")


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        yield server


@pytest.fixture
def datastore(tmp_path: Path) -> Datastore:
    (tmp_path / "safe").mkdir()
    return Datastore(
        1, 0, 0, "oneadmin", "oneadmin", "default", base_path=f"{tmp_path}//datastores/1",
        template=Template([("SAFE_DIRS", str(tmp_path / "safe")), ("RESTRICTED_DIRS", "/")]),
    )  # fmt: skip


@pytest.fixture
def upload(tmp_path: Path, datastore: Datastore) -> Path:
    path = tmp_path / "safe" / "disk.img"
    path.write_bytes(DISK)
    return path


def image(path: Path | str, number: int = 5, **attributes: str) -> Image:
    made = Image(number, 0, 0, "oneadmin", "oneadmin", "image", regtime=1795226169)
    made.path, made.size = str(path), 4
    made.template = Template(attributes.items())
    return made


def stored(name: Image, datastore: Datastore) -> bytes:
    return Path(FsDatastore().copy(name, datastore).source).read_bytes()


def refused(path: object, datastore: Datastore, why: str) -> None:
    """The image is refused for the same reason by whoever looks at it and whoever takes it."""
    with pytest.raises(DriverError, match=why):
        FsDatastore().stat(str(path), datastore)
    with pytest.raises(DriverError, match=why):
        FsDatastore().copy(image(str(path)), datastore)


def qcow2(path: Path, *options: str, size: str = "10M") -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, size], check=True)
    return path


def test_the_source_is_named_after_the_image_and_not_its_content(datastore: Datastore, upload: Path) -> None:
    first = FsDatastore().copy(image(upload), datastore)
    assert first.source == f"{Path(datastore.base_path)}/{hashlib.md5(b'1:5:1795226169').hexdigest()}"
    assert FsDatastore().copy(image(upload, 6), datastore).source != first.source


def test_a_copy_keeps_bytes_and_holes_and_is_private(datastore: Datastore, tmp_path: Path) -> None:
    sparse = tmp_path / "safe" / "sparse"
    with sparse.open("wb") as stream:
        stream.seek(50 * MB)
        stream.write(b"data")
        stream.truncate(100 * MB)
    path = Path(FsDatastore().copy(image(sparse), datastore).source)
    assert path.stat().st_size == 100 * MB
    assert path.stat().st_blocks * 512 < MB
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("rb") as stream:
        stream.seek(50 * MB)
        assert stream.read(5) == b"data\0"


def test_progress_is_told(datastore: Datastore, upload: Path) -> None:
    told: list[int] = []
    FsDatastore(progress=told.append).copy(image(upload), datastore)
    assert told[-1] == len(DISK)
    assert told == sorted(told)


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/hostname", "/proc/self/environ", "/dev/zero"])
def test_a_file_outside_safe_dirs_is_refused(datastore: Datastore, path: str) -> None:
    refused(path, datastore, "restricted directory")


def test_links_and_dots_do_not_lead_out_of_safe_dirs(datastore: Datastore, tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    (safe / "link").symlink_to("/etc/passwd")
    (safe / "directory").symlink_to("/etc")
    for path in ("link", "directory/passwd", "../../../../../etc/passwd"):
        with pytest.raises(DriverError, match="restricted directory"):
            FsDatastore().copy(image(f"{safe}/{path}"), datastore)


def test_a_link_within_safe_dirs_is_followed(datastore: Datastore, upload: Path) -> None:
    link = upload.with_name("link")
    link.symlink_to(upload)
    assert stored(image(link), datastore) == DISK


def test_a_device_a_fifo_a_socket_and_a_directory_are_refused(datastore: Datastore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "safe" / "fifo")
    (tmp_path / "safe" / "directory").mkdir()
    datastore.template.set("SAFE_DIRS", f"{tmp_path}/safe /dev")
    for path in (f"{tmp_path}/safe/fifo", f"{tmp_path}/safe/directory", "/dev/zero"):
        with pytest.raises(DriverError, match="not a regular file"):
            FsDatastore().copy(image(path), datastore)


def test_protected_directories_are_closed_even_where_nothing_is_restricted(
    datastore: Datastore, tmp_path: Path
) -> None:
    datastore.template.set("RESTRICTED_DIRS", "")
    datastore.template.set("SAFE_DIRS", "/")
    (tmp_path / "one_auth").write_text("oneadmin:secret")
    with pytest.raises(DriverError, match="restricted directory"):
        FsDatastore(protected=(tmp_path,)).copy(image(tmp_path / "one_auth"), datastore)


def test_without_restricted_dirs_in_its_template_a_datastore_is_closed(
    datastore: Datastore, tmp_path: Path
) -> None:
    datastore.template.remove("RESTRICTED_DIRS")
    with pytest.raises(DriverError, match="restricted directory"):
        FsDatastore().copy(image("/etc/passwd"), datastore)


@pytest.mark.parametrize(
    "path", ["", "disk.img", "./disk.img", "ssh://host/disk", "s3://bucket/key", "ftp://h/f"]
)
def test_a_path_of_another_kind_is_refused(datastore: Datastore, path: str) -> None:
    with pytest.raises(DriverError, match=r"absolute path|cannot be taken from"):
        FsDatastore().copy(image(path), datastore)


def test_a_file_url_is_a_path_with_the_same_rules(datastore: Datastore, upload: Path) -> None:
    assert stored(image(f"file://{upload}"), datastore) == DISK
    with pytest.raises(DriverError, match="restricted directory"):
        FsDatastore().copy(image("file:///etc/passwd", 6), datastore)


def test_a_file_that_is_not_there_is_named(datastore: Datastore, tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="absent cannot be read: No such file"):
        FsDatastore().copy(image(tmp_path / "safe" / "absent"), datastore)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_image_is_decompressed(
    datastore: Datastore, upload: Path, compress: Callable[[bytes], bytes]
) -> None:
    upload.write_bytes(compress(DISK))
    assert stored(image(upload), datastore) == DISK
    assert FsDatastore().stat(str(upload), datastore) == 3


def test_no_decompress_keeps_a_compressed_image(datastore: Datastore, upload: Path) -> None:
    upload.write_bytes(gzip.compress(DISK))
    datastore.template.set("NO_DECOMPRESS", "YES")
    assert stored(image(upload), datastore) == gzip.compress(DISK)
    assert FsDatastore().stat(str(upload), datastore) == 1


def test_a_compressed_initrd_stays_as_it_is(datastore: Datastore, upload: Path) -> None:
    upload.write_bytes(gzip.compress(DISK))
    initrd = image(upload)
    initrd.type, datastore.type = ImageType.RAMDISK, DatastoreType.FILE_DS
    assert stored(initrd, datastore) == gzip.compress(DISK)
    assert FsDatastore().stat(str(upload), datastore) == 1


def test_a_compressed_image_that_is_cut_off_leaves_nothing(datastore: Datastore, upload: Path) -> None:
    upload.write_bytes(gzip.compress(os.urandom(100_000))[:-20])
    with pytest.raises(DriverError, match="cut off"):
        FsDatastore().copy(image(upload), datastore)
    assert list(Path(datastore.base_path).iterdir()) == []


@pytest.mark.parametrize("name", ["MD5", "SHA1"])
def test_a_checksum_is_compared(datastore: Datastore, upload: Path, name: str) -> None:
    right = hashlib.new(name.lower(), DISK).hexdigest()
    assert stored(image(upload, 5, **{name: right.upper()}), datastore) == DISK
    with pytest.raises(DriverError, match=f"the {name} of the image is {right}, and not 00"):
        FsDatastore().copy(image(upload, 6, **{name: "00"}), datastore)
    assert len(list(Path(datastore.base_path).iterdir())) == 1


def test_the_checksum_is_of_the_compressed_file_to_its_very_end(datastore: Datastore, upload: Path) -> None:
    content = gzip.compress(DISK) + bytes(3 * MB)
    upload.write_bytes(content)
    assert stored(image(upload, MD5=hashlib.md5(content).hexdigest()), datastore) == DISK


def test_an_image_comes_from_a_web_server(datastore: Datastore, web: Web) -> None:
    web.pages["/disk.img"] = gzip.compress(DISK)
    told: list[int] = []
    path = FsDatastore(progress=told.append).copy(image(web.url("/disk.img?key=1")), datastore).source
    assert Path(path).read_bytes() == DISK
    assert told[-1] == len(DISK)


def test_the_size_of_a_web_image_is_what_the_server_says_or_what_comes(
    datastore: Datastore, web: Web
) -> None:
    web.pages["/disk.img"] = DISK
    assert FsDatastore().stat(web.url("/disk.img"), datastore) == 3
    web.with_length = False
    assert FsDatastore().stat(web.url("/disk.img"), datastore) == 3


def test_a_download_that_ends_early_leaves_nothing_and_may_be_retried(datastore: Datastore, web: Web) -> None:
    web.pages["/disk.img"], web.cut = DISK, 100
    with pytest.raises(DriverError, match=r"broke after|ended after") as caught:
        FsDatastore().copy(image(web.url("/disk.img")), datastore)
    assert caught.value.retry_safe
    assert list(Path(datastore.base_path).iterdir()) == []


def test_a_download_that_is_refused_says_why_without_the_password(datastore: Datastore, web: Web) -> None:
    url = web.url("/absent?token=hunter2").replace("http://", "http://user:hunter2@")
    with pytest.raises(DriverError, match=r"/absent answered 404 Not Found$") as caught:
        FsDatastore().copy(image(url), datastore)
    assert "hunter2" not in str(caught.value)
    assert web.asked[0]["Authorization"] == "Basic dXNlcjpodW50ZXIy"


def test_a_redirection_is_followed_to_http_only(datastore: Datastore, web: Web) -> None:
    web.pages |= {
        "/here": "->/disk.img",
        "/disk.img": DISK,
        "/file": "->file:///etc/passwd",
        "/ftp": "->ftp://h/x",
    }
    assert stored(image(web.url("/here")), datastore) == DISK
    for path in ("/file", "/ftp"):
        with pytest.raises(DriverError, match=r"is not http|is not allowed"):
            FsDatastore().copy(image(web.url(path), 6), datastore)


def test_a_server_that_is_not_there_is_named(datastore: Datastore) -> None:
    with pytest.raises(DriverError, match=r"http://127.0.0.1:1/x cannot be downloaded: .*refused"):
        FsDatastore().copy(image("http://127.0.0.1:1/x"), datastore)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_image_larger_than_the_room_is_refused(
    datastore: Datastore, upload: Path, web: Web, compressed: bool
) -> None:
    content = gzip.compress(DISK) if compressed else DISK
    upload.write_bytes(content)
    web.pages["/disk.img"] = content
    datastore.template.set("LIMIT_MB", "1")
    for path in (str(upload), web.url("/disk.img")):
        with pytest.raises(DriverError, match="larger than the 1 MB that there is room for"):
            FsDatastore().copy(image(path), datastore)
    assert list(Path(datastore.base_path).iterdir()) == []


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


@pytest.mark.parametrize("start", [b"KDMV", b"# Disk DescriptorFile\n", b"conectix", b"vhdxfile", b"QED\0"])
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


@pytest.mark.parametrize(
    "source", ["/etc/passwd", "{base}/../keep", "{base}", "{base}/a/b", "keep", "{base}/."]
)
def test_nothing_outside_the_datastore_is_removed(datastore: Datastore, tmp_path: Path, source: str) -> None:
    base = Path(datastore.base_path)
    (base / "a").mkdir(parents=True)
    for path in (base / "a" / "b", base.parent / "keep"):
        path.write_text("keep")
    image_ = image("")
    image_.source = source.format(base=base)
    FsDatastore().remove(image_, datastore)
    assert (base / "a" / "b").exists()
    assert (base.parent / "keep").exists()
    assert Path("/etc/passwd").exists()


def test_a_link_that_is_removed_does_not_take_its_target_along(datastore: Datastore, upload: Path) -> None:
    base = Path(datastore.base_path)
    base.mkdir(parents=True)
    (base / "image").symlink_to(upload)
    image_ = image("")
    image_.source = f"{datastore.base_path}/image"
    FsDatastore().remove(image_, datastore)
    assert not (base / "image").is_symlink()
    assert upload.exists()


def test_usage_counts_what_is_on_the_disk(datastore: Datastore, upload: Path) -> None:
    upload.write_bytes(os.urandom(3 * MB))
    FsDatastore().copy(image(upload), datastore)
    usage = FsDatastore().monitor(datastore)
    assert usage.used == 3
    datastore.template.set("LIMIT_MB", "10")
    assert FsDatastore().monitor(datastore) == type(usage)(10, 3, 7)


def test_a_limit_that_is_no_number_is_named(datastore: Datastore) -> None:
    datastore.template.set("LIMIT_MB", "lots")
    with pytest.raises(DriverError, match=r"datastore 1: .*LIMIT_MB"):
        FsDatastore().monitor(datastore)


def test_a_datastore_without_a_base_path_is_refused(datastore: Datastore, upload: Path) -> None:
    datastore.base_path = ""
    with pytest.raises(DriverError, match="BASE_PATH of datastore 1"):
        FsDatastore().copy(image(upload), datastore)
