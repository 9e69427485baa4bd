"""Disks between machines: whole before they have their name, holes kept, links kept, done twice as once."""

import os
import threading
from pathlib import Path

import pytest
from tests.drivers.full_disk import small_disk
from tests.drivers.ssh.server import Sshd

from merope.drivers.carrier import Carrier, carried_name
from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.ssh import SshTransfer

MB = 1024 * 1024


@pytest.fixture
def carrier(server: Sshd) -> Carrier:
    return Carrier(server.ssh)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there" / "deep"


def test_a_file_arrives_with_its_content_and_its_holes(carrier: Carrier, here: Path, there: Path) -> None:
    with (here / "image").open("wb") as image:
        image.write(b"first")
        image.seek(50 * MB)
        image.write(b"last")
    carrier.copy(Place("", here / "image"), Place("node1", there / "disk.0"))
    assert (there / "disk.0").read_bytes() == (here / "image").read_bytes()
    assert os.stat(there / "disk.0").st_blocks * 512 < MB
    assert [path.name for path in there.iterdir()] == ["disk.0"]


def test_a_directory_arrives_with_its_links_and_replaces_what_is_there(
    carrier: Carrier, here: Path, there: Path
) -> None:
    (here / "7/disk.0.snap").mkdir(parents=True)
    (here / "7/disk.0.snap/0").write_text("layer")
    (here / "7/disk.0").symlink_to("disk.0.snap/0")
    for _ in range(2):
        carrier.copy(Place("node1", here / "7"), Place("", there / "9"))
        assert os.readlink(there / "9/disk.0") == "disk.0.snap/0"
        assert (there / "9/disk.0").read_text() == "layer"
        (there / "9/old").write_text("")
        (there / "9/disk.0").unlink()


def test_an_image_that_is_a_link_arrives_as_the_file_that_it_is(
    carrier: Carrier, here: Path, there: Path
) -> None:
    (here / "real").write_text("content")
    (here / "image").symlink_to("real")
    carrier.copy(Place("", here / "image"), Place("node1", there / "disk.0"), follow=True)
    assert not (there / "disk.0").is_symlink()
    assert (there / "disk.0").read_text() == "content"


def test_what_is_not_there_is_said_so_and_what_is_there_stays(
    carrier: Carrier, here: Path, there: Path
) -> None:
    there.mkdir(parents=True)
    (there / "disk.0").write_text("old")
    with pytest.raises(DriverError, match=r"could not be carried to host node1: .*No such file"):
        carrier.copy(Place("", here / "image"), Place("node1", there / "disk.0"))
    assert (there / "disk.0").read_text() == "old"


def test_a_full_disk_on_the_host_is_said_and_nothing_is_left_there(
    carrier: Carrier, here: Path, tmp_path: Path
) -> None:
    (here / "image").write_bytes(b"\x55" * 20 * MB)
    with small_disk(tmp_path / "small", 8) as small:
        with pytest.raises(DriverError, match=r"could not be carried to host node1: .*No space left"):
            carrier.copy(Place("", here / "image"), Place("node1", small / "disk.0"))
        assert list(small.iterdir()) == []


HALF = """#!/bin/sh
head -c 100000 /dev/urandom
echo >"{reached}"
read -r _ <"{go_on}"
"""


def test_a_connection_that_dies_in_the_middle_leaves_the_old_file_and_it_can_be_done_again(
    carrier: Carrier, server: Sshd, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.mkdir(parents=True)
    (there / "disk.0").write_text("old")
    (here / "image").write_text("new")
    tar, reached, go_on = here / "bin" / "tar", here / "reached", here / "go-on"
    tar.parent.mkdir()
    for path in (reached, go_on):
        os.mkfifo(path)
    tar.write_text(HALF.format(reached=reached, go_on=go_on))
    tar.chmod(0o700)

    def cut() -> None:
        reached.read_text()
        server.ssh.disconnect("node1")
        go_on.write_text("\n")

    thread = threading.Thread(target=cut)
    thread.start()
    with monkeypatch.context() as patched:
        # Of the reading side alone: the other one is a login of its own.
        patched.setenv("PATH", f"{tar.parent}:{os.environ['PATH']}")
        with pytest.raises(DriverError, match="could not be carried to host node1") as failure:
            carrier.copy(Place("", here / "image"), Place("node1", there / "disk.0"))
    thread.join()
    assert failure.value.retry_safe
    assert (there / "disk.0").read_text() == "old"
    carrier.copy(Place("", here / "image"), Place("node1", there / "disk.0"))
    assert (there / "disk.0").read_text() == "new"
    assert [path.name for path in there.iterdir()] == ["disk.0"]


def test_a_host_can_be_asked_what_it_has_and_told_to_remove_it(carrier: Carrier, here: Path) -> None:
    (here / "7").mkdir()
    assert carrier.has(Place("node1", here / "7"))
    for _ in range(2):
        carrier.delete(Place("node1", here / "7"))
        assert not carrier.has(Place("node1", here / "7"))


def carried(location: Path, *, snapshot: bool = False) -> tuple[SshTransfer, Place]:
    """What the front-end has carried to a host for disk 0 of VM 7, on which the image is not."""
    path = location / "0/7/disk.0"
    path.parent.mkdir(parents=True)
    carried_name(path).write_bytes(bytes(MB))
    if snapshot:
        snapshots = carried_name(path).with_name(f"{carried_name(path).name}.snap")
        snapshots.mkdir()
        (snapshots / "0").write_text("snapshot")
    return SshTransfer(location, local_names=("node1",)), Place("node1", path)


def test_what_was_carried_becomes_the_disk_and_grows(tmp_path: Path) -> None:
    driver, disk = carried(tmp_path)
    for _ in range(2):
        driver.clone(tmp_path / "1/image", disk, 2, "raw")
        assert disk.path.stat().st_size == 2 * MB
        assert os.listdir(disk.path.parent) == ["disk.0"]


def test_a_persistent_disk_has_the_snapshots_that_were_carried(tmp_path: Path) -> None:
    driver, disk = carried(tmp_path, snapshot=True)
    driver.link(tmp_path / "1/image", disk, "raw")
    assert (disk.path.parent / "disk.0.snap/0").read_text() == "snapshot"
    assert disk.path.stat().st_size == MB


def test_what_was_carried_for_a_disk_that_is_there_goes(tmp_path: Path) -> None:
    driver, disk = carried(tmp_path)
    disk.path.write_text("the guest's")
    driver.clone(tmp_path / "1/image", disk, 0, "raw")
    assert disk.path.read_text() == "the guest's"
    assert os.listdir(disk.path.parent) == ["disk.0"]
