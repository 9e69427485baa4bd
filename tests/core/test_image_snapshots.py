"""one.image.snapshotdelete, -revert and -flatten."""

import pytest
from tests.core.conftest import sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import ANN, PERSISTENT, Cloud, check

from merope.core.transaction import SYSTEM
from merope.model import disk_snapshots
from merope.model.errors import Code
from merope.model.image import Image
from merope.model.states import ImageState

KEPT = f"CPU=1\nMEMORY=64\nDISK=[IMAGE_ID={PERSISTENT}]"


def snapped() -> Cloud:
    """Image 1 has the snapshots 0, and 1 that was made of it and from which the disk goes on."""
    cloud = Cloud()
    oid = cloud.running(KEPT)
    for name in ("first", "second"):
        cloud.call(ANN, "one.vm.disksnapshotcreate", oid, 0, name)
        cloud.answer(op="vm")
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    cloud.steps(2)
    return cloud


def ids(cloud: Cloud) -> list[str]:
    return [each["ID"] for each in cloud.get(Image, PERSISTENT).snapshots.vectors("SNAPSHOT")]


def active(cloud: Cloud) -> str:
    found = disk_snapshots.active(cloud.get(Image, PERSISTENT).snapshots)
    return "" if found is None else found["ID"]


def test_an_image_goes_back_to_a_snapshot_and_is_locked_meanwhile() -> None:
    cloud = snapped()
    assert cloud.call(ANN, "one.image.snapshotrevert", PERSISTENT, 0) == 0
    image = cloud.get(Image, PERSISTENT)
    assert (image.state, image.target_snapshot) == (ImageState.LOCKED, 0)
    [effect] = cloud.effects("image")
    assert (effect.op, effect.arguments["snapshot"]) == ("image.snapshot_revert", 0)
    check_schema(cloud.call(ANN, "one.image.info", PERSISTENT), "image")
    cloud.answer(op="image")
    image = cloud.get(Image, PERSISTENT)
    assert (image.state, image.target_snapshot, active(cloud)) == (ImageState.READY, -1, "0")
    check(cloud)


def test_a_snapshot_that_nothing_builds_on_is_deleted_with_its_quota() -> None:
    cloud = snapped()
    cloud.call(ANN, "one.image.snapshotrevert", PERSISTENT, 0)
    cloud.answer(op="image")
    assert cloud.call(ANN, "one.image.snapshotdelete", PERSISTENT, 1) == 1
    cloud.answer(op="image")
    assert ids(cloud) == ["0"]
    check(cloud)


def test_a_flattened_image_has_no_snapshots() -> None:
    cloud = snapped()
    cloud.call(ANN, "one.image.snapshotflatten", PERSISTENT, 0)
    cloud.answer(op="image")
    assert (ids(cloud), cloud.get(Image, PERSISTENT).state) == ([], ImageState.READY)
    check(cloud)
    cloud.call(ANN, "one.image.persistent", PERSISTENT, False)


@pytest.mark.parametrize(("name", "number"), [("revert", 0), ("flatten", 1)])
def test_what_fails_leaves_the_snapshots_as_they_were(name: str, number: int) -> None:
    cloud = snapped()
    cloud.call(ANN, f"one.image.snapshot{name}", PERSISTENT, number)
    cloud.answer(False, "no", op="image")
    image = cloud.get(Image, PERSISTENT)
    assert (image.state, image.target_snapshot) == (ImageState.READY, -1)
    assert (ids(cloud), active(cloud)) == (["0", "1"], "1")
    assert image.template.get("ERROR").endswith(": no")
    check(cloud)


def test_nobody_deletes_or_uses_the_image_meanwhile() -> None:
    cloud = snapped()
    cloud.call(ANN, "one.image.snapshotflatten", PERSISTENT, 0)
    for name, argument in (("one.image.delete", PERSISTENT), ("one.vm.allocate", KEPT)):
        error = cloud.fails(0, name, argument)
        assert error.code is Code.AUTHORIZATION
        assert "IMAGE is locked. [1]" in error.message


REFUSED = [
    ("delete", 1, "Cannot delete the active snapshot"),
    ("delete", 0, "Cannot delete snapshot with children"),
    ("delete", 9, "Snapshot does not exist"),
    ("revert", 9, "Snapshot does not exist"),
    ("flatten", -1, "Snapshot does not exist"),
]


@pytest.mark.parametrize(("name", "number", "said"), REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(name: str, number: int, said: str) -> None:
    cloud = snapped()
    error = cloud.fails(ANN, f"one.image.snapshot{name}", PERSISTENT, number)
    assert sentence(error) == (Code.ACTION, said)


@pytest.mark.parametrize(
    ("name", "what"),
    [("delete", "delete snapshot"), ("revert", "revert to snapshot"), ("flatten", "flatten snapshot")],
)
def test_an_image_that_is_used_keeps_its_snapshots(name: str, what: str) -> None:
    cloud = snapped()
    cloud.vm(KEPT)
    error = cloud.fails(ANN, f"one.image.snapshot{name}", PERSISTENT, 0)
    assert sentence(error) == (Code.ACTION, f"Cannot {what} in state USED_PERS")


def test_files_have_no_snapshots() -> None:
    cloud = Cloud()
    tx = cloud.transaction(SYSTEM)
    tx.edit(Image, 0).type = 3
    cloud.commit(tx)
    error = cloud.fails(0, "one.image.snapshotflatten", 0, 0)
    assert error.message == "IMAGES of type KERNEL, RAMDISK and CONTEXT does not have snapshots."
