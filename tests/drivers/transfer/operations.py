"""Every operation of a transfer driver, with what there is before and how to see that it was done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.drivers.transfer.cases import Case

from merope.drivers.context import Context
from merope.drivers.transfer.base import Place

CONTEXT = Context({"NETWORK": "YES"})


def disk(case: Case, number: int = 0, vm: int = 7, host: str = "localhost") -> Place:
    return Place(host, case.location / "0" / str(vm) / f"disk.{number}")


def directory(case: Case, vm: int = 7, datastore: int = 0) -> Place:
    return Place("localhost", case.location / str(datastore) / str(vm))


@dataclass(frozen=True)
class Operation:
    """`prepare` makes what there is before; `do` is the operation; `done` says whether it has been done."""

    prepare: Callable[[Case], None]
    do: Callable[[Case], None]
    done: Callable[[Case], bool]


def nothing(case: Case) -> None:
    """There is nothing before."""


def images(case: Case) -> None:
    case.image("image", 2)
    case.image("qimage", 2, "qcow2")


def source(case: Case, name: str = "image") -> Path:
    return case.source(name)


def linked_and_written(case: Case) -> None:
    images(case)
    case.driver.link(source(case), disk(case), "raw")
    case.guest_writes(disk(case), "raw")


def two_disks(case: Case) -> None:
    images(case)
    case.driver.clone(source(case), disk(case), 2, "raw")
    case.driver.make_swap(1, disk(case, 1))


def with_snapshot(case: Case) -> None:
    """A disk that was written to after its snapshot 0."""
    two_disks(case)
    case.driver.snapshot_create(disk(case), 0, case.disk_format("raw"))
    case.guest_writes(disk(case), case.disk_format("raw"))


def reverted(case: Case) -> None:
    """A disk with two snapshots, which is what the first one was; nothing is built on the second."""
    with_snapshot(case)
    case.driver.snapshot_create(disk(case), 1, case.disk_format("raw"))
    case.driver.snapshot_revert(disk(case), 0, case.disk_format("raw"))


def linked(case: Case) -> None:
    images(case)
    case.driver.link(source(case, "qimage"), disk(case), "qcow2")


def persistent_with_snapshot(case: Case) -> None:
    """A disk that is an image, or a copy of it that is returned, written to after its snapshot 0."""
    linked(case)
    case.driver.snapshot_create(disk(case), 0, "qcow2")
    case.guest_writes(disk(case), "qcow2")


def returned_with_snapshot(case: Case) -> None:
    persistent_with_snapshot(case)
    case.driver.save_back(disk(case), source(case, "qimage"))


def first_content(case: Case, place: Place) -> bool:
    expected = case.image_content(source(case), "raw")
    return case.content(place, case.disk_format("raw")) == expected


OPERATIONS = {
    "clone": Operation(
        images,
        lambda case: case.driver.clone(source(case), disk(case), 2, "raw"),
        lambda case: first_content(case, disk(case)) and case.size(disk(case), case.disk_format("raw")) == 2,
    ),
    "clone grown": Operation(
        images,
        lambda case: case.driver.clone(source(case, "qimage"), disk(case), 5, "qcow2"),
        lambda case: (
            case.size(disk(case), "qcow2") == 5
            and case.content(disk(case), "qcow2") == case.image_content(source(case, "qimage"), "qcow2")
        ),
    ),
    "link": Operation(
        images,
        lambda case: case.driver.link(source(case), disk(case), "raw"),
        lambda case: case.content(disk(case), "raw") == case.image_content(source(case), "raw"),
    ),
    "make swap": Operation(
        nothing,
        lambda case: case.driver.make_swap(3, disk(case)),
        lambda case: case.size(disk(case), "raw") == 3,
    ),
    "make image": Operation(
        nothing,
        lambda case: case.driver.make_image(3, "raw", "", disk(case)),
        lambda case: case.size(disk(case), "raw") == 3,
    ),
    "make image with a file system": Operation(
        nothing,
        lambda case: case.driver.make_image(8, "qcow2", "ext4", disk(case)),
        lambda case: case.size(disk(case), "qcow2") == 8,
    ),
    "move a disk": Operation(
        two_disks,
        lambda case: case.driver.move(disk(case), disk(case, vm=8)),
        lambda case: not case.exists(disk(case)) and first_content(case, disk(case, vm=8)),
    ),
    "move a directory": Operation(
        two_disks,
        lambda case: case.driver.move(directory(case), directory(case, vm=8)),
        lambda case: (
            not case.exists(directory(case))
            and first_content(case, disk(case, vm=8))
            and case.exists(disk(case, 1, vm=8))
        ),
    ),
    "save back": Operation(
        linked_and_written,
        lambda case: case.driver.save_back(disk(case), source(case)),
        lambda case: not case.exists(disk(case)),
    ),
    "delete a disk": Operation(
        two_disks,
        lambda case: case.driver.delete(disk(case)),
        lambda case: not case.exists(disk(case)) and case.exists(disk(case, 1)),
    ),
    "delete a directory": Operation(
        two_disks,
        lambda case: case.driver.delete(directory(case)),
        lambda case: not case.exists(directory(case)),
    ),
    "resize": Operation(
        two_disks,
        lambda case: case.driver.resize(disk(case), 4, case.disk_format("raw")),
        lambda case: case.size(disk(case), case.disk_format("raw")) == 4 and first_content(case, disk(case)),
    ),
    "snapshot": Operation(
        two_disks,
        lambda case: case.driver.snapshot_create(disk(case), 0, case.disk_format("raw")),
        lambda case: first_content(case, disk(case)) and case.snapshots(disk(case)) == [0],
    ),
    "snapshot with a later id": Operation(
        two_disks,
        lambda case: case.driver.snapshot_create(disk(case), 5, case.disk_format("raw")),
        lambda case: first_content(case, disk(case)) and 5 in case.snapshots(disk(case)),
    ),
    "snapshot of an image in use": Operation(
        linked,
        lambda case: case.driver.snapshot_create(disk(case), 0, "qcow2"),
        lambda case: (
            case.content(disk(case), "qcow2") == case.image_content(source(case, "qimage"), "qcow2")
            and case.snapshots(disk(case)) == [0]
        ),
    ),
    "revert": Operation(
        with_snapshot,
        lambda case: case.driver.snapshot_revert(disk(case), 0, case.disk_format("raw")),
        lambda case: first_content(case, disk(case)) and case.snapshots(disk(case)) == [0],
    ),
    "delete a snapshot": Operation(
        reverted,
        lambda case: case.driver.snapshot_delete(disk(case), 1),
        lambda case: first_content(case, disk(case)) and case.snapshots(disk(case)) == [0],
    ),
    "move a disk with a snapshot": Operation(
        with_snapshot,
        lambda case: case.driver.move(disk(case), disk(case, vm=8)),
        lambda case: not case.exists(disk(case)) and case.snapshots(disk(case, vm=8)) == [0],
    ),
    "move a directory with a snapshot": Operation(
        with_snapshot,
        lambda case: case.driver.move(directory(case), directory(case, vm=8)),
        lambda case: not case.exists(directory(case)) and case.snapshots(disk(case, vm=8)) == [0],
    ),
    "save back with a snapshot": Operation(
        persistent_with_snapshot,
        lambda case: case.driver.save_back(disk(case), source(case, "qimage")),
        lambda case: not case.exists(disk(case)) and case.image_snapshots(source(case, "qimage")) == [0],
    ),
    "link with a snapshot": Operation(
        returned_with_snapshot,
        lambda case: case.driver.link(source(case, "qimage"), disk(case), "qcow2"),
        lambda case: case.snapshots(disk(case)) == [0],
    ),
    "delete a disk with a snapshot": Operation(
        with_snapshot,
        lambda case: case.driver.delete(disk(case)),
        lambda case: not case.exists(disk(case)) and case.exists(disk(case, 1)),
    ),
    "save as": Operation(
        two_disks,
        lambda case: case.driver.copy_out(
            disk(case), -1, case.disk_format("raw"), source(case, "qimage"), "qcow2"
        ),
        lambda case: first_content(case, disk(case)) and saved(case, disk(case)),
    ),
    "save a snapshot as": Operation(
        with_snapshot,
        lambda case: case.driver.copy_out(
            disk(case), 0, case.disk_format("raw"), source(case, "qimage"), "qcow2"
        ),
        lambda case: (
            case.image_content(source(case, "qimage"), "qcow2") == case.image_content(source(case), "raw")
        ),
    ),
}


def saved(case: Case, place: Place) -> bool:
    """Whether qimage is what the disk is."""
    return case.image_content(source(case, "qimage"), "qcow2") == case.content(place, case.disk_format("raw"))
