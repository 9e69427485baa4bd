"""The fs datastore: which files it takes in, what it keeps, and what it leaves alone."""

import hashlib
import os
from pathlib import Path

import pytest
from tests.drivers.datastore.images import DISK, MB, image, refused, stored

from merope.drivers.datastore.fs import FsDatastore
from merope.drivers.errors import DriverError
from merope.model.datastore import Datastore


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
