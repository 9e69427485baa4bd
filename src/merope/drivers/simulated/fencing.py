"""The controllers of the simulated world's hosts: they can be reached when the hosts cannot."""

from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import Power, Target
from merope.drivers.simulated.world import World


class SimulatedFencing:
    looks = 0

    def __init__(self, world: World) -> None:
        self._world = world

    def power_off(self, target: Target) -> None:
        self._ask(target)
        self._world.power_off(target.host)

    def _ask(self, target: Target) -> None:
        self._world.counters["fencing"] += 1
        if target.host in self._world.silent:
            raise DriverError(f"the controller of host {target.host} does not answer", retry_safe=True)

    def power_state(self, target: Target) -> Power:
        self._ask(target)
        host = self._world.hosts.get(target.host)
        if host is None:
            return Power.UNKNOWN
        return Power.ON if host.powered else Power.OFF
