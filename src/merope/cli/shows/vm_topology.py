"""The NUMA nodes and the topology of a pinned machine (layout: EU report D3.1, figure 2.14)."""

from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.page import Page, cells

_NODES = cells("ID:3R", "CPUS:7L", "MEMORY:6R", "TOTAL_CPUS:10R")
_TOPOLOGY = cells("NUMA_NODES:10L", "CORES:7L", "SOCKETS:7L", "THREADS:7L")


def numa(page: Page, vm: Element) -> None:
    nodes = vm.findall("TEMPLATE/NUMA_NODE")
    if nodes:
        page.line()
        page.heading("NUMA NODES")
        page.line()
        rows = [
            [
                n.findtext("NODE_ID", str(i)),
                n.findtext("CPUS", ""),
                formats.size(formats.number(n.findtext("MEMORY")), "K"),
                n.findtext("TOTAL_CPUS", ""),
            ]
            for i, n in enumerate(nodes)
        ]
        page.table(_NODES, rows)
    topology = vm.find("TEMPLATE/TOPOLOGY")
    if topology is not None:
        page.line()
        page.heading("TOPOLOGY")
        page.line()
        names = ("CORES", "SOCKETS", "THREADS")
        page.table(
            _TOPOLOGY, [[str(len(nodes)) if nodes else "-", *(topology.findtext(n, "-") for n in names)]]
        )
