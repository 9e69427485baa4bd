"""Solves the VMs of a group that wait together: one bundle after the other, and anew where one finds no host.

On a small cloud it finds a solution whenever there is one; the steps are bounded, so that a large group that
has none costs no more than its placement one by one would.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from heapq import heapify, heappop

from merope.scheduler.affinity import Bundle, Relations, Rule, conflict
from merope.scheduler.live import LiveHost
from merope.scheduler.order import Board
from merope.scheduler.placement import Found, Group
from merope.scheduler.reasons import Code, Reason, shortages, tally
from merope.scheduler.snapshot import VmRequest

STEPS = 5000
"""Hosts that are tried while a group is solved anew."""
DEEPEST = 200
"""Bundles that are solved anew together."""

Take = Callable[[VmRequest, Found], None]
Lacks = Callable[[VmRequest], Sequence[Reason]]
Put = list[tuple[VmRequest, Found]]
Known = dict[Hashable, tuple[list[LiveHost], list[LiveHost], frozenset[int]]]
"""The hosts of bundles that are alike."""


class Task:
    """A bundle with what is known of its VMs: their placement groups and the hosts that may do."""

    def __init__(
        self,
        bundle: Bundle,
        members: Sequence[Group],
        rules: Sequence[Rule],
        board: Board,
        known: Known,
    ) -> None:
        self.bundle = bundle
        self.members = members
        self.cpu = sum(vm.cpu for vm in bundle.vms)
        self.memory = sum(vm.memory for vm in bundle.vms)
        self.put: Put = []
        self._board = board
        key = (*(id(member) for member in members), *rules)
        if key not in known:
            known[key] = self._hosts(rules)
        self.eligible, self.hosts, self._indexes = known[key]

    def _hosts(self, rules: Sequence[Rule]) -> tuple[list[LiveHost], list[LiveHost], frozenset[int]]:
        """Those that suit all of the VMs, and which of them rules and room leave before anything is put."""
        indexes = frozenset.intersection(*(member.eligible.indexes() for member in self.members))
        eligible = [self._board.hosts[index] for index in sorted(indexes)]
        hosts = [
            host for host in eligible if self.open(host) and all(rule.allows(host.view.id) for rule in rules)
        ]
        return eligible, hosts, frozenset(host.index for host in hosts)

    def fits(self, host: LiveHost) -> bool:
        return self.cpu <= host.free_cpu and self.memory <= host.free_memory

    def open(self, host: LiveHost) -> bool:
        return self.fits(host) and not self._board.closed(host)

    def by_rank(self) -> Iterator[LiveHost]:
        """The best host first, as ranks are now; nothing may stay put while it goes on."""
        rank = self.members[0].rank
        heap = [(-rank.value(host), host.index, host) for host in self.hosts if self.open(host)]
        heapify(heap)
        while heap:
            yield heappop(heap)[2]

    def best_first(self) -> Iterator[LiveHost]:
        """The same for one VM alone, which is never put in part, without sorting anew."""
        order = self.members[0].order
        if order is None or len(self.members) > 1:
            return self.by_rank()
        return (host for host in order.with_room(self.cpu, self.memory) if host.index in self._indexes)


class Solver:
    """`take` and `give_back` count a placement in and out again; `lacks` tells what image datastores have
    not left for a VM."""

    def __init__(self, take: Take, give_back: Take, lacks: Lacks) -> None:
        self._lacks = lacks
        self._take = take
        self._give_back = give_back
        self._steps = STEPS

    def solve(self, tasks: Sequence[Task]) -> list[Task]:
        """Those that could be placed, in their order: each one that can be with all those before it."""
        placed: list[Task] = []
        for task in tasks:
            if any(self._put(task, host, placed) for host in task.best_first()) or self._anew(task, placed):
                placed.append(task)
        return placed

    def _put(self, task: Task, host: LiveHost, others: Sequence[Task]) -> bool:
        """All of a bundle on a host, or nothing of it."""
        apart = task.bundle.apart
        for other in others:
            there = other.put[0][1].host is host
            if there and any(vm.id in apart for vm in other.bundle.vms):
                return False
        for vm, member in zip(task.bundle.vms, task.members, strict=True):
            fits = host.fits(vm) and not self._lacks(vm)
            found = member.obstacle(host, limited=False) if fits else None
            if not isinstance(found, Found):
                self._remove(task)
                return False
            self._take(vm, found)
            task.put.append((vm, found))
        return True

    def _remove(self, task: Task) -> None:
        for vm, found in reversed(task.put):
            self._give_back(vm, found)
        task.put = []

    def _anew(self, task: Task, placed: Sequence[Task]) -> bool:
        """Other hosts for those that are placed, so that there is one for this, too; else all as it was."""
        if not task.hosts or len(placed) >= DEEPEST or self._steps <= 0 or not placed:
            return False
        known = [list(other.put) for other in placed]
        for other in reversed(placed):
            self._remove(other)
        tightest = sorted([*placed, task], key=lambda one: len(one.hosts))
        if self._search(tightest, []):
            return True
        for other, put in zip(placed, known, strict=True):
            for vm, found in put:
                self._take(vm, found)
            other.put = put
        return False

    def _search(self, tasks: Sequence[Task], placed: list[Task]) -> bool:
        if not tasks:
            return True
        task, *rest = tasks
        for host in task.by_rank():
            self._steps -= 1
            if self._steps < 0:
                return False
            if not self._put(task, host, placed):
                continue
            if self._search(rest, [*placed, task]):
                return True
            self._remove(task)
        return False


def reasons(task: Task, relations: Relations, located: Mapping[int, int]) -> tuple[Reason, ...]:
    """Why a bundle has no host, after all placements; `located` knows those of this plan, too."""
    rules = relations.rules((vm.id for vm in task.bundle.vms), located)
    roomy = [host.view.id for host in task.eligible if task.fits(host)]
    bad = conflict(rules, roomy)
    against = [host for host in task.eligible if not all(rule.allows(host.view.id) for rule in rules)]
    allowed = [host for host in task.eligible if all(rule.allows(host.view.id) for rule in rules)]
    full = [(host.free_cpu, host.free_memory) for host in allowed if not task.fits(host)]
    found = [*task.members[0].eligible.excluded, *shortages(task.cpu, task.memory, full)]
    found += [Reason(Code.HOST_GROUP)] * len(against)
    for host in allowed:
        if task.fits(host):
            answers = (member.obstacle(host) for member in task.members)
            found += [Reason(next((one for one in answers if isinstance(one, Code)), Code.HOST_DATASTORE))]
    if bad:
        headline = Reason(Code.GROUP_CONFLICT, detail="; ".join(rule.text for rule in bad))
    elif len(task.bundle.vms) > 1 and not roomy:
        headline = Reason(Code.GROUP_NO_ROOM, detail=str(len(task.bundle.vms)))
    else:
        headline = Reason(Code.NOT_DISPATCHED)
    return headline, *tally(found)
