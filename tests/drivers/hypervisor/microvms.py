"""MicroVMs for tests: a host for them, and the demonstration guest's kernel as Firecracker takes it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import firecracker_stand_in

from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.hypervisor.firecracker import FirecrackerHypervisor
from merope.drivers.hypervisor.firecracker_settings import FirecrackerSettings
from merope.drivers.hypervisor.mounted_disks import mounts
from merope.drivers.network.ip_link import links, run_ip
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

REPOSITORY = Path(__file__).parents[3]
UID = 9869
_ELF = b"\x7fELF"
_LZ4 = b"\x02\x21\x4c\x18"


def why_not() -> str:
    """Why there can be no microVMs here; empty where there can."""
    if os.geteuid() != 0:
        return "jails need root"
    programs = ("screen", "qemu-system-x86_64", "qemu-img", "busybox", "lz4")
    missing = [program for program in programs if shutil.which(program) is None]
    return f"{', '.join(missing)} not installed: scripts/setup.sh all" if missing else ""


@cache
def guest_files() -> tuple[Path, Path]:
    """The kernel as an ELF file, and the initial file system; made of the demonstration guest's."""
    output = REPOSITORY / "guest/built/merope-guest.qcow2"
    argv = [sys.executable, str(REPOSITORY / "guest/build.py"), "--output", str(output)]
    subprocess.run(argv, check=True, capture_output=True)
    kernel = output.with_name("vmlinux")
    packed = output.with_name("vmlinuz")
    if not kernel.exists() or kernel.stat().st_mtime < packed.stat().st_mtime:
        part = kernel.with_suffix(".part")
        part.write_bytes(unpacked_kernel(packed.read_bytes()))
        part.rename(kernel)
    return kernel, output.with_name("initrd.gz")


def unpacked_kernel(image: bytes) -> bytes:
    """The ELF file within a bzImage of Debian's, which is packed by lz4."""
    at = image.index(_LZ4)
    # What follows the packed kernel is none of it, which lz4 says by its exit status.
    done = subprocess.run(["lz4", "-d", "-c"], input=image[at:], capture_output=True)
    assert done.stdout.startswith(_ELF), done.stderr
    return done.stdout


class MicrovmCase:
    """One host with the stand-ins for Firecracker and its jailer, on a bridge of its own."""

    def __init__(self, home: Path, *, mmds: bool = False) -> None:
        kernel, initrd = guest_files()
        firecracker, jailer = firecracker_stand_in.install(home)
        self.location = home / "datastores"
        self.settings = FirecrackerSettings(
            home / "run" / "firecracker",
            self.location,
            firecracker,
            jailer,
            home / "jails",
            UID,
            UID,
            shutdown_timeout=60,
            cgroups=1,
            cgroup_root=home / "cgroup",
            mmds=mmds,
        )
        self.real = FirecrackerHypervisor(self.settings)
        self.driver: Hypervisor = self.real
        self.other: Hypervisor | None = None
        self.other_name = ""
        self.system_dir = self.location / "0" / "7"
        self.system_dir.mkdir(parents=True)
        for number in (0, 8):
            with (self.system_dir / f"disk.{number}").open("wb") as stream:
                stream.truncate(1 << 20)
        (self.system_dir / "kernel").symlink_to(_copy(kernel, home))
        (self.system_dir / "initrd").symlink_to(_copy(initrd, home))
        self.bridge = f"mrpf{os.getpid() % 100000}"
        self.tap = f"{self.bridge}-70"
        run_ip(["link", "add", "name", self.bridge, "type", "bridge"])
        run_ip(["link", "set", "dev", self.bridge, "up"])

    def vm(self, vm_id: int = 7, text: str = "") -> VM:
        number = 0 if vm_id == 7 else vm_id
        template = Template.parse(
            "MEMORY = 96\nCPU = 0.5\n"
            f"DISK = [ DISK_ID = {number}, TYPE = FILE, DRIVER = raw ]\n"
            'OS = [ KERNEL_DS_SOURCE = "/k", INITRD_DS_SOURCE = "/i",\n'
            '  KERNEL_CMD = "console=ttyS0 reboot=k panic=1 quiet net.ifnames=0 no_timer_check" ]\n' + text
        )
        record = History(oid=vm_id, seq=0, hostname="node1", hid=0, cid=0, stime=0, ds_id=0)
        return VM(
            vm_id, 0, 0, "ann", "users", f"vm{vm_id}", stime=9, template=template, history_records=[record]
        )

    def with_nic(self, text: str = "") -> VM:
        vm = self.vm(text=text)
        mac = "02:00:00:00:07:00"
        vm.template.add("NIC", Vector({"NIC_ID": "0", "BRIDGE": self.bridge, "MAC": mac, "TARGET": self.tap}))
        return vm

    def plugged(self, vm_id: int) -> VM:
        return self.vm(vm_id)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def console(self, deploy_id: str = "one-7") -> str:
        path = self.settings.state / deploy_id / "console.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""


def _copy(path: Path, home: Path) -> Path:
    """Firecracker's files get another owner: the originals stay as they are."""
    target = home / path.name
    os.link(path, target) if path.stat().st_dev == home.stat().st_dev else shutil.copy(path, target)
    return target


@contextmanager
def clean_case(home: Path, *, mmds: bool = False) -> Iterator[MicrovmCase]:
    """A host without microVMs, before and after; nothing of them is left."""
    made = MicrovmCase(home, mmds=mmds)
    try:
        yield made
        for domain in made.driver.domains():
            made.driver.cancel(domain.deploy_id)
        assert not [each for each in mounts() if each.target.is_relative_to(home)]
        assert not (made.settings.jails / "firecracker" / "one-7").exists()
        assert list(made.settings.state.glob("*")) == []
        assert [each.name for each in links().values() if each.master == made.bridge] == []
    finally:
        run_ip(["link", "delete", "dev", made.bridge])
        shutil.rmtree(home)
