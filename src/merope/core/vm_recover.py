"""Getting VMs out of where they are stuck: recover, and deleting them whatever their state."""

from merope.core import (
    host_failure,
    lifecycle,
    vm_console,
    vm_flight,
    vm_import,
    vm_machine,
    vm_release,
    vm_results,
    vm_rights,
    vm_steps,
)
from merope.core.methods import integer, method
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.errors import ApiError, Code
from merope.model.phase import Phase
from merope.model.states import HistoryAction
from merope.model.vm import VM

FAILURE, SUCCESS, RETRY, DELETE, RECREATE, DELETE_DB = range(6)
_RIGHTS = {
    FAILURE: "recover",
    SUCCESS: "recover",
    RETRY: "retry",
    DELETE: "delete",
    RECREATE: "delete",
    DELETE_DB: "delete",
}
_RECREATED_NOT = (Phase.POWEROFF, Phase.SUSPENDED, Phase.DONE)
#: The files are on the front-end.
_AWAY = (Phase.STOPPED, Phase.UNDEPLOYED, Phase.DISK_RESIZE_UNDEPLOYED)
_SHUTDOWNS = (Phase.SHUTDOWN, Phase.SHUTDOWN_POWEROFF, Phase.SHUTDOWN_UNDEPLOY)
_FORCED = (HistoryAction.TERMINATE_HARD, HistoryAction.POWEROFF_HARD, HistoryAction.UNDEPLOY_HARD)


@method(
    "one.vm.recover",
    integer("id"),
    integer("op"),
    also="ADMIN VM (recover, retry or delete; moved by VM_*_OPERATIONS)",
)
def recover(tx: Transaction, vm_id: int, op: int) -> int:
    """0 failure, 1 success, 2 retry, 3 delete, 4 delete and create anew, 5 delete from the database."""
    vm = tx.get(VM, vm_id)
    if op not in _RIGHTS:
        raise ApiError(Code.ACTION, "Wrong recovery operation code", vm_id)
    vm_rights.require(tx, vm, _RIGHTS[op])
    if op in (FAILURE, SUCCESS):
        _decide(tx, vm, succeeded=op == SUCCESS)
    elif op == RETRY:
        _retry(tx, vm)
    elif op == DELETE:
        delete(tx, vm_id)
    elif op == RECREATE:
        _recreate(tx, vm)
    else:
        delete(tx, vm_id, in_database_only=True)
    return vm_id


def _wrong_state(vm: VM, what: str) -> ApiError:
    return ApiError(
        Code.ACTION, f"Could not perform a {what} on VM {vm.id}, wrong state {vm.phase.name}.", vm.id
    )


def _decide(tx: Transaction, vm: VM, *, succeeded: bool) -> None:
    """Treats the operation under way, or the one that failed, as ended or as failed."""
    phase = vm.phase
    if phase is Phase.CLONING_FAILURE:
        vm_results.images_changed(tx, vm.id)
        return
    if not phase.active:
        raise _wrong_state(vm, "recover operation")
    flight = vm_flight.under_way(tx, vm) if phase in lifecycle.EFFECTS else None
    event = f"{'recover' if flight is None else flight.answer}-{'ok' if succeeded else 'ko'}"
    row = vm_machine.row_for(tx, vm, event)
    if row is None:
        raise _wrong_state(vm, "recover operation")
    if row.to is None:
        return
    own = tx.edit(VM, vm.id)
    tx.drop_effects("vm", vm.id)
    if vm_steps.record(own).action not in vm_machine.PUT_AWAY:
        vm_machine.note_action(tx, own, HistoryAction.RECOVER)
    vm_machine.go(tx, own, row, Facts(arguments={} if flight is None else flight.arguments))


def _retry(tx: Transaction, vm: VM) -> None:
    """Asks anew for the effect of the present phase, or of the phase whose failure this is."""
    phase = vm.phase
    if not phase.active:
        raise _wrong_state(vm, "retry")
    again = lifecycle.RETRIES.get(phase, phase)
    if again not in lifecycle.EFFECTS or phase in lifecycle.ON_DEVICES:
        return
    own = tx.edit(VM, vm.id)
    asked = [tx.state.effects[number] for number in tx.state.effects_of.get(("vm", vm.id), ())]
    tx.drop_effects("vm", vm.id)
    for same in asked:
        # What is under way knows best what it is about: which hosts, and what is there.
        if lifecycle.ANSWERS.get(same.op) == lifecycle.ANSWERS[lifecycle.EFFECTS[again]]:
            tx.effect(same.op, vm.id, same.host, **same.arguments)
            return
    if again is not phase:
        vm_machine.enter(tx, own, again)
    vm_machine.ask(tx, own, _effect(tx, own, again), source=again in (Phase.MIGRATE, Phase.SAVE_MIGRATE))


def _effect(tx: Transaction, vm: VM, phase: Phase) -> str:
    current = vm_steps.record(vm)
    if phase in _SHUTDOWNS and current.action in _FORCED:
        return "vm.cancel"
    if phase is Phase.EPILOG and current.etime:
        return "vm.epilog_local"
    if phase is Phase.SAVE_MIGRATE and vm_machine.powered_off(tx, vm):
        return "vm.cancel"
    return lifecycle.EFFECTS[phase]


def delete(tx: Transaction, vm_id: int, *, in_database_only: bool = False) -> None:
    """The VM is DONE at once; what is left of it on hosts is cleaned up by an effect that outlives it."""
    vm = tx.get(VM, vm_id)
    phase = vm.phase
    if phase is Phase.DONE:
        return
    own = tx.edit(VM, vm_id)
    vm_flight.call_off(tx, own)
    tx.drop_effects("vm", vm_id)
    current = own.history
    away = vm_machine.put_away(own)
    if current is not None and (away is not None or phase not in (Phase.PENDING, Phase.HOLD)):
        if not in_database_only:
            _clean_up(tx, own, away or phase, "vm.delete")
        _give_back(tx, own, phase)
        if in_database_only:
            host_failure.is_left_alone(tx, own)
        vm_machine.note_action(tx, own, HistoryAction.DELETE)
    vm_console.release(own)
    vm_release.free_all(tx, own, failed=phase.active)
    vm_machine.enter(tx, own, Phase.DONE)
    if current is not None:
        vm_steps.close(tx, own)


def _recreate(tx: Transaction, vm: VM) -> None:
    vm_import.refuse(tx, vm, "delete-recreate")
    phase = vm.phase
    # 5.12 has a VM that was put away wait for a host at once, and leaves its files.
    away = vm_machine.put_away(vm)
    row = vm_machine.row_for(tx, vm, "delete-recreate")
    if phase in _RECREATED_NOT or not (phase.active or phase in _AWAY or row):
        raise _wrong_state(vm, "recover operation")
    if row is not None and away is None:
        vm_machine.go(tx, tx.edit(VM, vm.id), row)
        return
    recreate(tx, vm)


def recreate(tx: Transaction, vm: VM) -> None:
    """Removes what there is of a placed VM, whatever its state, and has it wait for a host. Raises ApiError
    for one that was there before the cloud."""
    vm_import.refuse(tx, vm, "delete-recreate")
    phase, away = vm.phase, vm_machine.put_away(vm)
    own = tx.edit(VM, vm.id)
    vm_flight.call_off(tx, own)
    tx.drop_effects("vm", vm.id)
    _give_back(tx, own, away or phase)
    vm_machine.note_action(tx, own, HistoryAction.DELETE_RECREATE)
    vm_machine.enter(tx, own, Phase.CLEANUP_RESUBMIT)
    _clean_up(tx, own, away or phase, "vm.cleanup")


def _clean_up(tx: Transaction, vm: VM, phase: Phase, op: str) -> None:
    """Asks for domain, files and interfaces to be removed, on both hosts of a migration.

    `local`: the files are on the front-end, the host has nothing of the VM and may be gone.
    """
    under_way = (tx.state.effects[number] for number in tx.state.effects_of.get(("vm", vm.id), ()))
    same = next((effect for effect in under_way if effect.op == "vm.cleanup"), None)
    if same is not None:
        # It is being cleaned up already, and what is known of where it was is in that.
        tx.effect(op, vm.id, same.host, **same.arguments)
        return
    current = vm_steps.record(vm)
    source = vm_steps.source_record(tx, vm).hid if phase in lifecycle.MIGRATING else -1
    tx.effect(
        op,
        vm.id,
        current.hid,
        deploy_id=vm.deploy_id or f"one-{vm.id}",
        domain=int(phase not in (*lifecycle.WITHOUT_DOMAIN, *_AWAY)),
        source=source,
        local=int(phase in _AWAY),
    )


def _give_back(tx: Transaction, vm: VM, phase: Phase) -> None:
    """Capacity of the host, and of a migration's source where it has not been left yet."""
    if phase not in lifecycle.WITHOUT_CAPACITY:
        vm_steps.release_capacity(tx, vm, vm_steps.record(vm).hid)
    if phase in lifecycle.MIGRATING and phase not in lifecycle.LEFT_SOURCE:
        vm_steps.STEPS[lifecycle.Step.RELEASE_SOURCE](tx, vm, Facts())
    if phase in lifecycle.MIGRATING:
        vm_steps.STEPS[lifecycle.Step.LEAVE_SOURCE](tx, vm, Facts())
