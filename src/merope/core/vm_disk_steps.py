"""Steps of the life-cycle about a disk: what becomes of it when the drivers have answered.

`facts.arguments["disk"]` is its DISK_ID.
"""

from merope.core import image, image_create, quota, vm_quotas
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.image import Image
from merope.model.template import Vector
from merope.model.vm import VM


def meant(vm: VM, facts: Facts) -> Vector | None:
    """The disk that the event is about."""
    return vm.disk(int(facts.arguments["disk"])) if "disk" in facts.arguments else None


def keep(tx: Transaction, vm: VM, facts: Facts) -> None:
    disk = meant(vm, facts)
    if disk is not None:
        disk.pop("ATTACH", None)


def drop(tx: Transaction, vm: VM, facts: Facts) -> None:
    disk = meant(vm, facts)
    if disk is None:
        return
    kept = [other for other in vm.template.vectors("DISK") if other is not disk]
    with vm_quotas.counted(tx, vm):
        vm.template.remove("DISK")
        for other in kept:
            vm.template.add("DISK", other)
        vm.snapshots = [each for each in vm.snapshots if each.get("DISK_ID") != disk["DISK_ID"]]
    used = disk.get("IMAGE_ID")
    if used:
        still = any(other.get("IMAGE_ID") == used for other in kept)
        image.release(tx, int(used), vm.id, still_used=still)


def resize(tx: Transaction, vm: VM, disk: Vector, size: int) -> None:
    """The disk, and its image where what the guest writes is the image's, has `size` MB.

    Raises ApiError AUTHORIZATION when a quota of the VM's or the image's owner forbids it.
    """
    with vm_quotas.counted(tx, vm):
        disk["SIZE"] = str(size)
    if is_persistent(disk) and tx.find(Image, int(disk["IMAGE_ID"])) is not None:
        own = tx.edit(Image, int(disk["IMAGE_ID"]))
        before = image_create.usage(own)
        own.size = size
        quota.charge(tx, own.uid, own.gid, image_create.usage(own) - before)


def is_persistent(disk: Vector) -> bool:
    return disk.get("PERSISTENT", "").upper() == "YES" and bool(disk.get("IMAGE_ID"))


def keep_size(tx: Transaction, vm: VM, facts: Facts) -> None:
    disk = meant(vm, facts)
    if disk is not None:
        disk.pop("RESIZE", None)
        disk.pop("SIZE_PREV", None)


def restore_size(tx: Transaction, vm: VM, facts: Facts) -> None:
    disk = meant(vm, facts)
    if disk is not None and disk.get("SIZE_PREV"):
        resize(tx, vm, disk, int(disk["SIZE_PREV"]))
    keep_size(tx, vm, facts)
