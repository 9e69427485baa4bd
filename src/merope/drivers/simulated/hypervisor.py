"""The hypervisor of the simulated world."""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, DomainState, HostReport
from merope.drivers.simulated.storage import SimulatedFile
from merope.drivers.simulated.world import SimulatedDomain, SimulatedHost, World
from merope.model.vm import VM

DISK = (2048000, 9720, 2038280)
"""Total, used and free MB of a dummy host's datastore location."""


class SimulatedHypervisor:
    """Acts on the host called `host` of `world`."""

    def __init__(self, world: World, host: str) -> None:
        self._world = world
        self._name = host

    def deploy(self, vm: VM, system_dir: Path) -> str:
        return self._world.start(self._host("deploy"), vm, system_dir).deploy_id

    def shutdown(self, deploy_id: str) -> None:
        domain = self._host("shutdown").domains.get(deploy_id)
        if domain is not None and domain.vm_id in self._world.deaf:
            raise DriverError(f"the guest of {deploy_id} did not power off in time")
        self._world.stop(self._host(), deploy_id)

    def cancel(self, deploy_id: str) -> None:
        self._world.stop(self._host("cancel"), deploy_id)

    def reboot(self, deploy_id: str) -> None:
        self._running("reboot", deploy_id)

    def reset(self, deploy_id: str) -> None:
        self._running("reset", deploy_id)

    def save(self, deploy_id: str, checkpoint: Path) -> None:
        host = self._host("save")
        storage = self._world.storage
        if deploy_id not in host.domains and storage.find(self._name, checkpoint) is not None:
            return
        self._running("", deploy_id)
        domain = self._world.stop(host, deploy_id)
        size = domain.memory_kb // 1024 if domain else 0
        storage.put(
            self._world.owner(self._name), checkpoint, SimulatedFile(size, "raw", storage.new_content())
        )

    def restore(self, vm: VM, deploy_id: str, checkpoint: Path, system_dir: Path) -> str:
        host = self._host("restore")
        place = self._world.place(vm.id)
        if place is None or place[0] is not host:
            self._world.require_files(host, vm.id, [checkpoint])
        domain = self._world.start(host, vm, system_dir, deploy_id)
        self._world.storage.remove(self._world.owner(self._name), checkpoint)
        return domain.deploy_id

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None:
        host, target = self._host("migrate"), self._world.host(destination)
        domain = host.domains.get(deploy_id)
        if domain is not None:
            self._world.migrate(host, self._running("", deploy_id), target)
        elif deploy_id not in target.domains:
            raise DriverError(f"the domain {deploy_id} is neither on {self._name} nor on {destination}")

    def has_disk(self, vm: VM, deploy_id: str, disk_id: int) -> bool:
        return any(path.name == f"disk.{disk_id}" for path in self._running("", deploy_id).disks)

    def attach_disk(self, vm: VM, deploy_id: str, disk_id: int, system_dir: Path) -> None:
        domain = self._running("attach_disk", deploy_id)
        path = system_dir / f"disk.{disk_id}"
        self._world.require_files(self._host(), vm.id, [path])
        if path not in domain.disks:
            domain.disks = (*domain.disks, path)

    def detach_disk(self, vm: VM, deploy_id: str, disk_id: int) -> None:
        domain = self._running("detach_disk", deploy_id)
        domain.disks = tuple(path for path in domain.disks if path.name != f"disk.{disk_id}")

    def attach_nic(self, vm: VM, deploy_id: str, nic_id: int, system_dir: Path) -> None:
        domain = self._running("attach_nic", deploy_id)
        if (vm.id, nic_id) not in self._host().nics:
            raise DriverError(f"NIC {nic_id} of VM {vm.id} was not prepared on {self._name}")
        domain.nics.add(nic_id)

    def detach_nic(self, vm: VM, deploy_id: str, nic_id: int) -> None:
        domain = self._running("detach_nic", deploy_id)
        domain.nics.discard(nic_id)
        domain.booted.discard(nic_id)

    def renew_context(self, vm: VM, deploy_id: str, system_dir: Path) -> None:
        self._running("renew_context", deploy_id)

    def snapshot_create(self, vm: VM, deploy_id: str, snapshot_id: int, system_dir: Path) -> str:
        domain = self._running("snapshot_create", deploy_id)
        contents = {path: self._file(path).content for path in domain.disks}
        self._world.snapshots.setdefault(vm.id, {}).setdefault(f"snap-{snapshot_id}", contents)
        return f"snap-{snapshot_id}"

    def snapshot_revert(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        domain = self._running("snapshot_revert", deploy_id)
        kept = self._world.snapshots.get(vm.id, {})
        if name not in kept:
            raise DriverError(f"the domain {deploy_id} has no snapshot {name}")
        for path, content in kept[name].items():
            if path in domain.disks:
                self._write(path, content)

    def snapshot_delete(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        self._host("snapshot_delete")
        self._world.snapshots.get(vm.id, {}).pop(name, None)

    def disk_resize(self, vm: VM, deploy_id: str, disk_id: int, size: int) -> None:
        file = self._file(self._path(self._running("disk_resize", deploy_id), disk_id))
        file.size = max(file.size, size)

    def disk_copy(self, vm: VM, deploy_id: str, disk_id: int, target: Path, image_format: str) -> None:
        file = self._file(self._path(self._running("disk_copy", deploy_id), disk_id))
        copied = replace(file, image_format=image_format, image="")
        self._world.storage.put_anywhere(self._world.owner(self._name), target, copied)

    def disk_continue(self, vm: VM, deploy_id: str, disk_id: int, overlay: Path) -> None:
        raise DriverError("disks of the simulated world are copied, they have no overlays")

    def domains(self) -> list[Domain]:
        return [
            Domain(each.deploy_id, each.state, each.vm_id, each.name, each.memory_kb, each.vcpus)
            for each in self._host("domains").domains.values()
        ]

    def report(self) -> HostReport:
        """A tenth of CPU and memory is used, whatever runs: as the original's dummy hosts have it."""
        host = self._host("report")
        attributes = {
            "ARCH": "x86_64",
            "CPUSPEED": "3200",
            "HOSTNAME": self._name,
            "HYPERVISOR": "dummy",
            "MODELNAME": "Dummy(R) Core @ 3.2GHz",
        }
        return HostReport(
            total_cpu=host.total_cpu,
            total_memory=host.total_memory,
            used_cpu=host.total_cpu // 10,
            used_memory=host.total_memory // 10,
            attributes=attributes,
            disk=DISK,
            topology=host.topology,
        )

    def _host(self, op: str = "") -> SimulatedHost:
        if op:
            self._world.counters[op] += 1
        return self._world.host(self._name)

    def _running(self, op: str, deploy_id: str) -> SimulatedDomain:
        domain = self._host(op).domains.get(deploy_id)
        if domain is None or domain.state is not DomainState.RUNNING:
            raise DriverError(f"the domain {deploy_id} does not run on {self._name}")
        return domain

    @staticmethod
    def _path(domain: SimulatedDomain, disk_id: int) -> Path:
        found = next((path for path in domain.disks if path.name == f"disk.{disk_id}"), None)
        if found is None:
            raise DriverError(f"the domain {domain.deploy_id} has no disk {disk_id}")
        return found

    def _file(self, path: Path) -> SimulatedFile:
        found = self._world.storage.find(self._name, path)
        if found is None:
            raise DriverError(f"{path} is not there")
        return found

    def _write(self, path: Path, content: int) -> None:
        self._world.storage.write(self._file(path), content)
