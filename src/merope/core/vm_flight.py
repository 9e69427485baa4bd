"""What is under way for a VM: which operation its phase waits for, and what that is about.

The outbox says it where it has the operation. Where it has none (a database that 5.12 wrote), the marks in
the document do: a disk with ATTACH=YES, after a record that ended with disk-detach, is being plugged out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from merope.core import lifecycle, vm_machine, vm_nics, vm_save_steps, vm_steps
from merope.core.lifecycle import Step
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.phase import Phase
from merope.model.states import HistoryAction
from merope.model.template import Vector
from merope.model.vm import VM

_DETACHED = (HistoryAction.DISK_DETACH, HistoryAction.NIC_DETACH, HistoryAction.ALIAS_DETACH)
_FROM_SOURCE = (Phase.MIGRATE, Phase.SAVE_MIGRATE)
#: Whose fate is open goes with the VM: what becomes of the VM's files becomes of it.
_LEFT_OPEN = {Step.DROP_DISK: Step.KEEP_DISK, Step.DROP_NIC: Step.KEEP_NIC}


@dataclass(frozen=True, slots=True)
class Flight:
    """An operation and its arguments."""

    op: str
    arguments: dict[str, str | int] = field(default_factory=dict)

    @property
    def answer(self) -> str:
        """The event that it ends with, without "-ok" or "-ko"."""
        return lifecycle.ANSWERS[self.op]


def under_way(tx: Transaction, vm: VM) -> Flight:
    """What the VM's phase, one of those that wait, waits for."""
    awaited = lifecycle.awaited(vm.phase)
    for number in sorted(tx.state.effects_of.get(("vm", vm.id), ())):
        effect = tx.state.effects[number]
        if effect.op in awaited:
            return Flight(effect.op, dict(effect.arguments))
    return due(tx, vm)


def due(tx: Transaction, vm: VM) -> Flight:
    """What must be under way, by the VM's document."""
    find = _BY_MARKS.get(vm.phase)
    return find(tx, vm) if find is not None else Flight(lifecycle.EFFECTS[vm.phase])


def ask_again(tx: Transaction, vm: VM) -> None:
    """Asks for what the VM's phase waits for; operations may be done twice."""
    if vm_save_steps.image_under_way(tx.state, vm):
        return
    flight = due(tx, vm)
    vm_machine.ask(tx, vm, flight.op, source=vm.phase in _FROM_SOURCE, **flight.arguments)


def call_off(tx: Transaction, vm: VM) -> None:
    """What was being done with a part of the VM is given up, since the VM as a whole is to be removed."""
    if vm.phase not in lifecycle.ON_DEVICES:
        return
    flight = under_way(tx, vm)
    row = lifecycle.TABLE[f"{flight.answer}-ko", vm.phase]
    facts = Facts(arguments=flight.arguments)
    for step in row.steps:
        if step is not Step.SAY_ERROR:
            vm_steps.STEPS[_LEFT_OPEN.get(step, step)](tx, vm, facts)


def _marked(vectors: list[Vector], mark: str) -> Vector | None:
    return next((vector for vector in vectors if vector.get(mark, "").upper() == "YES"), None)


def _last_action(tx: Transaction, vm: VM) -> int:
    """What the record before the current one ended with."""
    current = vm.history
    return vm_steps.source_record(tx, vm).action if current is not None and current.seq else 0


def _disk(tx: Transaction, vm: VM) -> Flight:
    disk = _marked(vm.template.vectors("DISK"), "ATTACH")
    if disk is None:
        return Flight("vm.update_conf" if vm.phase is Phase.HOTPLUG else lifecycle.EFFECTS[vm.phase])
    arguments: dict[str, str | int] = {"disk": int(disk["DISK_ID"])}
    if vm.phase is Phase.HOTPLUG and _last_action(tx, vm) in _DETACHED:
        return Flight("vm.detach_disk", arguments)
    return Flight(lifecycle.EFFECTS[vm.phase], arguments)


def _nic(tx: Transaction, vm: VM) -> Flight:
    nic = _marked(vm_nics.nics_of(vm.template), "ATTACH")
    arguments: dict[str, str | int] = {} if nic is None else {"nic": int(nic["NIC_ID"])}
    return Flight("vm.detach_nic" if _last_action(tx, vm) in _DETACHED else "vm.attach_nic", arguments)


_ON_SNAPSHOT = {"REVERT": "vm.snapshot_revert", "DELETE": "vm.snapshot_delete"}


def _snapshot(tx: Transaction, vm: VM) -> Flight:
    found = _marked(vm.template.vectors("SNAPSHOT"), "ACTIVE")
    if found is None:
        return Flight(lifecycle.EFFECTS[vm.phase])
    op = _ON_SNAPSHOT.get(found.get("ACTION", ""), lifecycle.EFFECTS[vm.phase])
    return Flight(op, {"snapshot": int(found["SNAPSHOT_ID"])})


def _by_disk(mark: str, **arguments: str) -> Callable[[Transaction, VM], Flight]:
    """The operation of the phase, on the disk that has the mark; its other arguments are attributes of it."""

    def find(tx: Transaction, vm: VM) -> Flight:
        disk = _marked(vm.template.vectors("DISK"), mark)
        known = {} if disk is None else {"disk": int(disk["DISK_ID"])}
        if disk is not None:
            known |= {name: int(disk.get(key) or -1) for name, key in arguments.items()}
        return Flight(lifecycle.EFFECTS[vm.phase], {**known})

    return find


_disk_snapshot = _by_disk("DISK_SNAPSHOT_ACTIVE", snapshot="DISK_SNAPSHOT_ID")
_disk_resize = _by_disk("RESIZE", size="SIZE")
_save = _by_disk("HOTPLUG_SAVE_AS_ACTIVE", image="HOTPLUG_SAVE_AS", snapshot="HOTPLUG_SAVE_AS_SNAPSHOT_ID")

_BY_MARKS: dict[Phase, Callable[[Transaction, VM], Flight]] = {
    Phase.HOTPLUG: _disk,
    Phase.HOTPLUG_PROLOG_POWEROFF: _disk,
    Phase.HOTPLUG_EPILOG_POWEROFF: _disk,
    Phase.HOTPLUG_NIC: _nic,
    Phase.HOTPLUG_NIC_POWEROFF: _nic,
    Phase.HOTPLUG_SNAPSHOT: _snapshot,
    **{phase: _disk_snapshot for phase in lifecycle.ON_DEVICES if phase.name.startswith("DISK_SNAPSHOT")},
    **{phase: _disk_resize for phase in lifecycle.ON_DEVICES if phase.name.startswith("DISK_RESIZE")},
    **dict.fromkeys(lifecycle.SAVING, _save),
}
