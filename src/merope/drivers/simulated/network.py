"""The network driver of the simulated world: which interfaces are plugged where."""

from merope.drivers.errors import DriverError
from merope.drivers.simulated.world import World
from merope.model.vm import VM


class SimulatedNetwork:
    """Plugs the NICs of VMs into the host called `host` of `world`."""

    def __init__(self, world: World, host: str) -> None:
        self._world = world
        self._name = host

    def pre(self, vm: VM) -> None:
        self._world.counters["pre"] += 1
        self._world.host(self._name).nics.update(_nics(vm))

    def post(self, vm: VM, deploy_id: str) -> None:
        self._world.counters["post"] += 1
        host = self._world.host(self._name)
        if deploy_id not in host.domains:
            raise DriverError(f"the domain {deploy_id} does not run on {self._name}")
        if not host.nics >= _nics(vm):
            raise DriverError(f"the NICs of VM {vm.id} were not prepared on {self._name}")

    def clean(self, vm: VM) -> None:
        self._world.counters["clean"] += 1
        self._world.host(self._name).nics -= _nics(vm)


def _nics(vm: VM) -> set[tuple[int, int]]:
    return {(vm.id, int(nic["NIC_ID"])) for nic in vm.template.vectors("NIC") if nic.get("NIC_ID")}
