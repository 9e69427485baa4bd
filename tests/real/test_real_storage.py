"""What a running guest writes to disks that are made elsewhere: devices, and targets with a password."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drivers import iscsi_target
from tests.real.machine import SHELL, Guest, Host, eventually, vector

from merope.drivers.transfer.base import Place
from merope.drivers.transfer.dev import DevTransfer
from merope.model.vm import VM

pytestmark = [pytest.mark.real, pytest.mark.e2e, pytest.mark.xdist_group("real")]
USAGE, USER, PASSWORD = "disks-of-the-cloud", "merope", "a-long-password"
_MB = 1024 * 1024


class Machine:
    """One guest for the tests of this file; each leaves it as it was."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.vm: VM = host.vm(3, SHELL)
        self.directory = host.prepare(self.vm)
        self.deploy_id = host.driver.deploy(self.vm, self.directory)
        self.guest.wait()

    @property
    def guest(self) -> Guest:
        return self.host.guest(self.vm.id)

    def uses(self, word: str, **disk: str) -> None:
        """Plugs a disk in as vdb, has the guest write to it, and takes it out."""
        self.vm.template.add("DISK", vector(DISK_ID=2, TARGET="vdb", DRIVER="raw", CACHE="none", **disk))
        driver = self.host.driver
        driver.attach_disk(self.vm, self.deploy_id, 2, self.directory)
        eventually("the guest has vdb", lambda: self.guest.has("vdb"), 20)
        self.guest.write("vdb", word)
        driver.detach_disk(self.vm, self.deploy_id, 2)
        self.vm.template.remove("DISK")
        self.vm.template.add("DISK", vector(DISK_ID=0, TARGET="vda", TYPE="FILE", DRIVER="qcow2"))


@pytest.fixture(scope="module")
def machine(first_host: Host) -> Iterator[Machine]:
    first_host.clear()
    yield Machine(first_host)
    first_host.clear()


@pytest.fixture
def secret(first_host: Host) -> Iterator[None]:
    """The password, as an administrator gives it to libvirt on a host."""
    libvirt = pytest.importorskip("libvirt")
    connection = libvirt.open(first_host.libvirtd.uri)
    text = (
        f"<secret ephemeral='no' private='yes'><usage type='iscsi'><target>{USAGE}</target></usage></secret>"
    )
    made = connection.secretDefineXML(text)
    made.setValue(PASSWORD.encode())
    yield
    made.undefine()
    connection.close()


@pytest.mark.runs("transfer/iscsi_libvirt", "link", "activate", where="here")
@pytest.mark.usefixtures("secret")
def test_a_guest_writes_to_a_target_that_asks_for_a_password(machine: Machine) -> None:
    with iscsi_target.serving(b"", (USER, PASSWORD)) as target:
        stated = {"ISCSI_HOST": target.host, "ISCSI_USER": USER, "ISCSI_USAGE": USAGE}
        machine.uses("by-iscsi", TYPE="ISCSI", SOURCE=f"{iscsi_target.IQN}/1", **stated)
        assert target.content.read_bytes().startswith(b"by-iscsi")


def test_a_guest_writes_to_a_device_of_its_host(machine: Machine) -> None:
    with tempfile.NamedTemporaryFile() as content:
        content.truncate(4 * _MB)
        argv = ("losetup", "--find", "--show", content.name)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no block device can be made here: {done.stderr.strip()}")
        device = done.stdout.strip()
        try:
            driver = DevTransfer(machine.directory.parent.parent).for_disk({"SOURCE": device})
            driver.link(Path(device), Place("", machine.directory / "disk.2"), "raw")
            machine.uses("by-device", TYPE="BLOCK", SOURCE=device)
        finally:
            subprocess.run(("losetup", "-d", device), check=True)
        assert Path(content.name).read_bytes().startswith(b"by-device")
