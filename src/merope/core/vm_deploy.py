"""Placing VMs on hosts: deploy and migrate."""

from merope.core import (
    authorization,
    host_failure,
    vm_disks,
    vm_import,
    vm_machine,
    vm_nics,
    vm_placement,
    vm_requirements,
    vm_rights,
    vm_steps,
)
from merope.core.methods import boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.datastore import Datastore
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.permissions import Op
from merope.model.phase import Phase
from merope.model.states import DatastoreType, HistoryAction, HostState
from merope.model.vm import VM, History

_NEW = (Phase.PENDING, Phase.HOLD)
_KEPT = (Phase.STOPPED, Phase.UNDEPLOYED)
_MIGRATED = (Phase.RUNNING, Phase.UNKNOWN, Phase.POWEROFF, Phase.SUSPENDED)
#: one.vm.migrate `type` → the event and what the record that is left says.
_COLD = {
    0: ("migrate", HistoryAction.MIGRATE),
    1: ("poweroff-migrate", HistoryAction.POWEROFF_MIGRATE),
    2: ("poweroff-hard-migrate", HistoryAction.POWEROFF_HARD_MIGRATE),
}


@method(
    "one.vm.deploy",
    integer("id"),
    integer("host"),
    boolean("enforce", False),
    integer("ds", -1),
    text("extra", ""),
    also="ADMIN VM (moved by VM_*_OPERATIONS), MANAGE on the host, USE on the datastore and the networks",
)
def deploy(tx: Transaction, vm_id: int, host_id: int, enforce: bool, ds_id: int, extra: str) -> int:
    """Starts a pending, held, stopped or undeployed VM on a host; `extra` has the networks of its NICs with
    NETWORK_MODE auto."""
    vm, host = tx.get(VM, vm_id), tx.get(Host, host_id)
    networks = vm_placement.chosen_networks(vm, extra)
    phase = vm_machine.put_away(vm) or vm.phase
    system = _system_datastore(tx, vm, host, ds_id) if phase in _NEW + _KEPT else None
    targets = [authorization.on(Op.MANAGE, host), *vm_nics.uses(tx, networks, vm.uid)]
    if system is not None:
        targets.append(authorization.on(Op.USE, system))
    vm_rights.require(tx, vm, "deploy", *targets)
    if system is None:
        raise ApiError(Code.ACTION, f"Deploy action is not available for state {phase.name}", vm_id)
    check_host(tx, host)
    if enforce or vm_requirements.is_pinned(vm):
        check_fit(vm, host)
    own = tx.edit(VM, vm_id)
    vm_placement.take_networks(tx, own, networks, host)
    imported = phase in _NEW and vm_import.is_imported(own)
    row = vm_machine.row_for(tx, own, vm_import.event_of(own) if imported else "deploy")
    if row is None:
        raise vm_machine.ImpossibleTransition("deploy", own)
    _open(tx, own, host, system)
    own.template.set("TM_MAD_SYSTEM", system.tm_mad)
    if phase in _NEW:
        vm_disks.place_volatile(tx, own.template, system)
        for disk in own.template.vectors("DISK"):
            vm_disks.set_mode(tx, disk, system.tm_mad)
    vm_machine.go(tx, own, row)
    vm_requirements.compute(tx, own)
    return vm_id


def _system_datastore(tx: Transaction, vm: VM, host: Host, ds_id: int) -> Datastore:
    """The datastore asked for; the one it had, for a VM that was away; else the cluster's first."""
    away = vm_machine.put_away(vm) or vm.phase
    if away in _KEPT and vm.history is not None:
        return tx.get(Datastore, vm.history.ds_id)
    if ds_id >= 0:
        chosen = tx.get(Datastore, ds_id)
        check_datastore(chosen, host)
        return chosen
    pool = tx.state.pools["datastore_pool"]
    for oid in pool.ids(descending=False):
        found = tx.get(Datastore, oid)
        if found.type == DatastoreType.SYSTEM_DS and host.cluster_id in found.clusters:
            return found
    raise ApiError(
        Code.ACTION,
        f"There is no system datastore in cluster [{host.cluster_id}] of host [{host.id}].",
        vm.id,
    )


def check_datastore(system: Datastore, host: Host) -> None:
    if system.type != DatastoreType.SYSTEM_DS:
        raise ApiError(
            Code.ACTION,
            f"Trying to deploy VM in a non-SYSTEM Datastore; datastore [{system.id}] is of type "
            f"{DatastoreType(system.type).name}.",
            system.id,
        )
    if host.cluster_id not in system.clusters:
        raise ApiError(
            Code.ACTION,
            f"Datastore [{system.id}] is not in cluster [{host.cluster_id}] of host [{host.id}].",
            system.id,
        )


def check_host(tx: Transaction, host: Host) -> None:
    if host.state == HostState.OFFLINE:
        raise ApiError(Code.ACTION, "Host is offline, cannot use it to deploy VM", host.id)
    host_failure.check_usable(tx, host)


def check_fit(vm: VM, host: Host) -> None:
    """Raises ApiError ACTION when the host has not the CPU or the memory that the VM takes."""
    check_capacity(vm, host, *vm_steps.capacity(vm))


def check_capacity(vm: VM, host: Host, cpu: int, memory: int) -> None:
    """Raises ApiError ACTION when the host has not so much left: percent of one CPU and KB, for a VM that
    is to be placed or that is to have more (spec scheduler.yaml `capacity_texts`). Less always fits."""
    share = host.host_share
    detail = ""
    if 0 < cpu > share.max_cpu - share.cpu_usage:
        detail = f"Not enough CPU capacity: {cpu}/{share.max_cpu - share.cpu_usage}"
    elif 0 < memory > share.max_mem - share.mem_usage:
        detail = f"Not enough memory: {memory}/{share.max_mem - share.mem_usage}"
    if detail:
        raise ApiError(
            Code.ACTION, f"virtual machine [{vm.id}] does not fit in host [{host.id}]. {detail}", host.id
        )


def _open(tx: Transaction, vm: VM, host: Host, system: Datastore) -> None:
    fresh = History(
        oid=vm.id,
        seq=0,
        hostname=host.name,
        hid=host.id,
        cid=host.cluster_id,
        stime=tx.now,
        vm_mad=host.vm_mad,
        tm_mad=system.tm_mad,
        ds_id=system.id,
    )
    vm_steps.open_record(tx, vm, fresh)
    internal = tx.context.internal
    fresh.uid = -1 if internal else tx.caller.uid
    fresh.gid = -1 if internal else tx.caller.gid
    fresh.request_id = str(-1 if internal else tx.context.request_id)


@method(
    "one.vm.migrate",
    integer("id"),
    integer("host"),
    boolean("live"),
    boolean("enforce", False),
    integer("ds", -1),
    integer("type", 0),
    also="ADMIN VM (moved by VM_*_OPERATIONS), MANAGE on the host, USE on the datastore",
)
def migrate(
    tx: Transaction, vm_id: int, host_id: int, live: bool, enforce: bool, ds_id: int, cold_type: int
) -> int:
    """Moves a VM: live while it runs, else saved (0), shut down (1) or stopped hard (2) on the way."""
    vm, host = tx.get(VM, vm_id), tx.get(Host, host_id)
    targets = [authorization.on(Op.MANAGE, host)]
    if ds_id >= 0:
        targets.append(authorization.on(Op.USE, tx.get(Datastore, ds_id)))
    vm_rights.require(tx, vm, "migrate", *targets)
    vm_import.refuse(tx, vm, "live-migrate" if live else "migrate")
    current = vm.history
    if vm.phase not in _MIGRATED or current is None:
        raise ApiError(Code.ACTION, f"Migrate action is not available for state {vm.phase.name}", vm_id)
    if cold_type not in _COLD:
        raise ApiError(Code.ACTION, f"Wrong migration type {cold_type}, it must be 0, 1 or 2", vm_id)
    system = tx.get(Datastore, ds_id if ds_id >= 0 else current.ds_id)
    check_host(tx, host)
    check_datastore(system, host)
    _check_move(tx, vm, host, system)
    if vm.phase is Phase.UNKNOWN:
        host_failure.check_leaving(tx, vm)
    source = tx.find(Host, current.hid) or host
    vm_placement.check_move(vm, source, host, live=live, saved=cold_type == 0)
    if live and vm.phase is Phase.RUNNING and system.id != current.ds_id:
        _check_live_move(tx, vm, host)
    if enforce and host_id != current.hid:
        check_fit(vm, host)
    return start_migration(tx, vm_id, host, system, live=live, cold_type=cold_type)


def _check_live_move(tx: Transaction, vm: VM, host: Host) -> None:
    """Few hypervisors take the disks of a running VM along (spec xmlrpc.yaml `one.vm.migrate` notes)."""
    driver = tx.settings.vm_mad.get(host.vm_mad, {})
    if driver.get("DS_LIVE_MIGRATION", "NO").upper() != "YES":
        raise ApiError(
            Code.ACTION,
            f"A running VM cannot be moved to another datastore by driver {host.vm_mad}: "
            "migrate it with type 0, 1 or 2, not live",
            vm.id,
        )


def start_migration(
    tx: Transaction, vm_id: int, host: Host, system: Datastore, *, live: bool, cold_type: int = 0
) -> int:
    own = tx.edit(VM, vm_id)
    event, action = _COLD[cold_type] if own.phase is Phase.RUNNING else _COLD[0]
    if live and own.phase is Phase.RUNNING:
        event, action = "live-migrate", HistoryAction.LIVE_MIGRATE
    vm_machine.note_action(tx, own, action)
    own.resched = 0
    _open(tx, own, host, system)
    vm_machine.fire(tx, own, event)
    return vm_id


def _check_move(tx: Transaction, vm: VM, host: Host, system: Datastore) -> None:
    current = vm_steps.record(vm)
    if (host.id, system.id) == (current.hid, current.ds_id):
        raise ApiError(
            Code.ACTION,
            f"virtual machine [{vm.id}] is already on host [{host.id}] with datastore [{system.id}]",
            vm.id,
        )
    if system.id != current.ds_id:
        old = tx.get(Datastore, current.ds_id)
        if old.tm_mad != system.tm_mad or not system.template.get_bool("DS_MIGRATE"):
            raise ApiError(
                Code.ACTION,
                f"Cannot migrate from datastore [{old.id}] to [{system.id}]: both must have the same TM_MAD "
                "and DS_MIGRATE must be YES",
                vm.id,
            )
    clusters = vm_requirements.common_clusters(tx, vm)
    if clusters and host.cluster_id not in clusters:
        raise ApiError(
            Code.ACTION,
            f"Cannot migrate to host [{host.id}]. Host is in cluster [{host.cluster_id}], and VM requires "
            f"to be placed on cluster [{', '.join(map(str, clusters))}]",
            vm.id,
        )
