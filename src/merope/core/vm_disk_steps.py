"""Steps of the life-cycle about a disk: what becomes of it when the drivers have answered.

`facts.arguments["disk"]` is its DISK_ID.
"""

from merope.core import image, vm_quotas
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.template import Vector
from merope.model.vm import VM


def _meant(vm: VM, facts: Facts) -> Vector | None:
    return vm.disk(int(facts.arguments["disk"])) if "disk" in facts.arguments else None


def keep(tx: Transaction, vm: VM, facts: Facts) -> None:
    disk = _meant(vm, facts)
    if disk is not None:
        disk.pop("ATTACH", None)


def drop(tx: Transaction, vm: VM, facts: Facts) -> None:
    disk = _meant(vm, facts)
    if disk is None:
        return
    with vm_quotas.counted(tx, vm):
        kept = [other for other in vm.template.vectors("DISK") if other is not disk]
        vm.template.remove("DISK")
        for other in kept:
            vm.template.add("DISK", other)
    used = disk.get("IMAGE_ID")
    if used:
        still = any(other.get("IMAGE_ID") == used for other in kept)
        image.release(tx, int(used), vm.id, still_used=still)
