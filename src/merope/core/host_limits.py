"""When the failures of hosts are too many: at a time for all of them, or in a row for one."""

from merope.core.transaction import Transaction
from merope.model.host import Host
from merope.model.host_failure import HostFailure, Stage
from merope.model.settings import Settings
from merope.model.states import HostState

_OPEN = (Stage.WAITING, Stage.HELD, Stage.FENCING, Stage.UNCONFIRMED)


def too_many(tx: Transaction, host: Host) -> str:
    """A sentence when so many hosts, of the cluster or in all, have failed that it may be the network that
    has, and not they; empty otherwise."""
    pool = tx.state.pools["host_pool"]
    settings = tx.settings
    used = [entry for entry in pool.entries.values() if entry.state != HostState.OFFLINE]
    failed = {oid for oid, failure in tx.state.host_failures.items() if _counts(tx, failure)} | {host.id}
    for what, members in (
        (f"cluster {host.cluster_id}", {entry.oid for entry in used if entry.parent == host.cluster_id}),
        ("the cloud", {entry.oid for entry in used}),
    ):
        most = _most(settings, len(members))
        count = len(failed & members)
        if count > most:
            return (
                f"{count} of {len(members)} hosts of {what} have failed, and {most} may: it may be the "
                f"network. Nothing is done before fewer have, or you say so: onehost recover {host.id} "
                "--proceed"
            )
    return ""


def _counts(tx: Transaction, failure: HostFailure) -> bool:
    """A host whose VMs are waiting, however long it has been; another one for a while."""
    if failure.stage in _OPEN:
        return True
    return failure.is_down and tx.now - failure.down < tx.settings.failure_window


def _most(settings: Settings, hosts: int) -> int:
    """One may always fail."""
    share = max(1, hosts * settings.failure_max_share // 100)
    return min(share, settings.failure_max_hosts) if settings.failure_max_hosts else share


def counting(tx: Transaction, failure: HostFailure) -> tuple[int, ...]:
    """The failures of a host that are not too long ago to count."""
    oldest = tx.now - tx.settings.failure_flapping_window
    return tuple(when for when in failure.failures if when > oldest)[-tx.settings.failure_flapping :]


def damped(tx: Transaction, failure: HostFailure) -> str:
    """A sentence while a host that fails again and again has not been heard for long enough."""
    settings = tx.settings
    if not settings.failure_flapping or len(counting(tx, failure)) < settings.failure_flapping:
        return ""
    stable = failure.heard + settings.failure_stable
    if tx.now >= stable:
        return ""
    return (
        f"It has failed {settings.failure_flapping} times within {settings.failure_flapping_window} seconds: "
        f"it is used again when it has been heard for {settings.failure_stable} seconds, or when you enable "
        f"it (onehost enable {failure.id})."
    )
