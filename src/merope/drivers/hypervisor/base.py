"""The interface of a hypervisor driver: what can be done to a virtual machine on one host.

Every operation is idempotent: done twice it leaves the same world as done once, so that an operation
whose answer was lost is simply done again. `deploy` of a domain that already runs answers its id;
`cancel` of a domain that is not there succeeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from merope.model.vm import VM


class DomainState(Enum):
    """What a hypervisor says of a domain, in the words of the monitoring protocol (spec `im.vm_states`)."""

    RUNNING = "RUNNING"
    POWEROFF = "POWEROFF"
    SUSPENDED = "SUSPENDED"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain found on a host. `vm_id` is None when it is not one of ours (wild)."""

    deploy_id: str
    state: DomainState
    vm_id: int | None
    name: str = ""
    memory_kb: int = 0
    vcpus: int = 1
    metrics: dict[str, str] = field(default_factory=dict)
    """CPU (percent of one CPU), MEMORY (KB), NETRX, NETTX, DISKRDBYTES, DISKWRBYTES, DISKRDIOPS, DISKWRIOPS
    (counters since the domain started)."""


@dataclass(frozen=True, slots=True)
class HostReport:
    """Capacity and usage of a host as measured. Memory in KB, CPU in percent of one CPU, disk in MB."""

    total_cpu: int
    total_memory: int
    used_cpu: int
    used_memory: int
    attributes: dict[str, str] = field(default_factory=dict)
    """HYPERVISOR, ARCH, MODELNAME, CPUSPEED, HOSTNAME, VERSION … (host TEMPLATE)."""
    datastores: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """System datastore id → (total, used, free)."""
    disk: tuple[int, int, int] = (0, 0, 0)
    """Total, used and free of the datastore location."""
    net_rx: int = 0
    net_tx: int = 0
    topology: Sequence[tuple[str, dict[str, str]]] = ()
    """CORE, MEMORY_NODE, HUGEPAGE and PCI, as the monitoring protocol has them."""


class Hypervisor(Protocol):
    """Raises DriverError. `system_dir` is the VM's directory on the host; disks are its `disk.<DISK_ID>`."""

    def deploy(self, vm: VM, system_dir: Path) -> str:
        """Defines and boots the VM, answers its deploy id."""
        ...

    def shutdown(self, deploy_id: str) -> None:
        """Asks the guest to power off (ACPI) and waits until the domain is gone."""
        ...

    def cancel(self, deploy_id: str) -> None:
        """Destroys the domain at once."""
        ...

    def reboot(self, deploy_id: str) -> None: ...

    def reset(self, deploy_id: str) -> None: ...

    def save(self, deploy_id: str, checkpoint: Path) -> None:
        """Writes the guest's memory to `checkpoint`; the domain is gone afterwards."""
        ...

    def restore(self, vm: VM, deploy_id: str, checkpoint: Path, system_dir: Path) -> str:
        """Starts the guest from `checkpoint`, answers its deploy id; removes the checkpoint when it runs."""
        ...

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None:
        """Live-migrates the domain to the host named `destination`.

        `copied` are the targets (vda) of disks that are its host's own: an empty disk is there at the
        destination, and what is on them moves with the guest.
        """
        ...

    def has_disk(self, vm: VM, deploy_id: str, disk_id: int) -> bool:
        """Whether the running domain has the VM's disk of that DISK_ID plugged in."""
        ...

    def attach_disk(self, vm: VM, deploy_id: str, disk_id: int, system_dir: Path) -> None:
        """Plugs the disk, as the template has it and whose file is there, into the running domain."""
        ...

    def detach_disk(self, vm: VM, deploy_id: str, disk_id: int) -> None:
        """Takes the disk away; returns when the guest has let go of it and its file is closed."""
        ...

    def attach_nic(self, vm: VM, deploy_id: str, nic_id: int, system_dir: Path) -> None: ...

    def detach_nic(self, vm: VM, deploy_id: str, nic_id: int) -> None: ...

    def renew_context(self, vm: VM, deploy_id: str, system_dir: Path) -> None:
        """Shows the running guest its CONTEXT image, which was written anew, as a changed CD-ROM.

        A domain without that drive is left alone: it gets it when it starts next.
        """
        ...

    def snapshot_create(self, vm: VM, deploy_id: str, snapshot_id: int, system_dir: Path) -> str:
        """Memory and disks of the running guest as they are now; answers the hypervisor's name for it."""
        ...

    def snapshot_revert(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None: ...

    def snapshot_delete(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        """Also of a VM that does not run: its snapshots are in its disks."""
        ...

    def disk_resize(self, vm: VM, deploy_id: str, disk_id: int, size: int) -> None:
        """Grows the disk of the running guest to `size` MB; one that is as large is left alone."""
        ...

    def disk_copy(self, vm: VM, deploy_id: str, disk_id: int, target: Path, image_format: str) -> None:
        """Copies a disk of the running guest, as it is at one moment, to a file that needs no other.

        `target` gets its name, or is replaced, when the copy is whole.
        """
        ...

    def disk_continue(self, vm: VM, deploy_id: str, disk_id: int, overlay: Path) -> None:
        """From now on the running guest writes to `overlay`, a qcow2 file over the one that it wrote to."""
        ...

    def domains(self) -> list[Domain]:
        """Every domain on the host, ours and wild ones."""
        ...

    def report(self) -> HostReport: ...
