"""Whether CPUs, memory, huge pages and PCI devices of hosts are given to the VMs that say they have them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from merope.core.check import Finding, every, finding
from merope.core.transaction import Transaction
from merope.model import pci, pinning
from merope.model.host import Host
from merope.model.state import State
from merope.model.template import Template
from merope.model.topology import Core, Node
from merope.model.vm import VM, History

_Holder = tuple[VM, pinning.Demand, list[pinning.Place]]


def hosts(state: State) -> Iterator[Finding]:
    """Each CPU and device is given to those who have it; a core or a device that is one VM's, to no other.
    How many share a CPU may have been another number (VMS_THREAD) when they came."""
    pins: dict[int, list[_Holder]] = {}
    devices: dict[int, dict[str, int]] = {}
    for vm in every(state, VM):
        for host_id, prefix in _places_of(state, vm):
            demand = pinning.demand_of(vm.template)
            places = pinning.held_by(vm.template, prefix)
            if demand is not None and places:
                pins.setdefault(host_id, []).append((vm, demand, places))
            for device in vm.template.vectors("PCI"):
                address = device.get(f"{prefix}ADDRESS", "")
                if not address:
                    continue
                other = devices.setdefault(host_id, {}).setdefault(address, vm.id)
                if other != vm.id:
                    yield finding(vm, f"its PCI device {address} of host {host_id} is VM {other}'s, too")
    for host in every(state, Host):
        yield from _nodes(host, pins.get(host.id, []))
        yield from _devices(host, devices.get(host.id, {}))


def _places_of(state: State, vm: VM) -> Iterator[tuple[int, str]]:
    """The hosts that a VM may have something of, with the prefix of its attributes."""
    current = vm.history
    if current is None or not (pinning.is_pinned(vm.template) or "PCI" in vm.template):
        return
    yield current.hid, ""
    left = state.history.get(vm.id, {}).get(current.seq - 1)
    if left is not None:
        yield History.from_xml(left).hid, "PREV_"


def _nodes(host: Host, holders: list[_Holder]) -> Iterator[Finding]:
    share = host.host_share
    expected = recounted(share.numa_nodes, holders, share.vms_thread)
    if list(map(_picture, expected)) != list(map(_picture, share.numa_nodes)):
        yield finding(
            host,
            f"its CPUs and memory are given as {list(map(_picture, share.numa_nodes))}, by its VMs they are "
            f"{list(map(_picture, expected))}",
            partial(_set_nodes, oid=host.id, nodes=expected),
        )
    for core in (core for node in expected for core in node.cores):
        vms = [vm for vms in core.cpus.values() for vm in vms]
        if core.dedicated and len(vms) > 1:
            yield finding(host, f"core {core.id} is dedicated to one VM, and VMs {vms} have it")


def recounted(nodes: list[Node], holders: list[_Holder], vms_thread: int) -> list[Node]:
    """The nodes as they are when just these VMs have something of them."""
    empty = [
        replace(
            node,
            usage=0,
            cores=[Core(core.id, {cpu: [] for cpu in core.cpus}) for core in node.cores],
            huge_pages=[replace(pages, usage=0) for pages in node.huge_pages],
        )
        for node in nodes
    ]
    isolated = {cpu for node in nodes for core in node.cores for cpu in core.isolated}
    for vm, demand, places in holders:
        pinning.occupy(empty, vm.id, demand, places, vms_thread)
    pinning.isolate(empty, isolated, vms_thread)
    return empty


def _picture(node: Node) -> object:
    cores = [
        (core.id, {cpu: sorted(vms) for cpu, vms in core.cpus.items()}, core.dedicated, core.free)
        for core in node.cores
    ]
    return node.id, cores, node.usage, [(pages.size, pages.usage) for pages in node.huge_pages]


def _set_nodes(tx: Transaction, *, oid: int, nodes: list[Node]) -> None:
    tx.edit(Host, oid).host_share.numa_nodes = nodes


def _devices(host: Host, given: dict[str, int]) -> Iterator[Finding]:
    known = host.host_share.pci_devices.vectors("PCI")
    right = {
        device.get("ADDRESS", ""): str(given.get(device.get("ADDRESS", ""), pci.FREE)) for device in known
    }
    stored = {device.get("ADDRESS", ""): device.get("VMID", pci.FREE) for device in known}
    if stored != right:
        sentence = f"its PCI devices are given as {stored}, by its VMs they are {right}"
        yield finding(host, sentence, partial(_set_devices, oid=host.id, holders=right))
    for address in given.keys() - right.keys():
        yield finding(host, f"VM {given[address]} has its PCI device {address}, which it does not have")


def _set_devices(tx: Transaction, *, oid: int, holders: dict[str, str]) -> None:
    share = tx.edit(Host, oid).host_share
    devices = Template(("PCI", device) for device in share.pci_devices.vectors("PCI"))
    for device in devices.vectors("PCI"):
        device["VMID"] = holders.get(device.get("ADDRESS", ""), pci.FREE)
    share.pci_devices = devices


CHECKS = (hosts,)
