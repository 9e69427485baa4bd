"""The machine that walks the life-cycle's table."""

from merope.core import lifecycle, vm_quotas, vm_steps
from merope.core.lifecycle import Row
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.phase import Phase
from merope.model.states import HistoryAction
from merope.model.vm import VM

_POWERED_OFF = (HistoryAction.POWEROFF_MIGRATE, HistoryAction.POWEROFF_HARD_MIGRATE)
#: What a closed record ended with → the phase in which the VM then was, its files on the front-end.
PUT_AWAY = {
    HistoryAction.STOP: Phase.STOPPED,
    HistoryAction.UNDEPLOY: Phase.UNDEPLOYED,
    HistoryAction.UNDEPLOY_HARD: Phase.UNDEPLOYED,
}
#: Actions of which a record does not say whose they were: 5.12 puts -1 (recorded vm-running.xml, SEQ 3).
_NOBODYS = (HistoryAction.POWEROFF, HistoryAction.POWEROFF_HARD)
_FOUND = "found-"
_AS_PUT_AWAY = ("deploy", "terminate", "terminate-hard")


class ImpossibleTransition(Exception):  # noqa: N818 - the caller decides whether it is an error
    """The table has no row for this event in this phase; nothing was changed."""

    def __init__(self, event: str, vm: VM) -> None:
        super().__init__(f"virtual machine {vm.id}: no {event} in {vm.phase.name}")


def row_for(tx: Transaction, vm: VM, event: str) -> Row | None:
    phase = vm.phase
    away = put_away(vm) if event in _AS_PUT_AWAY else None
    if away is not None:
        return lifecycle.TABLE[event, away]
    off = phase in lifecycle.MIGRATING and powered_off(tx, vm)
    if off or (phase is Phase.HOTPLUG_SNAPSHOT and not _runs(vm)):
        special = lifecycle.TABLE.get((f"{event}-off", phase))
        if special is not None:
            return special
    return lifecycle.TABLE.get((event, phase))


def fire(tx: Transaction, vm: VM, event: str, facts: Facts | None = None) -> None:
    """Takes the VM (the transaction's own) through one transition; raises ImpossibleTransition."""
    row = row_for(tx, vm, event)
    if row is None:
        raise ImpossibleTransition(event, vm)
    go(tx, vm, row, facts)


def go(tx: Transaction, vm: VM, row: Row, facts: Facts | None = None) -> None:
    """Takes the VM through the transition of a row that was looked up before its records changed."""
    if row.action is not None:
        note_action(tx, vm, row.action)
    known = facts or Facts()
    for step in row.steps:
        vm_steps.STEPS[step](tx, vm, known)
    if row.to is not None:
        enter(tx, vm, row.to, asked=not row.event.startswith(_FOUND))
    effect = row.effect or (lifecycle.EFFECTS.get(row.to, "") if row.to is not None else "")
    if effect and effect != lifecycle.LATER:
        arguments = known.arguments if row.to in lifecycle.ON_DEVICES else {}
        ask(tx, vm, effect, source=row.source, **arguments)


def enter(tx: Transaction, vm: VM, phase: Phase, *, asked: bool = True) -> None:
    """Sets the state numbers, and counts or uncounts the VM among the running ones of its owner.

    Raises ApiError AUTHORIZATION when a quota forbids what was `asked`; what is merely noticed is counted.
    """
    before, after = vm_quotas.is_running(vm.phase), vm_quotas.is_running(phase)
    vm.state, vm.lcm_state = phase.state, phase.lcm_state
    # 5.12 shows the previous state only to its hooks: stored documents have the present one twice.
    vm.prev_state, vm.prev_lcm_state = vm.state, vm.lcm_state
    if before and not after and phase is not Phase.DONE:
        vm_quotas.stop_running(tx, vm)
    elif after and not before:
        vm_quotas.start_running(tx, vm, limited=asked)
    if phase is Phase.DONE:
        vm.etime = tx.now


def ask(tx: Transaction, vm: VM, effect: str, *, source: bool = False, **arguments: str | int) -> None:
    """Asks for an effect of the VM's, on its host or on the one that a migration leaves."""
    current = vm.history
    host = -1 if current is None else current.hid
    if source:
        host = vm_steps.source_record(tx, vm).hid
    tx.effect(effect, vm.id, host, **arguments)


def note_action(tx: Transaction, vm: VM, action: HistoryAction) -> None:
    """The record says what was asked of it, and by whom (-1: the cloud itself)."""
    current = vm.history
    if current is None:
        return
    internal = tx.context.internal or action in _NOBODYS
    current.action = action
    current.uid = -1 if internal else tx.caller.uid
    current.gid = -1 if internal else tx.caller.gid
    current.request_id = str(-1 if internal else tx.context.request_id)


def put_away(vm: VM) -> Phase | None:
    """STOPPED or UNDEPLOYED for a VM that was that, was resumed and waits for a host; its disks are kept."""
    current = vm.history
    if vm.phase not in (Phase.PENDING, Phase.HOLD) or current is None or not current.etime:
        return None
    return PUT_AWAY.get(HistoryAction(current.action))


def _runs(vm: VM) -> bool:
    """Whether the guest runs while one of the VM's snapshots is changed."""
    current = vm.history
    return current is not None and bool(current.rstime) and not current.retime


def powered_off(tx: Transaction, vm: VM) -> bool:
    """Whether a migration under way shut the VM down instead of saving it."""
    current = vm.history
    if current is None or current.seq == 0:
        return False
    return vm_steps.source_record(tx, vm).action in _POWERED_OFF
