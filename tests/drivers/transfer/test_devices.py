"""Images that are made elsewhere: block devices of the hosts, and targets of iSCSI."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.drivers import iscsi_target
from tests.drivers.transfer.storage_cases import OfDisks

from merope.drivers.datastore.base import DatastoreDriver
from merope.drivers.datastore.dev import DevDatastore
from merope.drivers.datastore.iscsi import IscsiDatastore
from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.dev import DevTransfer
from merope.drivers.transfer.iscsi import IscsiTransfer
from merope.drivers.transfer.storage import StorageTransfer
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.template import Template

MB = 1024 * 1024
IQN = iscsi_target.IQN


def datastore(**attributes: str) -> Datastore:
    template = Template(list(attributes.items()))
    return Datastore(100, 0, 0, "oneadmin", "oneadmin", "devices", base_path="/ds/100", template=template)


def image(path: str) -> Image:
    made = Image(5, 0, 0, "oneadmin", "oneadmin", "image")
    made.path, made.size = path, 4
    return made


@dataclass
class Case:
    driver: StorageTransfer
    location: Path
    source: Path

    @property
    def bound(self) -> OfDisks:
        return OfDisks(self.driver, {"SOURCE": str(self.source), "CLONE": "NO"})

    def place(self, vm: int = 7) -> Place:
        return Place("", self.location / "0" / str(vm) / "disk.0")


@pytest.fixture(scope="module")
def device() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a block device")
    with tempfile.NamedTemporaryFile() as content:
        content.write(b"of the device" * 100)
        content.truncate(4 * MB)
        content.flush()
        argv = ("losetup", "--find", "--show", content.name)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no block device can be made here: {done.stderr.strip()}")
        yield Path(done.stdout.strip())
        subprocess.run(("losetup", "-d", done.stdout.strip()), check=True)


@pytest.fixture
def dev(device: Path, tmp_path: Path) -> Case:
    return Case(DevTransfer(tmp_path), tmp_path, device)


@pytest.mark.runs("datastore/dev", "copy", "stat", "remove", "monitor", where="here")
def test_a_device_below_the_safe_directories_is_an_image_as_it_is(device: Path) -> None:
    driver, of = DevDatastore(), datastore(SAFE_DIRS="/dev")
    assert driver.stat(str(device), of) == 4
    assert driver.copy(image(str(device)), of).source == str(device)
    driver.remove(image(str(device)), of)
    assert device.is_block_device()
    assert driver.monitor(of).free > 0


@pytest.mark.parametrize(
    "path", ["/dev/loop0", "/srv/../dev/loop0", "loop0", "/srv/disks/../../dev/loop0", ""]
)
def test_a_device_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(DriverError, match=r"SAFE_DIRS|absolute path"):
        DevDatastore().copy(image(path), datastore(SAFE_DIRS="/srv/disks"))


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DriverError, match="the device /dev/absent cannot be read"):
        DevDatastore().stat("/dev/absent", datastore(SAFE_DIRS="/dev"))


@pytest.mark.runs("transfer/dev", "link", "save_back", "delete", where="here")
def test_a_vm_has_the_device_itself_and_leaves_it(dev: Case) -> None:
    before = dev.source.read_bytes()
    for _ in range(2):
        dev.bound.link(dev.source, dev.place(), "raw")
    assert dev.place().path.read_bytes() == before
    with dev.place().path.open("r+b") as file:
        file.seek(2 * MB)
        file.write(b"written by a guest")
    for _ in range(2):
        dev.bound.save_back(dev.place(), dev.source)
    assert not os.path.lexists(dev.place().path)
    assert dev.source.read_bytes()[2 * MB :].startswith(b"written by a guest")
    assert dev.source.read_bytes()[: 2 * MB] == before[: 2 * MB]


@pytest.mark.runs("transfer/dev", "move", "activate", where="here")
def test_another_host_finds_the_device_by_itself(dev: Case) -> None:
    bound = dev.driver.for_disk({"SOURCE": str(dev.source), "CLONE": "NO"})
    bound.activate(dev.place())
    assert dev.place().path.is_block_device()
    bound.move(dev.place(), dev.place(8))
    assert not os.path.lexists(dev.place().path)
    assert dev.place(8).path.is_block_device()


def test_what_is_no_device_is_not_given_to_a_vm(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    case = Case(DevTransfer(tmp_path), tmp_path, tmp_path / "file")
    with pytest.raises(DriverError, match="is not a block device"):
        case.bound.link(case.source, case.place(), "raw")
    with pytest.raises(DriverError, match="absent is not there"):
        case.bound.link(tmp_path / "absent", case.place(), "raw")
    with pytest.raises(DriverError, match="absolute path"):
        case.bound.link(Path("dev/sda"), case.place(), "raw")


@pytest.mark.runs(
    "transfer/dev",
    "clone",
    "make_image",
    "make_swap",
    "resize",
    "snapshot_create",
    "snapshot_revert",
    "snapshot_delete",
    "copy_out",
    where="here",
)
@pytest.mark.runs(
    "transfer/iscsi_libvirt",
    "clone",
    "make_image",
    "make_swap",
    "resize",
    "snapshot_create",
    "snapshot_revert",
    "snapshot_delete",
    "copy_out",
    where="here",
)
@pytest.mark.parametrize("driver", [DevTransfer, IscsiTransfer])
def test_what_cannot_be_done_to_images_made_elsewhere_is_said(
    driver: type[StorageTransfer], tmp_path: Path
) -> None:
    bound = driver(tmp_path).for_disk({"SOURCE": IQN})
    place = Place("", tmp_path / "0" / "7" / "disk.0")
    uses: list[Callable[[], object]] = [
        lambda: bound.clone(Path(IQN), place, 1, "raw"),
        lambda: bound.make_image(1, "raw", "", place),
        lambda: bound.make_swap(1, place),
        lambda: bound.resize(place, 2, "raw"),
        lambda: bound.snapshot_create(place, 0, "raw"),
        lambda: bound.snapshot_revert(place, 0, "raw"),
        lambda: bound.snapshot_delete(place, 0),
        lambda: bound.copy_out(place, -1, "raw", Path(IQN), "raw"),
    ]
    for use in uses:
        with pytest.raises(DriverError, match=r"disks that are (devices|targets of iSCSI) cannot"):
            use()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.runs(
    "datastore/dev",
    "make",
    "clone",
    "export",
    "snapshot_delete",
    "snapshot_revert",
    "snapshot_flatten",
    where="here",
)
@pytest.mark.runs(
    "datastore/iscsi_libvirt",
    "make",
    "clone",
    "export",
    "snapshot_delete",
    "snapshot_revert",
    "snapshot_flatten",
    where="here",
)
@pytest.mark.parametrize("driver", [DevDatastore, IscsiDatastore])
def test_images_made_elsewhere_cannot_be_made_here(driver: type[DatastoreDriver]) -> None:
    made, of = driver(), datastore(SAFE_DIRS="/dev")
    uses: list[Callable[[], object]] = [
        lambda: made.make(image(""), of),
        lambda: made.clone(image(""), IQN, of),
        lambda: made.export(image(""), of),
        lambda: made.snapshot_delete(image(""), 0, of),
        lambda: made.snapshot_revert(image(""), 0, of),
        lambda: made.snapshot_flatten(image(""), 0, of),
    ]
    for use in uses:
        with pytest.raises(DriverError, match="made and kept elsewhere"):
            use()


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A target of iSCSI with a disk of 4 MB as LUN 1: its host and port."""
    with iscsi_target.serving(b"of the target" * 100) as served:
        yield served.host


@pytest.mark.runs("datastore/iscsi_libvirt", "copy", "stat", "remove", "monitor", where="here")
def test_a_target_is_an_image_by_its_name(target: str) -> None:
    driver, of = IscsiDatastore(), datastore(ISCSI_HOST=target)
    try:
        assert driver.stat(f"{IQN}/1", of) == 4
    except DriverError as error:
        if "Unknown protocol" in str(error):
            pytest.skip("needs qemu-block-extra, which is not installed")
        raise
    assert driver.copy(image(f"{IQN}/1"), of).source == f"{IQN}/1"
    with pytest.raises(DriverError, match="cannot be read"):
        driver.stat(f"{IQN}/7", of)


@pytest.mark.runs("transfer/iscsi_libvirt", "link", "save_back", "delete", "move", where="here")
def test_there_is_nothing_of_a_target_on_the_host(tmp_path: Path) -> None:
    case = Case(IscsiTransfer(tmp_path), tmp_path, Path(f"{IQN}/1"))
    case.bound.link(case.source, case.place(), "raw")
    case.bound.move(case.place(), case.place(8))
    case.bound.save_back(case.place(8), case.source)
    case.bound.delete(case.place(8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["", "/dev/sda", "iqn", "iqn.2026-11.org,x", f"{IQN}/x", f"{IQN} -f qcow2", "../x"]
)
def test_what_is_no_name_of_a_target_is_refused(path: str) -> None:
    with pytest.raises(DriverError, match="is not the name of a target"):
        IscsiDatastore().copy(image(path), datastore(ISCSI_HOST="127.0.0.1"))


def test_a_place_that_is_no_vms_is_refused(tmp_path: Path) -> None:
    bound = IscsiTransfer(tmp_path).for_disk({"SOURCE": IQN})
    with pytest.raises(DriverError, match="below"):
        bound.link(Path(IQN), Place("", tmp_path / "x" / "disk.0"), "raw")
