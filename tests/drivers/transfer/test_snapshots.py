"""Snapshots of disks: trees of them, what is built on what, and how they are prepared while a guest runs."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.drivers.transfer.cases import Case, RealCase
from tests.drivers.transfer.operations import (
    disk,
    first_content,
    images,
    linked,
    persistent_with_snapshot,
    reverted,
    source,
    with_snapshot,
)
from tests.drivers.transfer.test_transfer_contract import ALL, REAL, needs_tools

from merope.drivers.errors import DriverError


@pytest.fixture(params=[pytest.param(name, marks=[needs_tools] if name in REAL else []) for name in ALL])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return ALL[request.param](tmp_path / "datastores")


@pytest.fixture
def chained(tmp_path: Path) -> RealCase:
    made = REAL["qcow2"](tmp_path / "datastores")
    assert isinstance(made, RealCase)
    return made


@pytest.fixture
def copied(tmp_path: Path) -> RealCase:
    made = REAL["shared"](tmp_path / "datastores")
    assert isinstance(made, RealCase)
    return made


def content(case: Case) -> object:
    return case.content(disk(case), case.disk_format("raw"))


def test_every_snapshot_of_a_tree_can_be_returned_to(case: Case) -> None:
    images(case)
    case.driver.clone(source(case), disk(case), 2, "raw")
    image_format = case.disk_format("raw")
    kept = {}
    for number in range(3):
        kept[number] = content(case)
        case.driver.snapshot_create(disk(case), number, image_format)
        case.write(disk(case), image_format, number + 1)
    case.driver.snapshot_revert(disk(case), 0, image_format)
    case.write(disk(case), image_format, 9)
    kept[3] = content(case)
    case.driver.snapshot_create(disk(case), 3, image_format)
    assert len(set(kept.values())) == 4
    for number in (1, 3, 0, 2, 1):
        case.driver.snapshot_revert(disk(case), number, image_format)
        assert content(case) == kept[number]


def test_what_is_written_after_a_snapshot_does_not_change_it(case: Case) -> None:
    with_snapshot(case)
    assert not first_content(case, disk(case))
    case.driver.snapshot_revert(disk(case), 0, case.disk_format("raw"))
    assert first_content(case, disk(case))


def test_a_snapshot_that_is_not_there_cannot_be_returned_to_nor_saved(case: Case) -> None:
    with_snapshot(case)
    before = case.snapshot()
    with pytest.raises(DriverError, match=r"snapshot 4 .* is not there"):
        case.driver.snapshot_revert(disk(case), 4, case.disk_format("raw"))
    with pytest.raises(DriverError, match=r"snapshot 4 .* is not there"):
        case.driver.copy_out(disk(case), 4, case.disk_format("raw"), source(case, "qimage"), "qcow2")
    assert case.snapshot() == before


def test_a_disk_that_is_not_there_has_no_snapshots(case: Case) -> None:
    with pytest.raises(DriverError, match="is not there"):
        case.driver.snapshot_create(disk(case), 0, "raw")


def test_a_persistent_image_keeps_its_snapshots_from_one_vm_to_the_next(case: Case) -> None:
    persistent_with_snapshot(case)
    image = source(case, "qimage")
    first = case.image_content(image, "qcow2") if case.persistent_disks_are_copies else None
    case.driver.save_back(disk(case), image)
    case.driver.link(image, disk(case, vm=8), "qcow2")
    written = case.content(disk(case, vm=8), "qcow2")
    case.driver.snapshot_create(disk(case, vm=8), 1, "qcow2")
    case.driver.snapshot_revert(disk(case, vm=8), 0, "qcow2")
    assert case.content(disk(case, vm=8), "qcow2") != written
    assert first is None or case.content(disk(case, vm=8), "qcow2") == first
    case.driver.snapshot_revert(disk(case, vm=8), 1, "qcow2")
    assert case.content(disk(case, vm=8), "qcow2") == written


def test_removing_the_disk_of_an_image_leaves_the_images_snapshots(case: Case) -> None:
    persistent_with_snapshot(case)
    if case.persistent_disks_are_copies:
        case.driver.save_back(disk(case), source(case, "qimage"))
    else:
        case.driver.delete(disk(case))
    assert case.image_snapshots(source(case, "qimage")) == [0]


@needs_tools
def test_in_a_chain_what_something_is_built_on_stays(chained: RealCase) -> None:
    with_snapshot(chained)
    with pytest.raises(DriverError, match=r"snapshot 0 of .* cannot go: the disk is built on it"):
        chained.driver.snapshot_delete(disk(chained), 0)
    chained.driver.snapshot_create(disk(chained), 1, "qcow2")
    with pytest.raises(DriverError, match=r"snapshot 0 of .* cannot go: snapshot 1 is built on it"):
        chained.driver.snapshot_delete(disk(chained), 0)


@needs_tools
def test_the_first_snapshot_of_an_image_is_the_image_and_stays(chained: RealCase) -> None:
    persistent_with_snapshot(chained)
    with pytest.raises(DriverError, match="cannot go: the disk is built on it"):
        chained.driver.snapshot_delete(disk(chained), 0)
    assert source(chained, "qimage").is_file()


@needs_tools
def test_copied_snapshots_need_nothing_of_each_other(copied: RealCase) -> None:
    with_snapshot(copied)
    written = content(copied)
    copied.driver.snapshot_create(disk(copied), 1, "raw")
    copied.driver.snapshot_delete(disk(copied), 0)
    copied.driver.snapshot_revert(disk(copied), 1, "raw")
    assert content(copied) == written


@needs_tools
def test_a_chain_is_laid_out_as_5_12_has_it(chained: RealCase) -> None:
    with_snapshot(chained)
    directory = disk(chained).path.with_name("disk.0.snap")
    assert os.readlink(disk(chained).path) == "disk.0.snap/1"
    assert os.readlink(directory / "disk.0.snap") == "."
    info = subprocess.run(
        ["qemu-img", "info", "-f", "qcow2", directory / "1"], check=True, capture_output=True, text=True
    ).stdout
    assert "backing file: disk.0.snap/0" in info


@pytest.mark.runs("transfer/qcow2", "snapshot_live")
@needs_tools
def test_a_running_guest_of_a_chain_goes_on_in_a_file_over_the_one_it_wrote_to(chained: RealCase) -> None:
    images(chained)
    chained.driver.clone(source(chained), disk(chained), 2, "raw")
    live = chained.driver.snapshot_live(disk(chained), 0, "qcow2")
    assert live is not None
    assert live.chained
    assert live.path == disk(chained).path.with_name("disk.0.snap") / "1"
    # What the guest writes before it has gone over is seen through the new file, and kept.
    chained.guest_writes(disk(chained, 0), "qcow2")
    assert chained.driver.snapshot_live(disk(chained), 0, "qcow2") == live


@pytest.mark.runs("transfer/shared", "snapshot_live")
@pytest.mark.runs("transfer/ssh", "snapshot_live")
def test_the_disk_of_a_running_guest_is_copied_where_there_is_no_chain(case: Case) -> None:
    images(case)
    case.driver.link(source(case), disk(case), "raw")
    live = case.driver.snapshot_live(disk(case), 0, "raw")
    assert live is not None
    assert not live.chained


@needs_tools
def test_the_copy_of_a_running_guests_disk_is_asked_for_until_it_is_there(copied: RealCase) -> None:
    linked(copied)
    live = copied.driver.snapshot_live(disk(copied), 0, "qcow2")
    assert live == copied.driver.snapshot_live(disk(copied), 0, "qcow2")
    assert live is not None
    live.path.touch()
    assert copied.driver.snapshot_live(disk(copied), 0, "qcow2") is None


@needs_tools
def test_a_chain_cannot_be_brought_to_storage_of_a_hosts_own(chained: RealCase) -> None:
    persistent_with_snapshot(chained)
    chained.driver.save_back(disk(chained), source(chained, "qimage"))
    other = REAL["ssh"](chained.location)
    with pytest.raises(DriverError, match="built on each other"):
        other.driver.link(source(chained, "qimage"), disk(chained), "qcow2")


@pytest.mark.runs("transfer/shared", "image_target")
@pytest.mark.parametrize("where", ["../etc/passwd", "0/7/disk.0", "1", "x/image", "1/../../image"])
@needs_tools
def test_a_disk_is_saved_over_nothing_but_an_image(copied: RealCase, where: str) -> None:
    with_snapshot(copied)
    with pytest.raises(DriverError, match="is not an image in a datastore"):
        copied.driver.image_target(copied.location / where)


@needs_tools
def test_a_disk_is_not_saved_through_a_link(copied: RealCase) -> None:
    with_snapshot(copied)
    (copied.location / "1" / "link").symlink_to(source(copied))
    with pytest.raises(DriverError, match="is a link"):
        copied.driver.copy_out(disk(copied), -1, "raw", copied.location / "1" / "link", "raw")


@needs_tools
def test_a_saved_disk_needs_no_other_file(chained: RealCase) -> None:
    with_snapshot(chained)
    chained.driver.copy_out(disk(chained), -1, "qcow2", source(chained, "qimage"), "qcow2")
    info = subprocess.run(
        ["qemu-img", "info", "-f", "qcow2", source(chained, "qimage")],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "backing" not in info


def test_deleted_snapshots_of_a_reverted_tree_leave_the_others(case: Case) -> None:
    reverted(case)
    case.driver.snapshot_delete(disk(case), 1)
    case.driver.snapshot_revert(disk(case), 0, case.disk_format("raw"))
    assert first_content(case, disk(case))
