"""Parts of a VM on a whole cloud: disks, NICs, contexts and snapshots, through the API, with real guests.

One cloud and one VM serve all tests of this file, in their order; each leaves the VM running. Its disks are
chains of qcow2 files. What is tried "core killed" goes on where the core that was asked for it had died.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.real.cloud import RUNNING, FirstCloud
from tests.real.machine import SHELL, choosing_a_range, eventually, first_text

from merope.model.states import ImageState, VmState

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]

_DATA = "NAME=data\nTYPE=DATABLOCK\nSIZE=16\nFORMAT=qcow2\nPERSISTENT=YES\nDEV_PREFIX=vd"
accidents = pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])


class PartsCloud(FirstCloud):
    """A cloud with datastores of qcow2 chains and a VM in them."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "parts")

    def ask(self, method: str, *arguments: str | int | bool) -> int:
        with self.client as client:
            return client.number(method, *arguments)

    def prepare(self) -> None:
        with self.client as client:
            demo = next(each for each in client.pool("vm") if each.findtext("NAME") == "demo")
            client.call("one.vm.action", "terminate-hard", int(demo.findtext("ID", "-1")))
            (network,) = client.pool("vnet")
            (guest,) = client.pool("image")
        self.network = int(network.findtext("ID", "-1"))
        system = self.ask("one.datastore.allocate", "NAME=qs\nTYPE=SYSTEM_DS\nTM_MAD=qcow2", -1)
        store = self.ask("one.datastore.allocate", "NAME=qi\nDS_MAD=fs\nTM_MAD=qcow2", -1)
        root = self.ask("one.image.clone", int(guest.findtext("ID", "-1")), "root", store)
        self.data = self.ask("one.image.allocate", _DATA, store)
        for image in (root, self.data):
            self.wait_for_image(image)
        template = (
            f"NAME=parts\nCPU=0.5\nMEMORY=128\nDISK=[IMAGE_ID={root}]\nNIC=[NETWORK_ID={self.network}]\n"
            f'NIC_DEFAULT=[MODEL=virtio]\nSCHED_DS_REQUIREMENTS="ID={system}"\n'
            f'CONTEXT=[NETWORK=YES,{SHELL.replace("=", chr(61) + chr(34), 1)}"]'
        )
        self.vm = self.ask("one.vm.allocate", template, False)
        self.wait_for(RUNNING)
        self.guest.wait()

    def wait_for_image(self, oid: int, wanted: ImageState = ImageState.READY) -> None:
        def there() -> bool:
            document = self.document("image", oid)
            state = ImageState(int(document.findtext("STATE", "-1")))
            assert state is not ImageState.ERROR, document.findtext("TEMPLATE/ERROR", "")
            return state is wanted

        eventually(f"image {oid} is {wanted.name}", there)

    def told(self, path: str) -> str:
        return self.document("vm", self.vm).findtext(path, "")

    def carry_out(self, accident: bool, method: str, *arguments: str | int | bool) -> int:
        """Asks for a change of the VM and waits until it is done, and nothing was said to be wrong."""
        number = self.ask(method, self.vm, *arguments)
        if accident:
            self.kill_the_core()
        self.wait_for(RUNNING, VmState.POWEROFF)
        assert self.look().error == ""
        return number

    def switch(self, action: str) -> None:
        self.ask("one.vm.action", action, self.vm)
        self.wait_for(VmState.POWEROFF if action.startswith("poweroff") else RUNNING)
        if action == "resume":
            self.guest.wait()

    def disk(self, number: int) -> dict[str, str]:
        for each in self.document("vm", self.vm).iterfind("TEMPLATE/DISK"):
            if each.findtext("DISK_ID") == str(number):
                return {part.tag: part.text or "" for part in each}
        return {}

    def last_disk(self) -> int:
        return max(
            int(each.text or -1) for each in self.document("vm", self.vm).iterfind("TEMPLATE/DISK/DISK_ID")
        )

    def file(self, number: int) -> Path:
        return (
            self.layout.datastores
            / self.told("HISTORY_RECORDS/HISTORY/DS_ID")
            / str(self.vm)
            / f"disk.{number}"
        )


@pytest.fixture(scope="module")
def cloud(image: Path) -> Iterator[PartsCloud]:
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    home.chmod(0o700)
    made = PartsCloud(home)
    try:
        with choosing_a_range():
            made.make()
        made.prepare()
        yield made
    finally:
        made.demo("down")
        shutil.rmtree(home)


@accidents
def test_a_persistent_disk_keeps_what_was_written_from_one_attachment_to_the_next(
    cloud: PartsCloud, accident: bool
) -> None:
    word = f"word{int(accident)}"
    for read in (False, True):
        cloud.carry_out(accident, "one.vm.attach", f"DISK=[IMAGE_ID={cloud.data}]")
        number = cloud.last_disk()
        device = cloud.disk(number)["TARGET"]
        eventually(f"the guest has {device}", partial(cloud.guest.has, device), 20)
        if read:
            assert cloud.guest.read(device) == word
        else:
            cloud.guest.write(device, word)
        cloud.carry_out(accident, "one.vm.detach", number)
        assert not cloud.guest.has(device)
        assert cloud.disk(number) == {}
        cloud.wait_for_image(cloud.data)
    assert first_text(Path(cloud.document("image", cloud.data).findtext("SOURCE", ""))) == word


@accidents
def test_a_nic_comes_with_its_lease_and_context_and_goes_with_them(cloud: PartsCloud, accident: bool) -> None:
    cloud.carry_out(accident, "one.vm.attachnic", f"NIC=[NETWORK_ID={cloud.network}]")
    nic = cloud.document("vm", cloud.vm).findall("TEMPLATE/NIC")[-1]
    mac, number = nic.findtext("MAC", "?"), int(nic.findtext("NIC_ID", "-1"))
    macs = "cat /sys/class/net/*/address"
    eventually(f"the guest has {mac}", lambda: mac in cloud.guest.run(macs), 20)
    shown = "umount /mnt/context; mount -t iso9660 -o ro /dev/sr0 /mnt/context; cat /mnt/context/context.sh"
    assert f"ETH{number}_MAC='{mac}'" in cloud.guest.run(shown)
    cloud.carry_out(accident, "one.vm.detachnic", number)
    assert mac not in cloud.guest.run(macs)
    assert f"ETH{number}_MAC" not in cloud.guest.run(shown)
    assert f"ETH{number}_MAC" not in cloud.told("TEMPLATE/CONTEXT")


def test_a_context_is_changed_while_the_guest_runs(cloud: PartsCloud) -> None:
    script = cloud.told("TEMPLATE/CONTEXT/START_SCRIPT_BASE64")
    changed = f'CONTEXT=[NETWORK=YES,PAGE="another page",START_SCRIPT_BASE64="{script}"]'
    cloud.carry_out(False, "one.vm.updateconf", changed)
    shown = "umount /mnt/context; mount -t iso9660 -o ro /dev/sr0 /mnt/context; cat /mnt/context/context.sh"
    assert "PAGE='another page'" in cloud.guest.run(shown)


@accidents
def test_a_disk_grows_under_the_guest(cloud: PartsCloud, accident: bool) -> None:
    wanted = int(cloud.disk(0)["SIZE"]) + 8
    cloud.carry_out(accident, "one.vm.diskresize", 0, str(wanted))
    sectors = "cat /sys/block/vda/size"
    eventually(f"vda has {wanted} MB", lambda: int(cloud.guest.run(sectors)) == wanted * 2048, 20)


@accidents
def test_a_disk_returns_to_its_snapshot(cloud: PartsCloud, accident: bool) -> None:
    guest, word = cloud.guest, f"kept{int(accident)}"
    guest.get(f"/cgi-bin/note?write={word}")
    number = cloud.carry_out(accident, "one.vm.disksnapshotcreate", 0, "before")
    guest.get("/cgi-bin/note?write=lost")
    assert guest.get("/cgi-bin/note") == "lost\n"
    cloud.switch("poweroff-hard")
    cloud.carry_out(accident, "one.vm.disksnapshotrevert", 0, number)
    other = cloud.carry_out(accident, "one.vm.disksnapshotcreate", 0, "off")
    cloud.carry_out(False, "one.vm.disksnapshotrevert", 0, number)
    cloud.carry_out(accident, "one.vm.disksnapshotdelete", 0, other)
    cloud.switch("resume")
    assert cloud.guest.get("/cgi-bin/note") == f"{word}\n"
    assert cloud.file(0).with_name("disk.0.snap").joinpath(str(number)).is_file()
    assert not cloud.file(0).with_name("disk.0.snap").joinpath(str(other)).exists()


@accidents
def test_a_guest_returns_to_its_snapshot(cloud: PartsCloud, accident: bool) -> None:
    guest = cloud.guest
    guest.run("echo remembered >/run/word")
    number = cloud.carry_out(accident, "one.vm.snapshotcreate", "moment")
    assert cloud.told("TEMPLATE/SNAPSHOT/HYPERVISOR_ID") == f"snap-{number}"
    guest.run("echo forgotten >/run/word")
    cloud.carry_out(accident, "one.vm.snapshotrevert", number)
    guest.wait()
    assert guest.run("cat /run/word") == "remembered\n"
    cloud.carry_out(accident, "one.vm.snapshotdelete", number)
    assert cloud.told("TEMPLATE/SNAPSHOT/HYPERVISOR_ID") == ""


@accidents
def test_a_disk_is_saved_while_its_guest_runs(cloud: PartsCloud, accident: bool) -> None:
    cloud.carry_out(False, "one.vm.attach", f"DISK=[IMAGE_ID={cloud.data}]")
    number = cloud.last_disk()
    device, word = cloud.disk(number)["TARGET"], f"saved{int(accident)}"
    eventually(f"the guest has {device}", lambda: cloud.guest.has(device), 20)
    cloud.guest.write(device, word)
    image = cloud.carry_out(accident, "one.vm.disksaveas", number, f"live{int(accident)}", "", -1)
    cloud.wait_for_image(image)
    cloud.guest.write(device, "later")
    assert first_text(Path(cloud.document("image", image).findtext("SOURCE", ""))) == word
    cloud.carry_out(False, "one.vm.detach", number)


@accidents
def test_a_disk_of_a_vm_that_is_off_is_saved_as_it_is(cloud: PartsCloud, accident: bool) -> None:
    cloud.switch("poweroff-hard")
    image = cloud.carry_out(accident, "one.vm.disksaveas", 0, f"off{int(accident)}", "", -1)
    cloud.wait_for_image(image)
    saved = Path(cloud.document("image", image).findtext("SOURCE", ""))
    assert content(saved) == content(cloud.file(0))
    cloud.switch("resume")


def content(path: Path) -> str:
    with tempfile.TemporaryDirectory() as directory:
        flat = Path(directory) / "flat"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, flat], check=True)
        return hashlib.sha256(flat.read_bytes()).hexdigest()
