"""CPUs, memory nodes, huge pages and PCI devices of a host: what pinned VMs and those with devices look for.

Few VMs do, so that a host's nodes are read from its document when the first of them asks.
"""

from __future__ import annotations

from typing import NamedTuple
from xml.etree.ElementTree import Element

from merope.model import host_parts, pci, pinning
from merope.model.host_parts import Given, Lack
from merope.model.pci import Wanted
from merope.model.pinning import Demand
from merope.model.template import Template, Vector
from merope.model.topology import Node, nodes_from_element
from merope.scheduler.reasons import Code


class Request(NamedTuple):
    """What a VM must have of a host for itself: CPUs and memory of its nodes, and devices."""

    demand: Demand | None = None
    devices: tuple[Wanted, ...] = ()


class HostParts:
    """Of one host, as its document has them (HOST_SHARE)."""

    __slots__ = ("_devices", "_nodes", "_share")

    def __init__(self, share: Element) -> None:
        self._share = share
        self._nodes: list[Node] | None = None
        self._devices: list[Vector] | None = None

    @property
    def vms_thread(self) -> int:
        text = self._share.findtext("VMS_THREAD") or ""
        return int(text) if text.isdecimal() and int(text) else 1

    @property
    def nodes(self) -> list[Node]:
        """Not to be changed."""
        if self._nodes is None:
            found = self._share.find("NUMA_NODES")
            self._nodes = [] if found is None else nodes_from_element(found)
        return self._nodes

    def own_nodes(self) -> list[Node]:
        """New ones, to be changed."""
        found = self._share.find("NUMA_NODES")
        return [] if found is None else nodes_from_element(found)

    @property
    def devices(self) -> list[Vector]:
        if self._devices is None:
            found = self._share.find("PCI_DEVICES")
            self._devices = [] if found is None else Template.from_element(found).vectors("PCI")
        return self._devices

    def room(self) -> list[int]:
        """Figures of which one grows when something is returned or there is more."""
        nodes = self.nodes
        return [
            sum(core.free for node in nodes for core in node.cores),
            sum(node.left for node in nodes),
            sum(pages.left * pages.size for node in nodes for pages in node.huge_pages),
            sum(device.get("VMID", pci.FREE) == pci.FREE for device in self.devices),
        ]


NOTHING = HostParts(Element("HOST_SHARE"))


_CODES = {Lack.TOPOLOGY: Code.HOST_TOPOLOGY, Lack.DEVICE: Code.HOST_PCI}


class LiveParts:
    """Of one host while a plan is made."""

    __slots__ = ("_given", "_nodes", "_parts", "_taken")

    def __init__(self, parts: HostParts) -> None:
        self._parts = parts
        self._nodes: list[Node] | None = None
        self._taken: set[int] = set()
        self._given: dict[int, tuple[Request, Given]] = {}

    def find(self, request: Request) -> Given | Code:
        """What a VM would get, or what there is not."""
        parts = self._parts
        nodes = parts.nodes if self._nodes is None else self._nodes
        found = host_parts.choose(
            nodes, parts.devices, request.demand, request.devices, parts.vms_thread, self._taken
        )
        return _CODES[found] if isinstance(found, Lack) else found

    def take(self, vm_id: int, request: Request) -> None:
        found = self.find(request)
        if isinstance(found, Code):
            return
        self._given[vm_id] = request, found
        self._taken.update(found.devices)
        if request.demand is not None and found.fit is not None:
            if self._nodes is None:
                self._nodes = self._parts.own_nodes()
            vms_thread = self._parts.vms_thread
            pinning.occupy(self._nodes, vm_id, request.demand, found.fit.places, vms_thread)

    def give_back(self, vm_id: int) -> None:
        """Undo the `take` of this VM."""
        request, given = self._given.pop(vm_id, (Request(), Given(None, ())))
        self._taken.difference_update(given.devices)
        if request.demand is not None and given.fit is not None and self._nodes is not None:
            vms_thread = self._parts.vms_thread
            pinning.vacate(self._nodes, vm_id, request.demand, given.fit.places, vms_thread)
