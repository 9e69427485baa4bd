"""The hypervisor of the simulated world."""

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

    def migrate(self, deploy_id: str, destination: str) -> None:
        host, target = self._host("migrate"), self._world.host(destination)
        domain = host.domains.get(deploy_id)
        if domain is not None:
            self._world.migrate(host, self._running("", deploy_id), target)
        elif deploy_id not in target.domains:
            raise DriverError(f"the domain {deploy_id} is neither on {self._name} nor on {destination}")

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
