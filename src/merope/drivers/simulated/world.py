"""A simulated world of hosts, domains, disks and networks, for sandboxes, simulations and tests.

It is as strict as the real one: a domain needs its disks, runs on one host, and keeps the files that it
uses. What must never happen is refused where a real host would refuse it, and in any case noted in
`violations`, so that whoever drives the world can assert that there are none. It has no clock and no
chance in it: the same calls in the same order make the same world.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.fence import check_epoch
from merope.drivers.hypervisor.base import DomainState
from merope.drivers.simulated.parts import NUMA, topology
from merope.drivers.simulated.storage import FRONT_END, SHARED, Storage
from merope.model.template import Template
from merope.model.vm import VM

HOST_CPU = 800
"""Percent of one CPU."""
HOST_MEMORY = 16 * 1024 * 1024
"""KB."""


@dataclass(slots=True)
class SimulatedDomain:
    """A domain on a host; `vm_id` is None for a wild one. `disks` are the files that it holds open.

    `nics` are the NIC ids of its interfaces, `booted` those of them that it was started with.
    """

    deploy_id: str
    name: str
    vm_id: int | None
    memory_kb: int
    vcpus: int
    disks: tuple[Path, ...] = ()
    state: DomainState = DomainState.RUNNING
    nics: set[int] = field(default_factory=set)
    booted: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.booted = set(self.nics)


@dataclass(slots=True)
class SimulatedHost:
    """A hypervisor with its capacity: CPU in percent of one CPU, memory in KB."""

    name: str
    total_cpu: int = HOST_CPU
    total_memory: int = HOST_MEMORY
    up: bool = True
    """Whether it can be reached."""
    powered: bool = True
    """One that is powered and cannot be reached is cut off: its domains go on running."""
    topology: tuple[tuple[str, dict[str, str]], ...] = ()
    """What its probes say of cores, memory, huge pages and PCI devices."""
    domains: dict[str, SimulatedDomain] = field(default_factory=dict)
    nics: set[tuple[int, int]] = field(default_factory=set)
    """VM id and NIC id of every interface that is plugged here."""


class World:
    """The state of the world. `counters` counts the operations by name, for tests to look at.

    With `open_hosts` a host springs into being when it is first named, as dummy hosts do. With
    `shared_storage` every host sees the same files, as the original's dummy system datastore has it;
    without it a host sees only what was brought to it.
    """

    def __init__(self, *, open_hosts: bool = True, shared_storage: bool = True) -> None:
        self.hosts: dict[str, SimulatedHost] = {}
        self.storage = Storage()
        self.counters: Counter[str] = Counter()
        self.violations: list[str] = []
        self.deaf: set[int] = set()
        """VMs whose guests do not react to ACPI."""
        self.silent: set[str] = set()
        """Hosts whose controllers answer nothing."""
        self.snapshots: dict[int, dict[str, dict[Path, int]]] = {}
        """The content of every disk at each system snapshot, by VM id and the snapshot's name."""
        self.filtered: Counter[tuple[int, int]] = Counter()
        """How often a VM's interfaces were given the rules of a security group anew, by VM and group id."""
        self.shared_storage = shared_storage
        self._open = open_hosts
        self._places: dict[int, tuple[SimulatedHost, SimulatedDomain]] = {}
        self._epochs: dict[int, int] = {}
        self._deploy_ids: dict[str, int] = {}

    def add_host(
        self, name: str, *, total_cpu: int = HOST_CPU, total_memory: int = HOST_MEMORY
    ) -> SimulatedHost:
        """A host whose name begins with `numa` has a topology."""
        parts = topology(total_cpu, total_memory) if name.startswith(NUMA) else ()
        return self.hosts.setdefault(name, SimulatedHost(name, total_cpu, total_memory, topology=parts))

    def host(self, name: str) -> SimulatedHost:
        """The host of that name. Raises DriverError, safe to retry, when it cannot be reached."""
        host = self.hosts.get(name)
        if host is None and self._open:
            host = self.add_host(name)
        if host is None or not host.up:
            raise DriverError(f"the host {name} cannot be reached", retry_safe=True)
        return host

    def fence(self, vm_id: int, epoch: int) -> None:
        """Called before an operation: raises StaleOperationError when a newer one has been seen."""
        newest = self._epochs.get(vm_id, epoch)
        check_epoch(vm_id, epoch, newest)
        self._epochs[vm_id] = epoch

    def owner(self, host: str) -> str:
        """Whose files a path on `host` (empty: the front-end) names."""
        return SHARED if self.shared_storage else host or FRONT_END

    def place(self, vm_id: int) -> tuple[SimulatedHost, SimulatedDomain] | None:
        """Where the domain of a VM is, and the domain."""
        return self._places.get(vm_id)

    def domains(self) -> Iterator[tuple[SimulatedHost, SimulatedDomain]]:
        return ((host, domain) for host in self.hosts.values() for domain in host.domains.values())

    def start(self, host: SimulatedHost, vm: VM, system_dir: Path, deploy_id: str = "") -> SimulatedDomain:
        """Starts a domain; one that is there already is left as it is. Raises DriverError."""
        place = self._places.get(vm.id)
        if place is not None and place[1].state is DomainState.FAILURE:
            self.stop(place[0], place[1].deploy_id)
        elif place is not None:
            if place[0] is host:
                return place[1]
            self.violated(f"VM {vm.id} was started on {host.name} while it is on {place[0].name}")
            raise DriverError(f"VM {vm.id} cannot start on {host.name}: its disks are in use")
        disks = tuple(system_dir / f"disk.{number}" for number in disk_ids(vm.template))
        self.require_files(host, vm.id, disks)
        domain = SimulatedDomain(
            self._deploy_id(host, vm, deploy_id),
            vm.name,
            vm.id,
            (vm.template.get_int("MEMORY", 0) or 0) * 1024,
            vm.template.get_int("VCPU", 1) or 1,
            disks,
            nics={int(nic["NIC_ID"]) for nic in vm.template.vectors("NIC") if nic.get("NIC_ID")},
        )
        host.domains[domain.deploy_id] = domain
        self._places[vm.id] = host, domain
        kept = snapshot_names(vm.template)
        self.snapshots[vm.id] = {
            name: contents for name, contents in self.snapshots.get(vm.id, {}).items() if name in kept
        }
        return domain

    def require_files(self, host: SimulatedHost, vm_id: int, files: Collection[Path]) -> None:
        """Raises DriverError unless every file is there, seen from `host`."""
        for path in files:
            file = self.storage.find(host.name, path)
            if file is None:
                raise DriverError(f"VM {vm_id} cannot start on {host.name}: {path} is not there")
            if file.image:
                self.storage.image(file.image)

    def stop(self, host: SimulatedHost, deploy_id: str) -> SimulatedDomain | None:
        """Takes a domain away; None when it is not there."""
        domain = host.domains.pop(deploy_id, None)
        if domain is not None and domain.vm_id is not None:
            del self._places[domain.vm_id]
            self._unplug(host, domain)
        return domain

    def _unplug(self, host: SimulatedHost, domain: SimulatedDomain) -> None:
        """What was plugged into a domain goes with it, as a tap does whose process has ended; what its host
        was prepared with before it started is for its network drivers to clean up."""
        gone = {(vm, nic) for vm, nic in host.nics if vm == domain.vm_id and nic not in domain.booted}
        host.nics -= gone

    def migrate(self, host: SimulatedHost, domain: SimulatedDomain, destination: SimulatedHost) -> None:
        """Moves a running domain. Raises DriverError when the destination does not see its disks."""
        vm_id = domain.vm_id
        if vm_id is None:
            raise DriverError(f"{domain.deploy_id} is not a VM of this cloud and cannot be migrated")
        self.require_files(destination, vm_id, domain.disks)
        del host.domains[domain.deploy_id]
        self._unplug(host, domain)
        destination.domains[domain.deploy_id] = domain
        self._places[vm_id] = destination, domain

    def in_use(self, path: Path) -> bool:
        """Whether a running domain holds a file, or one in the directory, open."""
        place = self._places.get(_vm_id(path))
        return place is not None and any(disk == path or disk.parent == path for disk in place[1].disks)

    def runs_elsewhere(self, owner: str, path: Path) -> bool:
        """Whether the domain that a file on the storage of one host is of is on another host."""
        place = self._places.get(_vm_id(path))
        return place is not None and owner in self.hosts and place[0].name != owner

    def links_to(self, path: Path, source: str) -> bool:
        """Whether the disk `path` is the image `source` itself."""
        file = self.storage.find(SHARED, path)
        return file is not None and file.image == source

    def touched(self, op: str, path: Path) -> None:
        """Notes a violation when `path` is changed under a running domain."""
        if self.in_use(path):
            self.violated(f"{op} of {path} while the VM runs")

    def removed(self, path: Path) -> None:
        """Notes that a file or directory is gone, and with a VM's directory its system snapshots."""
        if path.name.isdigit():
            self.snapshots.pop(int(path.name), None)

    def violated(self, sentence: str) -> None:
        self.violations.append(sentence)

    def strays(self, alive: Collection[int]) -> list[str]:
        """What is left of VMs that are not in `alive`: domains, interfaces and files."""
        found = [
            f"domain of VM {domain.vm_id} on {host.name}"
            for host, domain in self.domains()
            if domain.vm_id is not None and domain.vm_id not in alive
        ]
        for host in self.hosts.values():
            found += [
                f"NIC {nic} of VM {vm} on {host.name}" for vm, nic in sorted(host.nics) if vm not in alive
            ]
        found += [f"snapshots of VM {vm}" for vm, kept in self.snapshots.items() if kept and vm not in alive]
        found += [f"file {path}" for _, path in self.storage if _vm_id(path) not in alive]
        return found

    def guest_crashes(self, vm_id: int) -> None:
        """The domain stays, failed, until it is cancelled."""
        self._running(vm_id)[1].state = DomainState.FAILURE

    def guest_powers_off(self, vm_id: int) -> None:
        """The guest has shut itself down; its domain is gone, and its interfaces with the process."""
        host, domain = self._running(vm_id)
        domain.booted.clear()
        self.stop(host, domain.deploy_id)

    def guest_writes(self, vm_id: int) -> None:
        """Every disk of the VM has new content, and so has an image that is used in place."""
        host, domain = self._running(vm_id)
        for path in domain.disks:
            file = self.storage.find(host.name, path)
            if file is not None:
                file.content = self.storage.new_content()
                if file.image:
                    self.storage.image(file.image).content = file.content

    def host_fails(self, name: str) -> None:
        """The host is off: its domains are gone, and no call reaches it."""
        self.host(name)
        self.power_off(name)

    def power_off(self, name: str) -> None:
        """The host is off, whether it can be reached or not."""
        host = self.hosts.get(name)
        if host is None:
            raise DriverError(f"nobody knows the host {name}")
        host.up = host.powered = False
        host.nics.clear()
        for deploy_id in list(host.domains):
            self.stop(host, deploy_id)

    def host_is_cut_off(self, name: str) -> None:
        """No call reaches the host, and its domains run on."""
        self.host(name).up = False

    def host_returns(self, name: str) -> None:
        self.hosts[name].up = self.hosts[name].powered = True

    def start_wild(self, host: str, name: str, *, memory_kb: int = 1048576, vcpus: int = 1) -> None:
        """A domain that somebody else has started."""
        self.host(host).domains[name] = SimulatedDomain(name, name, None, memory_kb, vcpus)

    def _running(self, vm_id: int) -> tuple[SimulatedHost, SimulatedDomain]:
        place = self._places.get(vm_id)
        if place is None:
            raise KeyError(f"VM {vm_id} does not run")
        return place

    def _deploy_id(self, host: SimulatedHost, vm: VM, known: str) -> str:
        """`known` when it is this VM's, else `<host>:<name>:dummy`.

        Names are not unique, so a name's later owners have their id added.
        """
        if known and self._deploy_ids.setdefault(known, vm.id) == vm.id:
            return known
        name = vm.name
        while self._deploy_ids.setdefault(f"{host.name}:{name}:dummy", vm.id) != vm.id:
            name = f"{name}-{vm.id}"
        return f"{host.name}:{name}:dummy"


def disk_ids(template: Template) -> list[str]:
    """DISK_ID of every disk and of the CONTEXT CD-ROM, in the order of the template."""
    vectors = [*template.vectors("DISK"), *template.vectors("CONTEXT")]
    return [vector["DISK_ID"] for vector in vectors if vector.get("DISK_ID")]


def snapshot_names(template: Template) -> set[str]:
    """The hypervisor's names of the system snapshots that a VM has."""
    return {
        snapshot.get("HYPERVISOR_ID") or f"snap-{snapshot.get('SNAPSHOT_ID', '')}"
        for snapshot in template.vectors("SNAPSHOT")
    }


def _vm_id(path: Path) -> int:
    """The VM that a path `…/<vm id>` or `…/<vm id>/disk.<n>` belongs to, -1 for another path."""
    for name in (path.name, path.parent.name):
        if name.isdigit():
            return int(name)
    return -1
