"""one.vm.disksaveas: a disk of a VM becomes an image."""

import pytest
from tests.core.conftest import sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import ANN, NODE0, Cloud, check, stand

from merope.core import vm_flight
from merope.model.errors import Code
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.states import ImageState, ImageType
from merope.model.vm import VM

SAVED = (Phase.RUNNING, Phase.POWEROFF, Phase.SUSPENDED)


def save(
    cloud: Cloud, oid: int, *, kind: str = "", snapshot: int = -1, number: int = 0, who: int = ANN
) -> int:
    made = cloud.call(who, "one.vm.disksaveas", oid, number, "saved", kind, snapshot)
    assert isinstance(made, int)
    return made


def marks(cloud: Cloud, oid: int) -> list[str]:
    disk = cloud.get(VM, oid).disk(0)
    assert disk is not None
    return sorted(key for key in disk if key.startswith("HOTPLUG_SAVE_AS"))


@pytest.mark.parametrize("phase", SAVED, ids=lambda phase: phase.name)
def test_an_image_is_made_then_the_disk_copied_to_it_then_it_is_ready(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    made = save(cloud, oid)
    image = cloud.get(Image, made)
    assert (image.name, image.uid, image.size, image.state) == ("saved", ANN, 64, ImageState.LOCKED)
    assert [image.template.get(f"SAVED_{what}_ID") for what in ("IMAGE", "DISK", "VM")] == [
        "0",
        "0",
        str(oid),
    ]
    assert [effect.op for effect in cloud.effects()] == ["image.make"]
    check(cloud)
    check_schema(cloud.call(ANN, "one.vm.info", oid), "vm")
    cloud.answer(op="image", source="/img/new", format="raw")
    assert cloud.get(Image, made).state == ImageState.LOCKED
    [effect] = cloud.effects()
    assert (effect.op, effect.host) == ("vm.save_as", NODE0)
    assert effect.arguments == {"disk": 0, "image": made, "snapshot": -1}
    check(cloud)
    cloud.answer(op="vm", source="/img/new", format="qcow2")
    image = cloud.get(Image, made)
    assert (image.state, image.source, image.fstype) == (ImageState.READY, "/img/new", "qcow2")
    assert (cloud.phase(oid), marks(cloud, oid)) == (phase, [])
    check(cloud)
    check_schema(cloud.call(ANN, "one.image.info", made), "image")


def test_an_image_that_could_not_be_made_is_in_error_and_the_vm_goes_on() -> None:
    cloud = Cloud()
    oid = cloud.running()
    made = save(cloud, oid)
    cloud.answer(False, "no space", op="image")
    image = cloud.get(Image, made)
    assert image.state == ImageState.ERROR
    assert "no space" in image.template.get("ERROR")
    assert (cloud.phase(oid), marks(cloud, oid)) == (Phase.RUNNING, [])
    check(cloud)


def test_an_image_to_which_the_disk_could_not_be_copied_is_in_error() -> None:
    cloud = Cloud()
    oid = cloud.running()
    made = save(cloud, oid)
    cloud.answer(op="image", source="/img/new", format="raw")
    cloud.answer(False, "read error", op="vm")
    image = cloud.get(Image, made)
    assert image.state == ImageState.ERROR
    assert f"Error saving disk of VM {oid}: read error" in image.template.get("ERROR")
    assert cloud.phase(oid) is Phase.RUNNING
    check(cloud)


@pytest.mark.parametrize("made_already", [False, True])
def test_deleting_the_image_calls_the_copy_off(made_already: bool) -> None:
    cloud = Cloud()
    oid = cloud.running()
    made = save(cloud, oid)
    if made_already:
        cloud.answer(op="image", source="/img/new", format="raw")
    cloud.call(ANN, "one.image.delete", made)
    assert (cloud.phase(oid), marks(cloud, oid)) == (Phase.RUNNING, [])
    assert [effect.op for effect in cloud.effects()] == ["image.remove"]
    cloud.answer(op="image")
    assert not cloud.exists(Image, made)
    check(cloud)


@pytest.mark.parametrize("op", [3, 4, 5], ids=["delete", "recreate", "delete-db"])
@pytest.mark.parametrize("made_already", [False, True])
def test_a_vm_that_is_deleted_meanwhile_leaves_the_image_in_error(op: int, made_already: bool) -> None:
    cloud = Cloud()
    oid = cloud.running()
    made = save(cloud, oid)
    if made_already:
        cloud.answer(op="image", source="/img/new", format="raw")
    cloud.call(0, "one.vm.recover", oid, op)
    assert cloud.get(Image, made).state == ImageState.ERROR
    assert not cloud.effects("image")
    check(cloud)


@pytest.mark.parametrize(("op", "state"), [(0, ImageState.ERROR), (1, ImageState.READY)])
def test_recover_says_whether_the_disk_was_copied(op: int, state: ImageState) -> None:
    cloud = Cloud()
    oid = cloud.running()
    made = save(cloud, oid)
    cloud.answer(op="image", source="/img/new", format="raw")
    cloud.call(0, "one.vm.recover", oid, op)
    assert (cloud.phase(oid), cloud.get(Image, made).state) == (Phase.RUNNING, state)
    check(cloud)


@pytest.mark.parametrize("op", [0, 1])
def test_an_image_that_is_still_being_made_was_not_copied_whatever_recover_says(op: int) -> None:
    cloud = Cloud()
    oid = cloud.running()
    made = save(cloud, oid)
    cloud.call(0, "one.vm.recover", oid, op)
    assert (cloud.phase(oid), cloud.get(Image, made).state) == (Phase.RUNNING, ImageState.ERROR)
    assert not cloud.effects()
    check(cloud)


def test_nothing_is_asked_for_anew_while_the_image_is_being_made() -> None:
    cloud = Cloud()
    oid = cloud.running()
    save(cloud, oid)
    tx = cloud.transaction(cloud.caller(0))
    vm_flight.ask_again(tx, tx.edit(VM, oid))
    cloud.commit(tx)
    assert [effect.op for effect in cloud.effects()] == ["image.make"]


def test_a_vm_may_wait_for_the_image() -> None:
    cloud = Cloud()
    oid = cloud.running()
    made = save(cloud, oid)
    waiting = cloud.vm(f"CPU=1\nMEMORY=64\nDISK=[IMAGE_ID={made}]")
    assert cloud.phase(waiting) is Phase.CLONING
    cloud.answer(op="image", source="/img/new", format="raw")
    assert cloud.phase(waiting) is Phase.CLONING
    cloud.answer(op="vm", source="/img/new", format="raw")
    assert cloud.phase(waiting) is Phase.PENDING
    check(cloud)


def test_a_snapshot_of_the_disk_is_saved() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.disksnapshotcreate", oid, 0, "")
    cloud.answer(op="vm")
    save(cloud, oid, snapshot=0)
    cloud.answer(op="image", source="/img/new", format="raw")
    assert cloud.effects("vm")[0].arguments["snapshot"] == 0


@pytest.mark.parametrize(("kind", "wanted"), [("", ImageType.DATABLOCK), ("os", ImageType.OS)])
def test_the_type_is_that_of_the_disks_image_unless_another_is_named(kind: str, wanted: ImageType) -> None:
    cloud = Cloud()
    made = save(cloud, cloud.running(), kind=kind)
    assert cloud.get(Image, made).type == wanted


REFUSED = [
    ((9, "saved", "", -1), Code.INTERNAL, "Cannot use DISK. DISK does not exist."),
    ((1, "saved", "", -1), Code.INTERNAL, "Cannot use DISK. DISK does not have a valid IMAGE_ID."),
    ((0, "saved", "", 3), Code.INTERNAL, "Cannot use DISK. Snapshot does not exist."),
    ((0, "saved", "KERNEL", -1), Code.INTERNAL, "Cannot save_as image of type KERNEL"),
    ((0, "saved", "nonsense", -1), Code.INTERNAL, "Cannot save_as image of type nonsense"),
    ((0, "", "", -1), Code.INTERNAL, "Invalid NAME, it cannot be empty"),
    ((0, "disk", "", -1), Code.INTERNAL, "NAME is already taken by IMAGE 0."),
]


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSED)
def test_what_cannot_be_saved_is_refused_and_changes_nothing(
    arguments: tuple[int | str, ...], code: Code, said: str
) -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, "one.vm.disksaveas", oid, *arguments)
    assert error.code is code
    assert said in error.message


def test_the_quota_of_who_saves_is_charged() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.user.quota", ANN, "DATASTORE=[ID=1,IMAGES=2]")
    error = cloud.fails(ANN, "one.vm.disksaveas", oid, 0, "saved", "", -1)
    assert error.code is Code.AUTHORIZATION
    made = save(cloud, oid, who=0)
    assert cloud.get(Image, made).uid == 0


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (*SAVED, Phase.DONE)], ids=str)
def test_in_other_phases_it_is_refused(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    error = cloud.fails(ANN, "one.vm.disksaveas", oid, 0, "another", "", -1)
    said = "VM has to be RUNNING, POWEROFF or SUSPENDED to save disks."
    assert sentence(error) == (Code.INTERNAL, said)
