"""What happens when a host fails, in order: it is waited for, switched off, and its VMs leave it.

The program `ft/host_error`, or an administrator, orders it; from there on it is the core's, so that it goes
on after any crash. Nothing of a VM is started elsewhere before its host has been read back as off, or
somebody has vouched for that. docs/host-failure.md tells it to administrators; docs/adr/0008 says why.
"""

from collections.abc import Callable
from dataclasses import replace

from merope.core import host_evacuation, host_failure, host_limits
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.results import on_result
from merope.core.transaction import Transaction
from merope.model.cluster import Cluster
from merope.model.effect import Effect
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.host_failure import TIMED, Action, HostFailure, Order, Stage
from merope.model.permissions import Op
from merope.model.states import HostState

#: Seconds until the next attempt to switch a host off, after so many that have failed.
BACK_OFF = (30, 60, 120, 300, 600)
#: Seconds between two looks at what keeps a recovery from going on.
LOOK_AGAIN = 30
_REPLACEABLE = (Stage.NOTED, Stage.WAITING, Stage.HELD, Stage.UNCONFIRMED, Stage.RECOVERING)


def is_news(tx: Transaction, host: Host) -> bool:
    """Whether it was not known that the host is not heard."""
    failure = host_failure.of(tx, host.id)
    if failure is None or failure.stage is Stage.GOOD:
        return host.state != HostState.ERROR
    return failure.stage is Stage.RETURNED or host.state not in (HostState.ERROR, HostState.DISABLED)


def failed(tx: Transaction, host_id: int, message: str) -> None:
    """The host is not heard any more. One that was watched since it failed is recovered as it was to be."""
    known = host_failure.of(tx, host_id) or HostFailure(host_id)
    if known.is_down:
        return
    tx.drop_effects("host", host_id)
    times = (*known.failures, tx.now)
    fresh = HostFailure(
        host_id, Stage.NOTED, times, down=tx.now, order=known.order, left=known.left, message=message
    )
    fresh = replace(fresh, failures=host_limits.counting(tx, fresh) or (tx.now,))
    host_failure.save(tx, fresh if fresh.order is None else _waiting(tx, fresh))


def _waiting(tx: Transaction, failure: HostFailure) -> HostFailure:
    assert failure.order is not None
    seconds = max(failure.order.cycles * tx.settings.failure_cycle, tx.settings.failure_settle)
    message = f"It is waited for, for {seconds} seconds; then its VMs are recovered."
    return replace(failure, stage=Stage.WAITING, due=failure.down + seconds, message=message)


@method(
    "one.host.recover",
    integer("id"),
    text("what"),
    boolean("force", False),
    integer("cycles", 0),
    boolean("fencing", True),
    needs=(Need(Op.ADMIN, Host, "id"),),
)
def recover(tx: Transaction, oid: int, what: str, force: bool, cycles: int, fencing: bool) -> int:
    """Recovers the VMs of a host that has failed: migrate, recreate or delete them; `force` those that are
    suspended or powered off too, after so many `cycles` of monitoring. confirm: it is off; proceed: in spite
    of how many have failed; cancel: nothing is to be done. Not in OpenNebula 5.12."""
    verb = _VERBS.get(what)
    if verb is None and what not in _ACTIONS:
        allowed = ", ".join((*_ACTIONS, *_VERBS))
        raise ApiError(Code.ACTION, f'"{what[:64]}" is no way to recover a host: {allowed}', oid)
    if cycles < 0:
        raise ApiError(Code.ACTION, f"cycles must not be negative, and is {cycles}", oid)
    failure = _failure(tx, oid)
    if verb is not None:
        verb(tx, failure)
    else:
        _order(tx, failure, Order(Action(what), force, cycles, fencing))
    return oid


def _failure(tx: Transaction, oid: int) -> HostFailure:
    host = tx.get(Host, oid)
    failure = host_failure.of(tx, oid)
    if failure is not None and failure.is_down:
        return failure
    if host.state == HostState.ERROR and (failure is None or failure.stage is Stage.GOOD):
        return HostFailure(oid, Stage.NOTED, (tx.now,), down=tx.now)
    raise ApiError(Code.ACTION, f"Host {host.name} ({oid}) is heard: there is nothing to recover from.", oid)


def _order(tx: Transaction, failure: HostFailure, order: Order) -> None:
    """The same order again changes nothing: whoever gives it may do so twice."""
    if failure.order == order:
        return
    if failure.stage not in _REPLACEABLE:
        raise ApiError(
            Code.ACTION,
            f"Host {failure.id} is being switched off: wait until it is, or cancel that "
            f"(onehost recover {failure.id} --cancel).",
            failure.id,
        )
    ordered = replace(failure, order=order)
    if failure.stage is Stage.RECOVERING:
        host_failure.save(tx, replace(ordered, due=tx.now))
    else:
        host_failure.save(tx, _waiting(tx, ordered))


def _confirm(tx: Transaction, failure: HostFailure) -> None:
    if not failure.is_off:
        _is_off(tx, failure, f"{tx.caller.name or 'An administrator'} has said that it is off.")


def _proceed(tx: Transaction, failure: HostFailure) -> None:
    if failure.order is None:
        raise ApiError(
            Code.ACTION,
            f"Nothing is to be done for the VMs of host {failure.id}: say what, migrate, recreate or delete.",
            failure.id,
        )
    if failure.stage in TIMED:
        host_failure.save(tx, replace(failure, allowed=True, due=tx.now))


def _cancel(tx: Transaction, failure: HostFailure) -> None:
    tx.drop_effects("host", failure.id)
    if failure.is_off:
        host_failure.save(tx, replace(failure, order=None, due=0))
        return
    message = "Its VMs stay where they are: the recovery was called off."
    host_failure.save(
        tx,
        replace(failure, stage=Stage.NOTED, order=None, due=0, attempts=0, allowed=False, message=message),
    )


_ACTIONS = tuple(action.value for action in Action)
_VERBS: dict[str, Callable[[Transaction, HostFailure], None]] = {
    "confirm": _confirm,
    "proceed": _proceed,
    "cancel": _cancel,
}


def proceed(tx: Transaction, host_id: int) -> int:
    """The time of a host has come: the next step, if it is due."""
    failure = host_failure.of(tx, host_id)
    if failure is None or failure.stage not in TIMED or not failure.due or failure.due > tx.now:
        return host_id
    if failure.is_off:
        _evacuate(tx, failure)
    else:
        _fence(tx, failure)
    return host_id


def _fence(tx: Transaction, failure: HostFailure) -> None:
    host = tx.get(Host, failure.id)
    assert failure.order is not None
    reason = "" if failure.allowed else host_limits.too_many(tx, host)
    if reason:
        later = tx.now + LOOK_AGAIN
        host_failure.save(tx, replace(failure, stage=Stage.HELD, due=later, message=reason))
    elif not failure.order.fencing:
        _is_off(tx, failure, "It was not switched off: the order vouches for it (--no-fencing).")
    elif not _has_fencing(tx, host):
        _unconfirmed(
            tx,
            failure,
            "there is no FENCING in its attributes or its cluster's. Add it, or make sure that the host is "
            f"off and say so: onehost recover {host.id} --confirm",
        )
    else:
        message = "It is being switched off."
        host_failure.save(
            tx,
            replace(failure, stage=Stage.FENCING, due=0, attempts=failure.attempts + 1, message=message),
        )
        tx.effect("host.fence", host.id)


def _has_fencing(tx: Transaction, host: Host) -> bool:
    cluster = tx.get(Cluster, host.cluster_id)
    return any(bool(value.template.vectors("FENCING")) for value in (host, cluster))


@on_result("host.fence")
def _fenced(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    failure = host_failure.of(tx, effect.oid)
    if failure is None or failure.stage is not Stage.FENCING:
        return
    if ok and data.get("power") == "off":
        _is_off(tx, failure, f"It is off, as {data.get('by') or 'its fencing'} reads back.")
    else:
        _unconfirmed(tx, failure, message or "it is not off after it was switched off")


def _unconfirmed(tx: Transaction, failure: HostFailure, reason: str) -> None:
    seconds = BACK_OFF[min(failure.attempts, len(BACK_OFF) - 1)]
    message = f"It is not confirmed that it is off, so its VMs stay where they are: {reason}"
    waiting = replace(failure, stage=Stage.UNCONFIRMED, due=tx.now + seconds, message=message)
    host_failure.save(tx, waiting)
    host_evacuation.tell(tx, failure.id, f"Its host {failure.id} has failed. {message}")


def _is_off(tx: Transaction, failure: HostFailure, message: str) -> None:
    """From here on its VMs run nowhere. What was seen of it before says nothing any more."""
    tx.drop_effects("host", failure.id)
    number = tx.state.index + 1
    off = replace(failure, stage=Stage.RECOVERING, confirmed=number, due=0, message=message)
    host_failure.save(tx, off)
    host_evacuation.end_operations(tx, failure.id)
    current = host_failure.of(tx, failure.id)
    assert current is not None
    _evacuate(tx, current)


def _evacuate(tx: Transaction, failure: HostFailure) -> None:
    busy = host_evacuation.leave(tx, failure.id, failure.order) if failure.order is not None else False
    after = host_failure.of(tx, failure.id)
    assert after is not None
    host_failure.save(tx, replace(after, due=tx.now + LOOK_AGAIN if busy else 0))


def not_monitored(tx: Transaction, host_id: int) -> None:
    """An administrator has taken the host offline: whatever was to be done for its VMs is given up, unless it
    is off."""
    failure = host_failure.of(tx, host_id)
    if failure is not None and failure.is_down and not failure.is_off:
        _cancel(tx, failure)
