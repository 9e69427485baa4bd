"""How the VMs of a host leave it that is known to be off."""

from merope.core import host_failure, lifecycle, results, vm_machine, vm_recover, vm_requirements, vm_steps
from merope.core.results import note_error
from merope.core.transaction import Transaction
from merope.model.errors import ApiError
from merope.model.host import Host
from merope.model.host_failure import Action, Order
from merope.model.phase import Phase
from merope.model.vm import VM

_RESTING = (Phase.SUSPENDED, Phase.POWEROFF)


def end_operations(tx: Transaction, host_id: int) -> None:
    """What was under way on the host has failed. A VM that was leaving it live may have arrived: its
    destination is asked."""
    host = tx.get(Host, host_id)
    for vm_id in sorted(host.vms):
        vm = tx.get(VM, vm_id)
        if vm.phase is Phase.MIGRATE and vm_steps.source_record(tx, vm).hid == host_id:
            tx.drop_effects("vm", vm_id)
            tx.effect("vm.migrate", vm_id, vm_steps.record(vm).hid, arrived=1)
            continue
        for number in sorted(tx.state.effects_of.get(("vm", vm_id), ())):
            effect = tx.state.effects[number]
            if effect.host == host_id:
                results.take_result(tx, number, False, f"host {host.name} has failed and is off")
    _clean_up_without(tx, host_id)


def _clean_up_without(tx: Transaction, host_id: int) -> None:
    """A VM that is to begin anew does not wait for the host, nor for the one that it was leaving, which is
    cleared of it when it is back."""
    for effect in list(tx.state.effects.values()):
        if effect.op != "vm.cleanup" or host_id not in (effect.host, effect.arguments["source"]):
            continue
        vm = tx.get(VM, effect.oid)
        record = vm_steps.record(vm) if effect.host == host_id else vm_steps.source_record(tx, vm)
        host_failure.note_left(tx, vm, record)
        tx.drop_effects("vm", vm.id)
        tx.effect(effect.op, vm.id, effect.host, **effect.arguments)


def leave(tx: Transaction, host_id: int, order: Order) -> bool:
    """Does with each VM what was ordered; answers whether there are some that will be ready for it later."""
    busy = False
    for vm_id in sorted(tx.get(Host, host_id).vms):
        vm = tx.get(VM, vm_id)
        current = vm.history
        if current is None or current.hid != host_id:
            continue
        if vm.phase in lifecycle.WAITING:
            busy = True
            continue
        if vm.phase in _RESTING and not order.force:
            continue
        try:
            _LEAVE[order.action](tx, vm)
        except ApiError as error:
            say(tx, vm_id, error.message)
    return busy


def _migrate(tx: Transaction, vm: VM) -> None:
    """The scheduler finds it a host, and says why where there is none. What never ran begins anew."""
    if vm.phase is Phase.PROLOG_FAILURE:
        vm_recover.recreate(tx, vm)
        return
    if not _is_shared(tx, vm):
        current = vm_steps.record(vm)
        say(tx, vm.id, _OWN_STORAGE.format(current.hostname, current.tm_mad, vm.id))
        return
    if vm_machine.row_for(tx, vm, "host-dead") is not None:
        vm_machine.fire(tx, tx.edit(VM, vm.id), "host-dead")
    if vm.phase is not Phase.UNKNOWN and vm.phase not in _RESTING:
        say(tx, vm.id, _STUCK.format(vm_steps.record(vm).hostname, vm.phase.name, vm.id))
    elif not vm.resched:
        own = tx.edit(VM, vm.id)
        vm_requirements.compute(tx, own)
        own.resched = 1


_OWN_STORAGE = (
    "Its host {} is off, and has the disks (TM_MAD {} is not shared): it can be started when the host is "
    "back, or made anew without what was written: onevm recover {} --recreate"
)
_STUCK = "Its host {} is off, and it is {}: make it anew (onevm recover {} --recreate) when it is not needed."


def _is_shared(tx: Transaction, vm: VM) -> bool:
    return is_shared(tx, vm_steps.record(vm).tm_mad)


def is_shared(tx: Transaction, tm_mad: str) -> bool:
    """Whether other hosts see the disks of a system datastore; where nothing is said they don't."""
    return tx.settings.tm_mad_conf.get(tm_mad, {}).get("SHARED", "NO").upper() == "YES"


def _delete(tx: Transaction, vm: VM) -> None:
    vm_recover.delete(tx, vm.id)


_LEAVE = {Action.MIGRATE: _migrate, Action.RECREATE: vm_recover.recreate, Action.DELETE: _delete}


def tell(tx: Transaction, host_id: int, sentence: str) -> None:
    """The VMs of which nobody knows whether they run say why they stay so."""
    for vm_id in sorted(tx.get(Host, host_id).vms):
        if tx.get(VM, vm_id).phase is Phase.UNKNOWN:
            say(tx, vm_id, sentence)


def say(tx: Transaction, vm_id: int, sentence: str) -> None:
    """ERROR of a VM, written when it says something else."""
    if not tx.get(VM, vm_id).user_template.get("ERROR").endswith(f" : {sentence}"):
        note_error(tx, tx.edit(VM, vm_id).user_template, sentence)


def relaunch(tx: Transaction, host_id: int) -> None:
    """The host is in use again before its VMs found another: they are started where they were."""
    for vm_id in sorted(tx.get(Host, host_id).vms):
        if is_waiting(tx.get(VM, vm_id), host_id):
            own = tx.edit(VM, vm_id)
            own.resched = 0
            vm_machine.fire(tx, own, "resume")


def is_waiting(vm: VM, host_id: int) -> bool:
    """Whether the VM waits for a host since its own was switched off."""
    current = vm.history
    return vm.phase is Phase.UNKNOWN and bool(vm.resched) and current is not None and current.hid == host_id
