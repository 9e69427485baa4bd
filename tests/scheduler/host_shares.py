"""What hosts have for pinned VMs and for those with devices: HOST_SHARE as their documents have it."""

from xml.etree import ElementTree

from merope.model.host import HostShare
from merope.model.template import Template, Vector
from merope.model.topology import Core, HugePages, Node
from merope.scheduler.parts import HostParts


def host_share(cores: int = 0, nodes: int = 1, devices: int = 0, **held: list[int]) -> HostParts:
    """`nodes` of `cores` with two threads each, 1 GB and 16 huge pages of 2 MB, and so many network cards.
    `held`: the VMs that have a CPU, by its name (`cpu0`)."""
    return HostParts(ElementTree.fromstring(share_xml(cores, nodes, devices, **held)))


def share_xml(cores: int = 0, nodes: int = 1, devices: int = 0, **held: list[int]) -> str:
    share = HostShare()
    cpu = 0
    for number in range(nodes if cores else 0):
        made = []
        for core in range(cores):
            made.append(Core(core, {c: held.get(f"cpu{c}", []) for c in (cpu, cpu + 1)}))
            made[-1].recount(1)
            cpu += 2
        order = (number, *(other for other in range(nodes) if other != number))
        pages = [HugePages(2048, 16, 16)]
        share.numa_nodes.append(Node(number, made, pages, 1 << 20, 1 << 20, 0, 0, order))
    share.pci_devices = Template(
        (
            "PCI",
            Vector(
                VENDOR="8086",
                DEVICE="10fb",
                CLASS="0200",
                ADDRESS=f"0000:02:0{i}:0",
                NUMA_NODE="0",
                VMID="-1",
            ),
        )
        for i in range(devices)
    )
    return share.to_xml()
