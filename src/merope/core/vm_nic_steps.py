"""Steps of the life-cycle about a NIC or an alias: what becomes of it when the drivers have answered.

`facts.arguments["nic"]` is its NIC_ID. What happens to a NIC happens to its aliases.
"""

from merope.core import vm_context, vm_nics, vm_quotas
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.template import Vector
from merope.model.vm import VM


def with_aliases(vm: VM, nic_id: int) -> list[Vector]:
    """The NIC or alias of that id, first, and the aliases that go with it; empty when there is none."""
    wanted = str(nic_id)
    nics = vm_nics.nics_of(vm.template)
    found = [nic for nic in nics if nic.get("NIC_ID") == wanted]
    return found + [nic for nic in nics if nic.get("PARENT_ID") == wanted] if found else []


def _meant(vm: VM, facts: Facts) -> list[Vector]:
    return with_aliases(vm, int(facts.arguments["nic"])) if "nic" in facts.arguments else []


def keep(tx: Transaction, vm: VM, facts: Facts) -> None:
    for nic in _meant(vm, facts):
        nic.pop("ATTACH", None)


def drop(tx: Transaction, vm: VM, facts: Facts) -> None:
    gone = _meant(vm, facts)
    with vm_quotas.counted(tx, vm):
        for name in ("NIC", "NIC_ALIAS"):
            kept = [nic for nic in vm.template.vectors(name) if not any(nic is other for other in gone)]
            vm.template.remove(name)
            for nic in kept:
                vm.template.add(name, nic)
    for nic in gone:
        vm_nics.release(tx, vm.id, nic)
        vm_nics.leave_groups_of(tx, vm, nic)
        vm_context.remove_nic(vm, nic)
        if "PARENT_ID" in nic:
            _leave_parent(vm, nic)


def _leave_parent(vm: VM, alias: Vector) -> None:
    for parent in vm.template.vectors("NIC"):
        if parent["NIC_ID"] != alias["PARENT_ID"]:
            continue
        kept = [word for word in parent.get("ALIAS_IDS", "").split(",") if word not in ("", alias["NIC_ID"])]
        parent.pop("ALIAS_IDS", None)
        if kept:
            parent["ALIAS_IDS"] = ",".join(kept)
