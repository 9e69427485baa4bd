"""What monitoring changes: hosts' capacity and state, and the states of VMs found on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from merope.core import host as hosts
from merope.core import host_topology, measured_topology, vm_import, vm_results
from merope.core.results import note_error
from merope.core.transaction import Transaction
from merope.model.host import Host
from merope.model.states import HostState
from merope.model.template import Template
from merope.model.vm import VM

_LISTENING = (HostState.INIT, HostState.ERROR)


@dataclass(frozen=True, slots=True)
class Measured:
    """A host as measured: CPU in percent of one CPU, memory in KB, disk in MB (total, used, free)."""

    total_cpu: int
    total_memory: int
    attributes: Mapping[str, str]
    disk: tuple[int, int, int]
    vms: Mapping[int, str] = field(default_factory=dict)
    """VM id → what its domain does: RUNNING, POWEROFF, SUSPENDED, FAILURE."""
    others: Mapping[str, str] = field(default_factory=dict)
    """What domains do that carry no VM's id, by their names."""
    complete: bool = True
    """Whether `vms` are all that the host has: a VM of ours that is missing is powered off."""
    topology: Template = field(default_factory=Template)
    """CORE, MEMORY_NODE, HUGEPAGE and PCI as the probes say them; those that are missing are as they were."""
    since: int | None = None
    """Index of the state when the look began. A VM that changed later is left to the next look: it may have
    been started or ended after the host was asked. None leaves none out."""


def take(tx: Transaction, host_id: int, measured: Measured) -> bool:
    """Takes a report in; answers whether anything but figures changed."""
    host = tx.find(Host, host_id)
    if host is None or host.state == HostState.OFFLINE:
        return False
    changed = _take_capacity(tx, host, measured)
    for vm_id in sorted(host.vms):
        if _changed_since(tx, vm_id, measured.since):
            continue
        state = measured.vms.get(vm_id) or _imported(tx, vm_id, measured)
        if state is None and measured.complete and _should_be_there(tx, vm_id):
            state = "POWEROFF"
        if state is not None:
            changed = vm_results.found(tx, vm_id, state) or changed
    for vm_id in sorted(measured.vms.keys() - host.vms):
        if measured.vms[vm_id] == "RUNNING" and not _changed_since(tx, vm_id, measured.since):
            changed = vm_results.found_elsewhere(tx, vm_id, host) or changed
    return changed


def _imported(tx: Transaction, vm_id: int, measured: Measured) -> str | None:
    """What the domain of a VM does that was there before the cloud, and is not named after the VM."""
    vm = tx.find(VM, vm_id) if measured.others else None
    return measured.others.get(vm.deploy_id) if vm is not None and vm_import.is_imported(vm) else None


def _changed_since(tx: Transaction, vm_id: int, index: int | None) -> bool:
    entry = tx.state.pools["vm_pool"].entries.get(vm_id)
    return index is not None and entry is not None and entry.index > index


def _should_be_there(tx: Transaction, vm_id: int) -> bool:
    vm = tx.find(VM, vm_id)
    return vm is not None and vm.phase.name in ("RUNNING", "UNKNOWN")


def _take_capacity(tx: Transaction, host: Host, measured: Measured) -> bool:
    template = _template(host, measured)
    total, used, free = measured.disk
    disks = Template(
        [("DISK_USAGE", "0"), ("FREE_DISK", str(free)), ("MAX_DISK", str(total)), ("USED_DISK", str(used))]
    )
    share = host.host_share
    nodes = measured_topology.nodes(host, measured.topology)
    devices = measured_topology.devices(host, measured.topology)
    same = (
        (share.total_cpu, share.total_mem) == (measured.total_cpu, measured.total_memory)
        and host.state not in _LISTENING
        and template == host.template
        and nodes is None
        and devices is None
        and _close(share.datastores, disks)
    )
    if same:
        return False
    own = tx.edit(Host, host.id)
    own.template = template
    own.host_share.total_cpu, own.host_share.total_mem = measured.total_cpu, measured.total_memory
    own.host_share.datastores = disks
    if nodes is not None:
        own.host_share.numa_nodes = nodes
    if devices is not None:
        own.host_share.pci_devices = devices
    hosts.apply_reservation(tx, own)
    host_topology.apply_settings(own)
    if own.state in _LISTENING:
        own.state = HostState.MONITORED
        own.template.remove("ERROR")
    own.prev_state = own.state
    return True


def _close(old: Template, new: Template) -> bool:
    """Disk figures move all the time: a document is written again when they moved by a hundredth."""
    for name in ("FREE_DISK", "MAX_DISK", "USED_DISK"):
        before, after = int(old.get(name) or 0), int(new.get(name) or 0)
        if abs(after - before) * 100 > max(before, after, 100):
            return False
    return True


def _template(host: Host, measured: Measured) -> Template:
    """What the host was given stays; what was measured replaces what was measured before."""
    template = host.template.copy()
    for name, value in measured.attributes.items():
        template.set(name, value)
    template.set("IM_MAD", host.im_mad)
    template.set("VM_MAD", host.vm_mad)
    return template


def lost(tx: Transaction, host_id: int, message: str) -> bool:
    """The host could not be monitored: it is in error, and nobody knows of its VMs."""
    host = tx.find(Host, host_id)
    if host is None or host.state in (HostState.OFFLINE, HostState.ERROR):
        return False
    own = tx.edit(Host, host_id)
    if own.state != HostState.DISABLED:
        own.state = own.prev_state = HostState.ERROR
    note_error(tx, own.template, f"Error monitoring Host {own.name} ({host_id}): {message}")
    for vm_id in sorted(own.vms):
        vm_results.host_lost(tx, vm_id)
    return True
