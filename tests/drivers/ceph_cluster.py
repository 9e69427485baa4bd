"""A real Ceph cluster in the memory of this machine: monitor, OSD and manager, pools `one` and `system`.

Authentication (cephx) is on. The drivers are given the user `libvirt` with the rights that it needs; the
tests look at the cluster as `admin`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = {
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "ceph-mgr": "ceph-mgr",
    "ceph": "ceph-common",
    "rbd": "ceph-common",
}
POOLS = ("one", "system")
USER = "libvirt"
_SECRET = "4d68a6fe-2ea5-4c4e-8d7c-2b4d7f2a5a10"
_RIGHTS = ("mon", "profile rbd", "osd", ", ".join(f"profile rbd pool={pool}" for pool in POOLS))
_WAIT = 240.0

_CONF = """[global]
fsid = {fsid}
mon host = [v1:{address}:{port}]
public addr = {address}
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {place}/$name.keyring
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon osd full ratio = 0.99
run dir = {place}
admin socket = {place}/$cluster-$name.asok
log file = {place}/$name.log
pid file = {place}/$name.pid
ms bind ipv6 = false
ms bind msgr2 = false
osd objectstore = memstore
memstore device bytes = 1073741824
rbd default features = 1
mon warn on pool no redundancy = false
mgr initial modules =
[mon.a]
host = {host}
mon addr = v1:{address}:{port}
mon data = {place}/mon
[osd.0]
osd data = {place}/osd
[mgr.x]
mgr data = {place}/mgr
"""


@dataclass(frozen=True)
class CephCluster:
    place: Path
    port: int
    address: str = "127.0.0.1"

    @property
    def conf(self) -> Path:
        return self.place / "ceph.conf"

    @property
    def attributes(self) -> dict[str, str]:
        """What a datastore on it has in its template."""
        return {
            "CEPH_CONF": str(self.conf),
            "CEPH_HOST": f"{self.address}:{self.port}",
            "CEPH_USER": USER,
            "CEPH_SECRET": _SECRET,
            "POOL_NAME": POOLS[0],
        }

    @property
    def key(self) -> Path:
        """The key of the user, as CEPH_KEY names it."""
        return self.place / "libvirt.key"

    def allow_user(self, *rights: str) -> None:
        """Gives the user these rights instead of those that it has; without any, its usual ones again."""
        self.ceph("auth", "caps", f"client.{USER}", *(rights or _RIGHTS))

    def tell_libvirt(self, uri: str) -> None:
        """Gives a libvirt the secret that its guests' disks name."""
        stated = self.place / "secret.xml"
        stated.write_text(
            f"<secret ephemeral='yes' private='yes'><uuid>{_SECRET}</uuid>"
            f"<usage type='ceph'><name>client.{USER} secret</name></usage></secret>"
        )
        virsh = ("virsh", "--connect", uri)
        self._run(*virsh, "secret-define", str(stated))
        self._run(*virsh, "secret-set-value", _SECRET, "--file", str(self.key))

    def rbd(self, *words: str) -> str:
        return self._run("rbd", "--conf", str(self.conf), *words)

    def ceph(self, *words: str) -> str:
        return self._run("ceph", "--conf", str(self.conf), *words)

    def empty(self) -> None:
        """Removes all volumes: children before what they are built on."""
        left = [
            f"{pool}/{name}"
            for pool in POOLS
            for name in json.loads(self.rbd("ls", "--format", "json", pool))
        ]
        while left:
            for volume in list(left):
                if self._removed(volume):
                    left.remove(volume)

    def _removed(self, volume: str) -> bool:
        for snapshot in json.loads(self.rbd("snap", "ls", "--format", "json", volume)):
            spec = f"{volume}@{snapshot['name']}"
            if self.rbd("children", spec).strip():
                return False
            if str(snapshot.get("protected")).lower() == "true":
                self.rbd("snap", "unprotect", spec)
            self.rbd("snap", "rm", spec)
        self.rbd("rm", volume)
        return True

    @staticmethod
    def _run(*argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_WAIT, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout


def why_not() -> str:
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        return f"missing packages: {' '.join(missing)}"
    return "" if os.geteuid() == 0 else "a cluster of Ceph is started as root"


@contextmanager
def running(address: str = "127.0.0.1") -> Iterator[CephCluster]:
    """A cluster for as long as the block lasts, with everything of it in one directory that goes.

    `address` is the one of this machine that it listens at.
    """
    place = Path(tempfile.mkdtemp(prefix="ceph-"))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        yield _start(place, daemons, address)
    finally:
        for daemon in daemons:
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        shutil.rmtree(place)


def _start(place: Path, daemons: list[subprocess.Popen[bytes]], address: str) -> CephCluster:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    cluster = CephCluster(place, port, address)
    fsid, host = str(uuid.uuid4()), socket.gethostname()
    cluster.conf.write_text(_CONF.format(fsid=fsid, port=port, place=place, host=host, address=address))
    conf = ("--conf", str(cluster.conf))

    def run(*argv: str) -> None:
        subprocess.run(argv, capture_output=True, check=True, timeout=_WAIT)

    def start(*argv: str) -> None:
        log = (place / f"{argv[0]}.out").open("wb")
        daemons.append(subprocess.Popen([*argv, *conf, "-f"], stdout=log, stderr=log))
        log.close()

    monmap = str(place / "monmap")
    run("monmaptool", "--create", "--addv", "a", f"[v1:{address}:{port}]", "--fsid", fsid, monmap)
    admin, mon = str(place / "client.admin.keyring"), str(place / "mon.a.keyring")
    everything = [word for each in ("mon", "osd", "mgr") for word in ("--cap", each, "allow *")]
    run("ceph-authtool", admin, "--create-keyring", "--gen-key", "-n", "client.admin", *everything)
    run("ceph-authtool", mon, "--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    run("ceph-authtool", mon, "--import-keyring", admin)
    run("ceph-mon", *conf, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", mon)
    start("ceph-mon", "-i", "a")
    for name in ("mgr", "osd"):
        (place / name).mkdir()
    _given_key(cluster, "mgr.x", "mon", "allow profile mgr", "osd", "allow *")
    start("ceph-mgr", "-i", "x")
    _given_key(cluster, "osd.0", "mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *")
    osd = str(uuid.uuid4())
    _settled(cluster.ceph, "osd", "new", osd)
    run("ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
    start("ceph-osd", "-i", "0")
    _settled(cluster.ceph, "osd", "crush", "add", "osd.0", "1", "root=default", f"host={host}")
    for pool in POOLS:
        _settled(cluster.ceph, "osd", "pool", "create", pool, "4", "4")
    _until(lambda: " up " in cluster.ceph("osd", "tree"))
    for pool in POOLS:
        _settled(cluster.rbd, "pool", "init", pool)
    _given_key(cluster, f"client.{USER}", *_RIGHTS)
    cluster.key.write_text(cluster.ceph("auth", "print-key", f"client.{USER}"))
    _until(lambda: _has_room(cluster))
    return cluster


def _given_key(cluster: CephCluster, name: str, *rights: str) -> None:
    _settled(
        cluster.ceph, "auth", "get-or-create", name, *rights, "-o", str(cluster.place / f"{name}.keyring")
    )


def _has_room(cluster: CephCluster) -> bool:
    listed = json.loads(cluster.ceph("df", "-f", "json"))["pools"]
    return {each["name"] for each in listed if each["stats"]["max_avail"]} >= set(POOLS)


def _settled(command: Callable[..., str], *words: str) -> None:
    """A command that may be given again, until the daemons that start meanwhile can answer it."""

    def done() -> bool:
        command(*words)
        return True

    _until(done)


def _until(happened: Callable[[], bool]) -> None:
    """A monitor on a busy machine now and then says that it cannot answer."""
    deadline = time.monotonic() + _WAIT
    failure = "it is not what it should be"
    while time.monotonic() < deadline:
        try:
            if happened():
                return
        except AssertionError as error:
            failure = str(error)
        time.sleep(0.2)
    raise AssertionError(f"the cluster did not start: {failure}")


if __name__ == "__main__":
    with running() as shown:
        print(shown.conf, flush=True)
        sys.stdin.read()
