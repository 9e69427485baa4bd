"""Saving a disk of a VM as an image: one.vm.disksaveas.

The image is made first, as large as the disk; then the disk is copied to it. Source: spec states.yaml
`disk-saveas`, xmlrpc.yaml.
"""

from merope.core import (
    authorization,
    generic,
    image_create,
    image_use,
    vm_disk_snapshot_steps,
    vm_flight,
    vm_import,
    vm_machine,
    vm_rights,
    vm_save_steps,
)
from merope.core.methods import Need, integer, method, text
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model import disk_snapshots
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.states import ImageState, ImageType
from merope.model.template import Template, Vector
from merope.model.vm import VM

_NOW = -1
_TAKEN_ALONG = ("TARGET", "DEV_PREFIX", "DRIVER")


@method(
    "one.vm.disksaveas",
    integer("id"),
    integer("disk"),
    text("name"),
    text("type"),
    integer("snapshot"),
    needs=(Need(Op.CREATE, Image),),
    also="MANAGE VM (disk-saveas; moved by VM_*_OPERATIONS), USE on the image's datastore; quota DATASTORE",
)
def save_as(tx: Transaction, vm_id: int, disk_id: int, name: str, kind: str, snapshot: int) -> int:
    """Makes an image of a disk, or of a snapshot of it (-1: as it is now). Answers the image's id."""
    vm = tx.get(VM, vm_id)
    disk = vm.disk(disk_id)
    row = vm_machine.row_for(tx, vm, "disk-saveas")
    original = tx.find(Image, int(disk["IMAGE_ID"])) if disk is not None and disk.get("IMAGE_ID") else None
    store = None if original is None else tx.get(Datastore, original.datastore_id)
    vm_rights.require(tx, vm, "disk-saveas", *([authorization.on(Op.USE, store)] if store else []))
    vm_import.refuse(tx, vm, "disk-saveas")
    if row is None:
        raise _refused(vm, "VM has to be RUNNING, POWEROFF or SUSPENDED to save disks.")
    if disk is None:
        raise _refused(vm, "Cannot use DISK. DISK does not exist.")
    if original is None or store is None:
        raise _refused(vm, "Cannot use DISK. DISK does not have a valid IMAGE_ID.")
    if snapshot != _NOW:
        _check_snapshot(vm, disk, snapshot)
    made = _image(tx, vm, disk, original, store, name, kind)
    own = tx.edit(VM, vm_id)
    mine = own.disk(disk_id)
    assert mine is not None
    mine.update(
        HOTPLUG_SAVE_AS_ACTIVE="YES",
        HOTPLUG_SAVE_AS=str(made),
        HOTPLUG_SAVE_AS_SNAPSHOT_ID=str(snapshot),
    )
    tx.effect("image.make", made, datastore=store.id, vm=vm_id)
    vm_machine.go(tx, own, row, Facts())
    return made


def _refused(vm: VM, detail: str) -> ApiError:
    return ApiError(Code.INTERNAL, detail, vm.id)


def _check_snapshot(vm: VM, disk: Vector, snapshot: int) -> None:
    snapshots = vm_disk_snapshot_steps.of_disk(vm, disk)
    if snapshots is None or disk_snapshots.find(snapshots, snapshot) is None:
        raise _refused(vm, "Cannot use DISK. Snapshot does not exist.")


def _image(
    tx: Transaction, vm: VM, disk: Vector, original: Image, store: Datastore, name: str, kind: str
) -> int:
    """Registers the image, of the caller, in the datastore of the one that the disk is of; answers its id."""
    chosen = ImageType(original.type) if not kind else image_create.image_type(kind)
    if chosen not in image_use.DISK_TYPES:
        raise _refused(vm, f"Cannot save_as image of type {kind[:32] or ImageType(original.type).name}")
    assert chosen is not None
    generic.check_new_name(tx, Image, name, tx.caller.uid)
    size = int(disk.get("SIZE") or original.size)
    image_create.check_space(tx, store, size)
    template = Template(
        [
            ("SAVED_IMAGE_ID", str(original.id)),
            ("SAVED_DISK_ID", disk["DISK_ID"]),
            ("SAVED_VM_ID", str(vm.id)),
            *((key, original.template.get(key)) for key in _TAKEN_ALONG if original.template.get(key)),
        ]
    )
    made = Image(
        id=tx.new_id(Image),
        name=name,
        **generic.owned_by_caller(tx),
        type=chosen,
        disk_type=image_create.disk_type(store.disk_type, chosen),
        persistent=int(image_create.persistent_only(tx, store)),
        regtime=tx.now,
        fstype=original.fstype,
        size=size,
        state=ImageState.LOCKED,
        datastore_id=store.id,
        datastore=store.name,
        template=template,
    )
    image_create.register(tx, made)
    return made.id


def _made(tx: Transaction, image: Image, vm_id: int, ok: bool, message: str) -> bool:
    """The image that a disk is to be saved as is there, or could not be made; answers whether it is to stay
    locked, since its content is still to come."""
    vm = tx.find(VM, vm_id)
    if vm is None or not vm_save_steps.waits_for(vm, image.id):
        return False
    own = tx.edit(VM, vm_id)
    flight = vm_flight.due(tx, own)
    if ok:
        vm_machine.ask(tx, own, flight.op, source=False, **flight.arguments)
    else:
        vm_machine.fire(tx, own, "disk-saveas-ko", Facts(message, arguments=flight.arguments))
    return True


def _deleted(tx: Transaction, image_id: int) -> None:
    """Who deletes the image does not want the disk saved any more."""
    vm_id = vm_save_steps.saver(tx, image_id)
    vm = None if vm_id is None else tx.find(VM, vm_id)
    if vm is None or not vm_save_steps.waits_for(vm, image_id):
        return
    own = tx.edit(VM, vm.id)
    flight = vm_flight.due(tx, own)
    tx.drop_effects("vm", own.id)
    vm_machine.fire(tx, own, "disk-saveas-ko", Facts("the image was deleted", arguments=flight.arguments))


image_use.on_saving(_made, _deleted)
