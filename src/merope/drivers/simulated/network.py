"""The network driver of the simulated world: which interfaces are plugged where."""

from merope.drivers.errors import DriverError
from merope.drivers.simulated.world import World
from merope.model.vm import VM


class SimulatedNetwork:
    """Plugs the NICs of VMs into the host called `host` of `world`."""

    def __init__(self, world: World, host: str) -> None:
        self._world = world
        self._name = host

    def pre(self, vm: VM, nic_id: int | None = None) -> None:
        self._world.counters["pre"] += 1
        self._world.host(self._name).nics.update(_nics(vm, nic_id))

    def post(self, vm: VM, deploy_id: str, nic_id: int | None = None) -> None:
        self._world.counters["post"] += 1
        host = self._world.host(self._name)
        if deploy_id not in host.domains:
            raise DriverError(f"the domain {deploy_id} does not run on {self._name}")
        if not host.nics >= _nics(vm, nic_id):
            raise DriverError(f"the NICs of VM {vm.id} were not prepared on {self._name}")

    def clean(self, vm: VM, nic_id: int | None = None) -> None:
        self._world.counters["clean"] += 1
        self._world.host(self._name).nics -= _nics(vm, nic_id)

    def update(self, vm: VM, deploy_id: str, security_group: int) -> None:
        self._world.counters["update_sg"] += 1
        if deploy_id not in self._world.host(self._name).domains:
            raise DriverError(f"the domain {deploy_id} does not run on {self._name}")
        self._world.filtered[vm.id, security_group] += 1


def _nics(vm: VM, nic_id: int | None) -> set[tuple[int, int]]:
    """Aliases are not plugged anywhere."""
    numbers = {int(nic["NIC_ID"]) for nic in vm.template.vectors("NIC") if nic.get("NIC_ID")}
    return {(vm.id, number) for number in numbers if nic_id in (None, number)}
