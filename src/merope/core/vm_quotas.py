"""What a VM counts for in its owner's quotas.

Source: spec templates.yaml `quotas`, states.yaml `quota_by_state`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from merope.core import quota, vm_nics
from merope.core.lifecycle import DEVICES_AT_REST, WITHOUT_CAPACITY
from merope.core.transaction import Transaction
from merope.model.phase import Phase
from merope.model.quota import Usage
from merope.model.template import Template, Vector
from merope.model.vm import VM

_WAITING = (Phase.INIT, Phase.PENDING, Phase.HOLD, Phase.CLONING, Phase.CLONING_FAILURE)
# On the way from one rest to another, or to the end: no limit may stand in that way.
_AT_REST = (
    *WITHOUT_CAPACITY,
    *DEVICES_AT_REST,
    Phase.PROLOG_MIGRATE_POWEROFF,
    Phase.PROLOG_MIGRATE_POWEROFF_FAILURE,
    Phase.PROLOG_MIGRATE_SUSPEND,
    Phase.PROLOG_MIGRATE_SUSPEND_FAILURE,
)
_RUNNING = frozenset(
    phase for phase in Phase if (phase.active and phase not in _AT_REST) or phase in _WAITING
)


def is_running(phase: Phase) -> bool:
    """Whether RUNNING_VMS, RUNNING_CPU and RUNNING_MEMORY count a VM in this phase."""
    return phase in _RUNNING


def size(template: Template) -> tuple[float, int]:
    """CPU and memory in MB of a template that has been checked."""
    return float(template.get("CPU") or 0), int(template.get("MEMORY") or 0)


def system_disk_size(disks: Iterable[Vector]) -> int:
    """MB that the disks take of the system datastore: volatile ones and copies made there."""
    return sum(_system_size(disk) for disk in disks)


def _system_size(disk: Vector) -> int:
    amount = _whole_size(disk)
    if not disk.get("IMAGE_ID"):
        return amount
    target = disk.get("CLONE_TARGET") if disk.get("CLONE") == "YES" else disk.get("LN_TARGET")
    return amount if target == "SYSTEM" else 0


def _whole_size(disk: Vector) -> int:
    """MB of a disk with its snapshots."""
    return int(disk.get("SIZE") or 0) + int(disk.get("DISK_SNAPSHOT_TOTAL_SIZE") or 0)


def whole(vm: VM) -> Usage:
    """All that a VM in its present phase counts for, but its network leases and images."""
    cpu, memory = size(vm.template)
    disks = system_disk_size(vm.template.vectors("DISK"))
    usage = Usage().vm(vms=1, cpu=cpu, memory=memory, system_disk_size=disks)
    return usage + _running(vm) if is_running(vm.phase) else usage


def everything(vm: VM) -> Usage:
    """As `whole`, with leases, images and copies: what moves with the VM to another owner."""
    return copies(vm.template, images(vm.template, leases(vm.template, whole(vm))))


@contextmanager
def counted(tx: Transaction, vm: VM) -> Iterator[None]:
    """What the VM takes more, or less, after the block than before it is charged to its owner.

    Raises ApiError AUTHORIZATION that names the limit.
    """
    before = everything(vm)
    yield
    quota.charge(tx, vm.uid, vm.gid, everything(vm) - before)


def leases(template: Template, usage: Usage | None = None) -> Usage:
    """What NICs take; added to a usage where one is given, as with the two that follow."""
    usage = Usage() if usage is None else usage
    for nic in vm_nics.nics_of(template):
        if nic.get("NETWORK_ID") and not vm_nics.is_floating_only(nic):
            usage = usage.network(int(nic["NETWORK_ID"]))
    return usage


def images(template: Template, usage: Usage | None = None) -> Usage:
    usage = Usage() if usage is None else usage
    for disk in template.vectors("DISK"):
        if disk.get("IMAGE_ID"):
            usage = usage.image(int(disk["IMAGE_ID"]))
    return usage


def copies(template: Template, usage: Usage | None = None) -> Usage:
    """What disks take of the datastores of their images, which keep the copies that VMs have of these."""
    usage = Usage() if usage is None else usage
    for disk in template.vectors("DISK"):
        if disk.get("CLONE") == "YES" and disk.get("CLONE_TARGET") == "SELF" and disk.get("DATASTORE_ID"):
            usage = usage.datastore(int(disk["DATASTORE_ID"]), size=_whole_size(disk))
    return usage


def _running(vm: VM) -> Usage:
    cpu, memory = size(vm.template)
    return Usage().vm(running_vms=1, running_cpu=cpu, running_memory=memory)


def start_running(tx: Transaction, vm: VM, *, limited: bool = True) -> None:
    """Raises ApiError AUTHORIZATION when a limit forbids it; without `limited` no limit is asked."""
    count = quota.charge if limited else quota.restore
    count(tx, vm.uid, vm.gid, _running(vm))


def stop_running(tx: Transaction, vm: VM) -> None:
    quota.refund(tx, vm.uid, vm.gid, _running(vm))
