"""Places the VMs of a snapshot: a pure function, the same for the same snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from merope.model.expression import ExpressionError, compile_rank
from merope.scheduler.affinity import Bundle, Relations
from merope.scheduler.live import LiveDatastore, LiveHost, LiveNetwork, RankTable
from merope.scheduler.matching import Match, Matcher, host_key, request_key
from merope.scheduler.networks import Wish
from merope.scheduler.order import Board, Order
from merope.scheduler.placement import Found, Group
from merope.scheduler.reasons import Code, Reason
from merope.scheduler.snapshot import (
    NO_DATASTORE,
    DatastoreView,
    Placement,
    Plan,
    Snapshot,
    VmRequest,
)
from merope.scheduler.together import DEEPEST, Known, Solver, Task, reasons


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
        self._board = Board(
            self._hosts,
            self._datastores,
            snapshot.limits.per_host,
            different_networks=snapshot.policies.different_networks,
        )
        networks = sorted(snapshot.networks, key=lambda view: view.id)
        self._networks = [LiveNetwork(index, view) for index, view in enumerate(networks)]
        self._matcher = Matcher(
            snapshot, self._hosts, self._datastores, self._images.values(), self._networks
        )
        self._relations = [Relations(group) for group in snapshot.groups]
        self._unplaced: list[tuple[Task, Relations]] = []
        self._of_group = {
            vm_id: i for i, g in enumerate(snapshot.groups) for r in g.roles for vm_id in r.vm_ids
        }
        self._located = dict(snapshot.located)
        self._settled: set[int] = set()
        self._left: Counter[tuple[int, Hashable]] = Counter()
        self._groups: dict[Hashable, Group | tuple[Reason, ...]] = {}
        self._orders: dict[Hashable, dict[int, Order]] = {}
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
        ordered = sorted(considered, key=lambda vm: (-vm.priority, vm.id))
        self._left = Counter(key for vm in ordered for key in _keys(vm))
        for vm in ordered:
            if vm.id in self._settled:
                self._forget(vm)
                continue
            if limits.dispatch and len(self._placements) >= limits.dispatch:
                self._reasons[vm.id] = (Reason(Code.DISPATCH_LIMIT, detail=str(limits.dispatch)),)
            elif vm.id in self._of_group:
                self._solve(self._of_group[vm.id], ordered)
            else:
                self._place(vm)
            self._forget(vm)
        for group, ids in self._waiting.items():
            self._reasons.update(dict.fromkeys(ids, group.reasons()))
        for task, relations in self._unplaced:
            why = reasons(task, relations, self._located)
            self._reasons.update((vm.id, why) for vm in task.bundle.vms)
        return Plan(tuple(self._placements), self._reasons, self._warnings)

    def _forget(self, vm: VmRequest) -> None:
        """Drops what was worked out for VMs that ask for the same once there is none left: with an
        expression for each VM it would be a table of all VMs and all hosts."""
        left = self._left
        request, order, rank, hosts = keys = _keys(vm)
        for key in keys:
            left[key] -= 1
        if not left[request]:
            self._groups.pop(request[1], None)
        if not left[order]:
            self._orders.pop(order[1], None)
        if not left[rank]:
            self._ranks.pop(("SCHED_RANK", vm.rank), None)
        if not left[hosts]:
            self._matcher.forget(vm)

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
        self._take(vm, best)
        self._settle(vm, best)

    def _settle(self, vm: VmRequest, found: Found) -> None:
        ds_id = NO_DATASTORE if found.datastore is None else found.datastore.view.id
        networks = tuple((nic, network.view.id) for nic, network in found.networks)
        self._placements.append(Placement(vm.id, found.host.view.id, ds_id, vm.resched, networks))
        bad = [self._bad_ranks[key] for key in _rank_keys(vm) if key in self._bad_ranks]
        if bad:
            self._warnings[vm.id] = ". ".join(bad)

    def _solve(self, number: int, ordered: Sequence[VmRequest]) -> None:
        """Places the waiting VMs of a group together, as far as MAX_DISPATCH lets."""
        relations = self._relations[number]
        mine = [vm for vm in ordered if self._of_group.get(vm.id) == number]
        self._settled.update(vm.id for vm in mine)
        tasks: list[Task] = []
        known: Known = {}
        limit = self._snapshot.limits.dispatch
        bundles = relations.bundles(mine)
        free = not any(bundle.bound for bundle in bundles) or len(bundles) > DEEPEST
        for bundle in bundles:
            if limit and len(self._placements) + sum(len(task.members) for task in tasks) >= limit:
                late = (Reason(Code.DISPATCH_LIMIT, detail=str(limit)),)
                self._reasons.update((vm.id, late) for vm in bundle.vms)
            elif free and not bundle.bound:
                self._place(bundle.vms[0])
            elif (task := self._task(bundle, relations, known)) is not None:
                tasks.append(task)
        placed = Solver(self._take, self._give_back, self._image_space_missing).solve(tasks)
        for task in placed:
            for vm, found in task.put:
                self._located[vm.id] = found.host.view.id
                self._settle(vm, found)
        self._unplaced += [(task, relations) for task in tasks if task not in placed]

    def _task(self, bundle: Bundle, relations: Relations, known: Known) -> Task | None:
        """What is to be solved of a bundle, None when one of its VMs cannot be placed at all."""
        members = []
        for vm in bundle.vms:
            group = self._group(vm)
            missing = self._image_space_missing(vm)
            if isinstance(group, tuple) or missing:
                self._reasons[vm.id] = group if isinstance(group, tuple) else missing
                waits = (Reason(Code.GROUP_WAITS, detail=str(vm.id)),)
                self._reasons.update((other.id, waits) for other in bundle.vms if other is not vm)
                return None
            members.append(group)
        rules = relations.rules((vm.id for vm in bundle.vms), self._located)
        return Task(bundle, members, rules, self._board, known)

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
        rank_key, ds_rank_key, *_ = _rank_keys(vm)
        rank = self._table(rank_key, policies.host_rank, len(self._hosts))
        ds_rank = self._table(ds_rank_key, policies.datastore_rank, len(self._datastores))
        # One for local hosts and one for public clouds at most.
        orders = self._orders.setdefault(_order_key(vm), {})
        order = orders.get(id(match.eligible))
        if order is None:
            order = orders[id(match.eligible)] = Order(self._board, match.eligible.hosts, rank)
        wishes = [
            Wish(
                nic,
                nets,
                self._table(("NIC SCHED_RANK", nic.rank), policies.network_rank, len(self._networks)),
            )
            for nic, nets in match.networks
        ]
        return Group(self._board, vm, match, order, rank, ds_rank, wishes)

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

    def _take(self, vm: VmRequest, found: Found) -> None:
        self._count(vm, found, 1)

    def _give_back(self, vm: VmRequest, found: Found) -> None:
        """Undo `_take`."""
        self._count(vm, found, -1)
        self._board.returned += 1

    def _count(self, vm: VmRequest, found: Found, sign: int) -> None:
        host, datastore = found.host, found.datastore
        self._board.changes.append(host.index)
        local = None if datastore is None or datastore.view.shared else datastore.view.id
        (host.take if sign > 0 else host.give_back)(vm, local)
        for _, network in found.networks:
            network.take(sign)
        if vm.restarted or datastore is None:
            return
        if local is None:
            datastore.take(sign * vm.system_disk)
        for ds_id, space in vm.image_space:
            if ds_id in self._images:
                self._images[ds_id].take(sign * space)


def _order_key(vm: VmRequest) -> Hashable:
    """What VMs have in common whose hosts come in the same order."""
    return host_key(vm), vm.rank


def _keys(vm: VmRequest) -> tuple[tuple[int, Hashable], ...]:
    """By what things are kept that are worked out once for VMs that are alike."""
    return (0, request_key(vm)), (1, _order_key(vm)), (2, vm.rank), (3, host_key(vm))


def _rank_keys(vm: VmRequest) -> list[tuple[str, str]]:
    nics = [("NIC SCHED_RANK", nic.rank) for nic in vm.nics]
    return [("SCHED_RANK", vm.rank), ("SCHED_DS_RANK", vm.ds_rank), *dict.fromkeys(nics)]


def _live(views: Iterable[DatastoreView]) -> list[LiveDatastore]:
    ordered = sorted(views, key=lambda view: view.id)
    return [LiveDatastore(index, view) for index, view in enumerate(ordered)]
