"""Disks plugged into a VM that is there, and out of it: one.vm.attach and one.vm.detach.

Source: spec states.yaml `actions` (disk-attach, disk-detach), xmlrpc.yaml.
"""

from merope.core import (
    vm_allocate,
    vm_devices,
    vm_disk_snapshot_steps,
    vm_disks,
    vm_import,
    vm_machine,
    vm_quotas,
    vm_rights,
    vm_steps,
)
from merope.core.methods import integer, method, text
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.template import Vector
from merope.model.vm import VM


@method(
    "one.vm.attach",
    integer("id"),
    text("template"),
    also="MANAGE VM (disk-attach; moved by VM_*_OPERATIONS), USE on the image; quotas VM, IMAGE, DATASTORE; "
    "only administrators may set restricted attributes",
)
def attach(tx: Transaction, vm_id: int, source: str) -> int:
    """Gives a VM that runs or is powered off one more DISK, of an image or volatile."""
    vm = tx.get(VM, vm_id)
    vm_devices.refuse_router(vm)
    if vm.history is None:
        raise ApiError(Code.ACTION, "VM is not running in any host", vm_id)
    asked = vm_devices.one(source, vm_id, "DISK")
    vm_rights.require(tx, vm, "disk-attach", *vm_disks.uses(tx, asked, vm.uid))
    vm_allocate.check_restricted(tx, asked, what="DISK")
    vm_import.refuse(tx, vm, "disk-attach")
    row = vm_machine.row_for(tx, vm, "disk-attach")
    if row is None:
        raise vm_devices.wrong_state(vm, f"attach a new disk to VM {vm_id}")
    own = tx.edit(VM, vm_id)
    with vm_devices.refusals(vm_id), vm_quotas.counted(tx, own):
        number = _plug(tx, own, asked.vectors("DISK")[0])
    vm_machine.go(tx, own, row, Facts(arguments={"disk": number}))
    return vm_id


def _plug(tx: Transaction, vm: VM, disk: Vector) -> int:
    """Takes the image, fills the disk in and adds it to the VM; answers its DISK_ID."""
    record = vm_steps.record(vm)
    system = tx.get(Datastore, record.ds_id)
    number = _next_id(vm)
    vm_disks.take(tx, vm.id, vm.uid, disk, number, attach=True)
    if disk.get("IMAGE_ID"):
        vm_disks.set_mode(tx, disk, system.tm_mad)
        _check_cluster(disk, record.cid)
        vm_disk_snapshot_steps.bring(vm, disk, tx.get(Image, int(disk["IMAGE_ID"])))
    else:
        vm_disks.place(tx, disk, system)
    _give_target(vm, disk)
    disk["ATTACH"] = "YES"
    vm.template.add("DISK", disk)
    return number


def _with_ids(vm: VM) -> list[Vector]:
    """What has a DISK_ID and a device name: the disks and the context."""
    context = vm.template.vector("CONTEXT")
    return [*vm.template.vectors("DISK"), *([context] if context is not None else [])]


def _next_id(vm: VM) -> int:
    return 1 + max((int(item.get("DISK_ID") or -1) for item in _with_ids(vm)), default=-1)


def _check_cluster(disk: Vector, cluster: int) -> None:
    if str(cluster) not in disk.get("CLUSTER_ID", "").split(","):
        raise ApiError(Code.ACTION, f"Image [{disk['IMAGE_ID']}] is not part of cluster [{cluster}]")


def _give_target(vm: VM, disk: Vector) -> None:
    used = {item["TARGET"] for item in _with_ids(vm) if item.get("TARGET")}
    asked = disk.get("TARGET", "")
    if asked in used:
        raise ApiError(Code.ACTION, f"Target {asked[:32]} is already in use.")
    disk["TARGET"] = asked or vm_disks.free_target(disk.get("DEV_PREFIX", ""), used)


@method(
    "one.vm.detach",
    integer("id"),
    integer("disk"),
    also="MANAGE VM (disk-attach; moved by VM_*_OPERATIONS)",
)
def detach(tx: Transaction, vm_id: int, number: int) -> int:
    """Takes a disk from a VM that runs or is powered off."""
    vm = tx.get(VM, vm_id)
    vm_devices.refuse_router(vm)
    vm_rights.require(tx, vm, "disk-attach")
    vm_import.refuse(tx, vm, "disk-detach")
    row = vm_machine.row_for(tx, vm, "disk-detach")
    if row is None:
        raise vm_devices.wrong_state(vm, f"detach disk from VM {vm_id}")
    if vm.disk(number) is None:
        detail = f"Could not detach disk with DISK_ID {number}, it does not exist."
        raise ApiError(Code.ACTION, detail, vm_id)
    own = tx.edit(VM, vm_id)
    disk = own.disk(number)
    assert disk is not None
    disk["ATTACH"] = "YES"
    vm_machine.go(tx, own, row, Facts(arguments={"disk": number}))
    return vm_id
