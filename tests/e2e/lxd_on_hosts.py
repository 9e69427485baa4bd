"""A real LXD on a host of the bed, at a path that is every host's own."""

import json
import subprocess
from pathlib import Path

from containers import PRESEED
from tests.real.machine import eventually
from tests.testbed.host import BedHost

DIRECTORY = Path("/var/tmp/lxd")
#: The host sees its own links in sysfs, as a machine does: LXD looks there for bridges.
_OWN_SYSFS = (
    "mkdir /run/groups && mount --rbind /sys/fs/cgroup /run/groups && mount -t sysfs sysfs /sys && "
    "mount --rbind /run/groups /sys/fs/cgroup"
)


class LxdOnHost:
    """It ends with the host, and its mounts are in the host's namespace alone."""

    def __init__(self, host: BedHost) -> None:
        self.host = host

    def start(self) -> None:
        self.host.run("sh", "-c", _OWN_SYSFS)
        self.host.run("mkdir", "-p", str(DIRECTORY))
        # Its output goes to a file: a pipe would stay open as long as it runs.
        log = DIRECTORY / "lxd.log"
        self._lxd("sh", "-c", f"umask 022; setsid --fork lxd --logfile {log} </dev/null >/dev/null 2>&1")
        self._lxd("lxd", "waitready", "--timeout", "60")
        self._lxd("sh", "-c", f"printf '%s' '{PRESEED}' | lxd init --preseed")

    def client(self, *words: str) -> str:
        """What the stock client says on the host."""
        return self._lxd("lxc", *words)

    def shell(self, name: str, script: str) -> str:
        return self.client("exec", name, "--", "sh", "-c", script).strip()

    def containers(self) -> list[str]:
        return [each["name"] for each in json.loads(self.client("list", "--format", "json"))]

    def links(self) -> list[str]:
        """Names of the links on the host that are a VM's."""
        told = json.loads(self.host.run("ip", "-json", "link", "show"))
        return [each["ifname"] for each in told if each["ifname"].startswith("one-")]

    def mounts(self) -> list[str]:
        """Where disks of containers are mounted."""
        lines = self.host.run("cat", "/proc/1/mountinfo").splitlines()
        return [place for place in (line.split()[4] for line in lines) if "/run/lxd/" in place]

    def stop(self) -> None:
        try:
            self._lxd("lxd", "shutdown", "--timeout", "30")
        except subprocess.CalledProcessError:
            eventually("LXD has ended", lambda: not (self.host.root / DIRECTORY / "unix.socket").exists())

    def _lxd(self, *argv: str) -> str:
        return self.host.run("env", f"LXD_DIR={DIRECTORY}", *argv)
