"""What LXD tells of containers, in the words of monitoring."""

from typing import Any

from merope.drivers.hypervisor.base import Domain, DomainState
from merope.drivers.hypervisor.domain_xml import vm_id_of
from merope.drivers.hypervisor.host_figures import Clock
from merope.drivers.hypervisor.lxd_config import OWNER
from merope_agent import lxd


class ContainerReader:
    """Remembers the CPU time of each container, to tell how much it used since."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def read(self, containers: list[dict[str, Any]]) -> list[Domain]:
        """`containers` as `instances?recursion=2` shows them."""
        now = self._clock.monotonic()
        seen: dict[str, tuple[float, int]] = {}
        found = [self._domain(each, now, seen) for each in containers]
        self._seen = seen
        return found

    def _domain(self, container: dict[str, Any], now: float, seen: dict[str, tuple[float, int]]) -> Domain:
        told = lxd.domain_of(container)
        before, seen[told.name] = self._seen.get(told.name), (now, told.cpu_time)
        percent = 0.0
        if before is not None and now > before[0] and told.cpu_time >= before[1]:
            percent = (told.cpu_time - before[1]) / 1e9 / (now - before[0]) * 100
        counters = {name: str(value) for name, value in told.counters.items()}
        return Domain(
            deploy_id=told.name,
            state=DomainState(told.state),
            vm_id=vm_id_of(told.name) if OWNER in container["config"] else None,
            name=told.name,
            memory_kb=told.max_memory,
            vcpus=told.vcpus,
            metrics={"CPU": f"{percent:.2f}", "MEMORY": str(told.memory), **counters},
        )
