"""Images: what is done with registered ones, and what their datastore answers.

How they are registered is in image_create, how VMs use them in image_use, what a disk takes from them in
image_disk; VMs reach all of that through this module.
"""

from merope.core import acl, authorization, generic, image_progress, image_use, quota, results
from merope.core.image_create import disk_type, image_type, persistent_only, usage
from merope.core.image_disk import disk_attributes
from merope.core.image_use import (
    DISK_TYPES,
    acquire,
    end_clone,
    fail,
    on_ready,
    release,
    set_state,
    state_of,
    unlock,
)
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.effect import Effect
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.owned import Owned
from merope.model.permissions import ObjectType, Op
from merope.model.states import ImageState
from merope.model.template import Template

__all__ = [
    "DISK_TYPES",
    "acquire",
    "disk_attributes",
    "on_ready",
    "release",
    "state_of",
    "usage",
]

_ON_IMAGE = (Need(Op.MANAGE, Image, "id"),)
_IN_USE = frozenset(
    {ImageState.USED, ImageState.USED_PERS, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS}
)
#: States in which nobody uses the image and nothing is done with it.
_QUIET = frozenset({ImageState.READY, ImageState.DISABLED, ImageState.ERROR})


@method("one.image.delete", integer("id"), also="MANAGE on the image, ADMIN while it is locked")
def delete(tx: Transaction, oid: int) -> int:
    """Removes an image that nobody uses; its content goes after the answer."""
    image = tx.get(Image, oid)
    op = Op.MANAGE if image.lock is None else Op.ADMIN
    authorization.require(tx, authorization.on(op, image))
    state = ImageState(image.state)
    if state in _IN_USE or image.running_vms:
        raise generic.delete_error(image, f"There are {image.running_vms} VMs using it.")
    if state is ImageState.CLONE:
        raise generic.delete_error(image, f"There are {image.cloning_ops} active clone operations.")
    image_use.tell_deleted(tx, oid)
    tx.drop_effects("image", oid)
    if image.cloning_id >= 0:
        end_clone(tx, image.cloning_id, oid)
    if state is not ImageState.DELETE:
        quota.refund(tx, image.uid, image.gid, usage(image))
    own = tx.edit(Image, oid)
    own.cloning_id = -1
    set_state(tx, own, ImageState.DELETE)
    # Content may have been written already when nobody has been told where; the driver finds it by the
    # image's id and REGTIME, so the document goes with the effect.
    tx.effect("image.remove", oid, datastore=image.datastore_id, image=own.to_xml())
    if not image.source:
        _drop(tx, own)
    return oid


def _drop(tx: Transaction, image: Image) -> None:
    if tx.find(Datastore, image.datastore_id) is not None:
        tx.edit(Datastore, image.datastore_id).images.discard(image.id)
    acl.drop_rules_about(tx, ObjectType.IMAGE, image.id)
    tx.delete(image)


@method("one.image.enable", integer("id"), boolean("enable"), needs=_ON_IMAGE)
def enable(tx: Transaction, oid: int, wanted: bool) -> int:
    """Enables a disabled image or one in ERROR; disables one that nobody uses."""
    image = tx.get(Image, oid)
    state = ImageState(image.state)
    if state not in _QUIET:
        verb = "enable" if wanted else "disable"
        raise ApiError(Code.INTERNAL, f"Could not {verb} image: Image cannot be in state {state.name}.", oid)
    if not wanted and image.running_vms:
        # VMs that wait for an image that could not be made hold it; disabled, it would be forgotten by them.
        raise ApiError(
            Code.INTERNAL, f"Could not disable image: There are {image.running_vms} VMs using it.", oid
        )
    if not wanted:
        new = ImageState.DISABLED
    elif state is ImageState.ERROR and image.running_vms:
        new = ImageState.USED_PERS if image.persistent else ImageState.USED
    else:
        new = ImageState.READY
    if new is not state:
        own = tx.edit(Image, oid)
        set_state(tx, own, new)
        own.template.remove("ERROR")
    return oid


@method("one.image.persistent", integer("id"), boolean("persistent"), needs=_ON_IMAGE)
def set_persistent(tx: Transaction, oid: int, wanted: bool) -> int:
    """Makes an image that nobody uses persistent, or not."""
    image = tx.get(Image, oid)
    if image.type not in DISK_TYPES:
        raise ApiError(Code.ACTION, "KERNEL, RAMDISK and CONTEXT must be non-persistent", oid)
    if not wanted and persistent_only(tx, tx.get(Datastore, image.datastore_id)):
        raise ApiError(Code.INTERNAL, "This Datastore only accepts persistent images.", oid)
    if bool(image.persistent) == wanted:
        return oid
    state = ImageState(image.state)
    reason = ""
    if state not in _QUIET or image.running_vms:
        reason = f"Image cannot be in state {state.name}."
    elif image.snapshots.vectors("SNAPSHOT"):
        reason = "Image has snapshots."
    if reason:
        what = "persistent" if wanted else "non-persistent"
        raise ApiError(Code.INTERNAL, f"Could not make image {what}: {reason}", oid)
    tx.edit(Image, oid).persistent = int(wanted)
    return oid


@method("one.image.chtype", integer("id"), text("type"), needs=_ON_IMAGE)
def chtype(tx: Transaction, oid: int, word: str) -> int:
    """Changes the type, among disks or among files."""
    image = tx.get(Image, oid)
    kind = image_type(word)
    if kind is None:
        raise ApiError(Code.INTERNAL, f"Unknown type {word[:32]}", oid)
    if (kind in DISK_TYPES) != (image.type in DISK_TYPES):
        raise ApiError(
            Code.ACTION, "Cannot change image type to an incompatible type for the current datastore.", oid
        )
    own = tx.edit(Image, oid)
    own.type, own.disk_type = kind, disk_type(own.disk_type, kind)
    return oid


@generic.checks_updates(Image)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    assert isinstance(value, Image)
    return generic.check_restricted(tx, tx.settings.image_restricted_attr, new, value.template, value.id)


def _move_quotas(tx: Transaction, value: Owned, uid: int, gid: int) -> None:
    assert isinstance(value, Image)
    if value.state != ImageState.DELETE:
        quota.move(tx, (value.uid, value.gid), (uid, gid), usage(value))


generic.moves_quotas(Image, _move_quotas)

# What the datastore answers.

_FAILURES = {
    "image.copy": "Error copying image in the datastore",
    "image.make": "Error creating datablock",
    "image.clone": "Error cloning from Image {original}",
}


def _made(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    """An image has got its content, or not. `data`: "source", "format"."""
    image = tx.find(Image, effect.oid)
    if image is None:
        return
    own = tx.edit(Image, effect.oid)
    image_progress.forget(own)
    if own.cloning_id >= 0:
        end_clone(tx, own.cloning_id, own.id)
        own.cloning_id = -1
    if ok:
        own.source = data.get("source", own.source)
        own.fstype = data.get("format") or own.fstype
        own.template.remove("ERROR")
    saver = effect.arguments.get("vm")
    if saver is not None and image_use.waits_for_disk(tx, own, int(saver), ok, message):
        return
    if ok:
        unlock(tx, own)
    else:
        what = _FAILURES[effect.op].format(original=effect.arguments.get("original", ""))
        results.note_error(tx, own.template, f"{what}: {message}")
        fail(tx, own)


for _op in _FAILURES:
    results.on_result(_op)(_made)


@results.on_result("image.remove")
def _removed(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    """The content of a deleted image is gone; an image whose content could not be removed is in ERROR."""
    image = tx.find(Image, effect.oid)
    if image is None:
        return
    if ok:
        _drop(tx, tx.edit(Image, effect.oid))
        return
    own = tx.edit(Image, effect.oid)
    quota.restore(tx, own.uid, own.gid, usage(own))
    set_state(tx, own, ImageState.ERROR)
    results.note_error(
        tx,
        own.template,
        f"Error removing image from datastore. Manually remove image source {own.source} "
        f"to completely delete the image: {message}",
    )
