"""The records of hosts that have failed: reading and writing them, and what follows from them for others.

How a failure is dealt with is in core/host_recovery.py.
"""

from dataclasses import replace

from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.host_failure import TABLE, HostFailure, Left, Stage
from merope.model.state import State
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

#: The attribute of a host that shows its record to administrators.
SHOWN = "FAILURE"


def of(tx: Transaction, host_id: int) -> HostFailure | None:
    row = tx.row(TABLE, host_id)
    if row is not None:
        return HostFailure.from_json(host_id, str(row["body"]))
    return tx.state.host_failures.get(host_id)


def save(tx: Transaction, failure: HostFailure) -> HostFailure:
    """Stores a record, and shows it in the host's document."""
    tx.put_row(TABLE, failure.id, {"oid": failure.id, "body": failure.to_json()})
    host = tx.find(Host, failure.id)
    if host is not None and host.template.vector(SHOWN) != _shown(failure):
        template = tx.edit(Host, failure.id).template
        template.remove(SHOWN)
        shown = _shown(failure)
        if shown is not None:
            template.add(SHOWN, shown)
    return failure


def _shown(failure: HostFailure) -> Vector | None:
    if failure.stage is Stage.GOOD:
        return None
    shown = Vector({"STAGE": failure.stage.value, "FAILURES": str(len(failure.failures))})
    if failure.order is not None:
        shown["ACTION"] = failure.order.action.value
    if failure.attempts:
        shown["ATTEMPTS"] = str(failure.attempts)
    if failure.due:
        shown["DUE"] = str(failure.due)
    if failure.down:
        shown["SINCE"] = str(failure.down)
    shown["MESSAGE"] = failure.message
    return shown


def keep_shown(old: Template, new: Template) -> None:
    """A template that an administrator gives shows what is going on as the one before did."""
    new.remove(SHOWN)
    for shown in old.vectors(SHOWN):
        new.add(SHOWN, shown)


def forget(tx: Transaction, host_id: int) -> None:
    """The host is no more."""
    if host_id in tx.state.host_failures:
        tx.put_row(TABLE, host_id, None)
    tx.drop_effects("host", host_id)


def is_down(tx: Transaction, host_id: int) -> bool:
    """Whether the host is known not to be heard."""
    failure = of(tx, host_id)
    return failure is not None and failure.is_down


def is_off(state: State, host_id: int) -> bool:
    """Whether it has been confirmed that nothing runs on the host."""
    failure = state.host_failures.get(host_id)
    return failure is not None and failure.is_off


def check_usable(tx: Transaction, host: Host) -> None:
    """Raises ApiError ACTION for a host on which nothing may be started: one that is being switched off, is
    off, or is being cleared."""
    failure = of(tx, host.id)
    if failure is None or not (failure.stage in (Stage.FENCING, Stage.RECOVERING) or failure.left):
        return
    what = {Stage.FENCING: "is being switched off", Stage.RECOVERING: "has failed and is off"}
    sentence = what.get(failure.stage, "may still have VMs that were recovered elsewhere")
    raise ApiError(
        Code.ACTION,
        f"Host {host.name} ({host.id}) {sentence}, and gets no VM before it is back in use.",
        host.id,
    )


def check_leaving(tx: Transaction, vm: VM) -> None:
    """Raises ApiError ACTION for a VM that may still run on a host that nobody hears."""
    current = vm.history
    failure = None if current is None else of(tx, current.hid)
    if current is None or failure is None or not failure.is_down or failure.is_off:
        return
    raise ApiError(
        Code.ACTION,
        f"VM {vm.id} may still run on host {current.hostname} ({current.hid}), which is not heard and not "
        f"known to be off. Have it switched off (onehost recover {current.hid} --migrate), or make sure that "
        f"it is and say so (onehost recover {current.hid} --confirm).",
        vm.id,
    )


def rearm(tx: Transaction, host_id: int) -> None:
    """Something has changed for a VM of a host that is off: its VMs are looked at again."""
    failure = of(tx, host_id)
    if failure is not None and failure.is_off and failure.due != tx.now:
        save(tx, replace(failure, due=tx.now))


def note_left(tx: Transaction, vm: VM, record: History) -> None:
    """A VM leaves a host that is not heard: when it is, there may be something of it."""
    failure = of(tx, record.hid)
    if failure is None or not failure.is_down:
        return
    name = vm.deploy_id or f"one-{vm.id}"
    others = tuple(each for each in failure.left if each.vm != vm.id)
    left = Left(vm.id, record.ds_id, record.tm_mad, record.vm_mad, name)
    save(tx, replace(failure, left=(*others, left)))


def is_left_alone(tx: Transaction, vm: VM) -> None:
    """The VM was deleted from the database only: what is on the host stays there."""
    current = vm.history
    failure = None if current is None else of(tx, current.hid)
    if failure is not None and any(each.vm == vm.id for each in failure.left):
        save(tx, replace(failure, left=tuple(each for each in failure.left if each.vm != vm.id)))
