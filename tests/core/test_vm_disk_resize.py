"""one.vm.diskresize: disks that grow."""

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, NODE0, PERSISTENT, Cloud, check, stand

from merope.model.errors import Code
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.states import HistoryAction
from merope.model.template import Vector
from merope.model.vm import VM

RESIZED = (Phase.RUNNING, Phase.POWEROFF, Phase.UNDEPLOYED)
KEPT = f"CPU=1\nMEMORY=64\nDISK=[IMAGE_ID={PERSISTENT}]"


def disk(cloud: Cloud, oid: int, number: int = 0) -> Vector:
    found = cloud.get(VM, oid).disk(number)
    assert found is not None
    return found


@pytest.mark.parametrize("phase", RESIZED, ids=lambda phase: phase.name)
def test_a_disk_grows_and_its_id_is_answered(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    assert cloud.call(ANN, "one.vm.diskresize", oid, 1, "100") == 1
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.host) == ("vm.disk_resize", NODE0)
    assert effect.arguments == {"disk": 1, "size": 100}
    marks = disk(cloud, oid, 1)
    assert (marks["SIZE"], marks["SIZE_PREV"], marks["RESIZE"]) == ("100", "16", "YES")
    check(cloud)
    cloud.answer(op="vm")
    assert cloud.phase(oid) is phase
    assert disk(cloud, oid, 1)["SIZE"] == "100"
    check(cloud)


@pytest.mark.parametrize("phase", RESIZED, ids=lambda phase: phase.name)
def test_a_disk_that_could_not_grow_has_its_old_size(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    used = cloud.used()
    cloud.call(ANN, "one.vm.diskresize", oid, 0, "100")
    assert cloud.used() != used
    cloud.answer(False, "no", op="vm")
    found = disk(cloud, oid)
    assert (found["SIZE"], "SIZE_PREV" in found, "RESIZE" in found) == ("64", False, False)
    assert cloud.used() == used
    check(cloud)


def test_a_record_tells_of_it_where_the_vm_is_on_a_host() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.diskresize", oid, 0, "100")
    assert [record.action for record in cloud.records(oid)] == [HistoryAction.DISK_RESIZE, 0]


def test_an_undeployed_vm_is_deployed_after_it_as_before() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.UNDEPLOYED)
    cloud.call(ANN, "one.vm.diskresize", oid, 0, "100")
    cloud.answer(op="vm")
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    assert cloud.phase(oid) is Phase.PROLOG_UNDEPLOY
    check(cloud)


def test_what_is_deleted_while_it_is_resized_at_the_front_end_is_cleaned_up_there() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.DISK_RESIZE_UNDEPLOYED)
    cloud.call(0, "one.vm.recover", oid, 3)
    [effect] = cloud.effects("vm.delete")
    assert (effect.arguments["local"], effect.arguments["domain"]) == (1, 0)


@pytest.mark.parametrize("ok", [True, False])
def test_a_persistent_image_has_the_size_of_its_disk(ok: bool) -> None:
    cloud = Cloud()
    oid = cloud.running(KEPT)
    cloud.call(ANN, "one.vm.diskresize", oid, 0, "100")
    check(cloud)
    cloud.answer(ok, "no", op="vm")
    assert cloud.get(Image, PERSISTENT).size == (100 if ok else 64)
    check(cloud)


def test_quotas_of_the_images_owner_limit_a_persistent_disk() -> None:
    cloud = Cloud()
    oid = cloud.running(KEPT)
    cloud.call(0, "one.user.quota", ANN, "DATASTORE=[ID=1,SIZE=150]")
    error = cloud.fails(ANN, "one.vm.diskresize", oid, 0, "100")
    assert error.code is Code.AUTHORIZATION
    assert "limit of 150 reached for SIZE quota in DATASTORE with ID: 1" in error.message


def test_a_quota_limits_the_size_of_copies() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.user.quota", ANN, "VM=[SYSTEM_DISK_SIZE=100]")
    error = cloud.fails(ANN, "one.vm.diskresize", oid, 0, "100")
    assert error.code is Code.AUTHORIZATION


REFUSED = [
    (0, "64", "New disk size has to be greater than current one"),
    (0, "1", "New disk size has to be greater than current one"),
    (0, "-5", "Size must be a number of MB, not '-5'."),
    (0, "big", "Size must be a number of MB, not 'big'."),
    (0, "9" * 30, f"Size must be a number of MB, not '{'9' * 30}'."),
    (9, "100", "VM disk does not exist"),
]


@pytest.mark.parametrize(("number", "size", "said"), REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(number: int, size: str, said: str) -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, "one.vm.diskresize", oid, number, size)
    assert sentence(error) == (Code.ACTION, said)


def test_a_disk_with_snapshots_does_not_grow() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.disksnapshotcreate", oid, 0, "")
    cloud.answer(op="vm")
    error = cloud.fails(ANN, "one.vm.diskresize", oid, 0, "100")
    assert sentence(error) == (Code.ACTION, "Cannot resize a disk with snapshots")


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (*RESIZED, Phase.DONE)], ids=str)
def test_in_other_phases_it_is_refused(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    error = cloud.fails(ANN, "one.vm.diskresize", oid, 0, "9999")
    assert sentence(error) == (
        Code.ACTION,
        f"Could not resize disk for VM {oid}, wrong state {phase.name}.",
    )
