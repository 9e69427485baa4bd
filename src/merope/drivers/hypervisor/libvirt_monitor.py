"""What libvirt and the host's /proc tell about domains and capacity."""

import os
import platform
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from merope.drivers.hypervisor.base import Domain, DomainState, HostReport
from merope.drivers.hypervisor.domain_xml import vm_id_of
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
from merope_agent import pci, topology

COMPATIBLE_VERSION = "5.12.0"
"""What the hosts of this cloud say they run (VERSION), for clients that compare it."""

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
_MB = 1024 * 1024


class Clock(Protocol):
    """The module `time`, or a stand-in."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float, /) -> None: ...


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


LONG_WHILE = 600.0
"""Seconds between two looks at what hardly changes, as between 5.12's SYSTEM_HOST messages."""


@dataclass(frozen=True, slots=True)
class _CpuTimes:
    busy: int
    total: int


class HostReader:
    """Measures this host. Capacity comes from /proc: libvirt's own figure is one NUMA node's at times."""

    def __init__(
        self, settings: KvmSettings, clock: Clock, proc: Path = Path("/proc"), root: Path = Path("/")
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._proc = proc
        self._root = root
        self._parts: list[tuple[str, dict[str, str]]] = []
        self._parts_at = -LONG_WHILE
        self._cpu = _CpuTimes(0, 0)
        self._fixed: dict[str, str] = {}

    def read(self, connection: Connection) -> HostReport:
        cpus = os.cpu_count() or 1
        total, available = self._memory()
        rx, tx = self._traffic()
        if not self._fixed:
            self._fixed = self._attributes(connection)
        return HostReport(
            total_cpu=cpus * 100,
            total_memory=total,
            used_cpu=round(self._cpu_used() * cpus * 100),
            used_memory=total - available,
            attributes=dict(self._fixed),
            datastores=self._datastores(),
            disk=disk_usage(existing(self._settings.datastores)),
            net_rx=rx,
            net_tx=tx,
            topology=self._topology(),
        )

    def _topology(self) -> list[tuple[str, dict[str, str]]]:
        """Cores and devices, which are looked for once in a long while, and what is free now."""
        now = self._clock.monotonic()
        if now - self._parts_at >= LONG_WHILE:
            self._parts_at = now
            self._parts = topology.cores(self._root) + pci.devices(self._root, self._settings.devices)
        return self._parts + topology.usage(self._root)

    def _memory(self) -> tuple[int, int]:
        """Total and available, in KB."""
        values = {}
        for line in (self._proc / "meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0])
        return values["MemTotal"], values.get("MemAvailable", values["MemFree"])

    def _cpu_used(self) -> float:
        """The part of all CPUs in use since the last reading (at first: since the host booted), 0 to 1."""
        words = (self._proc / "stat").read_text().splitlines()[0].split()[1:]
        times = [int(word) for word in words[:8]]
        now = _CpuTimes(sum(times) - times[3] - times[4], sum(times))  # idle and waiting for disks
        before, self._cpu = self._cpu, now
        passed = now.total - before.total
        return (now.busy - before.busy) / passed if passed > 0 else 0.0

    def _traffic(self) -> tuple[int, int]:
        """Bytes received and sent by the interfaces that are hardware, not bridges or taps."""
        received = sent = 0
        for line in (self._proc / "net/dev").read_text().splitlines()[2:]:
            name, _, rest = line.partition(":")
            if (Path("/sys/class/net") / name.strip() / "device").exists():
                fields = rest.split()
                received += int(fields[0])
                sent += int(fields[8])
        return received, sent

    def _datastores(self) -> dict[int, tuple[int, int, int]]:
        try:
            entries = sorted(self._settings.datastores.iterdir())
        except OSError:
            return {}
        return {int(entry.name): disk_usage(entry) for entry in entries if entry.name.isdecimal()}

    def _attributes(self, connection: Connection) -> dict[str, str]:
        architecture = platform.machine()
        model, speed = self._processor()
        attributes = {
            "HYPERVISOR": "qemu" if self._settings.traits.emulated else "kvm",
            "ARCH": architecture,
            "MODELNAME": model,
            "CPUSPEED": speed,
            "HOSTNAME": socket.gethostname(),
            "VERSION": COMPATIBLE_VERSION,
            "KVM_MACHINES": " ".join(machine_types(connection.getCapabilities(), architecture)),
            "KVM_CPU_MODELS": " ".join(connection.getCPUModelNames(architecture, 0)),
        }
        return {name: value for name, value in attributes.items() if value}

    def _processor(self) -> tuple[str, str]:
        """Model name, and MHz as a whole number."""
        model = speed = ""
        for line in (self._proc / "cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() == "cpu MHz":
                speed = str(int(float(value)))
                break
        return model, speed


def machine_types(capabilities: str, architecture: str) -> Iterable[str]:
    """The machine types that a host can give its own architecture's guests, each once."""
    root = ElementTree.fromstring(capabilities)  # noqa: S314 - libvirt's own document
    found: dict[str, None] = {}
    for guest in root.iter("guest"):
        arch = guest.find("arch")
        if arch is not None and arch.get("name") == architecture:
            found.update((machine.text, None) for machine in arch.iter("machine") if machine.text)
    return found


def existing(path: Path) -> Path:
    """The directory, or the nearest above it that is there: a host's first VM makes the rest."""
    return next((each for each in (path, *path.parents) if each.is_dir()), path)


def disk_usage(path: Path) -> tuple[int, int, int]:
    """Total, used and free MB of the file system that holds `path`; zeros where there is none."""
    try:
        stats = os.statvfs(path)
    except OSError:
        return 0, 0, 0
    total, free, available = (
        blocks * stats.f_frsize // _MB for blocks in (stats.f_blocks, stats.f_bfree, stats.f_bavail)
    )
    return total, total - free, available
