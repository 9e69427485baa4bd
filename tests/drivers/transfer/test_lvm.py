"""Disks as logical volumes of the real device-mapper, in the helper VM."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drivers.crash import crash_points
from tests.drivers.transfer.operations import OPERATIONS, disk, images, source, two_disks, with_snapshot
from tests.drivers.transfer.storage_cases import LvmCase

from merope.drivers import lvm
from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place

pytestmark = [
    pytest.mark.helper_vm,
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("lvcreate") is None, reason="needs lvm2, which is not installed"),
]
MB = 1024 * 1024
GROUP = "vg-one-0"


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The volume group of the system datastore 0, on a disk that is full of what others have left."""
    run("modprobe", "-a", "loop", "dm_mod", "dm_snapshot")
    disk_file = tmp_path_factory.mktemp("lvm") / "disk"
    with disk_file.open("wb") as file:
        file.write(b"secret of others" * (128 * MB // 16))
    device = run("losetup", "--find", "--show", str(disk_file)).strip()
    run("vgcreate", "-y", "-s", "1m", GROUP, device)
    yield
    run("vgremove", "-f", "-y", GROUP)
    run("losetup", "-d", device)


@pytest.fixture
def case(group: None, tmp_path: Path) -> Iterator[LvmCase]:
    made = LvmCase(tmp_path / "datastores")
    yield made
    for name in made.volumes():
        lvm.remove(f"{GROUP}/{name}")


@pytest.mark.runs(
    "transfer/fs_lvm",
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
    where="helper VM",
)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_done_twice_leaves_the_world_as_done_once(case: LvmCase, name: str) -> None:
    operation = OPERATIONS[name]
    operation.prepare(case)
    operation.do(case)
    once = case.snapshot()
    assert operation.done(case)
    operation.do(case)
    assert case.snapshot() == once


@pytest.mark.parametrize("name", ["clone grown", "save back", "delete a disk"])
def test_an_operation_cut_off_before_any_step_is_completed_when_it_is_done_again(
    case: LvmCase, name: str
) -> None:
    operation = OPERATIONS[name]

    def prepare() -> None:
        for each in case.volumes():
            lvm.remove(f"{GROUP}/{each}")
        shutil.rmtree(case.location)
        case.location.joinpath("1").mkdir(parents=True)
        operation.prepare(case)

    steps = 0
    for _ in crash_points(lambda: operation.do(case), prepare):
        operation.do(case)
        assert operation.done(case)
        assert not [name for name in case.volumes() if name.endswith((".part", "_now"))]
        assert not list(case.location.rglob("*.part"))
        steps += 1
    assert steps > 0


@pytest.mark.quick
def test_what_was_on_the_disks_before_is_never_seen(case: LvmCase) -> None:
    images(case)
    case.driver.clone(source(case), disk(case), 4, "raw")
    case.driver.make_image(3, "raw", "", disk(case, 1))
    case.driver.resize(disk(case, 1), 5, "raw")
    for place in (disk(case), disk(case, 1)):
        assert b"secret" not in place.path.read_bytes()
    assert case.size(disk(case, 1), "raw") == 5


@pytest.mark.runs("transfer/fs_lvm", "snapshot_live", where="helper VM")
def test_a_snapshot_of_a_running_guest_asks_nothing_of_the_hypervisor(case: LvmCase) -> None:
    two_disks(case)
    before = case.content(disk(case), "raw")
    assert case.driver.snapshot_live(disk(case), 0, "raw") is None
    case.guest_writes(disk(case), "raw")
    case.driver.snapshot_revert(disk(case), 0, "raw")
    assert case.content(disk(case), "raw") == before


@pytest.mark.runs("transfer/fs_lvm", "activate", "deactivate", where="helper VM")
def test_a_host_lets_a_disk_go_and_another_takes_it(case: LvmCase) -> None:
    two_disks(case)
    before = case.content(disk(case), "raw")
    bound = case.real.for_disk({"SOURCE": str(source(case)), "CLONE": "YES"})
    bound.deactivate(disk(case))
    bound.deactivate(disk(case))
    assert not lvm.device(case.volume(disk(case))).exists()
    disk(case).path.unlink()
    bound.activate(disk(case))
    bound.activate(disk(case))
    assert case.content(disk(case), "raw") == before


def test_a_group_that_is_full_is_said_and_nothing_is_left(case: LvmCase) -> None:
    images(case)
    with pytest.raises(DriverError, match="insufficient free space"):
        case.driver.clone(source(case), disk(case), 1000, "raw")
    assert case.volumes() == {}
    assert not os.path.lexists(disk(case).path)


def test_an_image_that_cannot_be_read_leaves_no_volume(case: LvmCase) -> None:
    broken = case.image("broken", 2)
    broken.unlink()
    run("qemu-img", "create", "-q", "-f", "qcow2", str(broken), "2M")
    os.truncate(broken, 100)
    with pytest.raises(DriverError):
        case.driver.link(broken, disk(case), "vmdk")
    with pytest.raises(DriverError, match="qemu-img"):
        case.real.for_disk({"SOURCE": str(broken)}).link(broken, disk(case), "qcow2")
    assert case.volumes() == {}


def test_a_datastore_without_a_group_is_said(case: LvmCase) -> None:
    images(case)
    with pytest.raises(DriverError, match="the volume group vg-one-5 is not there"):
        case.driver.clone(source(case), Place("", case.location / "5" / "7" / "disk.0"), 2, "raw")


def test_a_snapshot_that_is_not_there_cannot_be_returned_to_nor_saved(case: LvmCase) -> None:
    with_snapshot(case)
    before = case.snapshot()
    with pytest.raises(DriverError, match=r"snapshot 4 .* is not there"):
        case.driver.snapshot_revert(disk(case), 4, "raw")
    with pytest.raises(DriverError, match=r"snapshot 4 .* is not there"):
        case.driver.copy_out(disk(case), 4, "raw", source(case, "qimage"), "raw")
    assert case.snapshot() == before
