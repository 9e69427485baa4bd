"""The interface of a hypervisor driver: what can be done to a virtual machine on one host.

Every operation is idempotent: done twice it leaves the same world as done once, so that an operation
whose answer was lost is simply done again. `deploy` of a domain that already runs answers its id;
`cancel` of a domain that is not there succeeds.
"""

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

    def migrate(self, deploy_id: str, destination: str) -> None:
        """Live-migrates the domain to the host named `destination`."""
        ...

    def domains(self) -> list[Domain]:
        """Every domain on the host, ours and wild ones."""
        ...

    def report(self) -> HostReport: ...
