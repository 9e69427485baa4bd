"""Snapshots of one disk of a VM: one.vm.disksnapshotcreate, -revert, -delete and -rename.

Source: spec states.yaml `disk-snapshot-*`, xmlrpc.yaml.
"""

from merope.core import (
    authorization,
    vm_devices,
    vm_disk_snapshot_steps,
    vm_disk_steps,
    vm_import,
    vm_machine,
    vm_rights,
)
from merope.core.lifecycle import Row
from merope.core.methods import integer, method, text
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model import disk_snapshots
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.template import Template, Vector
from merope.model.vm import VM

_RIGHT = "MANAGE VM (disk-snapshot; moved by VM_*_OPERATIONS)"
_RIGHT_ON_IMAGE = f"{_RIGHT}, MANAGE on a persistent image"


@method(
    "one.vm.disksnapshotcreate",
    integer("id"),
    integer("disk"),
    text("name"),
    also=f"{_RIGHT_ON_IMAGE}; quotas DATASTORE, VM",
)
def create(tx: Transaction, vm_id: int, disk_id: int, name: str) -> int:
    """Takes a snapshot of a disk. Answers its id."""
    vm = tx.get(VM, vm_id)
    disk = _disk(vm, disk_id)
    if not disk.get("IMAGE_ID"):
        raise ApiError(Code.ACTION, "Cannot make snapshots on volatile disks", vm_id)
    _require(tx, vm, disk)
    row = _row(tx, vm, "disk-snapshot-create", f"create a new snapshot for VM {vm_id}")
    if disk.get("READONLY", "").upper() == "YES":
        raise ApiError(Code.ACTION, "Cannot make snapshots on readonly disks", vm_id)
    vm_devices.check_name(name, vm_id)
    own = tx.edit(VM, vm_id)
    disk = _disk(own, disk_id)
    with vm_disk_snapshot_steps.changed(tx, own, disk):
        snapshots = vm_disk_snapshot_steps.of_disk(own, disk)
        if snapshots is None:
            snapshots = disk_snapshots.none_yet(vm_disk_snapshot_steps.mode_of(disk), disk_id)
            own.snapshots.append(snapshots)
        number = disk_snapshots.create(snapshots, name, int(disk["SIZE"]), tx.now)
    _begin(tx, own, disk, number, row)
    return number


@method("one.vm.disksnapshotrevert", integer("id"), integer("disk"), integer("snapshot"), also=_RIGHT)
def revert(tx: Transaction, vm_id: int, disk_id: int, number: int) -> int:
    """Takes a disk of a VM that does not run back to one of its snapshots."""
    vm = tx.get(VM, vm_id)
    vm_rights.require(tx, vm, "disk-snapshot")
    row = _row(tx, vm, "disk-snapshot-revert", f"revert to disk snapshot for VM {vm_id}")
    _find(vm, _disk(vm, disk_id), number)
    own = tx.edit(VM, vm_id)
    _begin(tx, own, _disk(own, disk_id), number, row)
    return vm_id


@method(
    "one.vm.disksnapshotdelete", integer("id"), integer("disk"), integer("snapshot"), also=_RIGHT_ON_IMAGE
)
def delete(tx: Transaction, vm_id: int, disk_id: int, number: int) -> int:
    """Deletes a snapshot of a disk that the disk and other snapshots do not build on."""
    vm = tx.get(VM, vm_id)
    disk = _disk(vm, disk_id)
    _require(tx, vm, disk)
    row = _row(tx, vm, "disk-snapshot-delete", f"delete disk snapshot from VM {vm_id}")
    fault = disk_snapshots.deletion_fault(_find(vm, disk, number), number)
    if fault:
        raise ApiError(Code.ACTION, fault, vm_id)
    own = tx.edit(VM, vm_id)
    _begin(tx, own, _disk(own, disk_id), number, row)
    return vm_id


@method(
    "one.vm.disksnapshotrename",
    integer("id"),
    integer("disk"),
    integer("snapshot"),
    text("name"),
    also=_RIGHT,
)
def rename(tx: Transaction, vm_id: int, disk_id: int, number: int, name: str) -> int:
    """Gives a snapshot of a disk another name."""
    vm = tx.get(VM, vm_id)
    vm_rights.require(tx, vm, "disk-snapshot")
    _find(vm, _disk(vm, disk_id), number)
    vm_devices.check_name(name, vm_id)
    own = tx.edit(VM, vm_id)
    disk = _disk(own, disk_id)
    found = disk_snapshots.find(_find(own, disk, number), number)
    assert found is not None
    with vm_disk_snapshot_steps.changed(tx, own, disk):
        found["NAME"] = name
    return vm_id


def _disk(vm: VM, disk_id: int) -> Vector:
    found = vm.disk(disk_id)
    if found is None:
        raise ApiError(Code.ACTION, "VM disk does not exist", vm.id)
    return found


def _find(vm: VM, disk: Vector, number: int) -> Template:
    """SNAPSHOTS of the disk, among them the one of that id; raises ApiError ACTION."""
    snapshots = vm_disk_snapshot_steps.of_disk(vm, disk)
    if snapshots is None or disk_snapshots.find(snapshots, number) is None:
        raise ApiError(Code.ACTION, "Snapshot does not exist", vm.id)
    return snapshots


def _require(tx: Transaction, vm: VM, disk: Vector) -> None:
    targets = []
    if vm_disk_steps.is_persistent(disk):
        targets.append(authorization.on(Op.MANAGE, tx.get(Image, int(disk["IMAGE_ID"]))))
    vm_rights.require(tx, vm, "disk-snapshot", *targets)


def _row(tx: Transaction, vm: VM, event: str, what: str) -> Row:
    vm_import.refuse(tx, vm, event)
    row = vm_machine.row_for(tx, vm, event)
    if row is None:
        raise vm_devices.wrong_state(vm, what)
    return row


def _begin(tx: Transaction, vm: VM, disk: Vector, number: int, row: Row) -> None:
    disk.update(DISK_SNAPSHOT_ACTIVE="YES", DISK_SNAPSHOT_ID=str(number))
    vm_machine.go(tx, vm, row, Facts(arguments={"disk": int(disk["DISK_ID"]), "snapshot": number}))
