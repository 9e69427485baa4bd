"""VMs that ask for the same, and the best host that is left for the next of them.

Where many VMs are alike they have a heap of candidates: a host that lacks something for good in this plan
is dropped from it once and for all.  VMs of few share one sorted order with others that may use the same
hosts and rank them alike.  Both look again only at the hosts that changed since they were last asked.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from merope.scheduler.live import ALLOCATED, MEASURED, LiveDatastore, LiveHost, RankTable
from merope.scheduler.matching import Eligible, Match, host_requirements
from merope.scheduler.reasons import Code, Reason, shortages, tally
from merope.scheduler.snapshot import VmRequest

_Found = tuple[LiveHost, LiveDatastore | None]


class Board:
    """What all groups share: the hosts and datastores, and the order in which hosts were changed."""

    __slots__ = ("changes", "datastores", "hosts", "per_host")

    def __init__(self, hosts: Sequence[LiveHost], datastores: Sequence[LiveDatastore], per_host: int) -> None:
        self.hosts = hosts
        self.datastores = datastores
        self.per_host = per_host
        self.changes: list[int] = []


class Order:
    """Hosts by rank, the best first, equal ones by id; kept sorted while hosts change."""

    __slots__ = ("_board", "_entries", "_keys", "_moves", "_rank", "_seen")

    def __init__(self, board: Board, eligible: Eligible, rank: RankTable) -> None:
        self._board = board
        self._rank = rank
        self._keys = {host.index: (-rank.value(host), host.index) for host in eligible.hosts}
        self._entries = sorted(self._keys.values())
        self._moves = not rank.names.isdisjoint(ALLOCATED | MEASURED)
        self._seen = len(board.changes)

    def hosts(self) -> Iterable[LiveHost]:
        if self._moves and self._seen != len(self._board.changes):
            self._catch_up()
        hosts = self._board.hosts
        return (hosts[index] for _, index in self._entries)

    def _catch_up(self) -> None:
        for index in set(self._board.changes[self._seen :]):
            old = self._keys.get(index)
            if old is None:
                continue
            new = (-self._rank.value(self._board.hosts[index]), index)
            if new != old:
                del self._entries[bisect_left(self._entries, old)]
                insort(self._entries, new)
                self._keys[index] = new
        self._seen = len(self._board.changes)


class Group:
    """VMs with one request key; `vm` is any of them.  Without an `order` to share it keeps a heap."""

    def __init__(
        self,
        board: Board,
        vm: VmRequest,
        match: Match,
        rank: RankTable,
        ds_rank: RankTable,
        order: Order | None = None,
    ) -> None:
        assert match.eligible is not None, "a VM that must wait has no group"
        self._board = board
        self._vm = vm
        self._eligible = match.eligible
        self._ds_rank = ds_rank
        self._datastores = _by_cluster(match.datastores)
        self._source = _Heap(board, match.eligible, rank) if order is None else order
        self._no_local = False

    def best(self, no_local: bool = False) -> _Found | None:
        """The best host with its best system datastore (None on a public cloud), or None for no host.
        With `no_local`, which stays true once it is, only the hosts of public clouds will do."""
        self._no_local = no_local
        if isinstance(self._source, _Heap):
            return self._best_of_heap(self._source)
        cpu, memory = self._vm.cpu, self._vm.memory
        for host in self._source.hosts():
            # Asked here first: of a full cloud's hosts nearly all fail this.
            if cpu <= host.free_cpu and memory <= host.free_memory:
                code, datastore = self._obstacle(host)
                if code is None:
                    return host, datastore
        return None

    def _best_of_heap(self, heap: _Heap) -> _Found | None:
        while (host := heap.first()) is not None:
            code, datastore = self._obstacle(host) if host.fits(self._vm) else (Code.HOST_CPU, None)
            if code is None:
                return host, datastore
            heap.drop(for_good=code is not Code.HOST_REQUIREMENTS)
        return None

    def reasons(self) -> tuple[Reason, ...]:
        """Why there is no host, after all placements."""
        vm, hosts = self._vm, self._eligible.hosts
        full = [(host.free_cpu, host.free_memory) for host in hosts if not host.fits(vm)]
        others = (self._obstacle(host)[0] for host in hosts if host.fits(vm))
        found = [*shortages(vm.cpu, vm.memory, full), *(Reason(code) for code in others if code)]
        if all(reason.code is Code.HOST_REQUIREMENTS for reason in found):
            return Reason(Code.NO_MATCH, detail=host_requirements(vm)), *tally(found)
        found += self._eligible.excluded
        if any(reason.code is Code.HOST_DATASTORE for reason in found):
            blind = [ds for ds in self._board.datastores if ds.view.shared and not ds.view.monitored]
            found += [Reason(Code.DS_NOT_MONITORED)] * len(blind)
        return Reason(Code.NOT_DISPATCHED), *tally(found)

    def _obstacle(self, host: LiveHost) -> tuple[Code | None, LiveDatastore | None]:
        """What keeps the VM from a host with room for it, and, when nothing does, its datastore there.
        Everything but a requirement stays true for the rest of the plan."""
        if self._board.per_host and host.placed >= self._board.per_host:
            return Code.HOST_LIMIT, None
        datastore = None
        if not host.view.public_cloud:
            if self._no_local:
                return Code.HOST_LOCAL, None
            datastore = self._best_datastore(host)
            if datastore is None:
                return Code.HOST_DATASTORE, None
        if not all(requirement.matches(host.allocated) for requirement in self._eligible.live):
            return Code.HOST_REQUIREMENTS, None
        return None, datastore

    def _best_datastore(self, host: LiveHost) -> LiveDatastore | None:
        near = self._datastores.get(host.view.cluster_id, ())
        roomy = [ds for ds in near if has_room(self._vm, host, ds)]
        if len(roomy) < 2:
            return roomy[0] if roomy else None
        return max(roomy, key=lambda ds: (self._ds_rank.value(ds), -ds.index))


class _Heap:
    """Candidates of one group by rank, the best first, equal ones by id."""

    __slots__ = ("_board", "_entries", "_follows", "_left", "_rank", "_seen")

    def __init__(self, board: Board, eligible: Eligible, rank: RankTable) -> None:
        self._board = board
        self._rank = rank
        self._left = {host.index for host in eligible.hosts}
        self._follows = bool(eligible.live) or not rank.names.isdisjoint(ALLOCATED | MEASURED)
        self._seen = len(board.changes)
        self._entries = [self._entry(host.index) for host in eligible.hosts]
        heapify(self._entries)

    def first(self) -> LiveHost | None:
        """The best host, which stays the first until it is dropped or changed."""
        if self._follows:
            self._catch_up()
        entries, hosts = self._entries, self._board.hosts
        while entries:
            _, index, version = entries[0]
            host = hosts[index]
            if not self._follows or version == host.version:
                return host
            heappop(entries)  # the entry of its present version is further down
        return None

    def drop(self, for_good: bool) -> None:
        """Take the first host out: for good, or until it changes."""
        _, index, _ = heappop(self._entries)
        if for_good:
            self._left.discard(index)

    def _entry(self, index: int) -> tuple[int, int, int]:
        host = self._board.hosts[index]
        return -self._rank.value(host), index, host.version

    def _catch_up(self) -> None:
        changes = self._board.changes
        if self._seen == len(changes):
            return
        for index in set(changes[self._seen :]) & self._left:
            heappush(self._entries, self._entry(index))
        self._seen = len(changes)


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
