"""The VMs of a host: asked of libvirt by virsh, or found as processes of QEMU where there is no virsh."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Iterator, Mapping, NamedTuple

from merope_agent import commands

RUNNING, POWEROFF, SUSPENDED, FAILURE = "RUNNING", "POWEROFF", "SUSPENDED", "FAILURE"
SECONDS = 30.0
_OURS = re.compile(r"one-(\d+)", re.ASCII)
_HEADING = re.compile(r"Domain: '(.*)'")
_FIGURES = ("--cpu-total", "--balloon", "--vcpu", "--interface", "--block")
_SUMS = {
    "NETRX": ("net", "rx.bytes"),
    "NETTX": ("net", "tx.bytes"),
    "DISKRDBYTES": ("block", "rd.bytes"),
    "DISKWRBYTES": ("block", "wr.bytes"),
    "DISKRDIOPS": ("block", "rd.reqs"),
    "DISKWRIOPS": ("block", "wr.reqs"),
}
# States and reasons as libvirt numbers them (virDomainState and the reasons of each).
_PAUSED, _SHUTOFF, _CRASHED, _PMSUSPENDED = 3, 5, 6, 7
_PAUSED_BY_SOMEBODY = (1, 5, 6)
_PAUSED_CRASHED = 10
_OFF_BY_FAILURE = (3, 6)


class Domain(NamedTuple):
    """`memory` is KB, `cpu_time` nanoseconds since it started; `counters` by their names in messages."""

    name: str
    state: str
    memory: int = 0
    max_memory: int = 0
    vcpus: int = 1
    cpu_time: int = 0
    counters: Mapping[str, int] = MappingProxyType({})

    @property
    def vm(self) -> int:
        """The VM that it belongs to, by its name; -1 for a wild one."""
        found = _OURS.fullmatch(self.name)
        return int(found.group(1)) if found else -1


def status_directory(uri: str, environ: Mapping[str, str]) -> str:
    """Where libvirt notes what domains do; empty where that is not known.

    Each domain has a file there, which is written anew whenever what it does changes.
    """
    if uri == "qemu:///system":
        return "/run/libvirt/qemu"
    if uri == "qemu:///session":
        own = environ.get("XDG_RUNTIME_DIR") or os.path.join(environ.get("HOME", ""), ".cache")
        return os.path.join(own, "libvirt/qemu/run")
    return ""


def read(uri: str, figures: bool) -> list[Domain]:
    """Every domain; only names and states are sure where no `figures` are wanted. Raises CommandError."""
    if not commands.is_there("virsh"):
        return list(processes(Path("/proc")))
    # Without waiting: a domain in the midst of an operation tells what it can.
    wanted = ("--state", *(_FIGURES if figures else ()), "--nowait")
    return parse(commands.run(("virsh", "-q", "-c", uri, "domstats", *wanted), SECONDS))


def parse(text: str) -> list[Domain]:
    """What `virsh domstats` prints."""
    found = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.strip().split("\n")
        heading = _HEADING.fullmatch(lines[0].strip())
        if heading:
            pairs = (line.strip().partition("=") for line in lines[1:])
            found.append(_domain(heading.group(1), {name: value for name, _, value in pairs}))
    return found


def _domain(name: str, values: dict[str, str]) -> Domain:
    return Domain(
        name,
        state_of(_number(values, "state.state"), _number(values, "state.reason")),
        _number(values, "balloon.rss") or _number(values, "balloon.current"),
        _number(values, "balloon.maximum"),
        _number(values, "vcpu.current") or 1,
        _number(values, "cpu.time"),
        {
            metric: sum(
                _number(values, f"{group}.{index}.{key}")
                for index in range(_number(values, group + ".count"))
            )
            for metric, (group, key) in _SUMS.items()
        },
    )


def state_of(state: int, reason: int) -> str:
    """libvirt's state in the words of monitoring.

    A domain that somebody paused, or an error of a disk, can be resumed. One that an operation pauses for a
    moment (migration, checkpoint, start) runs for everybody else.
    """
    if state == _PMSUSPENDED:
        return SUSPENDED
    if state == _PAUSED:
        if reason == _PAUSED_CRASHED:
            return FAILURE
        return SUSPENDED if reason in _PAUSED_BY_SOMEBODY else RUNNING
    if state == _CRASHED or (state == _SHUTOFF and reason in _OFF_BY_FAILURE):
        return FAILURE
    return POWEROFF if state == _SHUTOFF else RUNNING


def _number(values: dict[str, str], key: str) -> int:
    text = values.get(key, "")
    return int(text) if text.isdigit() else 0


def processes(proc: Path) -> Iterator[Domain]:
    """The processes of QEMU that were given a name of a guest."""
    for directory in proc.iterdir():
        if not directory.name.isdigit():
            continue
        # It may end while it is looked at.
        with suppress(OSError, ValueError, IndexError):
            domain = _process(directory)
            if domain is not None:
                yield domain


def _process(directory: Path) -> Domain | None:
    words = (directory / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    if "qemu" not in os.path.basename(words[0]) or "-name" not in words:
        return None
    name = words[words.index("-name") + 1].split(",")[0]
    name = name[len("guest=") :] if name.startswith("guest=") else name
    text = (directory / "stat").read_text()
    stat = text[text.rindex(")") + 2 :].split()
    ticks = int(stat[11]) + int(stat[12])
    pages = int((directory / "statm").read_text().split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE") // 1024
    stopped = stat[0] in "Tt"
    return Domain(
        name,
        SUSPENDED if stopped else RUNNING,
        memory,
        memory,
        cpu_time=ticks * 1000000000 // os.sysconf("SC_CLK_TCK"),
    )
