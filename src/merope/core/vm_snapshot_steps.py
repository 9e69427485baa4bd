"""Steps of the life-cycle about system snapshots: SNAPSHOT of the VM's template.

`facts.arguments["snapshot"]` is a SNAPSHOT_ID.
"""

from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.template import Vector
from merope.model.vm import VM

_MARKS = ("ACTIVE", "ACTION")


def find(vm: VM, number: int) -> Vector | None:
    wanted = str(number)
    found = (each for each in vm.template.vectors("SNAPSHOT") if each.get("SNAPSHOT_ID") == wanted)
    return next(found, None)


def keep(tx: Transaction, vm: VM, facts: Facts) -> None:
    """It is called what the hypervisor calls it (`hypervisor_id`), its own number where it says nothing."""
    found = find(vm, int(facts.arguments.get("snapshot", -1)))
    if found is None:
        return
    known = facts.data.get("hypervisor_id") or found.get("HYPERVISOR_ID")
    found["HYPERVISOR_ID"] = known or found["SNAPSHOT_ID"]
    for mark in _MARKS:
        found.pop(mark, None)


def drop(tx: Transaction, vm: VM, facts: Facts) -> None:
    gone = find(vm, int(facts.arguments.get("snapshot", -1)))
    kept = [each for each in vm.template.vectors("SNAPSHOT") if each is not gone]
    vm.template.remove("SNAPSHOT")
    for each in kept:
        vm.template.add("SNAPSHOT", each)


def drop_all(tx: Transaction, vm: VM, facts: Facts) -> None:
    if not kept_when_off(tx, vm):
        vm.template.remove("SNAPSHOT")


def kept_when_off(tx: Transaction, vm: VM) -> bool:
    """Whether the VM's hypervisor keeps snapshots of a VM that it does not run (KEEP_SNAPSHOTS of VM_MAD)."""
    current = vm.history
    driver = tx.settings.vm_mad.get(current.vm_mad, {}) if current is not None else {}
    return driver.get("KEEP_SNAPSHOTS", "NO").upper() == "YES"
