"""What libvirt and the host's /proc tell about domains and capacity."""

import platform
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from merope.drivers.hypervisor.base import Domain, DomainState, HostReport
from merope.drivers.hypervisor.domain_xml import vm_id_of
from merope.drivers.hypervisor.host_figures import Clock, HostFigures
from merope.drivers.hypervisor.libvirt_api import (
    AllStats,
    Code,
    Connection,
    DomainHandle,
    Paused,
    ShutOff,
    State,
    Stats,
    StatValues,
)
from merope.drivers.hypervisor.libvirt_session import Session
from merope.drivers.hypervisor.libvirt_settings import KvmSettings

_WANTED = Stats.STATE | Stats.CPU_TOTAL | Stats.BALLOON | Stats.VCPU | Stats.INTERFACE | Stats.BLOCK
_PAUSED_BY_SOMEBODY = {Paused.USER, Paused.IOERROR, Paused.WATCHDOG}
_SUMS = {
    "NETRX": ("net", "rx.bytes"),
    "NETTX": ("net", "tx.bytes"),
    "DISKRDBYTES": ("block", "rd.bytes"),
    "DISKWRBYTES": ("block", "wr.bytes"),
    "DISKRDIOPS": ("block", "rd.reqs"),
    "DISKWRIOPS": ("block", "wr.reqs"),
}


def domain_state(state: int, reason: int) -> DomainState:
    """libvirt's state in the words of monitoring.

    A domain paused by somebody, or by an error of a disk, can be resumed. One that is paused for a moment
    by an operation (migration, checkpoint, start) is running for everybody else.
    """
    if state in (State.PAUSED, State.PMSUSPENDED):
        if state == State.PMSUSPENDED or reason in _PAUSED_BY_SOMEBODY:
            return DomainState.SUSPENDED
        return DomainState.FAILURE if reason == Paused.CRASHED else DomainState.RUNNING
    if state == State.CRASHED or (state == State.SHUTOFF and reason in (ShutOff.CRASHED, ShutOff.FAILED)):
        return DomainState.FAILURE
    return DomainState.POWEROFF if state == State.SHUTOFF else DomainState.RUNNING


class DomainReader:
    """Reads every domain; remembers the last CPU time of each, to tell how much it used since."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cpu: dict[str, tuple[float, int]] = {}

    def read(self, connection: Connection, session: Session) -> list[Domain]:
        # NOWAIT: a domain in the middle of an operation gives what it can instead of keeping all waiting.
        answer = session.attempt(
            lambda: connection.getAllDomainStats(_WANTED, AllStats.NOWAIT), Code.INVALID_ARG, Code.NO_SUPPORT
        )
        if answer is None:
            answer = connection.getAllDomainStats(0, AllStats.NONE)
        found = []
        seen: dict[str, tuple[float, int]] = {}
        for handle, values in answer:
            info = session.attempt(handle.info, Code.NO_DOMAIN)
            if info is not None:
                found.append(self._domain(handle, values, info, seen))
        self._cpu = seen
        return found

    def _domain(
        self, handle: DomainHandle, values: StatValues, info: list[int], seen: dict[str, tuple[float, int]]
    ) -> Domain:
        _, max_memory, memory, vcpus, cpu_time = info
        name = handle.name()
        state = domain_state(_number(values, "state.state"), _number(values, "state.reason"))
        metrics = {"CPU": "0.00", "MEMORY": "0"}
        if state is not DomainState.POWEROFF:
            cpu_time = _number(values, "cpu.time") or cpu_time
            metrics["CPU"] = f"{self._cpu_since_last(handle.UUIDString(), cpu_time, seen):.2f}"
            metrics["MEMORY"] = str(_number(values, "balloon.rss") or memory)
        for metric, (group, key) in _SUMS.items():
            metrics[metric] = str(_sum(values, group, key))
        return Domain(
            deploy_id=name,
            state=state,
            vm_id=vm_id_of(name),
            name=name,
            memory_kb=max_memory,
            vcpus=vcpus,
            metrics=metrics,
        )

    def _cpu_since_last(self, uuid: str, cpu_time: int, seen: dict[str, tuple[float, int]]) -> float:
        """Percent of one CPU since the last reading; 0 at the first one, and after a new start."""
        now = self._clock.monotonic()
        seen[uuid] = (now, cpu_time)
        before = self._cpu.get(uuid)
        if before is None or now <= before[0] or cpu_time < before[1]:
            return 0.0
        return (cpu_time - before[1]) / 1e9 / (now - before[0]) * 100


def _number(values: StatValues, key: str) -> int:
    value = values.get(key, 0)
    return value if isinstance(value, int) else 0


def _sum(values: StatValues, group: str, key: str) -> int:
    return sum(
        _number(values, f"{group}.{index}.{key}") for index in range(_number(values, f"{group}.count"))
    )


class HostReader:
    """Measures this host. Capacity comes from /proc: libvirt's own figure is one NUMA node's at times."""

    def __init__(
        self, settings: KvmSettings, clock: Clock, proc: Path = Path("/proc"), root: Path = Path("/")
    ) -> None:
        self._settings = settings
        self._figures = HostFigures(settings.datastores, clock, proc, root, settings.devices)
        self._fixed: dict[str, str] = {}

    def read(self, connection: Connection) -> HostReport:
        if not self._fixed:
            self._fixed = self._attributes(connection)
        return self._figures.report(self._fixed)

    def _attributes(self, connection: Connection) -> dict[str, str]:
        architecture = platform.machine()
        attributes = {
            "HYPERVISOR": "qemu" if self._settings.traits.emulated else "kvm",
            "KVM_MACHINES": " ".join(machine_types(connection.getCapabilities(), architecture)),
            "KVM_CPU_MODELS": " ".join(connection.getCPUModelNames(architecture, 0)),
        }
        return {name: value for name, value in attributes.items() if value}


def machine_types(capabilities: str, architecture: str) -> Iterable[str]:
    """The machine types that a host can give its own architecture's guests, each once."""
    root = ElementTree.fromstring(capabilities)  # noqa: S314 - libvirt's own document
    found: dict[str, None] = {}
    for guest in root.iter("guest"):
        arch = guest.find("arch")
        if arch is not None and arch.get("name") == architecture:
            found.update((machine.text, None) for machine in arch.iter("machine") if machine.text)
    return found
