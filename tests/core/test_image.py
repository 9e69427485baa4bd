"""Images: registered, made by the datastore, used, cloned, removed."""

import contextlib
from xml.etree import ElementTree

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.core.conftest import START, Core, example, flat, sentence
from tests.core.schemas import check_schema

from merope.core import image as images
from merope.core import results
from merope.core.transaction import SYSTEM
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.owned import Lock
from merope.model.quota import Usage
from merope.model.states import DiskType, ImageState, ImageType
from merope.model.template import Vector

DISK = "NAME=disk\nTYPE=DATABLOCK\nSIZE=64"


def allocate(core: Core, text: str = DISK, who: int = 0, ds: int = 1, **prepared: str | int) -> int:
    oid = core.call(who, "one.image.allocate", text, ds, **prepared)
    assert isinstance(oid, int)
    return oid


def ready(core: Core, text: str = DISK, who: int = 0) -> int:
    oid = allocate(core, text, who)
    core.answer(source=f"/img/{oid}", format="raw")
    return oid


def state(core: Core, oid: int) -> ImageState:
    return ImageState(core.get(Image, oid).state)


def acquire(core: Core, oid: int, vm: int, *, attach: bool = False) -> bool:
    tx = core.transaction(SYSTEM)
    is_ready = images.acquire(tx, oid, vm, attach=attach)
    core.commit(tx)
    return is_ready


def release(core: Core, oid: int, vm: int, *, failed: bool = False) -> None:
    tx = core.transaction(SYSTEM)
    images.release(tx, oid, vm, failed=failed)
    core.commit(tx)


def test_the_document_of_an_image_is_the_recorded_one(core: Core) -> None:
    text = 'NAME=disk\nTYPE=DATABLOCK\nSIZE=64\nDESCRIPTION="a <small> disk & more"'
    oid = allocate(core, text)
    core.answer(source="dummy_path")
    acquire(core, oid, 0)
    assert core.get(Image, oid).regtime == START
    document = core.call(0, "one.image.info", oid)
    assert flat(ElementTree.fromstring(document)) == flat(example("image.xml"))
    check_schema(document, "image")
    check_schema(core.call(0, "one.imagepool.info", -2, -1, -1), "image_pool")


def test_an_image_is_locked_until_its_datastore_has_made_it(core: Core) -> None:
    oid = allocate(core)
    assert (oid, state(core, oid)) == (0, ImageState.LOCKED)
    assert [(effect.op, effect.oid) for effect in core.effects()] == [("image.make", oid)]
    core.answer(source="/img/0", format="raw")
    assert (state(core, oid), core.get(Image, oid).source) == (ImageState.READY, "/img/0")
    assert core.effects() == []


def test_a_datastore_that_fails_leaves_the_image_in_error_with_its_words(core: Core) -> None:
    oid = allocate(core)
    core.answer(ok=False, message="No space left ]]> on device")
    assert state(core, oid) == ImageState.ERROR
    text = core.get(Image, oid).template.get("ERROR")
    assert text == "Sat Nov 21 01:56:09 2026 : Error creating datablock: No space left ]] > on device"
    core.call(0, "one.image.enable", oid, True)
    assert "ERROR" not in core.get(Image, oid).template


def test_a_late_or_second_answer_changes_nothing(core: Core) -> None:
    oid = allocate(core)
    effect = core.effects()[0]
    core.answer(source="/img/0")
    before = core.picture()
    tx = core.transaction(SYSTEM)
    assert results.take_result(tx, effect.id, False, "too late") is False
    core.commit(tx)
    assert core.picture() == before
    assert state(core, oid) == ImageState.READY


def test_the_size_of_a_path_is_what_the_datastore_found(core: Core) -> None:
    oid = allocate(core, 'NAME=os\nPATH="/srv/os.img"', size=2048)
    image = core.get(Image, oid)
    assert (image.size, image.path, image.fstype, image.type) == (2048, "/srv/os.img", "", ImageType.OS)
    assert core.effects()[0].op == "image.copy"
    core.answer(source="/img/0", format="qcow2")
    assert core.get(Image, oid).fstype == "qcow2"


def test_a_source_is_used_as_it_is(core: Core) -> None:
    oid = allocate(core, 'NAME=os\nSOURCE="rbd/one-7"\nSIZE=10')
    assert (state(core, oid), core.get(Image, oid).source) == (ImageState.READY, "rbd/one-7")
    assert core.effects() == []


def test_what_became_elements_is_no_attribute_any_more(core: Core) -> None:
    oid = allocate(core, "NAME=d\nTYPE=DATABLOCK\nSIZE=64\nPERSISTENT=YES\nFS=ext4")
    assert core.get(Image, oid).template.names() == ["DEV_PREFIX", "FS"]
    assert core.get(Image, oid).persistent == 1


def test_a_cdrom_has_its_own_prefix_and_disk_type(core: Core) -> None:
    oid = allocate(core, 'NAME=cd\nTYPE=cdrom\nPATH="/srv/cd.iso"', size=1)
    image = core.get(Image, oid)
    assert (image.disk_type, image.template.get("DEV_PREFIX")) == (DiskType.CD_ROM, "hd")


def test_an_empty_image_of_a_qcow2_datastore_is_qcow2(core: Core) -> None:
    ds = core.call(0, "one.datastore.allocate", "NAME=q\nDS_MAD=fs\nTM_MAD=qcow2", -1)
    assert core.get(Image, allocate(core, ds=ds)).fstype == "qcow2"


@pytest.mark.parametrize(
    ("text", "ds", "code", "message"),
    [
        (
            "TYPE=DATABLOCK\nSIZE=1",
            1,
            Code.INTERNAL,
            "Invalid NAME, it cannot be empty",
        ),
        (
            "NAME=i\nSIZE=1",
            0,
            Code.INTERNAL,
            "New images cannot be allocated in a system datastore.",
        ),
        (
            "NAME=i\nTYPE=CDROM\nSIZE=1",
            1,
            Code.INTERNAL,
            "No PATH in template.",
        ),
        (
            "NAME=i\nPATH=/a\nSOURCE=b",
            1,
            Code.INTERNAL,
            "PATH and SOURCE cannot be both set.",
        ),
        ("NAME=i\nTYPE=OS\nSIZE=big", 1, Code.INTERNAL, "Cannot parse image SIZE: big"),
        ("NAME=i\nTYPE=OS\nSIZE=-1", 1, Code.INTERNAL, "Cannot parse image SIZE: -1"),
        (f"NAME=i\nTYPE=OS\nSIZE={'9' * 40}", 1, Code.INTERNAL, f"Cannot parse image SIZE: {'9' * 32}"),
        (
            "NAME=i\nTYPE=OS",
            1,
            Code.INTERNAL,
            "Cannot determine Image SIZE. Wrong number or missing SIZE attribute.",
        ),
        ("NAME=i\nTYPE=TAPE\nSIZE=1", 1, Code.INTERNAL, "Unknown type TAPE"),
        (
            "NAME=i\nTYPE=KERNEL\nPATH=/a",
            1,
            Code.INTERNAL,
            "KERNEL images can only be registered in a FILE_DS datastore.",
        ),
        (
            "NAME=i\nTYPE=OS\nPATH=/a",
            2,
            Code.INTERNAL,
            "OS images can only be registered in an IMAGE_DS datastore.",
        ),
        ("NAME=i\nSIZE=1", 4711, Code.NO_EXISTS, "Error getting datastore [4711]."),
    ],
)
def test_bad_images_are_refused(core: Core, text: str, ds: int, code: Code, message: str) -> None:
    assert sentence(core.fails(0, "one.image.allocate", text, ds)) == (code, message)


def test_what_the_datastore_refuses_is_refused_with_its_words(core: Core) -> None:
    error = core.fails(0, "one.image.allocate", "NAME=i\nPATH=/etc/shadow", 1, error="/etc is not safe")
    assert sentence(error) == (Code.INTERNAL, "Cannot determine Image SIZE. /etc is not safe")


def test_names_are_unique_for_each_owner(core: Core) -> None:
    ann = core.user("ann", 1)
    allocate(core)
    allocate(core, who=ann)
    error = core.fails(ann, "one.image.allocate", DISK, 1)
    assert error.message == "NAME is already taken by IMAGE 1."


def test_users_set_no_source(core: Core) -> None:
    ann = core.user("ann", 1)
    error = core.fails(ann, "one.image.allocate", "NAME=i\nSOURCE=/etc/passwd\nSIZE=1", 1)
    text = f"User [{ann}] : Template includes a restricted attribute SOURCE."
    assert sentence(error) == (Code.AUTHORIZATION, text)


def test_an_image_must_fit_into_what_is_free(core: Core) -> None:
    tx = core.transaction(SYSTEM)
    own = tx.edit(Datastore, 1)
    own.total_mb, own.used_mb, own.free_mb = 100, 50, 50
    core.commit(tx)
    ann = core.user("ann", 1)
    for who, check in ((0, True), (ann, False)):
        error = core.fails(who, "one.image.allocate", DISK, 1, check)
        assert sentence(error) == (Code.ACTION, "Not enough space in datastore")
    core.call(0, "one.image.allocate", DISK, 1, False)
    core.call(0, "one.datastore.update", 1, "DATASTORE_CAPACITY_CHECK=NO", 1)
    allocate(core, who=ann)


def test_a_limit_of_the_datastore_counts_what_is_used(core: Core) -> None:
    tx = core.transaction(SYSTEM)
    own = tx.edit(Datastore, 1)
    own.total_mb, own.used_mb, own.free_mb = 1000, 50, 950
    core.commit(tx)
    core.call(0, "one.datastore.update", 1, "LIMIT_MB=100", 1)
    assert core.fails(0, "one.image.allocate", DISK, 1).message == "Not enough space in datastore"


def test_persistence_is_the_users_choice_or_a_preference(core: Core) -> None:
    ann = core.user("ann", 1)
    assert core.get(Image, allocate(core, who=ann)).persistent == 0
    core.call(ann, "one.user.update", ann, 'OPENNEBULA=[DEFAULT_IMAGE_PERSISTENT_NEW="YES"]', 1)
    assert core.get(Image, allocate(core, DISK.replace("disk", "b"), who=ann)).persistent == 1


def test_a_datastore_for_persistent_images_takes_no_others(core: Core) -> None:
    ds = core.call(0, "one.datastore.allocate", "NAME=d\nDS_MAD=dev\nTM_MAD=dev\nDISK_TYPE=BLOCK", -1)
    oid = allocate(core, ds=ds)
    assert core.get(Image, oid).persistent == 1
    error = core.fails(0, "one.image.allocate", "NAME=n\nSIZE=1\nPERSISTENT=NO", ds)
    assert error.message == "This Datastore only accepts persistent images."
    assert core.fails(0, "one.image.persistent", oid, False).code is Code.INTERNAL


# Quotas


def test_an_image_counts_for_its_owner_until_its_deletion_is_asked_for(core: Core) -> None:
    ann = core.user("ann", 1)
    core.call(0, "one.user.quota", ann, "DATASTORE=[ID=1,SIZE=100]")
    oid = ready(core, who=ann)
    assert core.fails(ann, "one.image.allocate", DISK.replace("disk", "b"), 1).code is Code.AUTHORIZATION
    core.call(ann, "one.image.delete", oid)
    ready(core, DISK.replace("disk", "b"), who=ann)
    assert core.state.user_quotas[ann].usage() == Usage().datastore(1, images=1, size=64)


def test_what_could_not_be_removed_counts_again(core: Core) -> None:
    ann = core.user("ann", 1)
    oid = ready(core, who=ann)
    core.call(ann, "one.image.delete", oid)
    assert not core.state.user_quotas[ann]
    core.answer(ok=False, message="busy")
    assert core.state.user_quotas[ann].usage() == Usage().datastore(1, images=1, size=64)
    core.call(ann, "one.image.delete", oid)
    core.answer()
    assert not core.state.user_quotas[ann]


def test_a_new_owner_takes_the_quota_along(core: Core) -> None:
    ann, bob = core.user("ann", 1), core.user("bob", 1)
    oid = ready(core, who=ann)
    core.call(0, "one.image.chown", oid, bob, -1)
    assert not core.state.user_quotas[ann]
    assert core.state.user_quotas[bob].usage() == Usage().datastore(1, images=1, size=64)
    assert core.get(Image, oid).uname == "bob"


# Use by VMs


@pytest.mark.parametrize(("persistent", "used"), [("NO", ImageState.USED), ("YES", ImageState.USED_PERS)])
def test_a_vm_takes_and_releases_an_image(core: Core, persistent: str, used: ImageState) -> None:
    oid = ready(core, f"{DISK}\nPERSISTENT={persistent}")
    assert acquire(core, oid, 7) is True
    image = core.get(Image, oid)
    assert (image.state, image.running_vms, image.vms) == (used, 1, {7})
    release(core, oid, 7)
    image = core.get(Image, oid)
    assert (image.state, image.running_vms, image.vms) == (ImageState.READY, 0, set())


def test_many_vms_use_an_image_that_is_not_persistent(core: Core) -> None:
    oid = ready(core)
    for vm in (7, 8):
        acquire(core, oid, vm)
    release(core, oid, 7)
    assert (state(core, oid), core.get(Image, oid).vms) == (ImageState.USED, {8})


def test_a_persistent_image_is_for_one_vm(core: Core) -> None:
    oid = ready(core, f"{DISK}\nPERSISTENT=YES")
    acquire(core, oid, 7)
    with pytest.raises(ApiError) as caught:
        acquire(core, oid, 8)
    assert caught.value.message == f"Cannot acquire image {oid}, it is persistent and already in use"


def test_a_vm_with_two_disks_of_one_image_gives_back_both(core: Core) -> None:
    oid = ready(core)
    for vm in (7, 7, 8):
        acquire(core, oid, vm)
    for _ in range(2):
        release(core, oid, 7)
    image = core.get(Image, oid)
    assert (image.state, image.running_vms, image.vms) == (ImageState.USED, 1, {8})


def test_who_does_not_hold_an_image_does_not_release_it(core: Core) -> None:
    oid = ready(core)
    acquire(core, oid, 7)
    release(core, oid, 8)
    assert core.get(Image, oid).running_vms == 1


def test_a_failed_disk_leaves_a_persistent_image_in_error(core: Core) -> None:
    oid = ready(core, f"{DISK}\nPERSISTENT=YES")
    acquire(core, oid, 7)
    release(core, oid, 7, failed=True)
    assert state(core, oid) == ImageState.ERROR


def test_an_image_that_is_still_being_made_is_not_spoilt_by_a_vm_that_waited(core: Core) -> None:
    oid = allocate(core, f"{DISK}\nPERSISTENT=YES")
    acquire(core, oid, 7)
    release(core, oid, 7, failed=True)
    assert state(core, oid) == ImageState.LOCKED


@pytest.mark.parametrize(
    ("persistent", "waiting", "used"),
    [
        ("NO", ImageState.LOCKED_USED, ImageState.USED),
        ("YES", ImageState.LOCKED_USED_PERS, ImageState.USED_PERS),
    ],
)
def test_a_vm_waits_for_a_locked_image(
    core: Core, persistent: str, waiting: ImageState, used: ImageState
) -> None:
    oid = allocate(core, f"{DISK}\nPERSISTENT={persistent}")
    assert acquire(core, oid, 7) is False
    assert state(core, oid) == waiting
    core.answer(source="/img/0")
    assert state(core, oid) == used


def test_waiting_vms_hear_when_an_image_is_ready_or_has_failed(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    from merope.core import image_use

    heard: list[tuple[int, ImageState]] = []
    monkeypatch.setattr(image_use, "_WAITING", [])
    first, second = allocate(core), allocate(core, DISK.replace("disk", "b"))
    images.on_ready(lambda tx, vm: heard.append((vm, images.state_of(tx, first if vm == 7 else second))))
    acquire(core, first, 7), acquire(core, second, 8)
    for effect, ok in zip(core.effects(), (True, False), strict=True):
        tx = core.transaction(SYSTEM)
        results.take_result(tx, effect.id, ok, "no", {"source": "/img"})
        core.commit(tx)
    assert heard == [(7, ImageState.USED), (8, ImageState.ERROR)]


def test_a_running_vm_does_not_wait(core: Core) -> None:
    oid = allocate(core)
    with pytest.raises(ApiError) as caught:
        acquire(core, oid, 7, attach=True)
    assert caught.value.message == f"Cannot acquire image {oid}, it is locked"


def test_an_image_that_is_locked_again_has_the_systems_lock_until_it_is_ready(core: Core) -> None:
    oid = allocate(core)
    acquire(core, oid, 7)
    release(core, oid, 7)
    assert core.get(Image, oid).lock == Lock(1, -1, START, -1)
    core.answer(source="/img/0")
    assert (state(core, oid), core.get(Image, oid).lock) == (ImageState.READY, None)


@pytest.mark.parametrize("kind", ["KERNEL", "RAMDISK", "CONTEXT"])
def test_files_are_no_disks(core: Core, kind: str) -> None:
    oid = allocate(core, f"NAME=f\nTYPE={kind}\nPATH=/srv/f\nPERSISTENT=YES", ds=2, size=1)
    core.answer(source="/img/0")
    assert core.get(Image, oid).persistent == 0
    with pytest.raises(ApiError) as caught:
        acquire(core, oid, 7)
    assert caught.value.message == f"Image {oid} (f) of type {kind} cannot be used as DISK."
    assert core.fails(0, "one.image.persistent", oid, True).code is Code.ACTION
    assert (
        core.fails(0, "one.image.clone", oid, "g").message == "KERNEL, RAMDISK and CONTEXT cannot be cloned."
    )


# What disks take from images


def disk_of(core: Core, oid: int, **stated: str) -> Vector:
    return images.disk_attributes(core.transaction(SYSTEM), core.get(Image, oid), Vector(**stated))


def test_a_disk_is_filled_in_as_recorded(core: Core) -> None:
    oid = allocate(core)
    core.answer(source="dummy_path", format="raw")
    acquire(core, oid, 0)
    recorded = example("vm-held.xml").find("TEMPLATE/DISK")
    assert recorded is not None
    by_vm = ("DISK_ID", "ORDER", "TARGET")
    expected = {part.tag: part.text for part in recorded if part.tag not in by_vm}
    assert disk_of(core, oid) == expected


def test_a_persistent_image_is_used_in_place(core: Core) -> None:
    filled = disk_of(core, ready(core, f"{DISK}\nPERSISTENT=YES"))
    assert (filled["CLONE"], filled["SAVE"], filled["PERSISTENT"]) == ("NO", "YES", "YES")


@pytest.mark.parametrize("text", ["NAME=c\nTYPE=CDROM\nPATH=/c", f"{DISK}\nPERSISTENT_TYPE=IMMUTABLE"])
def test_what_is_only_read_is_neither_copied_nor_saved(core: Core, text: str) -> None:
    oid = allocate(core, text, size=1)
    filled = disk_of(core, oid)
    assert (filled["CLONE"], filled["SAVE"], filled["READONLY"]) == ("NO", "NO", "YES")


def test_the_type_of_a_disk_tells_cdroms(core: Core) -> None:
    assert disk_of(core, allocate(core, "NAME=c\nTYPE=CDROM\nPATH=/c", size=1))["TYPE"] == "CDROM"


def test_a_disk_overrides_what_its_image_suggests(core: Core) -> None:
    oid = ready(core, f"{DISK}\nDEV_PREFIX=vd\nDRIVER=qcow2")
    assert (disk_of(core, oid)["DEV_PREFIX"], disk_of(core, oid)["DRIVER"]) == ("vd", "qcow2")
    stated = disk_of(core, oid, DEV_PREFIX="hd", DRIVER="raw", TARGET="hdc", SIZE="128")
    assert [stated[name] for name in ("DEV_PREFIX", "DRIVER", "TARGET", "SIZE")] == [
        "hd",
        "raw",
        "hdc",
        "128",
    ]
    assert stated["ORIGINAL_SIZE"] == "64"


def test_the_format_of_a_qcow2_image_is_its_driver(core: Core) -> None:
    oid = allocate(core, "NAME=os\nPATH=/os", size=1)
    core.answer(source="/img/0", format="qcow2")
    assert disk_of(core, oid)["DRIVER"] == "qcow2"


def test_targets_depend_on_the_mode_of_the_system_datastore(core: Core) -> None:
    ds = core.call(0, "one.datastore.allocate", "NAME=c\nDS_MAD=fs\nTM_MAD=shared", -1)
    oid = allocate(core, ds=ds)
    assert disk_of(core, oid)["LN_TARGET"] == "NONE"
    assert disk_of(core, oid, TM_MAD_SYSTEM="ssh")["LN_TARGET"] == "SYSTEM"


# Clones


def test_a_clone_is_made_of_the_originals_source(core: Core) -> None:
    oid = ready(core, f"{DISK}\nDESCRIPTION=x")
    copy = core.call(0, "one.image.clone", oid, "copy")
    effect = core.effects()[0]
    assert (effect.op, effect.oid, effect.arguments["source"]) == ("image.clone", copy, f"/img/{oid}")
    clone, original = core.get(Image, copy), core.get(Image, oid)
    assert (clone.state, clone.cloning_id, clone.size, clone.fstype) == (ImageState.LOCKED, oid, 64, "raw")
    assert clone.template == original.template
    assert (original.state, original.cloning_ops, original.clones) == (ImageState.USED, 1, {copy})
    core.answer(source="/img/copy", format="raw")
    clone, original = core.get(Image, copy), core.get(Image, oid)
    assert (clone.state, clone.cloning_id, clone.source) == (ImageState.READY, -1, "/img/copy")
    assert (original.state, original.cloning_ops, original.clones) == (ImageState.READY, 0, set())


def test_a_persistent_original_is_in_state_clone_meanwhile(core: Core) -> None:
    oid = ready(core, f"{DISK}\nPERSISTENT=YES")
    core.call(0, "one.image.clone", oid, "copy")
    assert state(core, oid) == ImageState.CLONE
    error = core.fails(0, "one.image.delete", oid)
    assert error.message == "Cannot delete image. There are 1 active clone operations."
    core.answer(ok=False, message="no")
    assert state(core, oid) == ImageState.READY


def test_a_clone_that_is_deleted_early_frees_its_original(core: Core) -> None:
    oid = ready(core)
    copy = core.call(0, "one.image.clone", oid, "copy")
    core.call(0, "one.image.delete", copy)
    assert (state(core, oid), core.get(Image, oid).clones) == (ImageState.READY, set())
    assert not core.exists(Image, copy)


def test_an_image_that_is_not_ready_is_not_cloned(core: Core) -> None:
    oid = allocate(core)
    error = core.fails(0, "one.image.clone", oid, "copy")
    assert error.code is Code.ALLOCATE
    assert error.message.endswith("it is in state: LOCKED")


def test_clones_stay_with_datastores_of_one_driver(core: Core) -> None:
    oid = ready(core)
    fs = core.call(0, "one.datastore.allocate", "NAME=c\nDS_MAD=fs\nTM_MAD=shared", -1)
    error = core.fails(0, "one.image.clone", oid, "copy", fs)
    assert sentence(error) == (Code.ACTION, "Clone only supported to same DS_MAD Datastores")
    error = core.fails(0, "one.image.clone", oid, "copy", 2)
    assert error.message == "Clone only supported for IMAGE_DS Datastores"


# Deletion


def test_a_deleted_image_goes_when_its_content_is_gone(core: Core) -> None:
    oid = ready(core)
    core.call(0, "one.image.delete", oid)
    assert state(core, oid) == ImageState.DELETE
    effect = core.effects()[0]
    assert effect.op == "image.remove"
    assert Image.from_xml(str(effect.arguments["image"])).source == f"/img/{oid}"
    core.answer()
    assert not core.exists(Image, oid)
    assert core.get(Datastore, 1).images == set()


def test_content_that_could_not_be_removed_leaves_the_image_in_error(core: Core) -> None:
    oid = ready(core)
    core.call(0, "one.image.delete", oid)
    core.answer(ok=False, message="busy")
    assert state(core, oid) == ImageState.ERROR
    assert core.get(Image, oid).template.get("ERROR").endswith("to completely delete the image: busy")


def test_an_image_without_content_goes_at_once_and_its_copy_is_no_longer_wanted(core: Core) -> None:
    oid = allocate(core)
    making = core.effects()[0]
    core.call(0, "one.image.delete", oid)
    assert not core.exists(Image, oid)
    assert [effect.op for effect in core.effects()] == ["image.remove"]
    tx = core.transaction(SYSTEM)
    assert results.take_result(tx, making.id, True, "", {"source": "/img/0"}) is False
    core.answer()
    assert core.effects() == []


def test_an_image_in_use_stays(core: Core) -> None:
    oid = ready(core)
    acquire(core, oid, 7)
    error = core.fails(0, "one.image.delete", oid)
    assert sentence(error) == (Code.ACTION, "Cannot delete image. There are 1 VMs using it.")


def test_a_locked_image_is_not_deleted(core: Core) -> None:
    oid = ready(core)
    core.call(0, "one.image.lock", oid, 4)
    assert core.fails(0, "one.image.delete", oid).message == f"User [0] : IMAGE is locked. [{oid}]."
    core.call(0, "one.image.unlock", oid)
    core.call(0, "one.image.delete", oid)


# Other commands


@pytest.mark.parametrize("wanted", [True, False])
def test_an_image_in_use_is_neither_enabled_nor_disabled(core: Core, wanted: bool) -> None:
    oid = ready(core)
    acquire(core, oid, 7)
    verb = "enable" if wanted else "disable"
    error = core.fails(0, "one.image.enable", oid, wanted)
    assert sentence(error) == (
        Code.INTERNAL,
        f"Could not {verb} image: Image cannot be in state USED.",
    )


def test_a_disabled_image_is_not_used(core: Core) -> None:
    oid = ready(core)
    core.call(0, "one.image.enable", oid, False)
    with pytest.raises(ApiError) as caught:
        acquire(core, oid, 7)
    assert caught.value.message == f"Cannot acquire image {oid}, it is in state: DISABLED"
    core.call(0, "one.image.enable", oid, True)
    assert acquire(core, oid, 7)


def test_an_image_in_error_that_vms_hold_is_enabled_as_used(core: Core) -> None:
    oid = allocate(core)
    acquire(core, oid, 7)
    core.answer(ok=False, message="no")
    core.call(0, "one.image.enable", oid, True)
    assert state(core, oid) == ImageState.USED


def test_persistence_changes_while_nobody_uses_the_image(core: Core) -> None:
    oid = ready(core)
    core.call(0, "one.image.persistent", oid, True)
    assert core.get(Image, oid).persistent == 1
    acquire(core, oid, 7)
    error = core.fails(0, "one.image.persistent", oid, False)
    text = "Could not make image non-persistent: Image cannot be in state USED_PERS."
    assert sentence(error) == (Code.INTERNAL, text)


def test_the_type_changes_among_disks_only(core: Core) -> None:
    oid = ready(core)
    core.call(0, "one.image.chtype", oid, "cdrom")
    assert (core.get(Image, oid).type, core.get(Image, oid).disk_type) == (ImageType.CDROM, DiskType.CD_ROM)
    core.call(0, "one.image.chtype", oid, "OS")
    assert core.get(Image, oid).disk_type == DiskType.FILE
    error = core.fails(0, "one.image.chtype", oid, "KERNEL")
    text = "Cannot change image type to an incompatible type for the current datastore."
    assert sentence(error) == (Code.ACTION, text)
    assert core.fails(0, "one.image.chtype", oid, "TAPE").message == "Unknown type TAPE"


class Life(RuleBasedStateMachine):
    """Any order of commands and answers keeps the counters, the quotas and the datastore right."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core()
        self.ann = self.core.user("ann", 1)
        self.held: list[tuple[int, int]] = []
        self.count = 0

    def ids(self) -> list[int]:
        return sorted(self.core.state.pools["image_pool"].entries)

    def attempt(self, name: str, *arguments: object) -> None:
        with contextlib.suppress(ApiError):
            self.core.call(self.ann, name, *arguments)

    @rule(persistent=st.booleans())
    def register(self, persistent: bool) -> None:
        self.count += 1
        stated = "YES" if persistent else "NO"
        text = f"NAME=i{self.count}\nTYPE=DATABLOCK\nSIZE={self.count}\nPERSISTENT={stated}"
        self.attempt("one.image.allocate", text, 1)

    @precondition(lambda self: self.ids())
    @rule(data=st.data(), action=st.sampled_from(["delete", "clone", "enable", "disable"]))
    def command(self, data: st.DataObject, action: str) -> None:
        oid = data.draw(st.sampled_from(self.ids()))
        self.count += 1
        if action == "clone":
            self.attempt("one.image.clone", oid, f"c{self.count}")
        elif action == "delete":
            self.attempt("one.image.delete", oid)
        else:
            self.attempt("one.image.enable", oid, action == "enable")

    @precondition(lambda self: self.ids())
    @rule(data=st.data(), vm=st.integers(0, 2))
    def take(self, data: st.DataObject, vm: int) -> None:
        oid = data.draw(st.sampled_from(self.ids()))
        try:
            acquire(self.core, oid, vm)
        except ApiError:
            return
        self.held.append((oid, vm))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), failed=st.booleans())
    def give(self, data: st.DataObject, failed: bool) -> None:
        oid, vm = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        release(self.core, oid, vm, failed=failed)

    @precondition(lambda self: self.core.state.effects)
    @rule(data=st.data(), ok=st.booleans())
    def answer(self, data: st.DataObject, ok: bool) -> None:
        effect_id = data.draw(st.sampled_from(sorted(self.core.state.effects)))
        tx = self.core.transaction(SYSTEM)
        results.take_result(tx, effect_id, ok, "no", {"source": f"/img/{effect_id}"})
        self.core.commit(tx)

    @invariant()
    def everything_adds_up(self) -> None:
        found = [self.core.get(Image, oid) for oid in self.ids()]
        expected = Usage()
        for image in found:
            uses = [vm for oid, vm in self.held if oid == image.id]
            assert image.running_vms == len(uses)
            assert image.cloning_ops == len(image.clones)
            assert image.clones == {other.id for other in found if other.cloning_id == image.id}
            if image.state in (ImageState.READY, ImageState.LOCKED, ImageState.DELETE):
                assert not uses
            if image.state != ImageState.DELETE:
                expected = expected.datastore(1, images=1, size=image.size)
        quotas = self.core.state.user_quotas.get(self.ann)
        assert (quotas.usage() if quotas else Usage()) == expected
        assert self.core.get(Datastore, 1).images == {image.id for image in found}
        for image in found:
            waits = image.state in (
                ImageState.LOCKED,
                ImageState.LOCKED_USED,
                ImageState.LOCKED_USED_PERS,
                ImageState.DELETE,
            )
            assert waits == (("image", image.id) in self.core.state.effects_of)


Life.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
