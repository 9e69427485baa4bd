"""A real LXD for tests, with a directory of its own, and images that containers start from."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.hypervisor.lxd import LxdHypervisor
from merope.drivers.hypervisor.lxd_settings import LxdSettings
from merope.drivers.hypervisor.mounted_disks import mounts
from merope.drivers.network.ip_link import run_ip
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

_PROGRAMS = ("lxd", "lxc", "busybox", "mkfs.ext4", "qemu-storage-daemon", "isoinfo", "unshare")
_INIT = """#!/bin/sh
trap 'exit 0' PWR TERM INT
while :; do
    sleep 1000 &
    wait $!
done
"""
PRESEED = """storage_pools:
- name: default
  driver: dir
profiles:
- name: default
  devices: {}
"""
#: LXD keeps these mounted in its directory while it runs, and leaves them when it ends.
_ITS_MOUNTS = ("shmounts", "devlxd")


def why_not() -> str:
    """Why containers cannot run on this machine; empty when they can."""
    if os.geteuid() != 0:
        return "containers need root"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(missing)} not installed: scripts/setup.sh all" if missing else ""


class OwnLxd:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            ["lxd", "--logfile", str(self.directory / "lxd.log")],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            umask=0o022,
        )
        subprocess.run(["lxd", "waitready", "--timeout", "60"], env=self.environment, check=True)
        subprocess.run(["lxd", "init", "--preseed"], input=PRESEED.encode(), env=self.environment, check=True)

    def stop(self) -> None:
        assert self._process is not None
        subprocess.run(["lxd", "shutdown", "--timeout", "30"], env=self.environment, check=False)
        self._process.wait(60)
        for name in _ITS_MOUNTS:
            subprocess.run(["umount", str(self.directory / name)], check=False, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while any(each.target.is_relative_to(self.directory) for each in mounts()):
            assert time.monotonic() < deadline, mounts()
        shutil.rmtree(self.directory)

    def crash(self) -> None:
        """At once, without a word to its containers, which go on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "LXD_DIR": str(self.directory)}

    def client(self, *words: str) -> str:
        """What the stock client says."""
        argv = ["lxc", *words]
        return subprocess.run(
            argv, env=self.environment, check=True, text=True, capture_output=True, stdin=subprocess.DEVNULL
        ).stdout

    def shell(self, name: str, script: str) -> str:
        """What a script says in a container."""
        return self.client("exec", name, "--", "sh", "-c", script).strip()

    def driver(self, home: Path, location: Path) -> LxdHypervisor:
        socket = self.directory / "unix.socket"
        return LxdHypervisor(
            LxdSettings(socket, home / "run" / "lxd", location, shutdown_timeout=60, vnc_command="/bin/sh")
        )


def root_image(path: Path, size: int = 8) -> None:
    """A file system of `size` MB that busybox runs in."""
    tree = path.with_name(f"{path.name}.tree")
    for name in ("bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "media"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, tree / "bin" / "busybox")
    for applet in "sh sleep ls cat touch rm mount df ip hostname id stat sync echo kill mkdir".split():
        (tree / "bin" / applet).symlink_to("busybox")
    (tree / "sbin" / "init").write_text(_INIT)
    (tree / "sbin" / "init").chmod(0o755)
    file_system(path, size, tree)
    shutil.rmtree(tree)


def file_system(path: Path, size: int, tree: Path | None = None) -> None:
    with path.open("wb") as stream:
        stream.truncate(size << 20)
    content = [] if tree is None else ["-d", str(tree)]
    subprocess.run(["mkfs.ext4", "-q", "-E", "root_owner=0:0", *content, str(path)], check=True)


def in_image(path: Path, *commands: str) -> str:
    """What debugfs finds in an image that is not mounted."""
    request = "\n".join(commands)
    done = subprocess.run(["debugfs", "-f", "-", str(path)], input=request, text=True, capture_output=True)
    return done.stdout


class LxdCase:
    """One host, on a bridge of its own."""

    def __init__(self, lxd: OwnLxd, images: Path, home: Path) -> None:
        self.lxd = lxd
        self._images = images
        self.location = home / "datastores"
        self.real: LxdHypervisor = lxd.driver(home, self.location)
        self.driver: Hypervisor = self.real
        self.other: Hypervisor | None = None
        self.other_name = ""
        self.system_dir = self.location / "0" / "7"
        self.system_dir.mkdir(parents=True)
        self.bridge = f"mrpl{os.getpid() % 100000}"
        self.tap = f"{self.bridge}-71"
        run_ip(["link", "add", "name", self.bridge, "type", "bridge"])
        for number in (0, 8):
            self.add("root", number)
        self.add("empty", 2)

    def add(self, image: str, number: int) -> Path:
        path = self.system_dir / f"disk.{number}"
        shutil.copyfile(self._images / image, path)
        return path

    def vm(self, vm_id: int = 7, text: str = "") -> VM:
        number = 0 if vm_id == 7 else vm_id
        template = Template.parse(
            f"MEMORY = 64\nCPU = 0.5\nDISK = [ DISK_ID = {number}, TYPE = FILE, DRIVER = raw ]\n{text}"
        )
        record = History(oid=vm_id, seq=0, hostname="node1", hid=0, cid=0, stime=0, ds_id=0)
        return VM(
            vm_id, 0, 0, "ann", "users", f"vm{vm_id}", stime=9, template=template, history_records=[record]
        )

    def plugged(self, vm_id: int) -> VM:
        vm = self.vm(vm_id)
        vm.template.add("DISK", Vector({"DISK_ID": "2", "TYPE": "FILE", "DRIVER": "raw"}))
        nic = {"NIC_ID": "1", "BRIDGE": self.bridge, "MAC": "02:00:00:00:07:01", "TARGET": self.tap}
        vm.template.add("NIC", Vector(nic))
        return vm

    def exists(self, path: Path) -> bool:
        return path.exists()

    def clear(self) -> None:
        for domain in self.driver.domains():
            self.driver.cancel(domain.deploy_id)
        for name in json.loads(self.lxd.client("list", "--format", "json")):
            self.lxd.client("delete", "--force", name["name"])
        run_ip(["link", "delete", "dev", self.bridge])


def mounted_below(*directories: Path) -> set[Path]:
    targets = {each.target for each in mounts()}
    return {path for path in targets if any(path.is_relative_to(each) for each in directories)}


@contextmanager
def running_lxd() -> Iterator[OwnLxd]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = OwnLxd(Path(tempfile.mkdtemp(prefix="mrp-lxd-")))
    made.start()
    try:
        yield made
    finally:
        made.stop()


def make_images(directory: Path) -> Path:
    """Images to be copied: root, empty."""
    if not why_not():
        root_image(directory / "root")
        file_system(directory / "empty", 1)
    return directory


@contextmanager
def clean_case(lxd: OwnLxd, images: Path) -> Iterator[LxdCase]:
    """A host without containers, before and after; nothing of them is left."""
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    before = mounted_below(home, lxd.directory)
    made = LxdCase(lxd, images, home)
    try:
        yield made
    finally:
        made.clear()
    assert mounted_below(home, lxd.directory) == before
    assert not (home / "run" / "lxd" / "one-7").exists()
    shutil.rmtree(home)
