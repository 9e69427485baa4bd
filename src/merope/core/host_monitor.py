"""What monitoring changes: hosts' capacity and state, and the states of VMs found on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from merope.core import host as hosts
from merope.core import host_recovery, host_return, host_topology, measured_topology, vm_import, vm_results
from merope.core.host_return import Verdict
from merope.core.results import note_error
from merope.core.transaction import Transaction
from merope.model.datastore import Datastore
from merope.model.host import Host
from merope.model.states import DatastoreType, HostState
from merope.model.template import Template, Value, Vector
from merope.model.vm import VM

_LISTENING = (HostState.INIT, HostState.ERROR)
#: Domains that are no VMs of ours, in a host's template; and what is in its share instead.
_WILD = "VM"
_IN_SHARE = frozenset(("DS",))
#: What a missing VM is reported as. Source: spec states.yaml `monitor_triggers`.
_MISSING = {"UNKNOWN": "FAILURE"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A host as measured: CPU in percent of one CPU, memory in KB, disk in MB (total, used, free)."""

    total_cpu: int
    total_memory: int
    attributes: Mapping[str, str] | Template
    """What the host is. VM are domains that are no VM of ours, so far as their host knows; DS the datastores
    that it sees."""
    disk: tuple[int, int, int]
    found: "Found | None" = None
    """What was found out about VMs; None where nobody looked."""
    topology: Template = field(default_factory=Template)
    """CORE, MEMORY_NODE, HUGEPAGE and PCI as the probes say them; those that are missing are as they were."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the domains of a host do: RUNNING, POWEROFF, SUSPENDED, FAILURE."""

    vms: Mapping[int, str]
    """By the VMs whose names they have."""
    others: Mapping[str, str] = field(default_factory=dict)
    """By their own names, where these are no VM's."""
    complete: bool = True
    """Whether that is all that the host has: a VM of ours that is missing is in the state `missing`."""
    missing: str = "POWEROFF"
    since: int | None = None
    """Index of the state when the look began. A VM that changed later is left to the next look: it may have
    been started or ended after the host was asked. None leaves none out."""


def take(tx: Transaction, host_id: int, measured: Measured) -> bool:
    """Takes a report in; answers whether anything but figures changed."""
    host = tx.find(Host, host_id)
    if host is None or host.state == HostState.OFFLINE:
        return False
    if measured.found is None:
        # It says nothing of VMs, nor of when it was: that is no reason to use a host again that had failed.
        return _take_capacity(tx, host, measured, good=host_return.is_good(tx, host))
    verdict = _heard(tx, host, measured.found)
    if verdict is Verdict.STALE:
        return False
    changed = _take_capacity(tx, host, measured, good=verdict is Verdict.GOOD)
    return _take_found(tx, host, measured.found, verdict) or changed


def take_states(tx: Transaction, host_id: int, found: Found) -> bool:
    """Takes in what a host's VMs do, and that the host can say so."""
    host = tx.find(Host, host_id)
    if host is None or host.state == HostState.OFFLINE:
        return False
    verdict = _heard(tx, host, found)
    if verdict is Verdict.STALE:
        return False
    good = verdict is Verdict.GOOD and host.host_share.total_cpu > 0
    changed = good and host.state in _LISTENING
    if changed:
        _is_heard(tx.edit(Host, host_id))
    return _take_found(tx, host, found, verdict) or changed


def _heard(tx: Transaction, host: Host, found: Found) -> Verdict:
    return host_return.heard(tx, host, found.since, found.vms, complete=found.complete)


def _take_found(tx: Transaction, host: Host, found: Found, verdict: Verdict) -> bool:
    changed = False
    for vm_id in sorted(host.vms):
        if _changed_since(tx, vm_id, found.since):
            continue
        state = found.vms.get(vm_id) or _imported(tx, vm_id, found)
        if state is None and found.complete and _should_be_there(tx, vm_id):
            state = _MISSING.get(found.missing, found.missing)
        if state == "POWEROFF" and host_return.waits_elsewhere(tx, host.id, vm_id):
            continue
        if state is not None:
            changed = vm_results.found(tx, vm_id, state) or changed
    others = {
        vm_id
        for vm_id in found.vms.keys() - host.vms
        if found.vms[vm_id] == "RUNNING" and not _changed_since(tx, vm_id, found.since)
    }
    for vm_id in sorted(others):
        changed = vm_results.found_elsewhere(tx, vm_id, host) or changed
    if verdict is Verdict.GOOD:
        host_return.strays(tx, host, others - host.vms)
    return changed


def _imported(tx: Transaction, vm_id: int, found: Found) -> str | None:
    """What the domain of a VM does that was there before the cloud, and is not named after the VM."""
    vm = tx.find(VM, vm_id) if found.others else None
    return found.others.get(vm.deploy_id) if vm is not None and vm_import.is_imported(vm) else None


def _changed_since(tx: Transaction, vm_id: int, index: int | None) -> bool:
    entry = tx.state.pools["vm_pool"].entries.get(vm_id)
    return index is not None and entry is not None and entry.index > index


def _should_be_there(tx: Transaction, vm_id: int) -> bool:
    vm = tx.find(VM, vm_id)
    return vm is not None and vm.phase.name in ("RUNNING", "UNKNOWN")


def _take_capacity(tx: Transaction, host: Host, measured: Measured, *, good: bool) -> bool:
    template = _template(tx, host, measured)
    total, used, free = measured.disk
    disks = Template(
        [
            ("DISK_USAGE", "0"),
            ("FREE_DISK", str(free)),
            ("MAX_DISK", str(total)),
            ("USED_DISK", str(used)),
            *(("DS", store) for store in _stores(tx, measured)),
        ]
    )
    share = host.host_share
    nodes = measured_topology.nodes(host, measured.topology)
    devices = measured_topology.devices(host, measured.topology)
    same = (
        (share.total_cpu, share.total_mem) == (measured.total_cpu, measured.total_memory)
        and not (good and host.state in _LISTENING)
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
    if good:
        _is_heard(own)
    return True


def _is_heard(own: Host) -> None:
    if own.state in _LISTENING:
        own.state = HostState.MONITORED
        own.template.remove("ERROR")
    own.prev_state = own.state


def _stores(tx: Transaction, measured: Measured) -> list[Vector]:
    """The system datastores that the host has for itself, among those that it sees."""
    if not isinstance(measured.attributes, Template):
        return []
    pool = tx.state.pools["datastore_pool"]
    found = []
    for vector in measured.attributes.vectors("DS"):
        store = pool.parsed(int(vector["ID"])) if vector.get("ID", "").isdecimal() else None
        if (
            isinstance(store, Datastore)
            and store.type == DatastoreType.SYSTEM_DS
            and store.template.get("SHARED").upper() == "NO"
        ):
            found.append(vector)
    return found


def _close(old: Template, new: Template) -> bool:
    """Disk figures move all the time: a document is written again when they moved by a hundredth."""
    stores = [{vector.get("ID", ""): vector for vector in disks.vectors("DS")} for disks in (old, new)]
    if stores[0].keys() != stores[1].keys():
        return False
    pairs = [(old.get(name), new.get(name)) for name in ("FREE_DISK", "MAX_DISK", "USED_DISK")]
    for oid, vector in stores[1].items():
        pairs += [(stores[0][oid].get(name, ""), value) for name, value in vector.items()]
    return all(_near(_number(before), _number(after)) for before, after in pairs)


def _near(before: int, after: int) -> bool:
    return abs(after - before) * 100 <= max(before, after, 100)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _template(tx: Transaction, host: Host, measured: Measured) -> Template:
    """What the host was given stays; what was measured replaces what was measured before."""
    template = host.template.copy()
    template.remove(_WILD)
    by_name: dict[str, list[Value]] = {}
    for name, value in _pairs(tx, host, measured):
        by_name.setdefault(name, []).append(value)
    for name, values in by_name.items():
        template.remove(name)
        for value in values:
            template.add(name, value)
    template.set("IM_MAD", host.im_mad)
    template.set("VM_MAD", host.vm_mad)
    return template


def _pairs(tx: Transaction, host: Host, measured: Measured) -> Iterable[tuple[str, Value]]:
    """What is shown in a host's template: domains that were taken over are wild no more."""
    ours = {tx.get(VM, vm_id).deploy_id for vm_id in host.vms}
    for name, value in measured.attributes.items():
        if name == _WILD and isinstance(value, Vector) and value.get("DEPLOY_ID") in ours:
            continue
        if name not in _IN_SHARE:
            yield name, value


def lost(tx: Transaction, host_id: int, message: str) -> bool:
    """The host could not be monitored: it is in error, and nobody knows of its VMs."""
    host = tx.find(Host, host_id)
    if host is None or host.state == HostState.OFFLINE or not host_recovery.is_news(tx, host):
        return False
    own = tx.edit(Host, host_id)
    if own.state != HostState.DISABLED:
        own.state = own.prev_state = HostState.ERROR
    note_error(tx, own.template, f"Error monitoring Host {own.name} ({host_id}): {message}")
    host_recovery.failed(tx, host_id, message)
    for vm_id in sorted(own.vms):
        vm_results.host_lost(tx, vm_id)
    return True
