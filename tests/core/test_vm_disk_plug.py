"""one.vm.attach and one.vm.detach: disks plugged into a VM that is there, and out of it."""

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, NODE0, PERSISTENT, Cloud, check, stand

from merope.model.errors import Code
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.states import HistoryAction, ImageState
from merope.model.template import Vector
from merope.model.vm import VM

PLUGGED = (Phase.RUNNING, Phase.POWEROFF)


def disk(cloud: Cloud, oid: int, number: int) -> Vector:
    found = cloud.get(VM, oid).disk(number)
    assert found is not None
    return found


@pytest.mark.parametrize("phase", PLUGGED, ids=lambda phase: phase.name)
def test_an_attached_image_is_a_disk_of_the_vm_when_the_driver_has_done_it(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    assert cloud.call(ANN, "one.vm.attach", oid, f"DISK=[IMAGE_ID={PERSISTENT}]") == oid
    op = "vm.attach_disk" if phase is Phase.RUNNING else "vm.prolog_attach"
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.host, effect.arguments) == (op, NODE0, {"disk": 2})
    assert disk(cloud, oid, 2)["ATTACH"] == "YES"
    check(cloud)
    cloud.answer(op="vm")
    assert cloud.phase(oid) is phase
    new = disk(cloud, oid, 2)
    assert "ATTACH" not in new
    assert (new["IMAGE"], new["SOURCE"], new["SAVE"], new["TARGET"]) == ("kept", "/img/1", "YES", "sdc")
    assert cloud.get(Image, PERSISTENT).state == ImageState.USED_PERS
    check(cloud)


@pytest.mark.parametrize("phase", PLUGGED, ids=lambda phase: phase.name)
def test_what_the_driver_could_not_attach_is_given_back(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    used = cloud.used()
    cloud.call(ANN, "one.vm.attach", oid, f"DISK=[IMAGE_ID={PERSISTENT}]")
    assert cloud.used() != used
    cloud.answer(False, "no such bus", op="vm")
    assert cloud.get(VM, oid).disk(2) is None
    assert cloud.get(VM, oid).user_template.get("ERROR").endswith(" : no such bus")
    assert cloud.get(Image, PERSISTENT).state == ImageState.READY
    assert cloud.used() == used
    check(cloud)


def test_a_volatile_disk_is_in_the_system_datastore_of_the_vm() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.attach", oid, "DISK=[TYPE=fs,SIZE=10]")
    new = disk(cloud, oid, 2)
    assert (new["DATASTORE_ID"], new["TM_MAD"], new["SIZE"]) == ("0", "dummy", "10")
    check(cloud)


@pytest.mark.parametrize("phase", PLUGGED, ids=lambda phase: phase.name)
def test_a_detached_disk_leaves_the_vm_and_its_image_is_free_again(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    cloud.call(ANN, "one.vm.detach", oid, 0)
    op = "vm.detach_disk" if phase is Phase.RUNNING else "vm.epilog_detach"
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.arguments) == (op, {"disk": 0})
    assert disk(cloud, oid, 0)["ATTACH"] == "YES"
    cloud.answer(op="vm")
    assert [item["DISK_ID"] for item in cloud.get(VM, oid).template.vectors("DISK")] == ["1"]
    assert cloud.get(Image, 0).state == ImageState.READY
    check(cloud)


def test_a_disk_that_could_not_be_detached_stays() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.detach", oid, 0)
    cloud.answer(False, "busy", op="vm")
    assert "ATTACH" not in disk(cloud, oid, 0)
    assert cloud.phase(oid) is Phase.RUNNING
    check(cloud)


def test_one_of_two_disks_of_an_image_goes_and_the_image_stays_in_use() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.attach", oid, "DISK=[IMAGE_ID=0]")
    cloud.answer(op="vm")
    cloud.call(ANN, "one.vm.detach", oid, 0)
    cloud.answer(op="vm")
    image = cloud.get(Image, 0)
    assert (image.running_vms, image.vms, image.state) == (1, {oid}, ImageState.USED)
    check(cloud)


def test_ids_and_targets_of_disks_are_not_given_twice() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.detach", oid, 0)
    cloud.answer(op="vm")
    cloud.call(ANN, "one.vm.attach", oid, "DISK=[IMAGE_ID=0]")
    assert disk(cloud, oid, 2)["TARGET"] == "sda"
    cloud.answer(op="vm")
    error = cloud.fails(ANN, "one.vm.attach", oid, "DISK=[TYPE=fs,SIZE=1,TARGET=sda]")
    assert sentence(error) == (Code.ACTION, "Target sda is already in use.")


def test_records_tell_what_was_done_and_by_whom() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.now += 5
    cloud.call(ANN, "one.vm.attach", oid, "DISK=[TYPE=fs,SIZE=10]")
    first, second = cloud.records(oid)
    assert (first.action, first.uid, first.etime, first.retime) == (
        HistoryAction.DISK_ATTACH,
        ANN,
        cloud.now,
        cloud.now,
    )
    assert (second.action, second.stime, second.rstime, second.hid) == (0, cloud.now, cloud.now, first.hid)


def test_the_record_of_a_vm_that_is_off_has_no_running_time() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.POWEROFF)
    cloud.call(ANN, "one.vm.attach", oid, "DISK=[TYPE=fs,SIZE=10]")
    cloud.answer(op="vm")
    current = cloud.records(oid)[-1]
    assert (current.rstime, current.retime) == (0, 0)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (*PLUGGED, Phase.DONE)], ids=str)
def test_in_other_phases_both_are_refused(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    error = cloud.fails(ANN, "one.vm.attach", oid, "DISK=[TYPE=fs,SIZE=1]")
    said = "VM is not running in any host"
    if cloud.get(VM, oid).history is not None:
        said = f"Could not attach a new disk to VM {oid}, wrong state {phase.name}."
    assert sentence(error) == (Code.ACTION, said)
    error = cloud.fails(ANN, "one.vm.detach", oid, 0)
    said = f"Could not detach disk from VM {oid}, wrong state {phase.name}."
    assert sentence(error) == (Code.ACTION, said)


REFUSED = [
    ("", Code.ACTION, "one DISK"),
    ("DISK=[TYPE=fs,SIZE=1]\nDISK=[TYPE=fs,SIZE=1]", Code.ACTION, "one DISK"),
    ("DISK=[", Code.INTERNAL, ""),
    ("DISK=[IMAGE_ID=99]", Code.NO_EXISTS, "Error getting image [99]."),
    ("DISK=[TYPE=fs]", Code.ACTION, "SIZE attribute must be a positive integer value."),
    ("DISK=[TYPE=tape,SIZE=1]", Code.ACTION, "Unknown disk type tape"),
    ("DISK=[IMAGE_ID=0,ORIGINAL_SIZE=1]", Code.AUTHORIZATION, "DISK includes a restricted attribute"),
]


@pytest.mark.parametrize(("template", "code", "said"), REFUSED)
def test_what_cannot_be_attached_is_refused_and_changes_nothing(template: str, code: Code, said: str) -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, "one.vm.attach", oid, template)
    assert error.code is code
    assert said in error.message


def test_an_image_that_is_not_ready_cannot_be_attached() -> None:
    cloud = Cloud()
    oid = cloud.running()
    slow = cloud.image("slow", made=False)
    error = cloud.fails(ANN, "one.vm.attach", oid, f"DISK=[IMAGE_ID={slow}]")
    assert sentence(error) == (Code.ACTION, f"Cannot acquire image {slow}, it is locked")


def test_an_image_of_a_datastore_that_the_host_cannot_reach_cannot_be_attached() -> None:
    cloud = Cloud()
    oid = cloud.running()
    far = cloud.call(0, "one.cluster.allocate", "far")
    store = cloud.call(0, "one.datastore.allocate", "NAME=far\nDS_MAD=dummy\nTM_MAD=dummy", far)
    image = cloud.call(0, "one.image.allocate", "NAME=distant\nTYPE=DATABLOCK\nSIZE=8", store)
    cloud.answer(op="image", source="/img/far", format="raw")
    error = cloud.fails(0, "one.vm.attach", oid, f"DISK=[IMAGE_ID={image}]")
    assert sentence(error) == (Code.ACTION, f"Image [{image}] is not part of cluster [0]")


def test_a_quota_limits_what_is_attached() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.user.quota", ANN, "IMAGE=[ID=0,RVMS=1]")
    error = cloud.fails(ANN, "one.vm.attach", oid, "DISK=[IMAGE_ID=0]")
    assert error.code is Code.AUTHORIZATION
    assert "limit of 1 reached for RVMS quota in IMAGE with ID: 0" in error.message


def test_a_disk_that_is_not_there_cannot_be_detached() -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, "one.vm.detach", oid, 7)
    assert sentence(error) == (Code.ACTION, "Could not detach disk with DISK_ID 7, it does not exist.")


def test_disks_of_a_virtual_routers_vm_are_the_routers() -> None:
    cloud = Cloud()
    cloud.call(0, "one.vrouter.allocate", "NAME=edge")
    cloud.call(0, "one.template.allocate", "NAME=machine\nCPU=1\nMEMORY=64\nVROUTER=YES")
    cloud.call(0, "one.vrouter.instantiate", 0, 1, 0, "", True, "")
    oid = 0
    for name, argument in (("attach", "DISK=[TYPE=fs,SIZE=1]"), ("detach", 0)):
        error = cloud.fails(0, f"one.vm.{name}", oid, argument)
        assert sentence(error) == (Code.ACTION, "Action is not supported for virtual router VMs")


def test_marks_in_a_template_are_not_taken_for_what_is_under_way() -> None:
    cloud = Cloud()
    oid = cloud.vm("CPU=1\nMEMORY=64\nDISK=[IMAGE_ID=0,ATTACH=YES]\nDISK=[TYPE=fs,SIZE=1,RESIZE=YES]")
    assert not any(
        "ATTACH" in item or "RESIZE" in item for item in cloud.get(VM, oid).template.vectors("DISK")
    )
