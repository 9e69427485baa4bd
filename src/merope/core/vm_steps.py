"""The steps of the life-cycle: what a transition does to the VM's record, its host and its owner's quotas."""

from collections.abc import Callable

from merope.core import (
    host_failure,
    host_topology,
    vm_console,
    vm_disk_snapshot_steps,
    vm_disk_steps,
    vm_nic_steps,
    vm_release,
    vm_requirements,
    vm_save_steps,
    vm_snapshot_steps,
    vm_topology,
)
from merope.core.lifecycle import Step
from merope.core.results import note_error
from merope.core.transaction import Transaction
from merope.core.vm_facts import Facts
from merope.model.change import Row
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.states import HistoryAction
from merope.model.vm import VM, History


def capacity(vm: VM) -> tuple[int, int]:
    """CPU in percent of one CPU and memory in KB that a VM takes of its host.

    Source: spec scheduler.yaml `capacity`.
    """
    return round(float(vm.template.get("CPU") or 0) * 100), int(vm.template.get("MEMORY") or 0) * 1024


def record(vm: VM) -> History:
    """The current history record; a placed VM has one."""
    current = vm.history
    if current is None:
        raise ApiError(Code.INTERNAL, f"Virtual machine {vm.id} has no history record", vm.id)
    return current


def take_capacity(tx: Transaction, vm: VM, host_id: int) -> None:
    """Raises ApiError ACTION when the host has not the CPUs or devices that the VM must have for itself."""
    if vm.id not in tx.edit(Host, host_id).vms:
        host_topology.take(vm, tx.edit(Host, host_id))
        _count_in(tx, vm, host_id)


def release_capacity(tx: Transaction, vm: VM, host_id: int) -> None:
    if _count_out(tx, vm, host_id):
        host_topology.give_back(tx, vm, host_id)


def leave_for_now(tx: Transaction, vm: VM, host_id: int) -> None:
    """Returns the capacity of a host, but what the VM has there for itself: it may come back."""
    _count_out(tx, vm, host_id)


def _count_in(tx: Transaction, vm: VM, host_id: int) -> None:
    cpu, memory = capacity(vm)
    host = tx.edit(Host, host_id)
    if vm.id in host.vms:
        return
    host.vms.add(vm.id)
    host.host_share.cpu_usage += cpu
    host.host_share.mem_usage += memory
    host.host_share.running_vms += 1


def _count_out(tx: Transaction, vm: VM, host_id: int) -> bool:
    """Whether the VM was counted there."""
    cpu, memory = capacity(vm)
    if tx.find(Host, host_id) is None or vm.id not in tx.get(Host, host_id).vms:
        return False
    host = tx.edit(Host, host_id)
    host.vms.discard(vm.id)
    host.host_share.cpu_usage -= cpu
    host.host_share.mem_usage -= memory
    host.host_share.running_vms -= 1
    if host_failure.is_down(tx, host_id):
        _note_left(tx, vm, host_id)
    return True


def _note_left(tx: Transaction, vm: VM, host_id: int) -> None:
    """The record of the host that the VM leaves: its current one, or the one before."""
    left = vm.history
    if left is not None and left.hid != host_id and left.seq:
        left = source_record(tx, vm)
    if left is not None and left.hid == host_id:
        host_failure.note_left(tx, vm, left)


def write_record(tx: Transaction, vm: VM, closed: History) -> None:
    """A record that is no longer the current one, or is the last, becomes a row with the VM as it was."""
    current, vm.history_records = vm.history_records, []
    body = closed.to_xml().removesuffix("</HISTORY>") + vm.to_xml() + "</HISTORY>"
    vm.history_records = current
    row: Row = {"vid": vm.id, "seq": closed.seq, "body": body, "stime": closed.stime, "etime": closed.etime}
    tx.put_row("history", (vm.id, closed.seq), row)


def source_record(tx: Transaction, vm: VM) -> History:
    """The record of the host that a migration leaves: the one before the current."""
    seq = record(vm).seq - 1
    row = tx.row("history", (vm.id, seq))
    if row is not None:
        return History.from_xml(str(row["body"]))
    return History.from_xml(tx.state.history[vm.id][seq])


def open_record(tx: Transaction, vm: VM, fresh: History) -> None:
    """Ends the current record, whatever it is, and makes `fresh` the next."""
    old = vm.history
    fresh.seq = 0 if old is None else old.seq + 1
    fresh.stime = tx.now
    if old is not None:
        write_record(tx, vm, old)
    vm.history_records = [fresh]


def copied(old: History) -> History:
    """A new record of the same placement, with no time and no action yet."""
    return History(
        oid=old.oid,
        seq=0,
        hostname=old.hostname,
        hid=old.hid,
        cid=old.cid,
        stime=0,
        vm_mad=old.vm_mad,
        tm_mad=old.tm_mad,
        ds_id=old.ds_id,
    )


def _copy_record(tx: Transaction, vm: VM, facts: Facts) -> None:
    old = record(vm)
    _end(old, tx.now)
    open_record(tx, vm, copied(old))


def _end(ended: History, now: int) -> None:
    if ended.etime == 0:
        ended.etime = now
    if ended.rstime and not ended.retime:
        ended.retime = now


def _close_record(tx: Transaction, vm: VM, facts: Facts) -> None:
    close(tx, vm)


def close(tx: Transaction, vm: VM) -> None:
    """Ends the current record for good."""
    current = vm.history
    if current is not None:
        _end(current, tx.now)
        write_record(tx, vm, current)


def _release_source(tx: Transaction, vm: VM, facts: Facts) -> None:
    """What the VM had there for itself stays its own: a migration that fails returns to it."""
    source = source_record(tx, vm)
    _end(source, tx.now)
    write_record(tx, vm, source)
    if source.hid != record(vm).hid:
        leave_for_now(tx, vm, source.hid)


def _leave_source(tx: Transaction, vm: VM, facts: Facts) -> None:
    source = source_record(tx, vm)
    if source.hid != record(vm).hid:
        host_topology.leave_source(tx, vm, source.hid)


def _return_to_source(tx: Transaction, vm: VM, facts: Facts) -> None:
    target, source = record(vm), source_record(tx, vm)
    if target.hid != source.hid:
        release_capacity(tx, vm, target.hid)
        host_topology.come_back(tx, vm, source.hid)
        _count_in(tx, vm, source.hid)
    _end(source, tx.now)
    write_record(tx, vm, source)
    _end(target, tx.now)
    open_record(tx, vm, copied(source))


def _forget_placement(tx: Transaction, vm: VM, facts: Facts) -> None:
    current = vm.history
    if current is not None:
        release_capacity(tx, vm, current.hid)
        _end(current, tx.now)
        current.action = HistoryAction.DELETE_RECREATE
        write_record(tx, vm, current)
    vm_console.release(vm)
    vm.deploy_id = ""
    vm.template.remove("SNAPSHOT")
    vm_topology.forget_threads(vm.template)
    vm_disk_snapshot_steps.forget_copies(tx, vm)


def _set_deploy_id(tx: Transaction, vm: VM, facts: Facts) -> None:
    vm.deploy_id = facts.data.get("deploy_id") or vm.deploy_id or f"one-{vm.id}"


def _clear_deploy_id(tx: Transaction, vm: VM, facts: Facts) -> None:
    vm.deploy_id = ""


def _say_error(tx: Transaction, vm: VM, facts: Facts) -> None:
    say(tx, vm, facts.message)


def say(tx: Transaction, vm: VM, message: str) -> None:
    """ERROR in the user template: "<date> : <message>", as 5.12 writes it."""
    if message:
        note_error(tx, vm.user_template, message)


StepFunction = Callable[[Transaction, VM, Facts], None]


def _time(name: str, begun: str = "stime") -> StepFunction:
    """A step that puts the present time in one of the current record's fields, once.

    What has not begun in this record (a VM that was moved powered off never ran there) does not end in it.
    """

    def run(tx: Transaction, vm: VM, facts: Facts) -> None:
        current = vm.history
        if current is not None and getattr(current, begun) and not getattr(current, name):
            setattr(current, name, tx.now)

    return run


def _take(tx: Transaction, vm: VM, facts: Facts) -> None:
    take_capacity(tx, vm, record(vm).hid)


def _release(tx: Transaction, vm: VM, facts: Facts) -> None:
    release_capacity(tx, vm, record(vm).hid)


def _assign_console(tx: Transaction, vm: VM, facts: Facts) -> None:
    vm_console.assign(tx, vm)


def _release_console(tx: Transaction, vm: VM, facts: Facts) -> None:
    vm_console.release(vm)


def _clear_action(tx: Transaction, vm: VM, facts: Facts) -> None:
    current = record(vm)
    current.action = HistoryAction.NONE
    current.uid = current.gid = -1
    current.request_id = "-1"


def _clear_resched(tx: Transaction, vm: VM, facts: Facts) -> None:
    vm.resched = 0


def _requirements(tx: Transaction, vm: VM, facts: Facts) -> None:
    vm_requirements.compute(tx, vm)


def _drop_effects(tx: Transaction, vm: VM, facts: Facts) -> None:
    tx.drop_effects("vm", vm.id)


def _free_all(tx: Transaction, vm: VM, facts: Facts) -> None:
    vm_release.free_all(tx, vm)


STEPS: dict[Step, StepFunction] = {
    Step.TAKE_CAPACITY: _take,
    Step.RELEASE_CAPACITY: _release,
    Step.RELEASE_SOURCE: _release_source,
    Step.LEAVE_SOURCE: _leave_source,
    Step.RETURN_TO_SOURCE: _return_to_source,
    Step.OPEN_PROLOG: _time("pstime"),
    Step.CLOSE_PROLOG: _time("petime", "pstime"),
    Step.OPEN_RUNNING: _time("rstime"),
    Step.CLOSE_RUNNING: _time("retime", "rstime"),
    Step.OPEN_EPILOG: _time("estime"),
    Step.CLOSE_EPILOG: _time("eetime", "estime"),
    Step.COPY_RECORD: _copy_record,
    Step.CLOSE_RECORD: _close_record,
    Step.SET_DEPLOY_ID: _set_deploy_id,
    Step.CLEAR_DEPLOY_ID: _clear_deploy_id,
    Step.ASSIGN_CONSOLE: _assign_console,
    Step.RELEASE_CONSOLE: _release_console,
    Step.CLEAR_ACTION: _clear_action,
    Step.CLEAR_RESCHED: _clear_resched,
    Step.REQUIREMENTS: _requirements,
    Step.SAY_ERROR: _say_error,
    Step.DROP_EFFECTS: _drop_effects,
    Step.FREE_ALL: _free_all,
    Step.FORGET_PLACEMENT: _forget_placement,
    Step.KEEP_DISK: vm_disk_steps.keep,
    Step.DROP_DISK: vm_disk_steps.drop,
    Step.KEEP_NIC: vm_nic_steps.keep,
    Step.DROP_NIC: vm_nic_steps.drop,
    Step.KEEP_SNAPSHOT: vm_snapshot_steps.keep,
    Step.DROP_SNAPSHOT: vm_snapshot_steps.drop,
    Step.DROP_SNAPSHOTS: vm_snapshot_steps.drop_all,
    Step.KEEP_DISK_SNAPSHOT: vm_disk_snapshot_steps.keep,
    Step.DROP_DISK_SNAPSHOT: vm_disk_snapshot_steps.drop,
    Step.GO_BACK_TO_DISK_SNAPSHOT: vm_disk_snapshot_steps.go_back,
    Step.LEAVE_DISK_SNAPSHOT: vm_disk_snapshot_steps.leave,
    Step.KEEP_SIZE: vm_disk_steps.keep_size,
    Step.RESTORE_SIZE: vm_disk_steps.restore_size,
    Step.IMAGE_IS_SAVED: vm_save_steps.saved,
    Step.IMAGE_IS_NOT_SAVED: vm_save_steps.not_saved,
}
