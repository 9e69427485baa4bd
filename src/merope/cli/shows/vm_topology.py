"""What a machine has of its host for itself: NUMA nodes and topology, as figure 2.14 of EU report D3.1 has
them, and PCI devices."""

from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.page import Page, cells

_NODES = cells("ID:3R", "CPUS:7L~", "MEMORY:6R", "TOTAL_CPUS:10R")
_TOPOLOGY = cells(
    "NUMA_NODES:10L",
    "CORES:7L",
    "SOCKETS:7L",
    "THREADS:7L",
    "PIN_POLICY:10L",
    "HUGEPAGE:8L",
    "ACCESS:7L",
)
_DEVICES = cells("ID:3R", "ASKED:20L~", "TYPE:4L", "ADDRESS:12L", "VM_ADDRESS:10L")


def numa(page: Page, vm: Element) -> None:
    nodes = vm.findall("TEMPLATE/NUMA_NODE")
    if nodes:
        page.line()
        page.heading("NUMA NODES")
        page.line()
        page.table(_NODES, [_node(number, node) for number, node in enumerate(nodes)])
    topology = vm.find("TEMPLATE/TOPOLOGY")
    if topology is not None:
        page.line()
        page.heading("TOPOLOGY")
        page.line()
        page.table(_TOPOLOGY, [_topology(topology, len(nodes))])


def _node(number: int, node: Element) -> list[str]:
    return [
        node.findtext("NODE_ID", str(number)),
        node.findtext("CPUS", "-"),
        formats.size(formats.number(node.findtext("MEMORY")), "K"),
        node.findtext("TOTAL_CPUS", ""),
    ]


def _topology(topology: Element, nodes: int) -> list[str]:
    size = topology.findtext("HUGEPAGE_SIZE")
    return [
        str(nodes) if nodes else "-",
        *(topology.findtext(name, "-") for name in ("CORES", "SOCKETS", "THREADS")),
        topology.findtext("PIN_POLICY", "NONE"),
        f"{size}M" if size else "-",
        topology.findtext("MEMORY_ACCESS", "-"),
    ]


def devices(page: Page, vm: Element) -> None:
    """What was asked for (vendor:device:class), and which device of the host it is."""
    found = vm.findall("TEMPLATE/PCI")
    if not found:
        return
    page.line()
    page.heading("PCI DEVICES")
    page.line()
    page.table(_DEVICES, [_device(device) for device in found])


def _device(device: Element) -> list[str]:
    return [
        device.findtext("PCI_ID", ""),
        ":".join(device.findtext(name, "") for name in ("VENDOR", "DEVICE", "CLASS")),
        device.findtext("TYPE", "-"),
        device.findtext("ADDRESS", "-"),
        device.findtext("VM_ADDRESS", ""),
    ]
