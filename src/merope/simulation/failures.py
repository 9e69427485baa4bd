"""What must be true of hosts that fail, recounted from the documents and the records."""

from collections import Counter
from collections.abc import Iterator

from merope.model.host import Host
from merope.model.host_failure import Action, HostFailure, Stage
from merope.model.phase import Phase
from merope.model.settings import Settings
from merope.model.state import State
from merope.model.states import HostState
from merope.model.vm import VM

_OPEN = (Stage.WAITING, Stage.HELD, Stage.FENCING, Stage.UNCONFIRMED)


class Failures:
    """What became of the failures of hosts in one schedule, over all the processes that there were."""

    def __init__(self) -> None:
        self.stages: Counter[Stage] = Counter()
        """How often each stage was entered."""
        self._before: dict[int, Stage] = {}
        self._explained: set[tuple[int, int, int]] = set()
        """VMs that have said why they stay, with their host and the time of its failure: their owners may
        take the sentence out again."""

    def check(self, state: State, now: int, settings: Settings) -> Iterator[str]:
        """Sentences for what is wrong since the last time."""
        for failure in state.host_failures.values():
            entered = self._before.get(failure.id) is not failure.stage
            if entered:
                self.stages[failure.stage] += 1
                self._before[failure.id] = failure.stage
            if entered and failure.stage is Stage.FENCING and not failure.allowed:
                yield from _storm(state, failure, now, settings)
            if failure.is_off and not failure.due:
                yield from self._unexplained(state, failure)

    def _unexplained(self, state: State, failure: HostFailure) -> Iterator[str]:
        """A VM of a host that is off waits for a host, or says why it does not."""
        host = state.pools["host_pool"].parsed(failure.id)
        if not isinstance(host, Host) or failure.order is None or failure.order.action is not Action.MIGRATE:
            return
        for vm_id in host.vms:
            vm = state.pools["vm_pool"].parsed(vm_id)
            if not isinstance(vm, VM) or vm.history is None or vm.history.hid != host.id:
                continue
            if vm.phase is not Phase.UNKNOWN or vm.resched:
                continue
            stay = (vm_id, host.id, failure.down)
            if "ERROR" in vm.user_template:
                self._explained.add(stay)
            elif stay not in self._explained:
                yield f"VM {vm_id} is on host {host.id}, which is off, and neither waits nor says why"


def _storm(state: State, failure: HostFailure, now: int, settings: Settings) -> Iterator[str]:
    """When a host begins to be switched off, not too many have failed."""
    hosts = map(state.pools["host_pool"].parsed, state.pools["host_pool"].entries)
    used = [host for host in hosts if isinstance(host, Host) and host.state != HostState.OFFLINE]
    cluster = next((host.cluster_id for host in used if host.id == failure.id), None)
    failed = {
        each.id
        for each in state.host_failures.values()
        if each.stage in _OPEN or (each.is_down and now - each.down < settings.failure_window)
    }
    for members in ([host.id for host in used if host.cluster_id == cluster], [host.id for host in used]):
        most = max(1, len(members) * settings.failure_max_share // 100)
        count = len(failed.intersection(members))
        if count > most:
            yield f"host {failure.id} is switched off although {count} of {len(members)} hosts have failed"


def unsettled(state: State) -> Iterator[str]:
    """Hosts that are heard and not good after a long time."""
    for failure in state.host_failures.values():
        if failure.stage is not Stage.GOOD:
            yield f"host {failure.id} is {failure.stage.name} for ever: {failure.message}"
