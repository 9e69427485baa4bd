"""Where the NUMA nodes of a pinned VM go on a host: CPUs for its virtual CPUs, nodes for its memory.

The core allocates with this and the scheduler asks it what would fit; it is a pure function of the host's
nodes. It finds a place whenever there is one (up to `STEPS` of search), and of several the one whose CPUs,
memory and PCI devices are closest together.
Source: spec scheduler.yaml `numa`; EU report D3.1 (SR2.6).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from merope.model.template import Template, Vector
from merope.model.topology import Core, Node, cpus_text, numbers

CORE, THREAD, SHARED, NONE = "CORE", "THREAD", "SHARED", "NONE"
POLICIES = (CORE, THREAD, SHARED, NONE)
STEPS = 2_000
"""Choices that are tried before a VM counts as one that does not fit: only VMs of very many nodes of
different sizes come near."""

T = TypeVar("T")


class Part(NamedTuple):
    """What a virtual node asks for: virtual CPUs, and KB of memory."""

    cpus: int
    memory: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pinned VM asks of a host. `threads` of its virtual CPUs share a core of the host, 0: as many
    as do well; `sockets` are those that its cores are spread over evenly; `page_size` is that of its huge
    pages in KB, 0 for none; `affinity` the host's node that its CPUs must be on, if any."""

    policy: str
    parts: tuple[Part, ...]
    threads: int = 0
    sockets: int = 1
    page_size: int = 0
    affinity: int | None = None

    def pages(self, part: Part) -> int:
        return -(-part.memory // self.page_size) if self.page_size else 0


class Place(NamedTuple):
    """A virtual node on a host: the node and the CPUs of it, and the node that has the memory."""

    node: int
    memory_node: int
    cpus: tuple[int, ...]


class Fit(NamedTuple):
    """How a VM is placed, and how many of its virtual CPUs share a core."""

    threads: int
    places: tuple[Place, ...]


def is_pinned(template: Template) -> bool:
    """Whether the virtual CPUs of a VM have CPUs of the host for themselves."""
    topology = template.vector("TOPOLOGY")
    return topology is not None and topology.get("PIN_POLICY", NONE).upper() in (CORE, THREAD, SHARED)


def demand_of(template: Template) -> Demand | None:
    """What a VM whose template has been completed asks of a host; None when it is not pinned."""
    topology = template.vector("TOPOLOGY")
    if topology is None or not is_pinned(template):
        return None
    parts = [Part(_number(n, "TOTAL_CPUS"), _number(n, "MEMORY")) for n in template.vectors("NUMA_NODE")]
    affinity = topology.get("NODE_AFFINITY", "")
    return Demand(
        policy=topology["PIN_POLICY"].upper(),
        parts=tuple(parts),
        threads=_number(topology, "THREADS"),
        sockets=_number(topology, "SOCKETS") or 1,
        page_size=_number(topology, "HUGEPAGE_SIZE") * 1024,
        affinity=int(affinity) if affinity.isdecimal() else None,
    )


def held_by(template: Template, prefix: str = "") -> list[Place]:
    """Where a VM's nodes are, by its document; with `prefix` PREV_ on the host that a migration leaves."""
    return [
        Place(
            _number(node, f"{prefix}NODE_ID"),
            _number(node, f"{prefix}MEMORY_NODE_ID"),
            tuple(numbers(node.get(f"{prefix}CPUS", ""))),
        )
        for node in template.vectors("NUMA_NODE")
        if node.get(f"{prefix}NODE_ID")
    ]


def _number(vector: Vector, key: str) -> int:
    text = vector.get(key, "")
    return int(text) if text.isdecimal() else 0


def note(vector: Vector, place: Place) -> None:
    """Writes into a NUMA_NODE where it is."""
    vector["NODE_ID"] = str(place.node)
    vector["MEMORY_NODE_ID"] = str(place.memory_node)
    vector["CPUS"] = cpus_text(place.cpus)


# Finding a place


def fit(nodes: Sequence[Node], demand: Demand, vms_thread: int = 1, near: Collection[int] = ()) -> Fit | None:
    """Where a VM fits on a host whose CPUs take `vms_thread` VMs each; None when it does not. `near` are
    nodes that have PCI devices which the VM gets: they are taken first (5.12's order of nodes), then those
    that have the memory too, then those with most CPUs left."""
    by_id = {node.id: node for node in nodes}
    for threads in candidates(nodes, demand):
        cpu_nodes = _cpu_nodes(by_id, demand, threads, vms_thread, near)
        if cpu_nodes is None:
            continue
        memory_nodes = _memory_nodes(by_id, demand, cpu_nodes)
        if memory_nodes is None:
            return None  # memory does not depend on how the CPUs are taken
        places = []
        taken: dict[int, dict[int, int]] = {}
        for part, node, memory_node in zip(demand.parts, cpu_nodes, memory_nodes, strict=True):
            used = taken.setdefault(node, {})
            cpus = _take_cpus(by_id[node].cores, part.cpus, threads, vms_thread, demand.policy, used)
            places.append(Place(node, memory_node, cpus))
        return Fit(threads, tuple(places))
    return None


def candidates(nodes: Sequence[Node], demand: Demand) -> list[int]:
    """How many virtual CPUs may share a core, the best first: powers of two up to what the host has, of
    which every virtual node is a multiple."""
    if demand.policy == CORE:
        return [1]
    most = max((len(core.cpus) for node in nodes for core in node.cores), default=0)
    powers = [1 << exponent for exponent in range(most.bit_length()) if 1 << exponent <= most]
    total = sum(part.cpus for part in demand.parts)
    fitting = [
        power
        for power in reversed(powers)
        if all(part.cpus % power == 0 for part in demand.parts) and total % (power * demand.sockets) == 0
    ]
    if demand.threads:
        return [demand.threads] if demand.threads in fitting else []
    return fitting


def groups(core: Core, threads: int, vms_thread: int, policy: str = THREAD) -> int:
    """How many groups of virtual CPUs that share a core fit on it, each on CPUs of its own."""
    if policy == CORE:
        return int(bool(core.cpus) and not (core.used or core.dedicated or core.isolated))
    slots = sorted(core.slots(vms_thread).values())
    if len(slots) < threads:
        return 0
    number = sum(slots) // threads
    while number and sum(min(slot, number) for slot in slots) < number * threads:
        number -= 1
    return number


def _cpu_nodes(
    nodes: dict[int, Node], demand: Demand, threads: int, vms_thread: int, near: Collection[int]
) -> list[int] | None:
    room = {
        node.id: sum(groups(core, threads, vms_thread, demand.policy) for core in node.cores) * threads
        for node in nodes.values()
        if demand.affinity in (None, node.id)
    }
    if sum(room.values()) < sum(part.cpus for part in demand.parts):
        return None
    size = {
        node.id: sum(len(core.cpus) - len(core.isolated) for core in node.cores) * vms_thread
        for node in nodes.values()
    }

    def best(part: Part, number: int) -> Iterator[int]:  # noqa: ARG001 - as for memory
        def score(node: int) -> tuple[float, int]:
            local = _memory_fits(nodes[node], demand, part)
            left = (room[node] - part.cpus) / max(size[node], 1)
            return -(left + 2 * (node in near) + local), node

        return iter(sorted((node for node in room if room[node] >= part.cpus), key=score))

    def move(part: Part, node: int, sign: int) -> None:
        room[node] -= sign * part.cpus

    return _Search(demand.parts, best, move).run()


def _memory_nodes(nodes: dict[int, Node], demand: Demand, cpu_nodes: list[int]) -> list[int] | None:
    left = {node.id: node.left for node in nodes.values()}
    pages = {node.id: _pages_left(node, demand.page_size) for node in nodes.values()}
    if sum(left.values()) < sum(part.memory for part in demand.parts):
        return None

    def best(part: Part, number: int) -> Iterator[int]:
        order = nodes[cpu_nodes[number]].distance or (cpu_nodes[number],)
        needed = demand.pages(part)
        for node in dict.fromkeys([*order, *sorted(nodes)]):
            if node in left and left[node] >= part.memory and pages[node] >= needed:
                yield node

    def move(part: Part, node: int, sign: int) -> None:
        left[node] -= sign * part.memory
        pages[node] -= sign * demand.pages(part)

    return _Search(demand.parts, best, move).run()


def _memory_fits(node: Node, demand: Demand, part: Part) -> bool:
    return node.left >= part.memory and _pages_left(node, demand.page_size) >= demand.pages(part)


def _pages_left(node: Node, size: int) -> int:
    known = node.pages(size) if size else None
    return 0 if known is None else known.left


class _Search:
    """Gives each part a node, the greatest parts first, with a way back; `best` lists the nodes that still
    have room for a part, the best first, `move` counts a part in (1) and out (-1)."""

    def __init__(
        self,
        parts: Sequence[Part],
        best: Callable[[Part, int], Iterator[int]],
        move: Callable[[Part, int, int], None],
    ) -> None:
        self._parts = parts
        self._order = sorted(range(len(parts)), key=lambda i: (-parts[i].cpus, -parts[i].memory, i))
        self._best = best
        self._move = move
        self._chosen: dict[int, int] = {}
        self._steps = STEPS

    def run(self) -> list[int] | None:
        """A node for each part, None when there is none (or none was found in STEPS)."""
        if not self._place(0):
            return None
        return [self._chosen[number] for number in range(len(self._parts))]

    def _place(self, depth: int) -> bool:
        if depth == len(self._order):
            return True
        number = self._order[depth]
        part = self._parts[number]
        for node in list(self._best(part, number)):
            self._steps -= 1
            if self._steps < 0:
                return False
            self._move(part, node, 1)
            self._chosen[number] = node
            if self._place(depth + 1):
                return True
            self._move(part, node, -1)
        return False


def _take_cpus(
    cores: Sequence[Core], count: int, threads: int, vms_thread: int, policy: str, used: dict[int, int]
) -> tuple[int, ...]:
    """CPUs for so many virtual CPUs, those of one group side by side. Cores that are in use are filled
    first, so that whole ones are left. `used` is what other nodes of the VM have already, and grows."""
    if policy == CORE:
        whole = [min(core.cpus) for core in cores if groups(core, 1, vms_thread, CORE)]
        found = [cpu for cpu in whole if cpu not in used][:count]
        used.update(dict.fromkeys(found, 1))
        return tuple(found)
    slots = [(core.id, core.slots(vms_thread)) for core in cores]
    # Where several VMs share a CPU, one VM has a CPU twice only when there is no other.
    for most in (*range(1, vms_thread), None):
        counts = dict(used)
        found = _fill(slots, count, threads, counts, most)
        if len(found) == count:
            break
    used.update(counts)
    return tuple(found)


def _fill(
    slots: Sequence[tuple[int, dict[int, int]]],
    count: int,
    threads: int,
    used: dict[int, int],
    most: int | None,
) -> list[int]:
    """CPUs of groups, each CPU `most` times at most; `used` counts them."""

    def left(cpus: dict[int, int]) -> dict[int, int]:
        limits = ((cpu, free if most is None else min(free, most)) for cpu, free in cpus.items())
        return {cpu: limit - used.get(cpu, 0) for cpu, limit in limits}

    found: list[int] = []
    for _, cpus in sorted(slots, key=lambda core: (sum(left(core[1]).values()), core[0])):
        while len(found) < count:
            room = left(cpus)
            roomiest = sorted((cpu for cpu in room if room[cpu] > 0), key=lambda cpu: (-room[cpu], cpu))
            if len(roomiest) < threads:
                break
            group = sorted(roomiest[:threads])
            found += group
            for cpu in group:
                used[cpu] = used.get(cpu, 0) + 1
    return found


# Counting in and out


def occupy(
    nodes: Sequence[Node], vm_id: int, demand: Demand, places: Sequence[Place], vms_thread: int = 1
) -> None:
    """Counts a VM in where `places` says."""
    _count(nodes, vm_id, demand, places, vms_thread, 1)


def vacate(
    nodes: Sequence[Node], vm_id: int, demand: Demand, places: Sequence[Place], vms_thread: int = 1
) -> None:
    """Counts a VM out; what it does not have is not taken from others."""
    _count(nodes, vm_id, demand, places, vms_thread, -1)


def _count(
    nodes: Sequence[Node],
    vm_id: int,
    demand: Demand,
    places: Sequence[Place],
    vms_thread: int,
    sign: int,
) -> None:
    by_id = {node.id: node for node in nodes}
    for part, place in zip(demand.parts, places, strict=False):
        node, memory_node = by_id.get(place.node), by_id.get(place.memory_node)
        if node is not None:
            _count_cpus(node.cores, vm_id, place.cpus, sign, dedicated=demand.policy == CORE)
            for core in node.cores:
                core.recount(vms_thread)
        if memory_node is not None:
            memory_node.usage += sign * part.memory
            pages = memory_node.pages(demand.page_size) if demand.page_size else None
            if pages is not None:
                pages.usage += sign * demand.pages(part)


def _count_cpus(
    cores: Sequence[Core], vm_id: int, cpus: Sequence[int], sign: int, *, dedicated: bool
) -> None:
    where = {cpu: core for core in cores for cpu in core.cpus}
    for cpu in cpus:
        core = where.get(cpu)
        if core is None:
            continue
        vms = core.cpus[cpu]
        if sign > 0:
            vms.append(vm_id)
            core.dedicated = core.dedicated or dedicated
        elif vm_id in vms:
            vms.remove(vm_id)
            core.dedicated = core.dedicated and core.used


# What the host says of itself


def isolate(nodes: Sequence[Node], listed: Collection[int], vms_thread: int) -> None:
    """CPUs that are not for VMs: those listed, as far as no VM has them."""
    for node in nodes:
        for core in node.cores:
            core.isolated = {cpu for cpu, vms in core.cpus.items() if cpu in listed and not vms}
            core.recount(vms_thread)
