"""The first process of a host: mounts what is its own, keeps its services, buries the dead.

`python init.py NAME PLACE ADDRESS PREFIX MAC HIDDEN…`, in the namespaces; HIDDEN are directories it lacks.
It needs nothing but the standard library, and goes on when the repository is out of its sight.
"""

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

_LIBVIRTD = ["/usr/sbin/libvirtd", "-f", "/etc/libvirt/libvirtd.conf", "-p", "/run/libvirtd.pid"]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def bind(source: Path, target: str) -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", str(source), target)


def mount_all(place: Path, hidden: list[str]) -> None:
    """Every host has these for itself; everything else is this machine's."""
    home = pwd.getpwuid(os.geteuid()).pw_dir
    bind(place / "root-ssh", f"{home}/.ssh")
    bind(place / "libvirt", "/etc/libvirt")
    bind(place / "lib-libvirt", "/var/lib/libvirt")
    bind(place / "log-libvirt", "/var/log/libvirt")
    bind(place / "var-tmp", "/var/tmp")
    bind(place / "local", str(place.parent / "local"))
    run("mount", "--bind", str(place.parent / "hosts"), "/etc/hosts")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for directory in hidden:
        run("mount", "-t", "tmpfs", "-o", "mode=755,ro", "tmpfs", directory)
    for name in ("sshd", "libvirt", "lock"):
        Path("/run", name).mkdir()


def set_up_network(address: str, prefix: str, mac: str) -> None:
    """The wire is a port of the bridge that guests are plugged into, and the host has its address there."""
    for words in (
        "link set lo up",
        "link add name br0 type bridge",
        "link set br0 type bridge stp_state 0 forward_delay 0",
        f"link set br0 address {mac}",
        "link set eth0 master br0",
        "link set eth0 up",
        "link set br0 up",
        f"address add {address}/{prefix} dev br0",
    ):
        run("ip", *words.split())


def serve(place: Path) -> None:
    """Services that end are started again, as an init does."""
    services = {
        "sshd": ["/usr/sbin/sshd", "-D", "-e", "-f", str(place / "ssh/sshd_config")],
        "libvirtd": _LIBVIRTD,
    }
    pids: dict[int, str] = {}

    def start(name: str) -> None:
        with (place / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(services[name], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        pids[process.pid] = name
        process.returncode = 0  # whoever has ended is buried below

    for name in services:
        start(name)
    while True:
        pid, _ = os.wait()
        if pid in pids:
            time.sleep(0.2)
            start(pids.pop(pid))


def main(name: str, place: str, address: str, prefix: str, mac: str, *hidden: str) -> None:
    os.environ["PATH"] = _PATH
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run("hostname", name)
    mount_all(Path(place), list(hidden))
    while not Path("/sys/class/net/eth0").exists() and "eth0" not in Path("/proc/net/dev").read_text():
        time.sleep(0.01)
    set_up_network(address, prefix, mac)
    serve(Path(place))


if __name__ == "__main__":
    main(*sys.argv[1:])
