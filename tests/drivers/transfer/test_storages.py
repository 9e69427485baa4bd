"""The contract of transfer drivers, kept by those whose disks are on storages that hosts reach by themselves.

Every operation compares the content of disks and images before and after it; the quick ones run with all
tests.
"""

import shutil
from pathlib import Path

import pytest
from tests.drivers.ceph_cluster import CephCluster
from tests.drivers.crash import crash_points
from tests.drivers.transfer.operations import OPERATIONS, disk, images, source, two_disks, with_snapshot
from tests.drivers.transfer.storage_cases import CephCase

from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("ceph")]

QUICK = {"clone", "revert", "save a snapshot as"}


@pytest.fixture
def case(ceph: CephCluster, tmp_path: Path) -> CephCase:
    return CephCase(ceph, tmp_path / "datastores")


@pytest.mark.runs(
    "transfer/ceph",
    "clone",
    "link",
    "make_swap",
    "make_image",
    "move",
    "save_back",
    "delete",
    "resize",
    "snapshot_create",
    "snapshot_revert",
    "snapshot_delete",
    "copy_out",
    where="here",
)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.quick if name in QUICK else ()) for name in OPERATIONS]
)
def test_an_operation_done_twice_leaves_the_world_as_done_once(case: CephCase, name: str) -> None:
    operation = OPERATIONS[name]
    operation.prepare(case)
    operation.do(case)
    once = case.snapshot()
    assert operation.done(case)
    operation.do(case)
    assert case.snapshot() == once


@pytest.mark.parametrize("name", ["clone grown", "make image with a file system", "save as", "delete a disk"])
def test_an_operation_cut_off_before_any_step_is_completed_when_it_is_done_again(
    case: CephCase, name: str
) -> None:
    operation = OPERATIONS[name]

    def prepare() -> None:
        case.cluster.empty()
        shutil.rmtree(case.location)
        case.location.mkdir()
        operation.prepare(case)

    steps = 0
    for _ in crash_points(lambda: operation.do(case), prepare):
        operation.do(case)
        assert operation.done(case)
        assert not [name for name in case.volumes() if name.endswith(".part")]
        assert not list(case.location.rglob("*.part"))
        steps += 1
    assert steps > 0


def test_an_image_that_was_used_as_persistent_is_cloned_as_it_is_now(case: CephCase) -> None:
    images(case)
    case.driver.clone(source(case), disk(case), 2, "raw")
    first = case.content(disk(case), "raw")
    case.driver.link(source(case), disk(case, vm=8), "raw")
    case.guest_writes(disk(case, vm=8), "raw")
    written = case.image_content(source(case), "raw")
    case.driver.save_back(disk(case, vm=8), source(case))
    case.driver.clone(source(case), disk(case, vm=9), 2, "raw")
    assert case.content(disk(case, vm=9), "raw") == written != first
    assert case.content(disk(case), "raw") == first


@pytest.mark.quick
@pytest.mark.runs("transfer/ceph", "snapshot_live", where="here")
def test_a_snapshot_of_a_running_guest_asks_nothing_of_the_hypervisor(case: CephCase) -> None:
    two_disks(case)
    before = case.content(disk(case), "raw")
    assert case.driver.snapshot_live(disk(case), 0, "raw") is None
    case.guest_writes(disk(case), "raw")
    case.driver.snapshot_revert(disk(case), 0, "raw")
    assert case.content(disk(case), "raw") == before


def test_nothing_is_left_of_the_snapshot_that_a_disk_is_saved_from(case: CephCase) -> None:
    two_disks(case)
    case.driver.copy_out(disk(case), -1, "raw", source(case, "qimage"), "raw")
    assert case.snapshots_of(case.volume(disk(case))) == []


def test_an_image_that_clones_are_built_on_is_not_written_over(case: CephCase) -> None:
    images(case)
    case.driver.clone(source(case, "qimage"), disk(case, vm=8), 2, "raw")
    case.driver.clone(source(case), disk(case), 2, "raw")
    before = case.image_content(source(case, "qimage"), "raw")
    with pytest.raises(DriverError, match="clones are built on it"):
        case.driver.copy_out(disk(case), -1, "raw", source(case, "qimage"), "raw")
    assert case.image_content(source(case, "qimage"), "raw") == before
    assert not [name for name in case.volumes() if name.endswith(".part")]


def test_a_disk_on_a_system_datastore_of_files_is_a_copy_that_is_returned(case: CephCase) -> None:
    images(case)
    driver = case.real.for_disk({**case.cluster.attributes, "SOURCE": "one/image", "DISK_TYPE": "FILE"})
    place = disk(case)
    driver.link(source(case), place, "raw")
    assert place.path.stat().st_size == 2 * 1024 * 1024
    with place.path.open("r+b") as file:
        file.write(b"written by a guest")
    driver.save_back(place, source(case))
    assert not place.path.exists()
    driver.link(source(case), place, "raw")
    assert place.path.read_bytes().startswith(b"written by a guest")


def test_a_deleted_disk_goes_to_the_trash_where_the_datastore_says_so(case: CephCase) -> None:
    images(case)
    driver = case.real.for_disk({**case.cluster.attributes, "CEPH_TRASH": "YES"})
    driver.make_image(1, "raw", "", disk(case))
    driver.delete(disk(case))
    assert case.volumes() == ["image", "qimage"]
    assert "one-sys-7-0" in case.cluster.rbd("trash", "ls", "one")
    case.cluster.rbd("trash", "purge", "one")


@pytest.mark.parametrize("volume", ["image", "one/image@snap", "one/-x", "one/../x", "/etc/passwd", "a/b/c"])
@pytest.mark.quick
def test_what_is_no_name_of_a_volume_is_refused(tmp_path: Path, volume: str) -> None:
    case = CephCase(CephCluster(tmp_path, 1), tmp_path / "datastores")
    with pytest.raises(DriverError, match="is not a volume of Ceph"):
        case.driver.clone(Path(volume), disk(case), 1, "raw")


@pytest.mark.quick
def test_a_disk_that_is_not_raw_is_refused(tmp_path: Path) -> None:
    case = CephCase(CephCluster(tmp_path, 1), tmp_path / "datastores")
    with pytest.raises(DriverError, match="volumes of Ceph hold disks of the image format raw, not qcow2"):
        case.real.for_disk({}).make_image(1, "qcow2", "", disk(case))


@pytest.mark.quick
def test_a_cluster_that_cannot_be_reached_is_named_as_the_reason(tmp_path: Path) -> None:
    case = CephCase(CephCluster(tmp_path, 1), tmp_path / "datastores")
    with pytest.raises(DriverError, match="Ceph: rbd"):
        case.real.for_disk({"CEPH_CONF": str(tmp_path / "absent")}).make_image(1, "raw", "", disk(case))


def test_a_snapshot_that_is_not_there_cannot_be_returned_to_nor_saved(case: CephCase) -> None:
    with_snapshot(case)
    before = case.snapshot()
    with pytest.raises(DriverError, match=r"snapshot 4 .* is not there"):
        case.driver.snapshot_revert(disk(case), 4, "raw")
    with pytest.raises(DriverError, match=r"snapshot 4 .* is not there"):
        case.driver.copy_out(disk(case), 4, "raw", source(case, "qimage"), "raw")
    assert case.snapshot() == before


def test_the_directory_of_a_vm_and_its_context_are_files_as_everywhere(tmp_path: Path) -> None:
    case = CephCase(CephCluster(tmp_path, 1), tmp_path / "datastores")
    place = disk(case)
    place.path.parent.mkdir(parents=True)
    (place.path.parent / "checkpoint").write_text("memory")
    moved = case.location / "100" / "7"
    case.real.move(Place("", place.path.parent), Place("", moved))
    assert (moved / "checkpoint").read_text() == "memory"
    case.real.delete(Place("", moved))
    assert not moved.exists()
