"""What the transfer drivers do with real files, where they differ and where they must be careful."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from merope.drivers.context import Context, ContextFile
from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.qcow2 import Qcow2Transfer
from merope.drivers.transfer.shared import SharedTransfer
from merope.drivers.transfer.ssh import SshTransfer

MB = 1024 * 1024
needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="needs qemu-img")


@pytest.fixture
def location(tmp_path: Path) -> Path:
    (tmp_path / "datastores" / "1").mkdir(parents=True)
    return tmp_path / "datastores"


@pytest.fixture
def image(location: Path) -> Path:
    path = location / "1" / "0123abcd"
    path.write_bytes(b"boot" + bytes(MB))
    return path


def disk(location: Path, name: str = "disk.0", host: str = "localhost") -> Place:
    return Place(host, location / "0" / "7" / name)


def test_a_shared_persistent_disk_is_a_link_to_its_image(location: Path, image: Path) -> None:
    target = disk(location)
    SharedTransfer(location).link(image, target, "raw")
    assert os.readlink(target.path) == str(image)
    SharedTransfer(location).save_back(target, image)
    assert not target.path.is_symlink()
    assert image.read_bytes().startswith(b"boot")


def test_deleting_a_vms_directory_leaves_the_images_that_it_links_to(location: Path, image: Path) -> None:
    SharedTransfer(location).link(image, disk(location), "raw")
    SharedTransfer(location).delete(Place("", location / "0" / "7"))
    assert not (location / "0" / "7").exists()
    assert image.read_bytes().startswith(b"boot")


def test_the_directory_of_a_vm_is_the_owners_alone(location: Path, image: Path) -> None:
    SshTransfer(location).clone(image, disk(location), 0, "raw")
    assert (location / "0" / "7").stat().st_mode & 0o777 == 0o700
    assert disk(location).path.stat().st_mode & 0o777 == 0o600


def test_an_image_that_is_not_a_whole_number_of_mb_is_not_grown_for_that(location: Path, image: Path) -> None:
    SshTransfer(location).clone(image, disk(location), 2, "raw")
    assert disk(location).path.stat().st_size == image.stat().st_size
    SshTransfer(location).clone(image, disk(location, "disk.1"), 3, "raw")
    assert disk(location, "disk.1").path.stat().st_size == 3 * MB


@needs_qemu_img
def test_a_qcow2_disk_holds_only_the_differences_to_its_image(location: Path, image: Path) -> None:
    Qcow2Transfer(location).clone(image, disk(location), 5, "raw")
    info = subprocess.run(
        ["qemu-img", "info", "--output=json", disk(location).path], check=True, capture_output=True, text=True
    ).stdout
    assert f'"backing-filename": "{image}"' in info
    assert '"backing-filename-format": "raw"' in info
    assert f'"virtual-size": {5 * MB}' in info


def test_a_kernel_is_a_plain_copy_for_every_driver(location: Path, image: Path) -> None:
    for driver in (SharedTransfer, Qcow2Transfer, SshTransfer):
        shutil.rmtree(location / "0", ignore_errors=True)
        driver(location).clone(image, disk(location, "kernel"), 0, "raw")
        assert disk(location, "kernel").path.read_bytes() == image.read_bytes()


def test_disks_of_a_host_that_is_not_this_machine_are_refused_with_a_sentence(
    location: Path, image: Path
) -> None:
    with pytest.raises(DriverError, match="node1 is not this machine"):
        SshTransfer(location).clone(image, disk(location, host="node1"), 0, "raw")
    with pytest.raises(DriverError, match="node1 is not this machine"):
        SshTransfer(location).move(disk(location), disk(location, host="node1"))


@pytest.mark.parametrize("driver", [SharedTransfer, Qcow2Transfer])
def test_on_shared_storage_a_path_is_the_same_file_on_every_host(
    location: Path, image: Path, driver: type[SharedTransfer]
) -> None:
    driver(location).clone(image, disk(location, host="node1"), 0, "raw")
    driver(location).move(disk(location, host="node1"), disk(location, host="node2"))
    assert disk(location).path.exists()


def test_this_machine_may_have_another_name(location: Path, image: Path) -> None:
    driver = SshTransfer(location, local_names=("node1",))
    driver.clone(image, disk(location, host="node1"), 0, "raw")
    driver.delete(disk(location, host=socket.gethostname()))
    assert not disk(location).path.exists()


def test_a_vms_directory_that_is_a_link_is_not_followed(location: Path, image: Path) -> None:
    (location / "0").mkdir()
    (location / "0" / "7").symlink_to(location / "1")
    driver = SharedTransfer(location)
    with pytest.raises(DriverError, match="symbolic link"):
        driver.make_swap(1, disk(location))
    driver.delete(Place("", location / "0" / "7"))
    assert image.exists()
    assert not (location / "0" / "7").is_symlink()


def test_a_copy_whose_image_was_a_link_is_returned_to_the_file_behind_it(location: Path, image: Path) -> None:
    link = location / "1" / "link"
    link.symlink_to(image)
    driver = SshTransfer(location)
    driver.link(link, disk(location), "raw")
    disk(location).path.write_text("written by the guest")
    driver.save_back(disk(location), link)
    assert image.read_text() == "written by the guest"
    assert link.is_symlink()


def test_what_a_crash_left_is_not_moved_along(location: Path) -> None:
    directory = location / "0" / "7"
    directory.mkdir(parents=True)
    for name in (".disk.0.abcd.part", "disk.0", "checkpoint"):
        (directory / name).write_text(name)
    SshTransfer(location).move(Place("", directory), Place("", location / "0" / "8"))
    assert sorted(os.listdir(location / "0" / "8")) == ["checkpoint", "disk.0"]


@pytest.mark.parametrize("name", ["one.db", ".one/one_auth"])
def test_files_of_the_cloud_do_not_reach_a_context(location: Path, name: str) -> None:
    secret = location.parent / name
    secret.parent.mkdir(exist_ok=True)
    secret.write_text("secret")
    context = Context({}, [ContextFile("x", secret)])
    with pytest.raises(DriverError, match="restricted directory"):
        SshTransfer(location).make_context(context, disk(location))


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/root/.ssh/id_rsa"])
def test_files_of_the_system_do_not_reach_a_context(location: Path, path: str) -> None:
    with pytest.raises(DriverError, match="restricted directory"):
        SshTransfer(location).make_context(Context({}, [ContextFile("x", Path(path))]), disk(location))


@pytest.mark.skipif(not shutil.which("genisoimage"), reason="needs genisoimage")
def test_images_and_other_files_reach_a_context(
    location: Path, image: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("srv") / "init.sh"
    other.write_text("echo")
    context = Context({}, [ContextFile("image", image), ContextFile("init.sh", other)])
    SshTransfer(location).make_context(context, disk(location))
    assert disk(location).path.stat().st_size > MB


def test_a_full_disk_leaves_no_disk_and_says_so(
    location: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(DriverError, match=r"disk\.0 cannot be written: No space left on device"):
        SshTransfer(location).clone(image, disk(location), 0, "raw")
    assert os.listdir(location / "0" / "7") == []
