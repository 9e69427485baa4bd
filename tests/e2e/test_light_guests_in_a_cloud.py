"""Containers and microVMs as people use them: a cloud with one host of each kind, handled through its API."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import firecracker_stand_in
import microvms
import pytest
from containers import OwnLxd, root_image, running_lxd
from containers import why_not as why_no_containers
from tests.real.cloud import number_vms_apart
from tests.real.machine import eventually

from merope.client import Client
from merope.daemon import start
from merope.daemon.layout import Layout
from merope.daemon.start import Wanted, last_options
from merope.drivers.hypervisor.mounted_disks import mounts
from merope.drivers.network.ip_link import links, run_ip
from merope.model.states import HostState, ImageState, LcmState, VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("lxd")]
RUNNING = (VmState.ACTIVE, LcmState.RUNNING)
POWEROFF = (VmState.POWEROFF, LcmState.LCM_INIT)


class LightCloud:
    """One host, this machine, of the hypervisor that is asked for."""

    def __init__(self, home: Path) -> None:
        self.layout = Layout.at(home)
        self.home = home
        self.bridge = f"mrpg{os.getpid() % 100000}"

    def start(self) -> None:
        number_vms_apart(self.layout)
        start.start(self.layout, Wanted(port=30000 + os.getpid() % 2000))
        run_ip(["link", "add", "name", self.bridge, "type", "bridge"])

    def stop(self) -> None:
        start.stop(self.layout)
        if self.bridge in links():
            run_ip(["link", "delete", "dev", self.bridge])

    @property
    def client(self) -> Client:
        options = last_options(self.layout)
        assert options is not None
        return Client(options.endpoint, self.layout.login(), timeout=20.0)

    def ask(self, method: str, *arguments: str | int | bool) -> int:
        with self.client as client:
            return client.number(method, *arguments)

    def document(self, kind: str, oid: int) -> Element:
        with self.client as client:
            return client.info(kind, oid)

    def host(self, kind: str) -> int:
        oid = self.ask("one.host.allocate", "localhost", kind, kind, -1)
        self.eventually("host", oid, lambda it: it.findtext("STATE") == str(int(HostState.MONITORED)))
        return oid

    def image(self, name: str, path: Path, kind: str, store: int, more: str = "") -> int:
        offered = Path(tempfile.mkdtemp(prefix="merope-", dir="/var/tmp"))
        shutil.copy(path, offered / name)
        text = f'NAME={name}\nTYPE={kind}\nPATH="{offered / name}"\n{more}'
        oid = self.ask("one.image.allocate", text, store)
        self.eventually("image", oid, lambda it: it.findtext("STATE") == str(int(ImageState.READY)))
        shutil.rmtree(offered)
        return oid

    def wait(self, vm: int, wanted: tuple[VmState, LcmState]) -> Element:
        def there(it: Element) -> bool:
            return (int(it.findtext("STATE", "-1")), int(it.findtext("LCM_STATE", "-1"))) == wanted

        return self.eventually("vm", vm, there)

    def eventually(self, kind: str, oid: int, found: Callable[[Element], bool]) -> Element:
        deadline = time.monotonic() + 60
        while not found(self.document(kind, oid)):
            assert time.monotonic() < deadline, ElementTree.tostring(self.document(kind, oid), "unicode")
            time.sleep(0.1)
        return self.document(kind, oid)

    def left(self) -> list[str]:
        """What is on this machine of VMs."""
        inside = [str(each.target) for each in mounts() if each.target.is_relative_to(self.home)]
        return inside + [each.name for each in links().values() if each.master == self.bridge]


@pytest.fixture
def cloud() -> Iterator[LightCloud]:
    if os.geteuid() != 0:
        pytest.skip("clouds with bridges need root")
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    made = LightCloud(home)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(home)


@pytest.fixture
def lxd() -> Iterator[OwnLxd]:
    if why_no_containers():
        pytest.skip(why_no_containers())
    with running_lxd() as made:
        yield made


def test_a_container_lives_through_what_its_owner_does(
    cloud: LightCloud, lxd: OwnLxd, tmp_path: Path
) -> None:
    settings = cloud.home / "remotes/etc/vmm/lxd/lxdrc"
    settings.parent.mkdir(parents=True)
    settings.write_text(f":socket: {lxd.directory / 'unix.socket'}\n")
    cloud.host("lxd")
    root_image(tmp_path / "root")
    image = cloud.image("root", tmp_path / "root", "OS", 1, "PERSISTENT=YES")
    net = cloud.ask("one.vn.allocate", _network(cloud), -1)
    vm = cloud.ask(
        "one.vm.allocate",
        f"{_SMALL}\nDISK=[IMAGE_ID={image}]\nNIC=[NETWORK_ID={net}]",
        False,
    )
    cloud.wait(vm, RUNNING)
    name = f"one-{vm}"
    assert "ETH0_IP='10.66.0.10'" in lxd.shell(name, "cat /context/context.sh")
    lxd.shell(name, "echo kept > /root/note")
    cloud.ask("one.vm.attach", vm, "DISK=[TYPE=fs,FORMAT=raw,FS=ext4,SIZE=16]")
    cloud.wait(vm, RUNNING)
    lxd.shell(name, "echo more > /media/2/note")
    cloud.ask("one.vm.snapshotcreate", vm, "before")
    cloud.wait(vm, RUNNING)
    lxd.shell(name, "rm /root/note")
    cloud.ask("one.vm.snapshotrevert", vm, 0)
    cloud.wait(vm, RUNNING)
    assert lxd.shell(name, "cat /root/note") == "kept"
    cloud.ask("one.vm.action", "poweroff", vm)
    cloud.wait(vm, POWEROFF)
    assert cloud.left() == []
    cloud.ask("one.vm.action", "resume", vm)
    cloud.wait(vm, RUNNING)
    assert lxd.shell(name, "cat /root/note /media/2/note").split() == ["kept", "more"]
    lxd.client("stop", name)
    cloud.wait(vm, POWEROFF)
    cloud.ask("one.vm.action", "terminate-hard", vm)
    cloud.wait(vm, (VmState.DONE, LcmState.LCM_INIT))
    assert cloud.left() == []
    assert lxd.client("list", "--format", "csv") == ""


@pytest.mark.skipif(bool(microvms.why_not()), reason=microvms.why_not() or "never")
def test_a_microvm_lives_through_what_its_owner_does(cloud: LightCloud, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    firecracker, _ = firecracker_stand_in.install(programs)
    settings = cloud.home / "remotes/etc/vmm/firecracker/firecrackerrc"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f":firecracker_location: {firecracker}\n:chroot_base: {cloud.home / 'jails'}\n:shutdown_timeout: 60\n"
    )
    cloud.host("firecracker")
    kernel, initrd = microvms.guest_files()
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    image = cloud.image("disk", tmp_path / "disk", "OS", 1)
    kernel_id = cloud.image("kernel", kernel, "KERNEL", 2)
    initrd_id = cloud.image("initrd", initrd, "RAMDISK", 2)
    net = cloud.ask("one.vn.allocate", _network(cloud), -1)
    system = (
        f'OS=[KERNEL_DS="$FILE[IMAGE_ID={kernel_id}]",INITRD_DS="$FILE[IMAGE_ID={initrd_id}]",'
        'KERNEL_CMD="console=ttyS0 reboot=k panic=1 quiet net.ifnames=0"]'
    )
    text = f"{_SMALL.replace('=64', '=96')}\n{system}\nDISK=[IMAGE_ID={image}]\nNIC=[NETWORK_ID={net}]"
    vm = cloud.ask("one.vm.allocate", text, False)
    cloud.wait(vm, RUNNING)
    console = cloud.home / "run" / "firecracker" / f"one-{vm}" / "console.log"
    ready = "merope-guest: ready"
    eventually("the guest is up", lambda: console.exists() and ready in console.read_text(), 120.0)
    assert "context read from /dev/vdb" in console.read_text()
    cloud.ask("one.vm.action", "poweroff", vm)
    cloud.wait(vm, POWEROFF)
    assert cloud.left() == []
    cloud.ask("one.vm.action", "resume", vm)
    cloud.wait(vm, RUNNING)
    cloud.ask("one.vm.action", "terminate-hard", vm)
    cloud.wait(vm, (VmState.DONE, LcmState.LCM_INIT))
    assert cloud.left() == []


def _network(cloud: LightCloud) -> str:
    return f"NAME=net\nVN_MAD=bridge\nBRIDGE={cloud.bridge}\nAR=[TYPE=IP4,IP=10.66.0.10,SIZE=9]"


_SMALL = "NAME=small\nCPU=0.5\nMEMORY=64\nCONTEXT=[NETWORK=YES]"
