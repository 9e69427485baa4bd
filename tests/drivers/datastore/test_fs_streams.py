"""The fs datastore takes compressed images and images from the web, whole and checked."""

import bz2
import gzip
import hashlib
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.drivers.datastore.images import DISK, MB, image, stored
from tests.drivers.datastore.web import Web

from merope.drivers.datastore.fs import FsDatastore
from merope.drivers.errors import DriverError
from merope.model.datastore import Datastore
from merope.model.states import DatastoreType, ImageType


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_image_is_decompressed(
    datastore: Datastore, upload: Path, compress: Callable[[bytes], bytes]
) -> None:
    upload.write_bytes(compress(DISK))
    assert stored(image(upload), datastore) == DISK
    assert FsDatastore().stat(str(upload), datastore) == 3


def test_no_decompress_keeps_a_compressed_image(datastore: Datastore, upload: Path) -> None:
    upload.write_bytes(gzip.compress(DISK, mtime=0))
    datastore.template.set("NO_DECOMPRESS", "YES")
    assert stored(image(upload), datastore) == gzip.compress(DISK, mtime=0)
    assert FsDatastore().stat(str(upload), datastore) == 1


def test_a_compressed_initrd_stays_as_it_is(datastore: Datastore, upload: Path) -> None:
    upload.write_bytes(gzip.compress(DISK, mtime=0))
    initrd = image(upload)
    initrd.type, datastore.type = ImageType.RAMDISK, DatastoreType.FILE_DS
    assert stored(initrd, datastore) == gzip.compress(DISK, mtime=0)
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
    content = gzip.compress(DISK, mtime=0) + bytes(3 * MB)
    upload.write_bytes(content)
    assert stored(image(upload, MD5=hashlib.md5(content).hexdigest()), datastore) == DISK


def test_an_image_comes_from_a_web_server(datastore: Datastore, web: Web) -> None:
    web.pages["/disk.img"] = gzip.compress(DISK, mtime=0)
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
    content = gzip.compress(DISK, mtime=0) if compressed else DISK
    upload.write_bytes(content)
    web.pages["/disk.img"] = content
    datastore.template.set("LIMIT_MB", "1")
    for path in (str(upload), web.url("/disk.img")):
        with pytest.raises(DriverError, match="larger than the 1 MB that there is room for"):
            FsDatastore().copy(image(path), datastore)
    assert list(Path(datastore.base_path).iterdir()) == []
