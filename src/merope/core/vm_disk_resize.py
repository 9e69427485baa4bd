"""Making a disk of a VM larger: one.vm.diskresize.

Source: spec states.yaml `disk-resize`, xmlrpc.yaml.
"""

from merope.core import (
    authorization,
    vm_devices,
    vm_disk_snapshot_steps,
    vm_disk_steps,
    vm_import,
    vm_machine,
    vm_requests,
    vm_rights,
)
from merope.core.methods import integer, method, text
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.permissions import Op
from merope.model.states import ImageType
from merope.model.template import Vector
from merope.model.vm import VM


@method(
    "one.vm.diskresize",
    integer("id"),
    integer("disk"),
    text("size"),
    also="MANAGE VM (disk-resize; moved by VM_*_OPERATIONS), MANAGE on a persistent image; "
    "quotas DATASTORE, VM",
)
def resize(tx: Transaction, vm_id: int, disk_id: int, text: str) -> int:
    """Makes a disk `size` MB large, which must be larger than it is. Answers the disk's id."""
    vm = tx.get(VM, vm_id)
    disk = vm.disk(disk_id)
    if disk is None:
        raise ApiError(Code.ACTION, "VM disk does not exist", vm_id)
    targets = []
    if vm_disk_steps.is_persistent(disk):
        targets.append(authorization.on(Op.MANAGE, tx.get(Image, int(disk["IMAGE_ID"]))))
    vm_rights.require(tx, vm, "disk-resize", *targets)
    vm_import.refuse(tx, vm, "disk-resize")
    row = vm_machine.row_for(tx, vm, "disk-resize")
    if row is None:
        raise vm_devices.wrong_state(vm, f"resize disk for VM {vm_id}")
    size = _size(tx, vm, disk, text)
    own = tx.edit(VM, vm_id)
    disk = own.disk(disk_id)
    assert disk is not None
    disk.update(RESIZE="YES", SIZE_PREV=disk["SIZE"])
    vm_disk_steps.resize(tx, own, disk, size)
    vm_machine.go(tx, own, row, Facts(arguments={"disk": disk_id, "size": size}))
    return disk_id


def _size(tx: Transaction, vm: VM, disk: Vector, text: str) -> int:
    size = vm_requests.whole(text.strip(), vm_requests.LARGEST_SIZE)
    if size is None:
        raise ApiError(Code.ACTION, f"Size must be a number of MB, not {vm_requests.shown(text)}.", vm.id)
    if size <= int(disk.get("SIZE") or 0):
        raise ApiError(Code.ACTION, "New disk size has to be greater than current one", vm.id)
    snapshots = vm_disk_snapshot_steps.of_disk(vm, disk)
    if snapshots is not None and snapshots.vectors("SNAPSHOT"):
        raise ApiError(Code.ACTION, "Cannot resize a disk with snapshots", vm.id)
    used = tx.find(Image, int(disk["IMAGE_ID"])) if disk.get("IMAGE_ID") else None
    if used is not None and used.type == ImageType.CDROM:
        raise ApiError(Code.ACTION, "A CDROM image cannot be resized.", vm.id)
    return size
