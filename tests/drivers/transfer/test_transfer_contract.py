"""What every transfer driver promises, tried with each of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.drivers.crash import crash_points
from tests.drivers.transfer.cases import Case, RealCase, SimulatedCase
from tests.drivers.transfer.operations import (
    CONTEXT,
    OPERATIONS,
    Operation,
    directory,
    disk,
    images,
    linked_and_written,
    source,
    two_disks,
)

from merope.drivers.context import Context
from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.qcow2 import Qcow2Transfer
from merope.drivers.transfer.shared import SharedTransfer
from merope.drivers.transfer.ssh import SshTransfer

REAL: dict[str, Callable[[Path], Case]] = {
    "shared": lambda path: RealCase(SharedTransfer(path), path),
    "qcow2": lambda path: RealCase(Qcow2Transfer(path), path, overlays=True),
    "ssh": lambda path: RealCase(SshTransfer(path), path, copies=True),
}
ALL: dict[str, Callable[[Path], Case]] = {
    **REAL,
    "simulated": lambda path: SimulatedCase(path, shared=True),
    "simulated-local": lambda path: SimulatedCase(path, shared=False),
}
TOOLS = ("qemu-img", "qemu-io", "mkfs.ext4", "mkswap")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}, which are not all installed"
)


#: What OPERATIONS do, by the names of the interface.
DISKS = (
    "clone", "link", "make_swap", "make_image", "move", "save_back", "delete", "resize", "snapshot_create",
    "snapshot_revert", "snapshot_delete", "copy_out",
)  # fmt: skip


@pytest.fixture(params=[pytest.param(name, marks=[needs_tools] if name in REAL else []) for name in ALL])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return ALL[request.param](tmp_path / "datastores")


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> Operation:
    return OPERATIONS[request.param]


@pytest.mark.runs("transfer/shared", *DISKS)
@pytest.mark.runs("transfer/qcow2", *DISKS)
@pytest.mark.runs("transfer/ssh", *DISKS)
def test_an_operation_done_twice_leaves_the_world_as_done_once(case: Case, operation: Operation) -> None:
    operation.prepare(case)
    operation.do(case)
    once = case.snapshot()
    assert operation.done(case)
    operation.do(case)
    assert case.snapshot() == once


@needs_tools
@pytest.mark.parametrize("name", REAL)
def test_an_operation_cut_off_before_any_step_is_completed_when_it_is_done_again(
    name: str, operation: Operation, tmp_path: Path
) -> None:
    case = REAL[name](tmp_path / "datastores")

    def prepare() -> None:
        shutil.rmtree(case.location)
        case.location.joinpath("1").mkdir(parents=True)
        operation.prepare(case)

    steps = 0
    for _ in crash_points(lambda: operation.do(case), prepare):
        operation.do(case)
        assert operation.done(case)
        assert not list(case.location.rglob("*.part"))
        steps += 1
    assert steps > 0


@needs_tools
@pytest.mark.parametrize("name", REAL)
def test_a_context_image_cut_off_before_any_step_is_completed_when_it_is_made_again(
    name: str, tmp_path: Path
) -> None:
    case = REAL[name](tmp_path / "datastores")
    for _ in crash_points(lambda: case.driver.make_context(CONTEXT, disk(case)), lambda: None):
        case.driver.make_context(CONTEXT, disk(case))
        assert [path.name for path in disk(case).path.parent.iterdir()] == ["disk.0"]
    assert disk(case).path.stat().st_size > 32768


def test_a_disk_that_is_there_is_left_alone(case: Case) -> None:
    images(case)
    case.driver.clone(source(case), disk(case), 2, "raw")
    case.guest_writes(disk(case), case.disk_format("raw"))
    written = case.content(disk(case), case.disk_format("raw"))
    case.driver.clone(source(case), disk(case), 2, "raw")
    assert case.content(disk(case), case.disk_format("raw")) == written


def test_what_a_guest_writes_to_its_clone_does_not_reach_the_image(case: Case) -> None:
    images(case)
    before = case.image_content(source(case), "raw")
    case.driver.clone(source(case), disk(case), 2, "raw")
    case.guest_writes(disk(case), case.disk_format("raw"))
    assert case.image_content(source(case), "raw") == before
    assert case.content(disk(case), case.disk_format("raw")) != before


def test_what_a_guest_writes_to_a_persistent_disk_is_in_the_image_after_use(case: Case) -> None:
    images(case)
    before = case.image_content(source(case), "raw")
    case.driver.link(source(case), disk(case), "raw")
    case.guest_writes(disk(case), "raw")
    written = case.content(disk(case), "raw")
    case.driver.save_back(disk(case), source(case))
    assert case.image_content(source(case), "raw") == written != before


def test_a_persistent_disk_is_the_image_itself_unless_the_driver_copies(case: Case) -> None:
    linked_and_written(case)
    in_place = case.image_content(source(case), "raw") == case.content(disk(case), "raw")
    assert in_place is not case.persistent_disks_are_copies


def test_a_disk_is_never_made_smaller(case: Case) -> None:
    images(case)
    case.driver.clone(source(case), disk(case), 1, "raw")
    case.driver.resize(disk(case), 1, case.disk_format("raw"))
    assert case.size(disk(case), case.disk_format("raw")) == 2


@pytest.mark.runs("transfer/shared", "make_context")
@pytest.mark.runs("transfer/qcow2", "make_context")
@pytest.mark.runs("transfer/ssh", "make_context")
def test_a_context_image_replaces_the_one_before(case: Case) -> None:
    case.driver.make_context(CONTEXT, disk(case))
    before = case.content(disk(case), "raw")
    case.driver.make_context(Context({"NETWORK": "NO"}), disk(case))
    assert case.content(disk(case), "raw") != before


def test_a_directory_is_moved_into_one_that_has_other_disks_already(case: Case) -> None:
    two_disks(case)
    case.driver.move(disk(case), disk(case, vm=8))
    case.driver.move(directory(case), directory(case, vm=8))
    assert case.exists(disk(case, 0, vm=8))
    assert case.exists(disk(case, 1, vm=8))
    assert not case.exists(directory(case))


def test_a_directory_without_disks_can_be_moved(case: Case) -> None:
    case.driver.move(directory(case), directory(case, vm=8))
    assert not case.exists(directory(case))


def test_a_disk_that_is_nowhere_cannot_be_moved(case: Case) -> None:
    with pytest.raises(DriverError, match="is not there"):
        case.driver.move(disk(case), disk(case, vm=8))


def test_an_image_that_is_not_there_cannot_be_used(case: Case) -> None:
    absent = source(case, "absent")
    uses: list[Callable[[], None]] = [
        lambda: case.driver.clone(absent, disk(case), 1, "raw"),
        lambda: case.driver.link(absent, disk(case), "raw"),
        lambda: case.driver.save_back(disk(case), absent),
    ]
    for use in uses:
        with pytest.raises(DriverError, match="absent is not there"):
            use()
    assert not case.exists(disk(case))


def test_a_disk_that_is_not_there_cannot_be_resized(case: Case) -> None:
    with pytest.raises(DriverError, match="is not there"):
        case.driver.resize(disk(case), 4, "raw")


@pytest.mark.parametrize("image_format", ["", "vmdk", "RAW", "raw,file=/etc/passwd"])
def test_a_format_that_is_not_known_is_refused(case: Case, image_format: str) -> None:
    images(case)
    with pytest.raises(DriverError, match="image format"):
        case.driver.clone(source(case), disk(case), 1, image_format)
    with pytest.raises(DriverError, match="image format"):
        case.driver.make_image(1, image_format, "", disk(case))
    assert not case.exists(disk(case))


@pytest.mark.parametrize("size", [0, -1])
def test_a_disk_of_no_size_is_refused(case: Case, size: int) -> None:
    with pytest.raises(DriverError, match="the least is 1 MB"):
        case.driver.make_image(size, "raw", "", disk(case))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "1/deadbeef",
        "0/7/disk.0/x",
        "0/7/../8/disk.0",
        "0/7/id_rsa",
        "0/7/disk.",
        "0/7/disk.0\n",
        "0/7/disk.0.Snap",
        "x/7/disk.0",
        "0/x/disk.0",
        "0/٧/disk.0",
        "../etc/7/disk.0",
        "/etc/0/7/disk.0",
    ],
)
def test_a_path_that_is_not_a_vms_is_refused_by_every_operation(case: Case, path: str) -> None:
    images(case)
    target, good = Place("", case.location / path), disk(case)
    before = case.snapshot()
    uses: list[Callable[[], None]] = [
        lambda: case.driver.clone(source(case), target, 1, "raw"),
        lambda: case.driver.link(source(case), target, "raw"),
        lambda: case.driver.make_swap(1, target),
        lambda: case.driver.make_image(1, "raw", "", target),
        lambda: case.driver.make_context(CONTEXT, target),
        lambda: case.driver.move(target, good),
        lambda: case.driver.move(good, target),
        lambda: case.driver.save_back(target, source(case)),
        lambda: case.driver.delete(target),
        lambda: case.driver.resize(target, 1, "raw"),
        lambda: case.driver.snapshot_create(target, 0, "raw"),
        lambda: [case.driver.snapshot_live(target, 0, "raw")].clear(),
        lambda: case.driver.snapshot_revert(target, 0, "raw"),
        lambda: case.driver.snapshot_delete(target, 0),
        lambda: case.driver.copy_out(target, -1, "raw", source(case), "raw"),
    ]
    for use in uses:
        with pytest.raises(DriverError, match="below"):
            use()
    assert case.snapshot() == before
