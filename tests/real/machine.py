"""What tests on real QEMU guests need: a libvirtd of their own, a bridge, the guest image, and patience."""

import base64
import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from merope.daemon.libvirtd import OwnLibvirtd
from merope.drivers import context
from merope.drivers.hypervisor.domain_xml import HostTraits
from merope.drivers.hypervisor.libvirt import LibvirtHypervisor
from merope.drivers.hypervisor.libvirt_settings import KvmSettings, emulator_path
from merope.drivers.paths import Allowed
from merope.model.template import Template, Vector
from merope.model.vm import VM, History

REPOSITORY = Path(__file__).resolve().parents[2]
BOOT_LIMIT = 60.0
"""Seconds for a guest to serve its page: 5 where nothing else runs, more beside other work."""

_TOOLS = ("qemu-system-x86_64", "qemu-img", "ip", "unshare", "mount")

GUEST = """
MEMORY = 128
CPU = 0.5
OS = [ ARCH = x86_64 ]
DISK = [ DISK_ID = 0, TARGET = vda, TYPE = FILE, DRIVER = qcow2, CACHE = unsafe ]
CONTEXT = [ DISK_ID = 1, TARGET = hda ]
GRAPHICS = [ TYPE = VNC, LISTEN = "127.0.0.1" ]
"""


_CGI = r"""#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
eval "$(httpd -d "$QUERY_STRING")" 2>&1
"""
_INSTALL = f"cat >/www/cgi-bin/sh <<'END'\n{_CGI}END\nchmod 755 /www/cgi-bin/sh"
SHELL = f"START_SCRIPT_BASE64={base64.b64encode(_INSTALL.encode()).decode()}"
"""A variable of CONTEXT with which tests can run commands inside their guest."""


def why_not() -> str:
    """Why no guest can be started here; empty when one can."""
    if os.geteuid() != 0:
        return "real guests need root (a libvirtd of their own, a bridge)"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if shutil.which("libvirtd", path="/usr/sbin:/usr/bin") is None:
        return "not installed: libvirtd"
    if importlib.util.find_spec("libvirt") is None:
        return "not installed: libvirt's Python binding (merope[kvm])"
    return ""


def guest_image() -> tuple[Path | None, str]:
    """The demonstration guest, built when needed; or None and why there is none."""
    output = REPOSITORY / "guest/built/merope-guest.qcow2"
    argv = [sys.executable, str(REPOSITORY / "guest/build.py"), "--output", str(output)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (output, "") if done.returncode == 0 else (None, done.stderr.strip())


@contextmanager
def choosing_a_range() -> Iterator[None]:
    """One at a time: two test runs beside each other must not both find the same range free."""
    with (Path(tempfile.gettempdir()) / "merope-real-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def eventually(what: str, condition: Callable[[], bool], limit: float = BOOT_LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {what}"
        time.sleep(0.1)


@dataclass
class Guest:
    """A guest by its address."""

    address: str

    def get(self, path: str = "/", timeout: float = 3.0) -> str:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=timeout) as answer:
            return str(answer.read().decode())

    def serves(self) -> bool:
        try:
            self.get("/boot-id", timeout=0.5)
        except (OSError, urllib.error.URLError):
            return False
        return True

    def wait(self) -> None:
        eventually(f"http://{self.address}/ answers", self.serves)

    def info(self) -> dict[str, object]:
        return dict(json.loads(self.get("/cgi-bin/info")))

    def boot_id(self) -> str:
        return self.get("/boot-id").strip()

    def has_rebooted(self, since: str) -> bool:
        """Whether it answers, and is not the boot any more that it was; it may go down while it is asked."""
        try:
            return self.boot_id() != since
        except OSError:
            return False

    def run(self, command: str) -> str:
        """What a command says inside a guest that was started with SHELL."""
        return self.get(f"/cgi-bin/sh?{urllib.parse.quote(command, safe='')}", timeout=20.0)

    def write(self, device: str, word: str) -> None:
        """Writes a word at the start of a device, down to the host's file."""
        self.run(f"printf '%-64s' '{word}' | dd of=/dev/{device} conv=fsync bs=64 count=1")

    def read(self, device: str) -> str:
        command = f"dd if=/dev/{device} iflag=direct bs=512 count=1 2>/dev/null | head -c 64"
        return self.run(command).strip()

    def has(self, device: str) -> bool:
        return device in str(self.info()["disks"])

    def hits(self) -> int:
        return int(self.get("/cgi-bin/hits"))


@dataclass
class Host:
    """A host with real QEMU: its libvirtd, the driver, and the directory of VMs."""

    libvirtd: OwnLibvirtd
    bridge: str
    network: IPv4Network
    image: Path
    driver: LibvirtHypervisor = field(init=False)

    def __post_init__(self) -> None:
        self.settings = KvmSettings(
            uri=self.libvirtd.uri,
            traits=HostTraits("qemu", emulator_path()),
            datastores=self.libvirtd.home / "datastores",
            shutdown_timeout=30.0,
        )
        self.driver = LibvirtHypervisor(self.settings)

    def migrating_to(self, other: "Host", **settings: Any) -> LibvirtHypervisor:
        return LibvirtHypervisor(replace(self.settings, migrate_uri=other.libvirtd.uri, **settings))

    def directory(self, vm_id: int) -> Path:
        return self.settings.datastores / "0" / str(vm_id)

    def guest(self, vm_id: int) -> Guest:
        return Guest(str(self.network[10 + vm_id]))

    def vm(self, vm_id: int, variables: str = "") -> VM:
        """A VM on the bridge whose context gives it an address; `variables` are more lines of CONTEXT."""
        address: IPv4Address = self.network[10 + vm_id]
        mac = f"02:00:{':'.join(f'{byte:02x}' for byte in address.packed)}"
        template = Template.parse(GUEST)
        template.add(
            "NIC", vector(NIC_ID=0, BRIDGE=self.bridge, MAC=mac, TARGET=f"one-{vm_id}-0", MODEL="virtio")
        )
        given = template.vector("CONTEXT")
        assert given is not None
        given.update(vector(ETH0_MAC=mac, ETH0_IP=address, ETH0_MASK=self.network.netmask, NETWORK="YES"))
        for line in filter(None, variables.splitlines()):
            name, _, value = line.partition("=")
            given[name.strip()] = value.strip()
        record = History(oid=vm_id, seq=0, hostname="here", hid=0, cid=0, stime=0, ds_id=0)
        return VM(
            vm_id, 0, 0, "oneadmin", "oneadmin", f"vm{vm_id}", template=template, history_records=[record]
        )

    def prepare(self, vm: VM) -> Path:
        """The VM's disk and its CONTEXT image."""
        directory = self.directory(vm.id)
        directory.mkdir(parents=True)
        shutil.copyfile(self.image, directory / "disk.0")
        context.build(directory / "disk.1", context.context_of(vm), Allowed((), ()))
        return directory

    def clear(self) -> None:
        for domain in self.driver.domains():
            self.driver.cancel(domain.deploy_id)
        shutil.rmtree(self.settings.datastores, ignore_errors=True)


def vector(**values: object) -> Vector:
    return Vector({name: str(value) for name, value in values.items()})


def first_text(path: Path, image_format: str = "qcow2") -> str:
    """The text at the start of a disk that nobody writes to."""
    command = ["qemu-io", "-U", "-r", "-f", image_format, "-c", "read -v 0 64", str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    shown = "".join(line.rpartition("  ")[2] for line in lines if line.startswith("0000"))
    return shown.rstrip(".")  # which stands for every blank
