"""VMs that ask for the same, and the best host that is left for the next of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from merope.scheduler.live import LiveDatastore, LiveHost, RankTable
from merope.scheduler.matching import Match, host_requirements
from merope.scheduler.networks import Chosen, Wish, choose
from merope.scheduler.order import Board, Order
from merope.scheduler.reasons import Code, Reason, shortages, tally
from merope.scheduler.snapshot import VmRequest


class Found(NamedTuple):
    """A host with its system datastore (None on a public cloud) and networks for NICs that wait for one."""

    host: LiveHost
    datastore: LiveDatastore | None
    networks: Chosen = ()


class Group:
    """VMs with one request key; `vm` is any of them.

    Once there is no host for one of them, only a host that changes after that can do for the next
    (a requirement on CURRENT_VMS may come true), so that a full cloud is not searched for each VM.
    """

    def __init__(
        self,
        board: Board,
        vm: VmRequest,
        match: Match,
        order: Order,
        rank: RankTable,
        ds_rank: RankTable,
        wishes: Sequence[Wish] = (),
    ) -> None:
        assert match.eligible is not None, "a VM that must wait has no group"
        self.eligible = match.eligible
        self.rank = rank
        self.order: Order | None = order
        self._wishes = wishes
        self._board = board
        self._vm = vm
        self._datastores = _by_cluster(match.datastores)
        self._ds_rank = ds_rank
        self._no_local = False
        self._indexes: frozenset[int] | None = None
        self._seen = 0
        self._reopened: set[int] = set()

    def best(self, no_local: bool = False) -> Found | None:
        """The best host that is left, or None.  With `no_local`, which stays true once it is, only the
        hosts of public clouds will do."""
        self._no_local = no_local
        found = self._best_of_changed() if self.order is None else self._best_of(self.order)
        if found is None:
            self.order = None
            self._reopened.clear()
            self._seen = len(self._board.changes)
        return found

    def _best_of(self, order: Order) -> Found | None:
        for host in order.with_room(self._vm.cpu, self._vm.memory):
            found = self.obstacle(host)
            if isinstance(found, Found):
                return found
        return None

    def _best_of_changed(self) -> Found | None:
        if not self.eligible.live:
            return None  # nothing else comes back
        if self._indexes is None:
            self._indexes = self.eligible.indexes()
        changed = self._indexes.intersection(self._board.changes[self._seen :])
        self._seen = len(self._board.changes)
        self._reopened |= changed
        hosts = [self._board.hosts[index] for index in self._reopened]
        for host in sorted(hosts, key=lambda host: (-self.rank.value(host), host.index)):
            found = self.obstacle(host) if host.fits(self._vm) else Code.HOST_CPU
            if isinstance(found, Found):
                return found
        return None

    def reasons(self) -> tuple[Reason, ...]:
        """Why there is no host, after all placements."""
        vm, hosts = self._vm, self.eligible.hosts
        full = [(host.free_cpu, host.free_memory) for host in hosts if not host.roomy(vm)]
        others = (self.obstacle(host) for host in hosts if host.roomy(vm))
        codes = (code for code in others if isinstance(code, Code))
        found = [*shortages(vm.cpu, vm.memory, full), *map(Reason, codes)]
        if all(reason.code is Code.HOST_REQUIREMENTS for reason in found):
            return Reason(Code.NO_MATCH, detail=host_requirements(vm)), *tally(found)
        found += self.eligible.excluded
        if any(reason.code is Code.HOST_DATASTORE for reason in found):
            blind = [ds for ds in self._board.datastores if ds.view.shared and not ds.view.monitored]
            found += [Reason(Code.DS_NOT_MONITORED)] * len(blind)
        return Reason(Code.NOT_DISPATCHED), *tally(found)

    def obstacle(self, host: LiveHost, *, limited: bool = True) -> Code | Found:
        """What keeps the VM from a host with room for it, or how it would be placed there. `limited`:
        MAX_HOST counts."""
        if limited and self._board.closed(host):
            return Code.HOST_LIMIT
        datastore = None
        if not host.view.public_cloud:
            if self._no_local:
                return Code.HOST_LOCAL
            datastore = self._best_datastore(host)
            if datastore is None:
                return Code.HOST_DATASTORE
        if not all(requirement.matches(host.allocated) for requirement in self.eligible.live):
            return Code.HOST_REQUIREMENTS
        lacking = host.lacks(self._vm)
        if lacking is not None:
            return lacking
        if not self._wishes:
            return Found(host, datastore)
        networks = choose(self._wishes, host.view.cluster_id, different=self._board.different_networks)
        return Code.HOST_NETWORK if networks is None else Found(host, datastore, networks)

    def _best_datastore(self, host: LiveHost) -> LiveDatastore | None:
        near = self._datastores.get(host.view.cluster_id, ())
        roomy = [ds for ds in near if has_room(self._vm, host, ds)]
        if len(roomy) < 2:
            return roomy[0] if roomy else None
        return max(roomy, key=lambda ds: (self._ds_rank.value(ds), -ds.index))


def has_room(vm: VmRequest, host: LiveHost, datastore: LiveDatastore) -> bool:
    """A shared datastore must have been measured, and takes back for free what it holds already; in one
    that is not shared the disks are on the host."""
    if datastore.view.shared:
        return datastore.view.monitored and (vm.restarted or vm.system_disk <= datastore.free)
    return not vm.system_disk or vm.system_disk <= host.free_in(datastore.view.id)


def _by_cluster(datastores: Iterable[LiveDatastore]) -> dict[int, list[LiveDatastore]]:
    clusters: dict[int, list[LiveDatastore]] = {}
    for datastore in datastores:
        for cluster in datastore.view.cluster_ids:
            clusters.setdefault(cluster, []).append(datastore)
    return clusters
