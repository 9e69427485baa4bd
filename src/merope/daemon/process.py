"""What the supervisor must know about processes: who holds a pid, who holds a port (Linux, /proc)."""

import errno
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from merope.daemon.layout import write_private


@dataclass(frozen=True)
class Identity:
    """A process, told from later ones with the same pid by when it began (clock ticks since boot)."""

    pid: int
    began: int

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """None when there is no such process, or only its remains (a zombie)."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The name in parentheses may itself have blanks and parentheses.
        state, *fields = text[text.rindex(")") + 2 :].split()
        return None if state in "ZX" else cls(pid, int(fields[18]))

    @property
    def alive(self) -> bool:
        return Identity.of(self.pid) == self

    def write(self, path: Path) -> None:
        write_private(path, f"{self.pid} {self.began}\n")

    @classmethod
    def read(cls, path: Path) -> "Identity | None":
        """The process that a pid file names, None when it is gone (or its pid belongs to another now)."""
        try:
            pid, began = map(int, path.read_text().split())
        except (OSError, ValueError):
            return None
        identity = cls(pid, began)
        return identity if identity.alive else None

    def end(self, patience: float) -> None:
        """Ask it to end, wait `patience` seconds, then kill it and what is left of its group."""
        with suppress(ProcessLookupError):
            if self.alive:
                os.kill(self.pid, signal.SIGTERM)
        self.wait(patience)
        if self.alive:
            kill_group(self.pid)
            self.wait(5)

    def wait(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.005)


def kill_group(leader: int) -> None:
    """Kill a process that leads a group, with the workers that it started in it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def port_holder(address: str, port: int) -> str | None:
    """None when `port` is free at `address`, else who holds it, for a sentence ("nginx, pid 12")."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return "the system: ports below 1024 need the right CAP_NET_BIND_SERVICE"
        except OSError as error:
            pid = _listener(port) if error.errno == errno.EADDRINUSE else None
            if pid is not None:
                return f"{_name(pid)}, pid {pid}"
            return f"a process of another user, or nobody can listen at {address} ({error.strerror})"
    return None


def _listener(port: int) -> int | None:
    """The process that listens at a TCP port, if this user may see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{columns[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in inodes:
                        return int(process.name)
    return None


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "a process"
