"""What a running guest sees of what is plugged into it, and what becomes of its disks meanwhile.

One guest serves all tests of this file, in their order; each leaves it running as it was.
"""

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.real.machine import SHELL, Guest, Host, eventually, first_text, vector

from merope.drivers import context
from merope.drivers.diskimage import create_qcow2
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt_api import BlockCopy, Connection
from merope.drivers.hypervisor.libvirt_session import Session
from merope.drivers.paths import Allowed
from merope.drivers.transfer.base import LiveSnapshot, Place
from merope.drivers.transfer.qcow2 import Qcow2Transfer
from merope.drivers.transfer.shared import SharedTransfer
from merope.model.template import Vector
from merope.model.vm import VM

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]

_MB = 1024 * 1024


@dataclass
class Machine:
    """A guest with a second disk, /dev/vdb, whose snapshots are a chain."""

    host: Host
    vm: VM
    directory: Path
    deploy_id: str
    transfer: Qcow2Transfer

    @property
    def guest(self) -> Guest:
        return self.host.guest(self.vm.id)

    def disk(self, number: int) -> Place:
        return Place("", self.directory / f"disk.{number}")


@pytest.fixture(scope="module")
def machine(first_host: Host) -> Iterator[Machine]:
    first_host.clear()
    vm = first_host.vm(2, SHELL)
    directory = first_host.prepare(vm)
    location = directory.parent.parent
    (location / "1").mkdir()
    create_qcow2(location / "1" / "image", 16)
    transfer = Qcow2Transfer(location)
    vm.template.add("DISK", disk(2, "vdb"))
    transfer.clone(location / "1" / "image", Place("", directory / "disk.2"), 16, "qcow2")
    made = Machine(first_host, vm, directory, first_host.driver.deploy(vm, directory), transfer)
    made.guest.wait()
    yield made
    first_host.clear()


def disk(number: int, target: str) -> Vector:
    return vector(DISK_ID=number, TYPE="FILE", DRIVER="qcow2", CACHE="unsafe", TARGET=target, IMAGE_ID=1)


@pytest.mark.runs("hypervisor/kvm", "has_disk", "attach_disk", "detach_disk")
def test_a_disk_that_is_plugged_in_can_be_used_and_taken_away(machine: Machine) -> None:
    driver, guest = machine.host.driver, machine.guest
    create_qcow2(machine.directory / "disk.3", 8)
    machine.vm.template.add("DISK", disk(3, "vdc"))
    for _ in range(2):
        driver.attach_disk(machine.vm, machine.deploy_id, 3, machine.directory)
    eventually("the guest has vdc", lambda: "vdc" in str(guest.info()["disks"]), 15)
    machine.guest.write("vdc", "guest")
    for _ in range(2):
        driver.detach_disk(machine.vm, machine.deploy_id, 3)
    assert "vdc" not in str(guest.info()["disks"])
    assert first_text(machine.directory / "disk.3") == "guest"
    driver.attach_disk(machine.vm, machine.deploy_id, 3, machine.directory)
    eventually("the guest has vdc again", lambda: "vdc" in str(guest.info()["disks"]), 15)
    assert machine.guest.read("vdc") == "guest"
    driver.detach_disk(machine.vm, machine.deploy_id, 3)


def test_a_disk_on_scsi_is_plugged_into_a_guest_that_had_no_such_bus(machine: Machine) -> None:
    driver, guest = machine.host.driver, machine.guest
    create_qcow2(machine.directory / "disk.4", 8)
    machine.vm.template.add("DISK", disk(4, "sda"))
    driver.attach_disk(machine.vm, machine.deploy_id, 4, machine.directory)
    eventually("the guest has sda", lambda: "sda" in str(guest.info()["disks"]), 15)
    driver.detach_disk(machine.vm, machine.deploy_id, 4)
    eventually("the guest has no sda", lambda: "sda" not in str(guest.info()["disks"]), 15)


@pytest.mark.runs("hypervisor/kvm", "attach_nic", "detach_nic")
def test_a_nic_that_is_plugged_in_is_seen_and_taken_away(machine: Machine) -> None:
    driver, guest = machine.host.driver, machine.guest
    mac = "02:00:00:00:02:01"
    machine.vm.template.add("NIC", vector(NIC_ID=1, BRIDGE=machine.host.bridge, MAC=mac, MODEL="virtio"))
    for _ in range(2):
        driver.attach_nic(machine.vm, machine.deploy_id, 1, machine.directory)
    eventually("the guest has eth1", lambda: mac in guest.run("cat /sys/class/net/*/address"), 15)
    for _ in range(2):
        driver.detach_nic(machine.vm, machine.deploy_id, 1)
    assert mac not in guest.run("cat /sys/class/net/*/address")


@pytest.mark.runs("hypervisor/kvm", "renew_context")
def test_a_context_that_is_written_anew_is_what_the_drive_shows(machine: Machine) -> None:
    given = machine.vm.template.vector("CONTEXT")
    assert given is not None
    given["PAGE"] = "another page"
    context.build(machine.directory / "disk.1", context.context_of(machine.vm), Allowed((), ()))
    for _ in range(2):
        machine.host.driver.renew_context(machine.vm, machine.deploy_id, machine.directory)
    shown = "umount /mnt/context; mount -t iso9660 -o ro /dev/sr0 /mnt/context && cat /mnt/context/context.sh"
    assert "PAGE='another page'" in machine.guest.run(shown)


@pytest.mark.runs("hypervisor/kvm", "disk_resize")
def test_a_disk_grows_under_the_guest(machine: Machine) -> None:
    for size in (24, 24, 20):
        machine.host.driver.disk_resize(machine.vm, machine.deploy_id, 2, size)
    sectors = "cat /sys/block/vdb/size"
    eventually("vdb has 24 MB", lambda: int(machine.guest.run(sectors)) * 512 == 24 * _MB, 15)


@pytest.mark.runs("hypervisor/kvm", "disk_copy")
def test_a_copy_is_the_disk_at_one_moment_and_needs_no_other_file(machine: Machine) -> None:
    guest, target = machine.guest, machine.directory / "disk.2.copied"
    machine.guest.write("vdb", "copied")
    guest.run("dd if=/dev/urandom of=/dev/vdb bs=1M seek=1 count=10 conv=fsync 2>/dev/null")
    wanted = guest.run("dd if=/dev/vdb iflag=direct bs=1M count=11 2>/dev/null | sha256sum").split()[0]
    for image_format in ("qcow2", "raw"):
        machine.host.driver.disk_copy(machine.vm, machine.deploy_id, 2, target, image_format)
        flat = machine.directory / "disk.2.flat"
        command = ["qemu-img", "convert", "-f", image_format, "-O", "raw", str(target), str(flat)]
        subprocess.run(command, check=True)
        content = flat.read_bytes()
        assert len(content) == 24 * _MB
        assert hashlib.sha256(content[: 11 * _MB]).hexdigest() == wanted
    machine.guest.write("vdb", "later")
    assert first_text(target, "raw") == "copied"


def begin_a_copy(machine: Machine, part: Path) -> None:
    """What a worker that was killed has left."""

    def begin(connection: Connection) -> None:
        destination = f"<disk type='file'><source file='{part}'/><driver type='raw'/></disk>"
        connection.lookupByName(machine.deploy_id).blockCopy("vdb", destination, {}, BlockCopy.TRANSIENT_JOB)

    Session(machine.host.libvirtd.uri).run(begin)


def test_a_copy_that_was_given_up_is_begun_again(machine: Machine) -> None:
    machine.guest.write("vdb", "again")
    part = machine.directory / ".disk.2.copied.dead.part"
    begin_a_copy(machine, part)
    target = machine.directory / "disk.2.copied"
    machine.host.driver.disk_copy(machine.vm, machine.deploy_id, 2, target, "raw")
    assert first_text(target, "raw") == "again"
    assert not part.exists()


def test_a_copy_that_was_given_up_keeps_nobody_from_snapshots_and_suspending(machine: Machine) -> None:
    driver, checkpoint = machine.host.driver, machine.directory / "checkpoint"
    begin_a_copy(machine, machine.directory / "first.part")
    name = driver.snapshot_create(machine.vm, machine.deploy_id, 9, machine.directory)
    begin_a_copy(machine, machine.directory / "second.part")
    driver.snapshot_delete(machine.vm, machine.deploy_id, name, machine.directory)
    begin_a_copy(machine, machine.directory / "third.part")
    driver.save(machine.deploy_id, checkpoint)
    driver.restore(machine.vm, machine.deploy_id, checkpoint, machine.directory)
    machine.guest.wait()
    assert machine.guest.read("vdb") == "again"


@pytest.mark.runs("hypervisor/kvm", "disk_continue")
def test_the_guest_goes_on_over_its_snapshot_and_the_snapshot_stays(machine: Machine) -> None:
    place = machine.disk(2)
    machine.guest.write("vdb", "before")
    live = machine.transfer.snapshot_live(place, 0, "qcow2")
    assert isinstance(live, LiveSnapshot)
    # What is written between the two steps is in the snapshot, and lost in neither.
    machine.guest.write("vdb", "between")
    for _ in range(2):
        assert machine.transfer.snapshot_live(place, 0, "qcow2") == live
        machine.host.driver.disk_continue(machine.vm, machine.deploy_id, 2, live.path)
    assert machine.guest.read("vdb") == "between"
    machine.guest.write("vdb", "after")
    assert first_text(place.path.with_name("disk.2.snap") / "0") == "between"
    assert first_text(place.path) == "after"


def test_a_guest_with_snapshots_of_a_disk_is_saved_and_restored_and_reverted(machine: Machine) -> None:
    driver, place = machine.host.driver, machine.disk(2)
    checkpoint = machine.directory / "checkpoint"
    driver.save(machine.deploy_id, checkpoint)
    machine.transfer.snapshot_create(place, 1, "qcow2")
    driver.restore(machine.vm, machine.deploy_id, checkpoint, machine.directory)
    machine.guest.wait()
    machine.guest.write("vdb", "second")
    assert first_text(place.path.with_name("disk.2.snap") / "1") == "after"

    driver.cancel(machine.deploy_id)
    machine.transfer.snapshot_revert(place, 0, "qcow2")
    driver.deploy(machine.vm, machine.directory)
    machine.guest.wait()
    assert machine.guest.read("vdb") == "between"
    machine.transfer.snapshot_delete(place, 1)
    machine.guest.write("vdb", "third")
    assert machine.guest.read("vdb") == "third"


def test_a_disk_that_is_no_chain_is_copied_for_its_snapshot(machine: Machine) -> None:
    transfer, place = SharedTransfer(machine.directory.parent.parent), machine.disk(0)
    live = transfer.snapshot_live(place, 0, "qcow2")
    assert isinstance(live, LiveSnapshot)
    assert not live.chained
    machine.host.driver.disk_copy(machine.vm, machine.deploy_id, 0, live.path, "qcow2")
    assert transfer.snapshot_live(place, 0, "qcow2") is None
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(live.path)], check=True)


@pytest.mark.runs("hypervisor/kvm", "snapshot_revert")
def test_a_guest_returns_to_its_memory_and_disks_of_a_snapshot(machine: Machine) -> None:
    driver, guest = machine.host.driver, machine.guest
    machine.guest.write("vdb", "snapped")
    guest.run("echo remembered >/run/word")
    name = driver.snapshot_create(machine.vm, machine.deploy_id, 0, machine.directory)
    machine.guest.write("vdb", "later")
    guest.run("echo forgotten >/run/word")
    driver.snapshot_revert(machine.vm, machine.deploy_id, name, machine.directory)
    guest.wait()
    assert guest.run("cat /run/word") == "remembered\n"
    assert machine.guest.read("vdb") == "snapped"
    for _ in range(2):
        driver.snapshot_delete(machine.vm, machine.deploy_id, name, machine.directory)
    listed = subprocess.run(
        ["qemu-img", "snapshot", "-l", "-U", machine.directory / "disk.0"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert name not in listed


def test_a_guest_does_not_return_to_a_moment_that_its_disks_do_not_hold_any_more(machine: Machine) -> None:
    driver, guest, place = machine.host.driver, machine.guest, machine.disk(2)
    name = driver.snapshot_create(machine.vm, machine.deploy_id, 1, machine.directory)
    live = machine.transfer.snapshot_live(place, 7, "qcow2")
    assert live is not None
    driver.disk_continue(machine.vm, machine.deploy_id, 2, live.path)
    guest.write("vdb", "newer")
    with pytest.raises(DriverError, match="vdb has a snapshot of its own that is newer"):
        driver.snapshot_revert(machine.vm, machine.deploy_id, name, machine.directory)
    assert guest.read("vdb") == "newer"

    machine.vm.template.add("SNAPSHOT", vector(SNAPSHOT_ID=2))
    name = driver.snapshot_create(machine.vm, machine.deploy_id, 2, machine.directory)
    driver.cancel(machine.deploy_id)
    machine.transfer.snapshot_revert(place, 7, "qcow2")
    driver.deploy(machine.vm, machine.directory)
    guest.wait()
    with pytest.raises(DriverError, match="vdb was taken back to before it"):
        driver.snapshot_revert(machine.vm, machine.deploy_id, name, machine.directory)
    assert guest.serves()
