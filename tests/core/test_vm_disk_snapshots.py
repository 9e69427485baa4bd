"""one.vm.disksnapshotcreate, -revert, -delete and -rename; the snapshots that a persistent image keeps."""

import pytest
from tests.core.conftest import sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import ANN, NODE0, PERSISTENT, Cloud, check, stand

from merope.model import disk_snapshots
from merope.model.errors import Code
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.states import HistoryAction, ImageState
from merope.model.template import Template, Vector
from merope.model.vm import VM

SNAPPED = (Phase.RUNNING, Phase.POWEROFF, Phase.SUSPENDED)
KEPT = f"CPU=1\nMEMORY=64\nDISK=[IMAGE_ID={PERSISTENT}]\nGRAPHICS=[TYPE=VNC]"


def disk(cloud: Cloud, oid: int, number: int = 0) -> Vector:
    found = cloud.get(VM, oid).disk(number)
    assert found is not None
    return found


def snapshots(cloud: Cloud, oid: int) -> Template:
    [found] = cloud.get(VM, oid).snapshots
    return found


def snap(cloud: Cloud, oid: int, name: str = "", *, number: int = 0) -> int:
    made = cloud.call(ANN, "one.vm.disksnapshotcreate", oid, number, name)
    cloud.answer(op="vm")
    assert isinstance(made, int)
    return made


def turn_off(cloud: Cloud, oid: int) -> None:
    cloud.call(ANN, "one.vm.action", "poweroff", oid)
    cloud.answer(op="vm")


@pytest.mark.parametrize("phase", SNAPPED, ids=lambda phase: phase.name)
def test_a_snapshot_is_asked_for_and_the_disk_goes_on_from_it(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    assert cloud.call(ANN, "one.vm.disksnapshotcreate", oid, 0, "clean") == 0
    [effect] = cloud.effects("vm")
    wanted = ("vm.disk_snapshot_create", NODE0, {"disk": 0, "snapshot": 0})
    assert (effect.op, effect.host, effect.arguments) == wanted
    marks = disk(cloud, oid)
    shown = (marks["DISK_SNAPSHOT_ACTIVE"], marks["DISK_SNAPSHOT_ID"], marks["DISK_SNAPSHOT_TOTAL_SIZE"])
    assert shown == ("YES", "0", "64")
    check(cloud)
    check_schema(cloud.call(ANN, "one.vm.info", oid), "vm")
    cloud.answer(op="vm")
    assert cloud.phase(oid) is phase
    found = disk_snapshots.find(snapshots(cloud, oid), 0)
    assert found is not None
    assert (found["NAME"], found["ACTIVE"], found["SIZE"]) == ("clean", "YES", "64")
    assert cloud.records(oid)[-2].action == HistoryAction.DISK_SNAPSHOT_CREATE
    check(cloud)


def test_a_snapshot_that_could_not_be_made_is_gone_with_its_quota() -> None:
    cloud = Cloud()
    oid = cloud.running()
    used = cloud.used()
    cloud.call(ANN, "one.vm.disksnapshotcreate", oid, 0, "")
    assert cloud.used() != used
    cloud.answer(False, "no space", op="vm")
    assert snapshots(cloud, oid).vectors("SNAPSHOT") == []
    assert cloud.used() == used
    assert disk(cloud, oid)["DISK_SNAPSHOT_TOTAL_SIZE"] == "0"
    check(cloud)


def test_a_disk_is_taken_back_to_a_snapshot_while_the_vm_does_not_run() -> None:
    cloud = Cloud()
    oid = cloud.running()
    for _ in range(2):
        snap(cloud, oid)
    error = cloud.fails(ANN, "one.vm.disksnapshotrevert", oid, 0, 0)
    said = f"Could not revert to disk snapshot for VM {oid}, wrong state RUNNING."
    assert sentence(error) == (Code.ACTION, said)
    turn_off(cloud, oid)
    cloud.call(ANN, "one.vm.disksnapshotrevert", oid, 0, 0)
    assert cloud.phase(oid) is Phase.DISK_SNAPSHOT_REVERT_POWEROFF
    cloud.answer(op="vm")
    active = disk_snapshots.active(snapshots(cloud, oid))
    assert active is not None
    assert active["ID"] == "0"
    check(cloud)
    cloud.call(ANN, "one.vm.disksnapshotdelete", oid, 0, 1)
    cloud.answer(op="vm")
    assert [each["ID"] for each in snapshots(cloud, oid).vectors("SNAPSHOT")] == ["0"]
    check(cloud)


def test_a_snapshot_that_could_not_be_deleted_or_reverted_to_is_still_there() -> None:
    cloud = Cloud()
    oid = cloud.running()
    for _ in range(2):
        snap(cloud, oid)
    turn_off(cloud, oid)
    cloud.call(ANN, "one.vm.disksnapshotrevert", oid, 0, 0)
    cloud.answer(False, "no", op="vm")
    active = disk_snapshots.active(snapshots(cloud, oid))
    assert active is not None
    assert active["ID"] == "1"
    assert "DISK_SNAPSHOT_ACTIVE" not in disk(cloud, oid)
    check(cloud)


def test_snapshots_build_on_one_another_as_the_datastore_says() -> None:
    cloud = Cloud()
    cloud.call(0, "one.datastore.update", 1, "ALLOW_ORPHANS=YES", 1)
    tx = cloud.transaction(cloud.caller(0))
    oid = cloud.running()
    own = tx.edit(VM, oid)
    first = own.disk(0)
    assert first is not None
    first["ALLOW_ORPHANS"] = "YES"
    cloud.commit(tx)
    for _ in range(2):
        snap(cloud, oid)
    assert snapshots(cloud, oid).get("ALLOW_ORPHANS") == "YES"
    assert [each["PARENT"] for each in snapshots(cloud, oid).vectors("SNAPSHOT")] == ["-1", "-1"]
    cloud.call(ANN, "one.vm.disksnapshotdelete", oid, 0, 1)
    cloud.answer(op="vm")
    check(cloud)


@pytest.mark.parametrize(("driver", "mode"), [("raw", "YES"), ("qcow2", "NO"), ("", "NO")])
def test_the_mode_format_follows_the_disks_format(driver: str, mode: str) -> None:
    from merope.core.vm_disk_snapshot_steps import mode_of

    assert mode_of(Vector(ALLOW_ORPHANS="FORMAT", DRIVER=driver)) == mode


def test_a_snapshot_gets_another_name() -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid, "old")
    assert cloud.call(ANN, "one.vm.disksnapshotrename", oid, 0, 0, "new") == oid
    found = disk_snapshots.find(snapshots(cloud, oid), 0)
    assert found is not None
    assert found["NAME"] == "new"


REFUSED = [
    ("create", (9, ""), "VM disk does not exist"),
    ("create", (1, ""), "Cannot make snapshots on volatile disks"),
    ("create", (0, "x" * 200), "A snapshot's name has at most 128 characters, all printable."),
    ("delete", (0, 9), "Snapshot does not exist"),
    ("delete", (9, 0), "VM disk does not exist"),
    ("delete", (0, 1), "Cannot delete the active snapshot"),
    ("delete", (0, 0), "Cannot delete snapshot with children"),
    ("rename", (0, 9, "x"), "Snapshot does not exist"),
    ("rename", (9, 0, "x"), "VM disk does not exist"),
]


@pytest.mark.parametrize(("what", "arguments", "said"), REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(
    what: str, arguments: tuple[int | str, ...], said: str
) -> None:
    cloud = Cloud()
    oid = cloud.running()
    for _ in range(2):
        snap(cloud, oid)
    error = cloud.fails(ANN, f"one.vm.disksnapshot{what}", oid, *arguments)
    assert sentence(error) == (Code.ACTION, said)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (*SNAPPED, Phase.DONE)], ids=str)
def test_in_other_phases_a_snapshot_is_refused(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    error = cloud.fails(ANN, "one.vm.disksnapshotcreate", oid, 0, "")
    said = f"Could not create a new snapshot for VM {oid}, wrong state {phase.name}."
    assert sentence(error) == (Code.ACTION, said)


def test_a_quota_limits_snapshots() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.user.quota", ANN, "VM=[SYSTEM_DISK_SIZE=100]")
    error = cloud.fails(ANN, "one.vm.disksnapshotcreate", oid, 0, "")
    assert error.code is Code.AUTHORIZATION
    assert "limit of 100 reached for SYSTEM_DISK_SIZE quota" in error.message


# What a persistent image keeps


def test_the_snapshots_of_a_persistent_disk_are_its_images_and_count_for_its_owner() -> None:
    cloud = Cloud()
    oid = cloud.running(KEPT)
    snap(cloud, oid, "clean")
    image = cloud.get(Image, PERSISTENT)
    assert [each["NAME"] for each in image.snapshots.vectors("SNAPSHOT")] == ["clean"]
    assert "DISK_ID" not in image.snapshots
    check(cloud)
    check_schema(cloud.call(ANN, "one.image.info", PERSISTENT), "image")
    cloud.call(ANN, "one.vm.detach", oid, 0)
    cloud.answer(op="vm")
    image = cloud.get(Image, PERSISTENT)
    assert (image.state, len(image.snapshots.vectors("SNAPSHOT"))) == (ImageState.READY, 1)
    check(cloud)


def test_an_id_whose_snapshot_failed_is_not_given_again_by_the_images_next_vm() -> None:
    """The host may have made it all the same, and what has an id is that snapshot."""
    cloud = Cloud()
    first = cloud.running(KEPT)
    cloud.call(ANN, "one.vm.disksnapshotcreate", first, 0, "")
    cloud.answer(False, "nobody answered in time", op="vm")
    cloud.call(ANN, "one.vm.detach", first, 0)
    cloud.answer(op="vm")
    second = cloud.running(KEPT)
    assert snap(cloud, second) == 1
    check(cloud)


def test_who_may_not_manage_a_persistent_image_makes_no_snapshots_of_it() -> None:
    cloud = Cloud()
    oid = cloud.running(KEPT)
    cloud.call(0, "one.image.chown", PERSISTENT, 0, 0)
    error = cloud.fails(ANN, "one.vm.disksnapshotcreate", oid, 0, "")
    assert error.code is Code.AUTHORIZATION


@pytest.mark.parametrize("attached", [True, False])
def test_a_disk_has_the_snapshots_of_its_image(attached: bool) -> None:
    cloud = Cloud()
    first = cloud.running(KEPT)
    snap(cloud, first, "clean")
    cloud.call(ANN, "one.vm.action", "terminate", first)
    cloud.steps(2)
    if attached:
        second = cloud.running()
        cloud.call(ANN, "one.vm.attach", second, f"DISK=[IMAGE_ID={PERSISTENT}]")
        cloud.answer(op="vm")
    else:
        second = cloud.running(KEPT)
    [found] = cloud.get(VM, second).snapshots
    assert found.get("DISK_ID") == ("2" if attached else "0")
    assert [each["NAME"] for each in found.vectors("SNAPSHOT")] == ["clean"]
    check(cloud)
    check_schema(cloud.call(ANN, "one.vm.info", second), "vm")


def test_copies_that_are_made_anew_have_no_snapshots() -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cloud.call(0, "one.vm.recover", oid, 4)
    cloud.answer(op="vm")
    assert (cloud.phase(oid), cloud.get(VM, oid).snapshots) == (Phase.PENDING, [])
    assert disk(cloud, oid)["DISK_SNAPSHOT_TOTAL_SIZE"] == "0"
    check(cloud)
