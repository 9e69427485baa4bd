"""Places the VMs of a snapshot: a pure function, the same for the same snapshot."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from merope.model.expression import ExpressionError, compile_rank
from merope.scheduler.live import LiveDatastore, LiveHost, RankTable
from merope.scheduler.matching import Match, Matcher, request_key
from merope.scheduler.order import Board, Order
from merope.scheduler.placement import Group
from merope.scheduler.reasons import Code, Reason
from merope.scheduler.snapshot import (
    NO_DATASTORE,
    DatastoreView,
    Placement,
    Plan,
    Snapshot,
    VmRequest,
)


def plan(snapshot: Snapshot) -> Plan:
    """Give each VM the best host and system datastore that are left, VMs of a higher USER_PRIORITY first,
    then those of a lower id.  Every VM is placed or has a reason."""
    return _Planner(snapshot).run()


class _Planner:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        hosts = sorted(snapshot.hosts, key=lambda host: host.id)
        self._hosts = [LiveHost(index, view) for index, view in enumerate(hosts)]
        self._datastores = _live(snapshot.datastores)
        self._images = {item.view.id: item for item in _live(snapshot.image_datastores)}
        self._board = Board(self._hosts, self._datastores, snapshot.limits.per_host)
        self._matcher = Matcher(snapshot, self._hosts, self._datastores, self._images.values())
        self._groups: dict[Hashable, Group | tuple[Reason, ...]] = {}
        self._orders: dict[Hashable, Order] = {}
        self._ranks: dict[tuple[str, str], RankTable] = {}
        self._bad_ranks: dict[tuple[str, str], str] = {}
        self._waiting: dict[Group, list[int]] = {}
        self._placements: list[Placement] = []
        self._reasons: dict[int, tuple[Reason, ...]] = {}
        self._warnings: dict[int, str] = {}

    def run(self) -> Plan:
        limits = self._snapshot.limits
        vms = sorted(self._snapshot.vms, key=lambda vm: vm.id)
        considered = vms[: limits.vms] if limits.vms else vms
        late = (Reason(Code.VM_LIMIT, detail=str(limits.vms)),)
        self._reasons.update((vm.id, late) for vm in vms[len(considered) :])
        for vm in sorted(considered, key=lambda vm: (-vm.priority, vm.id)):
            if limits.dispatch and len(self._placements) >= limits.dispatch:
                self._reasons[vm.id] = (Reason(Code.DISPATCH_LIMIT, detail=str(limits.dispatch)),)
            else:
                self._place(vm)
        for group, ids in self._waiting.items():
            self._reasons.update(dict.fromkeys(ids, group.reasons()))
        return Plan(tuple(self._placements), self._reasons, self._warnings)

    def _place(self, vm: VmRequest) -> None:
        """Place the VM, or note why not."""
        group = self._group(vm)
        if isinstance(group, tuple):
            self._reasons[vm.id] = group
            return
        missing = self._image_space_missing(vm)
        if missing and not vm.public_cloud:
            self._reasons[vm.id] = missing
            return
        best = group.best(no_local=bool(missing))
        if best is None:
            self._waiting.setdefault(group, []).append(vm.id)
            return
        host, datastore = best
        self._take(vm, host, datastore)
        ds_id = NO_DATASTORE if datastore is None else datastore.view.id
        self._placements.append(Placement(vm.id, host.view.id, ds_id, vm.resched))
        bad = [self._bad_ranks[key] for key in _rank_keys(vm) if key in self._bad_ranks]
        if bad:
            self._warnings[vm.id] = ". ".join(bad)

    def _group(self, vm: VmRequest) -> Group | tuple[Reason, ...]:
        key = request_key(vm)
        group = self._groups.get(key)
        if group is None:
            match = self._matcher.match(vm)
            group = self._open(vm, match) if match.eligible else match.reasons
            self._groups[key] = group
        return group

    def _open(self, vm: VmRequest, match: Match) -> Group:
        assert match.eligible is not None
        policies = self._snapshot.policies
        rank_key, ds_rank_key = _rank_keys(vm)
        rank = self._table(rank_key, policies.host_rank, len(self._hosts))
        ds_rank = self._table(ds_rank_key, policies.datastore_rank, len(self._datastores))
        key = (id(match.eligible), vm.rank)
        order = self._orders.get(key)
        if order is None:
            order = self._orders[key] = Order(self._board, match.eligible.hosts, rank)
        return Group(self._board, vm, match, order, rank, ds_rank)

    def _table(self, key: tuple[str, str], default: str, items: int) -> RankTable:
        """A rank that cannot be read is reported, and the default one takes its place."""
        if key not in self._ranks:
            name, text = key
            try:
                self._ranks[key] = RankTable(compile_rank(text or default), items)
            except ExpressionError as e:
                self._bad_ranks[key] = f"Error in {name}: '{text or default}', error: {e}"
                fallback = self._table((name, ""), default, items) if text else None
                self._ranks[key] = fallback or RankTable(compile_rank(""), items)
        return self._ranks[key]

    def _image_space_missing(self, vm: VmRequest) -> tuple[Reason, ...]:
        """What the placements before this one left in the image datastores."""
        if vm.restarted:
            return ()
        for ds_id, space in vm.image_space:
            image = self._images.get(ds_id)
            if image is not None and space > image.free:
                return (Reason(Code.IMAGE_DATASTORE_FULL, detail=str(ds_id)),)
        return ()

    def _take(self, vm: VmRequest, host: LiveHost, datastore: LiveDatastore | None) -> None:
        local = datastore is not None and not datastore.view.shared
        host.take(vm, datastore.view.id if datastore is not None and local else None)
        self._board.changes.append(host.index)
        if vm.restarted or datastore is None:
            return
        if not local:
            datastore.take(vm.system_disk)
        for ds_id, space in vm.image_space:
            if ds_id in self._images:
                self._images[ds_id].take(space)


def _rank_keys(vm: VmRequest) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("SCHED_RANK", vm.rank), ("SCHED_DS_RANK", vm.ds_rank)


def _live(views: Iterable[DatastoreView]) -> list[LiveDatastore]:
    ordered = sorted(views, key=lambda view: view.id)
    return [LiveDatastore(index, view) for index, view in enumerate(ordered)]
