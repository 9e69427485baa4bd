"""When a host is heard again: it is cleared of VMs that are somewhere else now, and watched if it fails
again and again, before it counts as good."""

from collections.abc import Mapping, Set
from dataclasses import asdict, replace
from enum import Enum

from merope.core import host_evacuation, host_failure, host_limits
from merope.core.results import on_result
from merope.core.transaction import Transaction
from merope.model.effect import Effect
from merope.model.host import Host
from merope.model.host_failure import HostFailure, Left, Stage
from merope.model.phase import Phase
from merope.model.vm import VM, History

#: Seconds until clearing a host is tried again.
_AGAIN = 60
#: Phases of a VM whose domain is nowhere.
_NOWHERE = (Phase.PENDING, Phase.HOLD, Phase.STOPPED, Phase.UNDEPLOYED, Phase.SUSPENDED)


class Verdict(Enum):
    """What a report of a host is good for."""

    STALE = "it says nothing: it is of a time when something else was true, or the host is being switched off"
    WATCHED = "its VMs are as it says, and it gets no others yet"
    GOOD = "the host is good"


def is_good(tx: Transaction, host: Host) -> bool:
    """Whether the host has not failed, or is in use again since."""
    failure = host_failure.of(tx, host.id)
    return failure is None or failure.stage is Stage.GOOD


def heard(
    tx: Transaction, host: Host, since: int | None, vms: Mapping[int, str], *, complete: bool = True
) -> Verdict:
    """Takes in that a host was heard, with the domains of `vms`, which may be `complete`; `since` is when it
    was asked."""
    failure = host_failure.of(tx, host.id)
    if failure is None or failure.stage is Stage.GOOD:
        return Verdict.GOOD
    if failure.stage is Stage.FENCING or (since is not None and since < failure.confirmed):
        return Verdict.STALE
    if failure.is_down:
        failure = replace(
            failure, stage=Stage.RETURNED, down=0, heard=tx.now, due=0, attempts=0, allowed=False
        )
    failure, reason = _cleared(tx, failure, host, vms if complete else None)
    reason = reason or host_limits.damped(tx, failure)
    if reason:
        host_failure.save(tx, replace(failure, message=f"It is heard again. {reason}"))
        return Verdict.WATCHED
    good = replace(failure, stage=Stage.GOOD, heard=0, order=None, left=(), confirmed=0, message="")
    host_failure.save(tx, good)
    host_evacuation.relaunch(tx, host.id)
    return Verdict.GOOD


def waits_elsewhere(tx: Transaction, host_id: int, vm_id: int) -> bool:
    """Whether a VM that is not on its host, which was off, is still to be started."""
    failure = host_failure.of(tx, host_id)
    vm = tx.find(VM, vm_id)
    return (
        failure is not None
        and bool(failure.confirmed)
        and vm is not None
        and host_evacuation.is_waiting(vm, host_id)
    )


def _cleared(
    tx: Transaction, failure: HostFailure, host: Host, vms: Mapping[int, str] | None
) -> tuple[HostFailure, str]:
    """What is still there of VMs that left; a sentence while there is something. `vms` None: nobody knows."""
    left = tuple(each for each in failure.left if each.vm not in host.vms)
    if left and vms is None:
        return replace(failure, left=left), "It has not said yet what all runs on it."
    vms = vms or {}
    left = tuple(each for each in left if _is_there(tx, each, vms))
    failure = replace(failure, left=left)
    if not left:
        return failure, ""
    names = ", ".join(str(each.vm) for each in left)
    sentence = f"VMs {names} are somewhere else now, and may still be here."
    if tx.settings.failure_strays == "report":
        return failure, f"{sentence} Remove what is left of them."
    ready = [each for each in left if _may_go(tx, each.vm, runs_here=each.vm in vms)]
    if ready and tx.now >= failure.due and not tx.state.effects_of.get(("host", host.id)):
        _ask(tx, host.id, ready, files=True)
    if not ready:
        return failure, f"{sentence} It is not known yet whether they run where they should."
    return failure, f"{sentence} They are being removed."


def _is_there(tx: Transaction, left: Left, vms: Mapping[int, str]) -> bool:
    return left.vm in vms or not host_evacuation.is_shared(tx, left.tm_mad)


def _may_go(tx: Transaction, vm_id: int, *, runs_here: bool) -> bool:
    """Whether what a host has of a VM that is not its own is one too many: nothing is under way, and the VM
    runs where it should, which the removal sees for itself, or is to run nowhere, or does not run here."""
    if ("vm", vm_id) in tx.state.effects_of:
        return False
    entry = tx.state.pools["vm_pool"].entries.get(vm_id)
    if entry is None or not runs_here:
        return True
    return tx.get(VM, vm_id).phase in (Phase.RUNNING, *_NOWHERE)


def _ask(tx: Transaction, host_id: int, left: list[Left], *, files: bool) -> None:
    """`files`: those that are on storage of the host alone go too."""
    for each in left:
        home = _home(tx, each.vm)
        tx.effect(
            "host.clear",
            host_id,
            host_id,
            **asdict(each),
            files=int(files and not host_evacuation.is_shared(tx, each.tm_mad)),
            home="" if home is None else home.hostname,
            home_mad="" if home is None else home.vm_mad,
        )


def _home(tx: Transaction, vm_id: int) -> History | None:
    """Where the VM is to run; None when it is to run nowhere."""
    alive = vm_id in tx.state.pools["vm_pool"].entries
    return tx.get(VM, vm_id).history if alive and tx.get(VM, vm_id).phase is Phase.RUNNING else None


@on_result("host.clear")
def _clear(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    failure = host_failure.of(tx, effect.oid)
    if failure is None:
        return
    if ok:
        left = tuple(each for each in failure.left if each.vm != effect.arguments["vm"])
        host_failure.save(tx, replace(failure, left=left))
        return
    sentence = f"What is left on it could not be removed: {message}"
    host_failure.save(tx, replace(failure, due=tx.now + _AGAIN, message=sentence))


def strays(tx: Transaction, host: Host, vms: Set[int]) -> None:
    """Domains of VMs that run on another host are one too many, however they came here."""
    if not vms or tx.settings.failure_strays == "report" or ("host", host.id) in tx.state.effects_of:
        return
    failure = host_failure.of(tx, host.id) or HostFailure(host.id)
    if failure.is_down or tx.now < failure.due:
        return
    found = []
    for vm_id in sorted(vms):
        entry = tx.state.pools["vm_pool"].entries.get(vm_id)
        if entry is None or ("vm", vm_id) in tx.state.effects_of:
            continue
        vm = tx.get(VM, vm_id)
        current = vm.history
        if vm.phase is Phase.RUNNING and current is not None and current.hid != host.id:
            name = vm.deploy_id or f"one-{vm.id}"
            found.append(Left(vm_id, current.ds_id, current.tm_mad, host.vm_mad, name))
    if found:
        _ask(tx, host.id, found, files=False)


def forgive(tx: Transaction, host_id: int) -> None:
    """An administrator has enabled the host: how often it failed does not count any more."""
    failure = host_failure.of(tx, host_id)
    if failure is not None and failure.failures:
        host_failure.save(tx, replace(failure, failures=()))
