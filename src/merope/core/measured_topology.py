"""What probes say of a host's nodes and PCI devices, over what is known of them.

What VMs have of them is never lost: a CPU or a device that is in use and is not reported any more stays
until it is returned. What a report says nothing about stays as it was.
Source: spec drivers.yaml `im` (host_system, host_monitor); EU report D3.1, figure 2.12.
"""

from collections.abc import Iterator
from functools import lru_cache

from merope.core import vm_requests
from merope.model import pci
from merope.model.host import Host
from merope.model.template import Template, Vector
from merope.model.topology import Core, HugePages, Node, numbers

_Layout = dict[int, dict[int, tuple[int, ...]]]
"""Node → core → CPUs."""


def nodes(host: Host, report: Template) -> list[Node] | None:
    """The nodes as they are now (new objects, CPUs of ISOLCPUS not yet marked); None when nothing changed
    that is worth a new document: figures of memory move all the time, and count when they moved by a
    hundredth."""
    old = host.host_share.numa_nodes
    if not any(name in report for name in ("CORE", "MEMORY_NODE", "HUGEPAGE")):
        return None
    layout = _layout(report) if "CORE" in report else None
    if layout is not None and layout == {n.id: {c.id: tuple(c.cpus) for c in n.cores} for n in old}:
        layout = None
    memory = {number: vector for vector in report.vectors("MEMORY_NODE") for number in _id(vector)}
    pages = [(number, vector) for vector in report.vectors("HUGEPAGE") for number in _id(vector)]
    if layout is None and not _moved(old, memory, pages):
        return None
    known = {node.id: node for node in old}
    ids = sorted({*known, *(layout or ()), *memory})
    return [_node(known.get(number, Node(number)), layout, memory.get(number), pages) for number in ids]


def _layout(report: Template) -> _Layout:
    cores = report.vectors("CORE")
    return _read_layout(tuple([(c.get("NODE_ID", ""), c.get("ID", ""), c.get("CPUS", "")) for c in cores]))


@lru_cache(maxsize=64)
def _read_layout(cores: tuple[tuple[str, str, str], ...]) -> _Layout:
    """Each CPU once; a core that is told of twice counts as it is first. Hosts that were bought together have
    the same, and say so again and again."""
    layout: _Layout = {}
    seen: set[int] = set()
    for node_id, core_id, listed in cores:
        node, core = vm_requests.whole(node_id), vm_requests.whole(core_id)
        cpus = tuple(cpu for cpu in dict.fromkeys(numbers(listed)) if cpu not in seen)
        if node is None or core is None or not cpus:
            continue
        if core not in layout.setdefault(node, {}):
            layout[node][core] = cpus
            seen.update(cpus)
    # As the document has them, so that what was measured before compares equal.
    return {node: dict(sorted(cores.items())) for node, cores in sorted(layout.items())}


def _id(vector: Vector) -> Iterator[int]:
    number = vm_requests.whole(vector.get("NODE_ID", ""))
    if number is not None:
        yield number


def _number(vector: Vector, key: str) -> int:
    return vm_requests.whole(vector.get(key, ""), 1 << 53) or 0


def _moved(old: list[Node], memory: dict[int, Vector], pages: list[tuple[int, Vector]]) -> bool:
    known = {node.id: node for node in old}
    for number, vector in memory.items():
        node = known.get(number)
        if node is None or node.total != _number(vector, "TOTAL"):
            return True
        if abs(node.free - _number(vector, "FREE")) * 100 > node.total:
            return True
        if list(node.distance) != numbers(vector.get("DISTANCE", "")):
            return True
    for number, vector in pages:
        node = known.get(number)
        stored = None if node is None else node.pages(_number(vector, "SIZE"))
        told = _number(vector, "PAGES"), _number(vector, "FREE")
        if stored is None or (stored.pages, stored.free) != told:
            return True
    return False


def _node(old: Node, layout: _Layout | None, memory: Vector | None, pages: list[tuple[int, Vector]]) -> Node:
    new = Node(old.id, old.cores, _pages(old, pages), old.total, old.free, old.used, old.usage, old.distance)
    if layout is not None:
        new.cores = _cores(old, layout.get(old.id, {}))
    if memory is not None:
        new.total, new.free, new.used = (_number(memory, key) for key in ("TOTAL", "FREE", "USED"))
        new.distance = tuple(numbers(memory.get("DISTANCE", "")))
    return new


def _cores(old: Node, layout: dict[int, tuple[int, ...]]) -> list[Core]:
    cores = {number: Core(number, {cpu: [] for cpu in cpus}) for number, cpus in layout.items()}
    where = {cpu: core for core in cores.values() for cpu in core.cpus}
    for known in old.cores:
        for cpu, vms in known.cpus.items():
            if not vms:
                continue
            core = where.get(cpu) or cores.setdefault(known.id, Core(known.id, {}))
            core.cpus[cpu] = vms
            core.dedicated = core.dedicated or known.dedicated
    return [core for _, core in sorted(cores.items())]


def _pages(old: Node, pages: list[tuple[int, Vector]]) -> list[HugePages]:
    known = {each.size: each for each in old.huge_pages}
    for number, vector in pages:
        size = _number(vector, "SIZE")
        if number == old.id and size:
            usage = known[size].usage if size in known else 0
            known[size] = HugePages(size, _number(vector, "PAGES"), _number(vector, "FREE"), usage)
    return [each for _, each in sorted(known.items())]


def devices(host: Host, report: Template) -> Template | None:
    """The PCI devices as they are now, None when nothing changed. A report with cores is one of all that the
    host has: one without devices says that there are none."""
    if "PCI" not in report and "CORE" not in report:
        return None
    old = {device.get("ADDRESS", ""): device for device in host.host_share.pci_devices.vectors("PCI")}
    new: dict[str, Vector] = {}
    for vector in report.vectors("PCI"):
        address = vector.get("ADDRESS", "")
        if address and address not in new:
            holder = old.get(address, Vector()).get("VMID", pci.FREE)
            new[address] = Vector({**vector, "VMID": holder})
    for address, device in old.items():
        if device.get("VMID", pci.FREE) != pci.FREE:
            new.setdefault(address, device)
    found = dict(sorted(new.items()))
    return None if found == old else Template([("PCI", device) for device in found.values()])
