"""The VMs of a host: what they do (STATE_VM), and how much they use (MONITOR_VM)."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from merope_agent import domains, hypervisors
from merope_agent.config import Config
from merope_agent.domains import Domain
from merope_agent.template import singles, vector

#: A report goes out again at so many looks after a change: one may be lost, or too early to be believed.
REPEATS = 4
ASK_SECONDS = 30.0
_MB = 1024 * 1024


class StateProbe:
    """Says what all VMs do when that has changed, and now and then."""

    def __init__(self, config: Config, status: str | None = None) -> None:
        """`status`: where libvirt's notes are, if not where it has them by default."""
        self._config = config
        notes = domains.status_directory(config.libvirt_uri, os.environ) if status is None else status
        self._status = notes if config.hypervisor in hypervisors.LIBVIRT else ""
        self._mark: list[tuple[str, int]] | None = None
        self._asked = 0.0
        self._last = ""
        self._left = 0
        self._told = 0.0

    def report(self, now: float) -> str:
        """Empty when there is nothing to tell. `now` is seconds of any clock. Raises CommandError."""
        if not hypervisors.knows(self._config):
            return ""
        text = self._look(now)
        if text != self._last:
            self._last, self._left = text, REPEATS + 1
        late = now - self._told >= self._config.periods["SYNC_STATE_VM"]
        if not (self._left or late):
            return ""
        self._left = max(self._left - 1, 0)
        self._told = now
        return text

    def _look(self, now: float) -> str:
        """Asking libvirt takes a hundred times what a look at its notes takes: that is enough most times."""
        mark = self._notes()
        if mark and mark == self._mark and now - self._asked < ASK_SECONDS:
            return self._last
        text = states(hypervisors.read(self._config, figures=False))
        self._mark, self._asked = mark, now
        return text

    def _notes(self) -> list[tuple[str, int]] | None:
        """The notes that libvirt has of domains, and when it wrote them; None where they cannot be seen."""
        if not self._status:
            return None
        try:
            with os.scandir(self._status) as entries:
                return sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries)
        except OSError:
            return None


def states(found: list[Domain]) -> str:
    """All of them: whoever is missing is powered off."""
    lines = [
        vector("VM", {"ID": domain.vm, "DEPLOY_ID": domain.name, "STATE": domain.state})
        for domain in sorted(found, key=lambda domain: domain.name)
    ]
    return singles({"SYNC_STATE": "yes", "MISSING_STATE": domains.POWEROFF}) + "".join(lines)


class FiguresProbe:
    """Remembers the CPU time of each VM at the last look, to tell how much it used since."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cpu: dict[str, tuple[float, int]] = {}
        self.latest: list[tuple[Domain, dict[str, str]]] = []
        """Those of the last look, for whoever else wants them."""

    def report(self, now: float) -> str:
        """`now` is seconds of a clock that goes on evenly. Raises CommandError."""
        seen: dict[str, tuple[float, int]] = {}
        found = []
        for domain in hypervisors.read(self._config, figures=True):
            if domain.state != domains.POWEROFF:
                found.append((domain, self._figures(domain, now, seen)))
        self._cpu, self.latest = seen, found
        return "".join(self._line(domain, figures) for domain, figures in found if domain.vm >= 0)

    def _figures(self, domain: Domain, now: float, seen: dict[str, tuple[float, int]]) -> dict[str, str]:
        """CPU in percent of one CPU since the last look, MEMORY in KB, the rest counts since the start."""
        before = self._cpu.get(domain.name)
        seen[domain.name] = (now, domain.cpu_time)
        percent = 0.0
        if before is not None and now > before[0] and domain.cpu_time >= before[1]:
            percent = (domain.cpu_time - before[1]) / 1e9 / (now - before[0]) * 100
        figures = {"CPU": f"{percent:.2f}", "MEMORY": str(domain.memory)}
        figures.update((name, str(value)) for name, value in domain.counters.items())
        return figures

    def _line(self, domain: Domain, figures: dict[str, str]) -> str:
        text = singles(figures) + self._disks(domain.vm)
        encoded = base64.b64encode(text.encode()).decode()
        return vector("VM", {"ID": domain.vm, "DEPLOY_ID": domain.name, "MONITOR": encoded})

    def _disks(self, vm: int) -> str:
        """How much of the host's disks the VM's take, by the blocks that are there."""
        lines = []
        try:
            stores = [name for name in os.listdir(self._config.datastores) if name.isdigit()]
        except OSError:
            return ""
        for store in stores:
            directory = Path(self._config.datastores) / store / str(vm)
            if not directory.is_dir():
                continue
            for path in sorted(directory.glob("disk.*")):
                number = path.name[len("disk.") :]
                if number.isdigit() and path.is_file():
                    size = -(-path.stat().st_blocks * 512 // _MB)
                    lines.append(vector("DISK_SIZE", {"ID": int(number), "SIZE": size}))
        return "".join(lines)
