"""What /proc and the file systems tell of the host that a hypervisor is on."""

import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from merope.drivers.hypervisor.base import HostReport
from merope_agent import pci, topology
from merope_agent.pci import Filter
from merope_agent.probes.hardware import Hardware, disk_usage

COMPATIBLE_VERSION = "5.12.0"
"""What the hosts of this cloud say they run (VERSION), for clients that compare it."""
LONG_WHILE = 600.0
"""Seconds between two looks at what hardly changes, as between 5.12's SYSTEM_HOST messages."""


class Clock(Protocol):
    """The module `time`, or a stand-in."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float, /) -> None: ...


class HostFigures:
    """Measures this host; remembers the CPU times of the last look. `devices` may be given to guests."""

    def __init__(
        self,
        datastores: Path,
        clock: Clock,
        proc: Path = Path("/proc"),
        root: Path = Path("/"),
        devices: Filter | None = None,
    ) -> None:
        self._stores = datastores
        self._clock = clock
        self._hardware = Hardware(proc)
        self._root = root
        self._devices = devices or Filter()
        self._parts: list[tuple[str, dict[str, str]]] = []
        self._parts_at = -LONG_WHILE

    def report(self, attributes: Mapping[str, str]) -> HostReport:
        """`attributes` are the hypervisor's own (HYPERVISOR …)."""
        cpus = self._hardware.cpus()
        total, available = self._hardware.memory()
        rx, tx = self._hardware.traffic()
        return HostReport(
            total_cpu=cpus * 100,
            total_memory=total,
            used_cpu=round(self._hardware.busy() * cpus * 100),
            used_memory=total - available,
            attributes={**self._attributes(), **attributes},
            datastores=self._datastores(),
            disk=disk_usage(existing(self._stores)),
            net_rx=rx,
            net_tx=tx,
            topology=self._topology(),
        )

    def _topology(self) -> list[tuple[str, dict[str, str]]]:
        """Cores and devices, which are looked for once in a long while, and what is free now."""
        now = self._clock.monotonic()
        if now - self._parts_at >= LONG_WHILE:
            self._parts_at = now
            self._parts = topology.cores(self._root) + pci.devices(self._root, self._devices)
        return self._parts + topology.usage(self._root)

    def _datastores(self) -> dict[int, tuple[int, int, int]]:
        try:
            entries = sorted(self._stores.iterdir())
        except OSError:
            return {}
        return {int(entry.name): disk_usage(entry) for entry in entries if entry.name.isdecimal()}

    def _attributes(self) -> dict[str, str]:
        model, speed = self._hardware.processor()
        attributes = {
            "ARCH": platform.machine(),
            "MODELNAME": model,
            "CPUSPEED": speed,
            "HOSTNAME": socket.gethostname(),
            "VERSION": COMPATIBLE_VERSION,
        }
        return {name: value for name, value in attributes.items() if value}


def existing(path: Path) -> Path:
    """The directory, or the nearest above it that is there: a host's first VM makes the rest."""
    return next((each for each in (path, *path.parents) if each.is_dir()), path)
