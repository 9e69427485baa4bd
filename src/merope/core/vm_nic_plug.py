"""NICs and aliases plugged into a VM that is there, and out of it: one.vm.attachnic and one.vm.detachnic.

Source: spec states.yaml `actions` (nic-attach, nic-detach), templates.yaml `NIC_ALIAS`, xmlrpc.yaml.
"""

from merope.core import (
    vm_allocate,
    vm_context,
    vm_devices,
    vm_import,
    vm_machine,
    vm_nic_steps,
    vm_nics,
    vm_quotas,
    vm_rights,
    vm_steps,
)
from merope.core.lifecycle import Row
from merope.core.methods import integer, method, text
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.errors import ApiError, Code
from merope.model.phase import Phase
from merope.model.template import Template, Vector
from merope.model.vm import VM


@method(
    "one.vm.attachnic",
    integer("id"),
    text("template"),
    also="MANAGE VM (nic-attach; moved by VM_*_OPERATIONS), USE on the network and the security groups; "
    "quota NETWORK; only administrators may set restricted attributes",
)
def attach(tx: Transaction, vm_id: int, source: str) -> int:
    """Gives a VM that runs or is powered off one more NIC or NIC_ALIAS."""
    vm = tx.get(VM, vm_id)
    vm_devices.refuse_router(vm)
    plug(tx, vm, vm_devices.one(source, vm_id, "NIC", "NIC_ALIAS"))
    return vm_id


def plug(tx: Transaction, vm: VM, asked: Template) -> None:
    """As one.vm.attachnic, for any VM; `asked` has one NIC or NIC_ALIAS."""
    vm_rights.require(tx, vm, "nic-attach", *vm_nics.uses(tx, asked, vm.uid))
    vm_allocate.check_restricted(tx, asked, what="NIC")
    name, given = next(iter(asked.items()))
    row = _row(tx, vm, "nic-attach" if name == "NIC" else "alias-attach")
    if row is None:
        raise vm_devices.wrong_state(vm, f"add a new NIC to VM {vm.id}")
    assert isinstance(given, Vector)
    own = tx.edit(VM, vm.id)
    with vm_devices.refusals(vm.id), vm_quotas.counted(tx, own):
        number = _plug(tx, own, name, given)
    vm_machine.go(tx, own, row, Facts(arguments={"nic": number}))


def _row(tx: Transaction, vm: VM, event: str) -> Row | None:
    vm_import.refuse(tx, vm, event.replace("alias", "nic"))
    if vm.phase is Phase.POWEROFF:
        driver = tx.settings.vm_mad.get(vm_steps.record(vm).vm_mad, {})
        if driver.get("COLD_NIC_ATTACH", "NO").upper() == "YES":
            return vm_machine.row_for(tx, vm, f"{event}-cold")
    return vm_machine.row_for(tx, vm, event)


def _plug(tx: Transaction, vm: VM, name: str, nic: Vector) -> int:
    """Takes a lease, fills the NIC in and adds it to the VM; answers its NIC_ID."""
    if vm_nics.is_auto(nic):
        raise ApiError(Code.ACTION, "NETWORK_MODE auto is for VMs that are still to be deployed.")
    template = vm.template
    vm_nics.check_number(template, 1)
    number = 1 + max((int(other.get("NIC_ID") or -1) for other in vm_nics.nics_of(template)), default=-1)
    (vm_nics.name_nic if name == "NIC" else vm_nics.name_alias)(template, nic, number)
    vm_nics.acquire(tx, vm.id, vm.uid, nic)
    cluster = vm_steps.record(vm).cid
    if str(cluster) not in nic["CLUSTER_ID"].split(","):
        detail = f"Virtual network [{nic['NETWORK_ID']}] is not part of cluster [{cluster}]"
        raise ApiError(Code.ACTION, detail)
    nic["ATTACH"] = "YES"
    template.add(name, nic)
    vm_nics.join_groups_of(tx, vm, nic)
    vm_context.add_nic(tx, vm, nic)
    return number


@method(
    "one.vm.detachnic",
    integer("id"),
    integer("nic"),
    also="MANAGE VM (nic-attach; moved by VM_*_OPERATIONS)",
)
def detach(tx: Transaction, vm_id: int, number: int) -> int:
    """Takes a NIC with its aliases, or an alias, from a VM that runs or is powered off."""
    vm = tx.get(VM, vm_id)
    vm_devices.refuse_router(vm)
    unplug(tx, vm, number)
    return vm_id


def unplug(tx: Transaction, vm: VM, number: int) -> None:
    """As one.vm.detachnic, for any VM."""
    vm_rights.require(tx, vm, "nic-attach")
    found = vm_nic_steps.with_aliases(vm, number)
    row = _row(tx, vm, "alias-detach" if found and "PARENT_ID" in found[0] else "nic-detach")
    if row is None:
        raise vm_devices.wrong_state(vm, f"detach NIC from VM {vm.id}")
    if not found:
        detail = f"Could not detach NIC with NIC_ID {number}, it does not exist."
        raise ApiError(Code.ACTION, detail, vm.id)
    own = tx.edit(VM, vm.id)
    for nic in vm_nic_steps.with_aliases(own, number):
        nic["ATTACH"] = "YES"
    vm_machine.go(tx, own, row, Facts(arguments={"nic": number}))
