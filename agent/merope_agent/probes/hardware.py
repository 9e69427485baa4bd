"""What /proc tells of a host's hardware and of how busy it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MB = 1024 * 1024


class Hardware:
    """Remembers the CPU times of the last look, to tell how busy the host was since."""

    def __init__(self, proc: Path = Path("/proc"), net: Path = Path("/sys/class/net")) -> None:
        self._proc = proc
        self._net = net
        self._times = (0, 0)

    def cpus(self) -> int:
        """The processors that are switched on, whichever of them this process may use."""
        text = (self._proc / "stat").read_text()
        return len(re.findall(r"^cpu\d", text, re.MULTILINE)) or os.cpu_count() or 1

    def memory(self) -> tuple[int, int]:
        """Total and available, in KB."""
        values = {}
        for line in (self._proc / "meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0])
        return values["MemTotal"], values.get("MemAvailable", values["MemFree"])

    def busy(self) -> float:
        """The part of all CPUs in use since the last look (at first: since the host booted), 0 to 1."""
        words = (self._proc / "stat").read_text().splitlines()[0].split()[1:9]
        times = [int(word) for word in words]
        total = sum(times)
        busy = total - times[3] - times[4]  # idle, and waiting for disks
        before, self._times = self._times, (busy, total)
        passed = total - before[1]
        return (busy - before[0]) / passed if passed > 0 else 0.0

    def traffic(self) -> tuple[int, int]:
        """Bytes received and sent by the interfaces that are hardware, not bridges or taps."""
        received = sent = 0
        for line in (self._proc / "net/dev").read_text().splitlines()[2:]:
            name, _, rest = line.partition(":")
            if (self._net / name.strip() / "device").exists():
                fields = rest.split()
                received += int(fields[0])
                sent += int(fields[8])
        return received, sent

    def processor(self) -> tuple[str, str]:
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


def disk_usage(path: str | Path) -> tuple[int, int, int]:
    """Total, used and free MB of the file system that holds `path`; zeros where there is none."""
    try:
        stats = os.statvfs(path)
    except OSError:
        return 0, 0, 0
    total, free, available = (
        blocks * stats.f_frsize // _MB for blocks in (stats.f_blocks, stats.f_bfree, stats.f_bavail)
    )
    return total, total - free, available
