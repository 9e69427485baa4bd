"""What VMs have of a host's CPUs, NUMA nodes, huge pages and PCI devices: given with its capacity, returned
with it, and never given twice.

A VM's document says what it has: NODE_ID, CPUS and MEMORY_NODE_ID of its NUMA_NODEs, ADDRESS of its PCIs.
While a migration is under way that may return, what it had on the host that it leaves stays its own, and is
in the same attributes with PREV_ before their names.
Source: spec scheduler.yaml `numa`, `pci`.
"""

from merope.core import vm_topology
from merope.core.transaction import Transaction
from merope.model import host_parts, pci, pinning
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.states import HistoryAction
from merope.model.template import Vector
from merope.model.topology import numbers
from merope.model.vm import VM

_PREVIOUS = "PREV_"
#: 5.12's words for what a host has not got (spec scheduler.yaml `capacity_texts`).
_LACKS = {
    host_parts.Lack.TOPOLOGY: "Cannot allocate NUMA topology",
    host_parts.Lack.DEVICE: "Unavailable PCI device.",
}
_NOT_PINNED = "the host's PIN_POLICY is not PINNED"
_MOST_VMS_THREAD = 1 << 10


def wants_parts(vm: VM) -> bool:
    """Whether the VM has, or is to have, CPUs or devices of its host for itself."""
    return pinning.is_pinned(vm.template) or "PCI" in vm.template


def take(vm: VM, host: Host) -> None:
    """Gives the VM (both are the transaction's own) what it asks for.

    Raises ApiError ACTION when the host has not got it. What the VM has elsewhere it keeps as PREV_.
    """
    if not wants_parts(vm):
        return
    share = host.host_share
    demand = _demand(vm, host)
    devices = share.pci_devices.vectors("PCI")
    found = host_parts.choose(share.numa_nodes, devices, demand, pci.wanted_of(vm.template), share.vms_thread)
    if isinstance(found, host_parts.Lack):
        raise _does_not_fit(vm, host, _LACKS[found])
    _pin(vm, host, demand, found.fit)
    for own, index in zip(vm.template.vectors("PCI"), found.devices, strict=True):
        if own.get("ADDRESS"):
            own[f"{_PREVIOUS}ADDRESS"] = own["ADDRESS"]
        device = devices[index]
        device["VMID"] = str(vm.id)
        own.update({key: device[key] for key in pci.GIVEN if key in device})


def take_pins(vm: VM, host: Host) -> None:
    """The same for CPUs and memory alone, near to the devices that the VM has."""
    demand = _demand(vm, host)
    if demand is None:
        return
    share = host.host_share
    near = pci.nodes_of(vm.template.vectors("PCI"))
    found = pinning.fit(share.numa_nodes, demand, share.vms_thread, near)
    if found is None:
        raise _does_not_fit(vm, host, _LACKS[host_parts.Lack.TOPOLOGY])
    _pin(vm, host, demand, found)


def _demand(vm: VM, host: Host) -> pinning.Demand | None:
    demand = pinning.demand_of(vm.template)
    if demand is not None and host.template.get("PIN_POLICY").upper() != "PINNED":
        raise _does_not_fit(vm, host, f"{_LACKS[host_parts.Lack.TOPOLOGY]}: {_NOT_PINNED}")
    return demand


def _pin(vm: VM, host: Host, demand: pinning.Demand | None, fit: pinning.Fit | None) -> None:
    if demand is None or fit is None:
        return
    share = host.host_share
    pinning.occupy(share.numa_nodes, vm.id, demand, fit.places, share.vms_thread)
    for node, place in zip(vm.template.vectors("NUMA_NODE"), fit.places, strict=True):
        _rename(node, "", _PREVIOUS)
        pinning.note(node, place)
    topology = vm.template.vector("TOPOLOGY")
    if topology is not None and not demand.threads:
        vm_topology.set_threads(vm.template, fit.threads)
        topology["AUTOMATIC"] = "YES"


def _does_not_fit(vm: VM, host: Host, detail: str) -> ApiError:
    sentence = f"virtual machine [{vm.id}] does not fit in host [{host.id}]. {detail}"
    return ApiError(Code.ACTION, sentence, host.id)


def give_back(tx: Transaction, vm: VM, host_id: int) -> None:
    """Returns what the VM has of its host, which may be gone. Only a guest whose state was saved must have
    as many threads on a core where it goes on."""
    if not wants_parts(vm):
        return
    give_back_pins(tx, vm, host_id)
    _return_devices(tx, vm, host_id, "")
    current = vm.history
    if current is None or current.action != HistoryAction.STOP:
        vm_topology.forget_threads(vm.template)


def give_back_pins(tx: Transaction, vm: VM, host_id: int) -> None:
    """The same for CPUs and memory alone."""
    _return_pins(tx, vm, host_id, "")


def leave_source(tx: Transaction, vm: VM, host_id: int) -> None:
    """The VM does not return to the host that its migration has left."""
    if wants_parts(vm):
        _return_pins(tx, vm, host_id, _PREVIOUS)
        _return_devices(tx, vm, host_id, _PREVIOUS)


def come_back(tx: Transaction, vm: VM, host_id: int) -> None:
    """The VM, which has given back what it had where it was going, has what it kept on its old host."""
    for node in vm.template.vectors("NUMA_NODE"):
        _rename(node, _PREVIOUS, "")
    if "PCI" not in vm.template:
        return
    known: dict[str, Vector] = {}
    host = tx.find(Host, host_id)
    if host is not None:
        devices = host.host_share.pci_devices.vectors("PCI")
        known = {device.get("ADDRESS", ""): device for device in devices}
    for own in vm.template.vectors("PCI"):
        device = known.get(own.pop(f"{_PREVIOUS}ADDRESS", ""), Vector())
        own.update({key: device[key] for key in pci.GIVEN if key in device})


def _rename(node: Vector, old: str, new: str) -> None:
    for key in vm_topology.PLACE:
        if old + key in node:
            node[new + key] = node.pop(old + key)


def _return_pins(tx: Transaction, vm: VM, host_id: int, prefix: str) -> None:
    demand, places = pinning.demand_of(vm.template), pinning.held_by(vm.template, prefix)
    for node in vm.template.vectors("NUMA_NODE"):
        for key in vm_topology.PLACE:
            node.pop(prefix + key, None)
    if demand is None or not places or tx.find(Host, host_id) is None:
        return
    host = tx.edit(Host, host_id)
    share = host.host_share
    pinning.vacate(share.numa_nodes, vm.id, demand, places, share.vms_thread)
    _isolate(host)


def _return_devices(tx: Transaction, vm: VM, host_id: int, prefix: str) -> None:
    gone = set()
    for own in vm.template.vectors("PCI"):
        gone.add(own.get(f"{prefix}ADDRESS"))
        for key in (f"{_PREVIOUS}ADDRESS",) if prefix else pci.GIVEN:
            own.pop(key, None)
    if not gone - {None} or tx.find(Host, host_id) is None:
        return
    for device in tx.edit(Host, host_id).host_share.pci_devices.vectors("PCI"):
        if device.get("ADDRESS") in gone and device.get("VMID") == str(vm.id):
            device["VMID"] = pci.FREE


# What the administrator says of a host


def apply_settings(host: Host) -> None:
    """VMS_THREAD and ISOLCPUS of its template."""
    stated = host.template.get("VMS_THREAD")
    number = int(stated) if stated.isdecimal() and len(stated) < 6 else 1
    host.host_share.vms_thread = min(max(number, 1), _MOST_VMS_THREAD)
    _isolate(host)


def _isolate(host: Host) -> None:
    share = host.host_share
    if share.numa_nodes:
        pinning.isolate(share.numa_nodes, set(numbers(host.template.get("ISOLCPUS"))), share.vms_thread)
