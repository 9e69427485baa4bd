"""Placing pinned VMs on hosts, against all ways there are: on small hosts every way is tried."""

from copy import deepcopy
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from merope.model import pinning
from merope.model.pinning import Demand, Part, Place
from merope.model.topology import Core, HugePages, Node

PAGE = 2048
NEWCOMER = 1000
"""A VM that no host of these tests has."""


@st.composite
def hosts(draw: st.DrawFn) -> tuple[list[Node], int]:
    """A host of up to three nodes of up to three cores of one, two or four threads, partly in use; and how
    many VMs a CPU takes."""
    vms_thread = draw(st.sampled_from([1, 1, 1, 2, 3]))
    cpu = 0
    nodes = []
    number = draw(st.integers(1, 3))
    for node_id in range(number):
        cores = []
        for core_id in range(draw(st.integers(1, 3))):
            cpus = range(cpu, cpu + draw(st.sampled_from([1, 2, 2, 4])))
            cpu = cpus.stop
            kind = draw(st.sampled_from(["free", "free", "free", "used", "dedicated", "isolated"]))
            core = Core(core_id, {each: [] for each in cpus})
            if kind == "dedicated":
                core.dedicated = True
                core.cpus[cpus[0]] = [99]
            elif kind == "used":
                for each in cpus:
                    core.cpus[each] = [99] * draw(st.integers(0, vms_thread))
            elif kind == "isolated":
                core.isolated = {each for each in cpus if draw(st.booleans())}
            core.recount(vms_thread)
            cores.append(core)
        order = draw(st.permutations([n for n in range(number) if n != node_id]))
        total = draw(st.sampled_from([2, 4, 8])) * PAGE
        pages = [HugePages(PAGE, draw(st.integers(0, 4)))] if draw(st.booleans()) else []
        nodes.append(Node(node_id, cores, pages, total, total, 0, 0, (node_id, *order)))
    return nodes, vms_thread


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    policy = draw(st.sampled_from(["CORE", "THREAD", "SHARED"]))
    sizes = st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 4]))
    parts = [Part(cpus, pages * PAGE) for cpus, pages in draw(st.lists(sizes, min_size=1, max_size=3))]
    return Demand(
        policy,
        tuple(parts),
        threads=1 if policy == "CORE" else draw(st.sampled_from([0, 0, 1, 2])),
        page_size=draw(st.sampled_from([0, 0, PAGE])),
        affinity=draw(st.sampled_from([None, None, None, 0, 1])),
    )


def most_groups(core: Core, threads: int, vms_thread: int, policy: str) -> int:
    """As many as there are, by trying: each group takes so many CPUs of the core, each once."""
    if policy == "CORE":
        return int(not (core.used or core.dedicated or core.isolated))
    if core.dedicated:
        return 0
    slots = [vms_thread - len(vms) for cpu, vms in core.cpus.items() if cpu not in core.isolated]

    def most(left: list[int]) -> int:
        open_cpus = [i for i, slot in enumerate(left) if slot > 0]
        best = 0
        for chosen in combinations(open_cpus, threads):
            less = [slot - (i in chosen) for i, slot in enumerate(left)]
            best = max(best, 1 + most(less))
        return best

    return most(slots)


def is_possible(nodes: list[Node], demand: Demand, vms_thread: int) -> bool:
    """Whether there is any way at all, in which every part is on one node and its memory on one."""
    ids = range(len(nodes))
    hardware = max(len(core.cpus) for node in nodes for core in node.cores)
    possible = [1] if demand.policy == "CORE" else [t for t in (1, 2, 4) if t <= hardware]
    if demand.threads:
        possible = [t for t in possible if t == demand.threads]

    def cpus(threads: int) -> bool:
        if any(part.cpus % threads for part in demand.parts):
            return False
        room = [
            sum(most_groups(core, threads, vms_thread, demand.policy) for core in node.cores)
            for node in nodes
        ]
        for choice in product(ids, repeat=len(demand.parts)):
            if demand.affinity is not None and set(choice) != {demand.affinity}:
                continue
            needed = [0] * len(nodes)
            for part, node in zip(demand.parts, choice, strict=True):
                needed[node] += part.cpus // threads
            if all(needed[node] <= room[node] for node in ids):
                return True
        return False

    def memory() -> bool:
        for choice in product(ids, repeat=len(demand.parts)):
            kilobytes, pages = [0] * len(nodes), [0] * len(nodes)
            for part, node in zip(demand.parts, choice, strict=True):
                kilobytes[node] += part.memory
                pages[node] += demand.pages(part)
            free = [sum(p.pages for p in node.huge_pages) if demand.page_size else 0 for node in nodes]
            if all(kilobytes[n] <= nodes[n].total and pages[n] <= free[n] for n in ids):
                return True
        return False

    return any(map(cpus, possible)) and memory()


def check_places(
    nodes: list[Node], demand: Demand, vms_thread: int, found: pinning.Fit, near: frozenset[int]
) -> None:
    """That a placement takes only what is there."""
    after = deepcopy(nodes)
    pinning.occupy(after, NEWCOMER, demand, found.places, vms_thread)
    for node, before in zip(after, nodes, strict=True):
        assert node.usage <= node.total
        assert all(pages.usage <= pages.pages for pages in node.huge_pages)
        for core, old in zip(node.cores, before.cores, strict=True):
            mine = [cpu for cpu, vms in core.cpus.items() if NEWCOMER in vms]
            assert not core.isolated.intersection(mine), "an isolated CPU was given"
            assert all(len(vms) <= vms_thread for vms in core.cpus.values())
            assert not (mine and old.dedicated), "a dedicated core was given again"
            if mine and demand.policy == "CORE":
                assert len(mine) == 1
                assert not old.used
                assert core.dedicated
                assert core.free == 0
    for part, place in zip(demand.parts, found.places, strict=True):
        assert len(place.cpus) == part.cpus
        where = {cpu: core.id for core in after[place.node].cores for cpu in core.cpus}
        for first in range(0, part.cpus, found.threads):
            group = place.cpus[first : first + found.threads]
            assert len({where[cpu] for cpu in group}) == 1, "threads of a virtual core share no core"
            assert len(set(group)) == found.threads, "threads of a virtual core share a CPU"


@settings(max_examples=400, deadline=None)
@given(hosts(), demands(), st.frozensets(st.integers(0, 2)))
def test_a_vm_is_placed_just_when_there_is_a_way(
    host: tuple[list[Node], int], demand: Demand, near: frozenset[int]
) -> None:
    nodes, vms_thread = host
    found = pinning.fit(nodes, demand, vms_thread, near)
    assert (found is not None) is is_possible(nodes, demand, vms_thread)
    if found is not None:
        check_places(nodes, demand, vms_thread, found, near)


@settings(max_examples=200, deadline=None)
@given(hosts(), st.lists(demands(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_what_is_returned_in_any_order_leaves_the_host_as_it_was(
    host: tuple[list[Node], int], wanted: list[Demand], order: object
) -> None:
    nodes, vms_thread = host
    before = deepcopy(nodes)
    placed: list[tuple[int, Demand, tuple[Place, ...]]] = []
    for vm_id, demand in enumerate(wanted):
        found = pinning.fit(nodes, demand, vms_thread)
        if found is not None:
            check_places(nodes, demand, vms_thread, found, frozenset())
            pinning.occupy(nodes, vm_id, demand, found.places, vms_thread)
            placed.append((vm_id, demand, found.places))
    order.shuffle(placed)  # type: ignore[attr-defined]
    for vm_id, demand, places in placed:
        pinning.vacate(nodes, vm_id, demand, places, vms_thread)
    assert nodes == before


def host(*cores: tuple[int, ...], nodes: int = 1) -> list[Node]:
    """Nodes that each have cores of so many CPUs, numbered one after the other."""
    found, cpu = [], 0
    for node_id in range(nodes):
        made = []
        for core_id, sizes in enumerate(cores):
            made.append(Core(core_id, {cpu + i: [] for i in range(len(sizes))}))
            cpu += len(sizes)
            made[-1].recount(1)
        order = (node_id, *(other for other in range(nodes) if other != node_id))
        found.append(Node(node_id, made, [], 1 << 20, 1 << 20, 0, 0, order))
    return found


TWO = (0, 0)


def test_as_many_threads_share_a_core_as_the_host_has() -> None:
    found = pinning.fit(host(TWO, TWO), Demand("THREAD", (Part(4, 1024),)))
    assert found is not None
    assert (found.threads, found.places) == (2, (Place(0, 0, (0, 1, 2, 3)),))


def test_threads_that_are_asked_for_are_not_exceeded() -> None:
    found = pinning.fit(host(TWO, TWO), Demand("THREAD", (Part(2, 1024),), threads=1))
    assert found is not None
    assert (found.threads, found.places[0].cpus) == (1, (0, 1))
    assert pinning.fit(host(TWO, TWO), Demand("THREAD", (Part(4, 1024),), threads=4)) is None


def test_where_no_core_is_whole_any_more_fewer_threads_share_one() -> None:
    nodes = host(TWO, TWO)
    for core in nodes[0].cores:
        core.cpus[min(core.cpus)] = [7]
        core.recount(1)
    found = pinning.fit(nodes, Demand("THREAD", (Part(2, 1024),)))
    assert found is not None
    assert (found.threads, found.places[0].cpus) == (1, (1, 3))


def test_a_vm_shares_a_cpu_with_others_before_it_does_with_itself() -> None:
    nodes = host(TWO, TWO)
    for core in nodes[0].cores:
        core.recount(2)
    demand = Demand("THREAD", (Part(4, 1024),))
    for vm_id in range(2):
        found = pinning.fit(nodes, demand, 2)
        assert found is not None
        assert sorted(found.places[0].cpus) == [0, 1, 2, 3]
        pinning.occupy(nodes, vm_id, demand, found.places, 2)
    alone = pinning.fit(host(TWO), Demand("THREAD", (Part(4, 1024),)), 2)
    assert alone is not None
    assert alone.places[0].cpus == (0, 1, 0, 1)


def test_the_node_with_most_cpus_left_comes_first_unless_a_device_is_elsewhere() -> None:
    nodes = host(TWO, TWO, nodes=2)
    nodes[0].cores[0].cpus[0] = [7]
    nodes[0].cores[0].recount(1)
    demand = Demand("THREAD", (Part(2, 1024),))
    first, near = pinning.fit(nodes, demand), pinning.fit(nodes, demand, near={0})
    assert first is not None
    assert near is not None
    assert (first.places[0].node, near.places[0].node) == (1, 0)


def test_a_node_that_has_the_memory_too_comes_first() -> None:
    nodes = host(TWO, TWO, nodes=2)
    nodes[0].usage = 1 << 20
    nodes[1].cores[0].cpus[4] = [7]
    nodes[1].cores[0].recount(1)
    found = pinning.fit(nodes, Demand("THREAD", (Part(1, 1024),)))
    assert found is not None
    assert (found.places[0].node, found.places[0].memory_node) == (1, 1)


def test_a_vm_of_many_nodes_is_answered_soon_though_it_does_not_fit() -> None:
    """Bin packing has no quick answer; the search has a limit."""
    nodes = host(*[(0,)] * 23, nodes=8)
    demand = Demand(
        "THREAD", tuple(Part(cpus, 8) for cpus in (12, 12, 12, 12, 12, 12, 12, 12, 12, 11, 11, 11))
    )
    assert pinning.fit(nodes, demand) is None
