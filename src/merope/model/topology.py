"""The NUMA topology of a host: its nodes, their cores, memory and huge pages, and which VMs have what of it.

Source: spec xml.yaml `NODE`, scheduler.yaml `numa.host_model`; xsd/host.xsd.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated
from xml.etree.ElementTree import Element

from merope.model.document import Codec, cdata

NOBODY = -1
"""In place of a VM: the CPU is free."""
ISOLATED = -2
"""In place of a VM: the CPU is not for VMs (ISOLCPUS)."""

_LARGEST_CPU = 1 << 16


@dataclass(slots=True)
class Core:
    """A core with its CPUs (hardware threads). `cpus` has the VMs on each, one entry for each virtual CPU;
    `isolated` are CPUs that are not for VMs. `dedicated`: one VM has the whole core (PIN_POLICY CORE).
    `free` is how many more virtual CPUs it takes."""

    id: int
    cpus: dict[int, list[int]]
    dedicated: bool = False
    isolated: set[int] = field(default_factory=set)
    free: int = 0

    @property
    def used(self) -> bool:
        return any(self.cpus.values())

    def recount(self, vms_thread: int) -> None:
        """Sets `free` for so many VMs on a CPU."""
        if self.dedicated:
            self.free = 0
            return
        self.free = sum(self.slots(vms_thread).values())

    def slots(self, vms_thread: int) -> dict[int, int]:
        """How many more virtual CPUs each CPU takes; none of a core that one VM has for itself."""
        if self.dedicated:
            return {}
        return {
            cpu: max(vms_thread - len(vms), 0) for cpu, vms in self.cpus.items() if cpu not in self.isolated
        }


@dataclass(slots=True)
class HugePages:
    """Pages of one size (KB): how many there are, how many the host says are free, how many VMs have."""

    size: int
    pages: int = 0
    free: int = 0
    usage: int = 0

    @property
    def left(self) -> int:
        return self.pages - self.usage


@dataclass(slots=True)
class Node:
    """A NUMA node; memory in KB. `usage` is what VMs have of it, `distance` all nodes, the nearest first."""

    id: int
    cores: list[Core] = field(default_factory=list)
    huge_pages: list[HugePages] = field(default_factory=list)
    total: int = 0
    free: int = 0
    used: int = 0
    usage: int = 0
    distance: tuple[int, ...] = ()

    @property
    def left(self) -> int:
        """KB of memory that VMs may still have."""
        return self.total - self.usage

    def pages(self, size: int) -> HugePages | None:
        return next((pages for pages in self.huge_pages if pages.size == size), None)


def vms_of(nodes: Iterable[Node]) -> set[int]:
    """The VMs that have CPUs of a host."""
    return {vm for node in nodes for core in node.cores for vms in core.cpus.values() for vm in vms}


class _Nodes(Codec[list[Node]]):
    """NUMA_NODES, with the elements of each node in the order of the schema."""

    def write(self, tag: str, value: list[Node]) -> str:
        return f"<{tag}>{''.join(map(_node_xml, value))}</{tag}>" if value else f"<{tag}/>"

    def read(self, elements: list[Element]) -> list[Node]:
        return nodes_from_element(elements[0]) if elements else []


NumaNodes = Annotated[list[Node], _Nodes()]


def nodes_from_element(element: Element) -> list[Node]:
    """The nodes of a NUMA_NODES element."""
    return [_read_node(child) for child in element.iterfind("NODE")]


def _node_xml(node: Node) -> str:
    memory = {
        "DISTANCE": " ".join(map(str, node.distance)),
        "FREE": node.free,
        "TOTAL": node.total,
        "USAGE": node.usage,
        "USED": node.used,
    }
    cores = "".join([_core_xml(core) for core in node.cores])
    pages = "".join(
        [
            f"<HUGEPAGE>{_elements(FREE=p.free, PAGES=p.pages, SIZE=p.size, USAGE=p.usage)}</HUGEPAGE>"
            for p in node.huge_pages
        ]
    )
    return f"<NODE>{cores}{pages}<MEMORY>{_elements(**memory)}</MEMORY>{_elements(NODE_ID=node.id)}</NODE>"


def _core_xml(core: Core) -> str:
    dedicated = "YES" if core.dedicated else "NO"
    inner = _elements(CPUS=_cpus_text(core), DEDICATED=dedicated, FREE=core.free, ID=core.id)
    return f"<CORE>{inner}</CORE>"


def _cpus_text(core: Core) -> str:
    """`0:12,0:15,4:-1`: CPU 0 has a virtual CPU each of VMs 12 and 15, CPU 4 is free."""
    pairs = []
    for cpu, vms in core.cpus.items():
        nobody = ISOLATED if cpu in core.isolated else NOBODY
        pairs += [f"{cpu}:{vm}" for vm in vms or (nobody,)]
    return ",".join(pairs)


def _elements(**values: object) -> str:
    return "".join([f"<{name}>{cdata(str(value))}</{name}>" for name, value in values.items()])


def _read_node(element: Element) -> Node:
    memory = element.find("MEMORY")
    node = Node(
        id=_integer(element, "NODE_ID"),
        cores=[_read_core(child) for child in element.iterfind("CORE")],
        huge_pages=[
            HugePages(*(_integer(child, name) for name in ("SIZE", "PAGES", "FREE", "USAGE")))
            for child in element.iterfind("HUGEPAGE")
        ],
    )
    if memory is not None:
        node.total, node.free, node.used, node.usage = (
            _integer(memory, name) for name in ("TOTAL", "FREE", "USED", "USAGE")
        )
        node.distance = tuple(numbers(memory.findtext("DISTANCE") or ""))
    return node


def _read_core(element: Element) -> Core:
    cpus: dict[int, list[int]] = {}
    isolated = set()
    for pair in (element.findtext("CPUS") or "").split(","):
        cpu, _, owner = pair.partition(":")
        if not cpu.strip().isdecimal():
            continue
        vms = cpus.setdefault(int(cpu), [])
        vm = int(owner) if owner.strip().lstrip("-").isdecimal() else NOBODY
        if vm >= 0:
            vms.append(vm)
        elif vm == ISOLATED:
            isolated.add(int(cpu))
    dedicated = (element.findtext("DEDICATED") or "").upper() == "YES"
    return Core(_integer(element, "ID"), cpus, dedicated, isolated, _integer(element, "FREE"))


def _integer(element: Element, name: str) -> int:
    text = element.findtext(name) or ""
    return int(text) if text.strip().lstrip("-").isdecimal() else 0


def numbers(text: str) -> list[int]:
    """The numbers of a list: 0,4 or 0 4, and ranges as the kernel writes them: 0-3,8. What is none is left
    out, as are numbers that no host has."""
    return list(_numbers(text))


def _numbers(text: str) -> Iterator[int]:
    for word in text.replace(",", " ").split():
        first, _, last = word.partition("-")
        ends = [int(end) for end in (first, last or first) if end.isdecimal() and len(end) <= 5]
        if len(ends) == 2 and ends[1] < _LARGEST_CPU:
            yield from range(ends[0], ends[1] + 1)


def cpus_text(cpus: Collection[int]) -> str:
    return ",".join(map(str, cpus))
