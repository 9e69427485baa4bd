"""What must be true of CPUs, memory nodes, huge pages and PCI devices, counted anew from the documents."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from merope.core import lifecycle
from merope.model.host import Host
from merope.model.state import State
from merope.model.topology import Core, Node
from merope.model.vm import VM
from merope.simulation.invariants import Check, every, holds, source_of

SHARING = "numa1"
"""The host on which two VMs may share a CPU."""


@dataclass(slots=True)
class _Held:
    """What VMs say that they have: of (host, CPU), (host, node), (host, node, page size), (host, address)."""

    cpus: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    dedicated: dict[tuple[int, int], int] = field(default_factory=dict)
    memory: Counter[tuple[int, int]] = field(default_factory=Counter)
    pages: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    devices: dict[tuple[int, str], int] = field(default_factory=dict)


def pins(state: State) -> Iterator[str]:
    """They are given to the VMs that say they have them; a core or a device that is one VM's to no other."""
    held = _Held()
    for vm in every(state, VM):
        if "NUMA_NODE" in vm.template or "PCI" in vm.template:
            for host_id, prefix, there in _stays(state, vm):
                yield from _nodes_of(vm, host_id, prefix, there, held)
                yield from _devices_of(vm, host_id, prefix, there, held)
    known = set()
    for host in every(state, Host):
        known.add(host.id)
        for node in host.host_share.numa_nodes:
            for core in node.cores:
                yield from _core(host, core, held)
            yield from _memory(host, node, held)
        for device in host.host_share.pci_devices.vectors("PCI"):
            holder = held.devices.pop((host.id, device["ADDRESS"]), -1)
            if device["VMID"] != str(holder):
                yield f"host {host.id}: device {device['ADDRESS']} is VM {device['VMID']}'s, not {holder}'s"
    for what in (held.cpus, held.memory, held.pages, held.devices):
        for key, found in what.items():
            if key[0] in known:
                yield f"{found} is had of {key}, which the host does not have"


def _stays(state: State, vm: VM) -> Iterator[tuple[int, str, bool]]:
    """The host of a VM, and the one that its migration leaves; whether it has something there."""
    current = vm.history
    here = -1 if current is None else current.hid
    yield here, "", current is not None and holds(vm)
    source = source_of(state, vm) if vm.phase in lifecycle.MIGRATING else here
    yield source, "PREV_", source != here


def _topology(vm: VM) -> dict[str, str]:
    return vm.template.vector("TOPOLOGY") or {}


def _nodes_of(vm: VM, host_id: int, prefix: str, there: bool, held: _Held) -> Iterator[str]:
    size = int(_topology(vm).get("HUGEPAGE_SIZE") or 0) * 1024
    for part in vm.template.vectors("NUMA_NODE"):
        if (f"{prefix}CPUS" in part) is not there:
            yield f"VM {vm.id} is {vm.phase.name}, and its node has {part}"
        elif there:
            node = int(part[f"{prefix}MEMORY_NODE_ID"])
            held.memory[host_id, node] += int(part["MEMORY"])
            if size:
                held.pages[host_id, node, size] += -(-int(part["MEMORY"]) // size)
            words = part[f"{prefix}CPUS"].split(",")
            if len(words) != int(part["TOTAL_CPUS"]):
                yield f"VM {vm.id}: its node of {part['TOTAL_CPUS']} CPUs has {words}"
            for word in words:
                held.cpus.setdefault((host_id, int(word)), []).append(vm.id)
                if _topology(vm).get("PIN_POLICY") == "CORE":
                    held.dedicated[host_id, int(word)] = vm.id


def _devices_of(vm: VM, host_id: int, prefix: str, there: bool, held: _Held) -> Iterator[str]:
    for device in vm.template.vectors("PCI"):
        address = device.get(f"{prefix}ADDRESS")
        if (address is not None) is not there:
            yield f"VM {vm.id} is {vm.phase.name}, and its device is {device}"
        elif address is not None and held.devices.setdefault((host_id, address), vm.id) != vm.id:
            yield f"device {address} of host {host_id} is VM {vm.id}'s and another's"


def _core(host: Host, core: Core, held: _Held) -> Iterator[str]:
    owners = {held.dedicated[host.id, cpu] for cpu in core.cpus if (host.id, cpu) in held.dedicated}
    found: list[int] = []
    for cpu, vms in core.cpus.items():
        wanted = held.cpus.pop((host.id, cpu), [])
        found += wanted
        if sorted(vms) != sorted(wanted):
            yield f"host {host.id}: CPU {cpu} is given to VMs {vms}, those that have it are {wanted}"
        if len(vms) > (2 if host.name == SHARING else 1):
            yield f"host {host.id}: CPU {cpu} is given to VMs {vms}"
    if core.dedicated is not bool(owners) or (owners and len(found) > 1):
        yield f"host {host.id}: core {core.id} is dedicated to {owners}, and VMs {found} have it"


def _memory(host: Host, node: Node, held: _Held) -> Iterator[str]:
    wanted = held.memory.pop((host.id, node.id), 0)
    if node.usage != wanted or node.usage > node.total:
        yield f"host {host.id}: {node.usage} of {node.total} KB of node {node.id} are given, {wanted} had"
    for each in node.huge_pages:
        number = held.pages.pop((host.id, node.id, each.size), 0)
        if each.usage != number or each.usage > each.pages:
            yield f"host {host.id}: node {node.id} has {each}, VMs have {number}"


CHECKS: dict[Check, tuple[str, ...]] = {pins: ("vm_pool", "host_pool")}
