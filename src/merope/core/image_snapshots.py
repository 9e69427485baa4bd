"""Snapshots of an image: one.image.snapshotdelete, snapshotrevert and snapshotflatten.

A persistent image has those that a VM made of its disk. Source: spec states.yaml `image.transitions`,
xmlrpc.yaml.
"""

from merope.core import image_create, image_use, quota, results
from merope.core.methods import Need, integer, method
from merope.core.transaction import Transaction
from merope.model import disk_snapshots
from merope.model.effect import Effect
from merope.model.errors import ApiError, Code
from merope.model.image import Image, no_snapshots
from merope.model.permissions import Op
from merope.model.states import ImageState, ImageType

_ON_IMAGE = (Need(Op.MANAGE, Image, "id"),)
_HAVE_SNAPSHOTS = (ImageType.OS, ImageType.DATABLOCK)
_NONE = -1


@method("one.image.snapshotdelete", integer("id"), integer("snapshot"), needs=_ON_IMAGE)
def delete(tx: Transaction, oid: int, number: int) -> int:
    """Deletes a snapshot that nothing builds on. Answers its id."""
    image = _ready(tx, oid, "delete snapshot")
    fault = disk_snapshots.deletion_fault(image.snapshots, number)
    if fault:
        raise ApiError(Code.ACTION, fault, oid)
    return _begin(tx, oid, number, "image.snapshot_delete")


@method("one.image.snapshotrevert", integer("id"), integer("snapshot"), needs=_ON_IMAGE)
def revert(tx: Transaction, oid: int, number: int) -> int:
    """Takes the image back to a snapshot. Answers its id."""
    _check_there(_ready(tx, oid, "revert to snapshot"), number)
    return _begin(tx, oid, number, "image.snapshot_revert")


@method("one.image.snapshotflatten", integer("id"), integer("snapshot"), needs=_ON_IMAGE)
def flatten(tx: Transaction, oid: int, number: int) -> int:
    """Makes a snapshot the whole content of the image, which has no snapshots then. Answers its id."""
    _check_there(_ready(tx, oid, "flatten snapshot"), number)
    return _begin(tx, oid, number, "image.snapshot_flatten")


def _ready(tx: Transaction, oid: int, what: str) -> Image:
    image = tx.get(Image, oid)
    if image.type not in _HAVE_SNAPSHOTS:
        detail = "IMAGES of type KERNEL, RAMDISK and CONTEXT does not have snapshots."
        raise ApiError(Code.ACTION, detail, oid)
    if image.state != ImageState.READY:
        raise ApiError(Code.ACTION, f"Cannot {what} in state {ImageState(image.state).name}", oid)
    return image


def _check_there(image: Image, number: int) -> None:
    if disk_snapshots.find(image.snapshots, number) is None:
        raise ApiError(Code.ACTION, "Snapshot does not exist", image.id)


def _begin(tx: Transaction, oid: int, number: int, op: str) -> int:
    own = tx.edit(Image, oid)
    own.target_snapshot = number
    image_use.set_state(tx, own, ImageState.LOCKED)
    tx.effect(op, oid, datastore=own.datastore_id, snapshot=number)
    return number


def _delete(image: Image, number: int) -> None:
    disk_snapshots.remove(image.snapshots, number)
    if not image.snapshots.vectors("SNAPSHOT"):
        image.snapshots = no_snapshots()


def _revert(image: Image, number: int) -> None:
    disk_snapshots.go_on_from(image.snapshots, number, back=True)


def _flatten(image: Image, number: int) -> None:
    image.snapshots = no_snapshots()


_DONE = {
    "image.snapshot_delete": (_delete, "Error removing snapshot from image"),
    "image.snapshot_revert": (_revert, "Error reverting image snapshot"),
    "image.snapshot_flatten": (_flatten, "Error flattening image snapshot"),
}


def _taken(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    image = tx.find(Image, effect.oid)
    if image is None:
        return
    own = tx.edit(Image, effect.oid)
    number, own.target_snapshot = own.target_snapshot, _NONE
    change, failed = _DONE[effect.op]
    if ok:
        before = image_create.usage(own)
        change(own, number)
        own.template.remove("ERROR")
        quota.charge(tx, own.uid, own.gid, image_create.usage(own) - before)
    else:
        results.note_error(tx, own.template, f"{failed}: {message}")
    image_use.unlock(tx, own)


for _op in _DONE:
    results.on_result(_op)(_taken)
