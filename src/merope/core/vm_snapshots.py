"""Snapshots of a whole VM: one.vm.snapshotcreate, snapshotrevert and snapshotdelete.

Source: spec states.yaml `snapshot create/revert/delete (system)`, xmlrpc.yaml.
"""

from merope.core import (
    vm_devices,
    vm_import,
    vm_machine,
    vm_rights,
    vm_snapshot_steps,
)
from merope.core.methods import integer, method, text
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.errors import ApiError, Code
from merope.model.phase import Phase
from merope.model.template import Vector
from merope.model.vm import VM

_RIGHT = "MANAGE VM (snapshot; moved by VM_*_OPERATIONS)"


@method("one.vm.snapshotcreate", integer("id"), text("name"), also=_RIGHT)
def create(tx: Transaction, vm_id: int, name: str) -> int:
    """Takes a snapshot of a VM that runs: memory and disks. Answers its id."""
    vm = tx.get(VM, vm_id)
    vm_rights.require(tx, vm, "snapshot")
    vm_import.refuse(tx, vm, "snapshot-create")
    row = vm_machine.row_for(tx, vm, "snapshot-create")
    if row is None:
        raise vm_devices.wrong_state(vm, f"create a new snapshot for VM {vm_id}")
    vm_devices.check_name(name, vm_id)
    own = tx.edit(VM, vm_id)
    known = [int(each["SNAPSHOT_ID"]) for each in own.template.vectors("SNAPSHOT")]
    number = 1 + max(known, default=-1)
    made = Vector(
        SNAPSHOT_ID=str(number),
        NAME=name or f"snapshot-{number}",
        TIME=str(tx.now),
        HYPERVISOR_ID="",
        ACTIVE="YES",
        ACTION="CREATE",
    )
    own.template.add("SNAPSHOT", made)
    vm_machine.go(tx, own, row, Facts(arguments={"snapshot": number}))
    return number


@method("one.vm.snapshotrevert", integer("id"), integer("snapshot"), also=_RIGHT)
def revert(tx: Transaction, vm_id: int, number: int) -> int:
    """Takes a VM that runs back to one of its snapshots."""
    _change(tx, vm_id, number, "snapshot-revert", "REVERT", f"revert VM {vm_id} to snapshot {number}")
    return vm_id


@method("one.vm.snapshotdelete", integer("id"), integer("snapshot"), also=_RIGHT)
def delete(tx: Transaction, vm_id: int, number: int) -> int:
    """Deletes a snapshot of a VM that runs, or is powered off where the hypervisor keeps snapshots."""
    _change(tx, vm_id, number, "snapshot-delete", "DELETE", f"delete snapshot {number} for VM {vm_id}")
    return vm_id


def _change(tx: Transaction, vm_id: int, number: int, event: str, action: str, what: str) -> None:
    vm = tx.get(VM, vm_id)
    vm_rights.require(tx, vm, "snapshot")
    vm_import.refuse(tx, vm, event)
    row = vm_machine.row_for(tx, vm, event)
    if row is None or (vm.phase is Phase.POWEROFF and not vm_snapshot_steps.kept_when_off(tx, vm)):
        raise vm_devices.wrong_state(vm, what)
    if vm_snapshot_steps.find(vm, number) is None:
        raise ApiError(Code.ACTION, f"Could not {what}, it does not exist.", vm_id)
    own = tx.edit(VM, vm_id)
    found = vm_snapshot_steps.find(own, number)
    assert found is not None
    found.update(ACTIVE="YES", ACTION=action)
    vm_machine.go(tx, own, row, Facts(arguments={"snapshot": number}))
