"""Hosts with storage of their own (TM_MAD ssh): disks are carried to them, between them and back."""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.e2e.cloud import RUNNING, BedCloud, BedVm
from tests.real.machine import SHELL, eventually, first_text

from merope.model.states import VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]
accidents = pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])


def directory(cloud: BedCloud, vm: BedVm, name: str) -> Path:
    """Of a VM on a host, or, for no name, on the front-end."""
    path = cloud.location / str(cloud.system) / str(vm.id)
    return cloud.bed.host(name).place / "local" / path.relative_to(cloud.bed.local) if name else path


def where(cloud: BedCloud, vm: BedVm) -> list[str]:
    """The machines that have files of it; the empty name is the front-end."""
    names = ["", *(host.name for host in cloud.bed.hosts)]
    return [name for name in names if directory(cloud, vm, name).exists()]


def hurt(cloud: BedCloud, accident: bool) -> None:
    if accident:
        cloud.kill_the_core()


@pytest.fixture(scope="module")
def vm(own_storage: BedCloud) -> BedVm:
    """One VM for the tests below, in their order; each leaves it running."""
    shell = SHELL.replace("=", '="', 1) + '"'
    told = own_storage.home / "offered" / "told.txt"
    told.parent.mkdir()
    told.write_text("a file of the front-end")
    made = BedVm.make(own_storage, "node1", f',{shell},FILES="{told}"')
    return made.run()


def test_files_of_the_front_end_are_in_the_context(vm: BedVm) -> None:
    assert "a file of the front-end" in vm.guest.run("cat /mnt/context/told.txt")


def test_the_disk_is_on_the_host_that_runs_the_vm_alone(own_storage: BedCloud, vm: BedVm) -> None:
    assert own_storage.runs_on(vm.id) == ["node1"]
    assert where(own_storage, vm) == ["node1"]
    sent = directory(own_storage, vm, "node1") / ".disk.0.coming"
    assert not sent.exists()


@accidents
def test_a_cold_migration_carries_the_disk(own_storage: BedCloud, vm: BedVm, accident: bool) -> None:
    target = "node2" if vm.host == "node1" else "node1"
    vm.guest.get(f"/cgi-bin/note?write=carried-{accident}")
    vm.migrate(target, kind=1)
    hurt(own_storage, accident)
    eventually(f"it is on {target}", lambda: vm.host == target, 90)
    vm.run()
    assert vm.guest.get("/cgi-bin/note") == f"carried-{accident}\n"
    eventually("its files are there alone", lambda: where(own_storage, vm) == [target])


@accidents
def test_a_saved_guest_goes_on_elsewhere(own_storage: BedCloud, vm: BedVm, accident: bool) -> None:
    boot, target = vm.guest.boot_id(), "node2" if vm.host == "node1" else "node1"
    vm.migrate(target)
    hurt(own_storage, accident)
    eventually(f"it is on {target}", lambda: vm.host == target, 90)
    assert vm.run().guest.boot_id() == boot
    eventually("its files are there alone", lambda: where(own_storage, vm) == [target])


@accidents
def test_a_stopped_vm_lies_on_the_front_end_and_comes_back(
    own_storage: BedCloud, vm: BedVm, accident: bool
) -> None:
    boot, target = vm.guest.boot_id(), "node2" if vm.host == "node1" else "node1"
    vm.act("stop")
    hurt(own_storage, accident)
    vm.wait_for(VmState.STOPPED)
    assert where(own_storage, vm) == [""]
    own_storage.ask("one.vm.deploy", vm.id, own_storage.hosts[target], False, -1, "")
    hurt(own_storage, accident)
    assert vm.run().guest.boot_id() == boot
    eventually("its files are there alone", lambda: where(own_storage, vm) == [target])


@accidents
def test_what_is_written_to_a_persistent_disk_is_in_its_image_when_it_is_taken_out(
    own_storage: BedCloud, vm: BedVm, accident: bool
) -> None:
    text = f"NAME=data-{accident}\nTYPE=DATABLOCK\nSIZE=16\nFORMAT=raw\nPERSISTENT=YES\nDEV_PREFIX=vd"
    image = own_storage.ask("one.image.allocate", text, own_storage.store)
    source = Path(own_storage.wait_for_image(image).findtext("SOURCE", ""))
    own_storage.ask("one.vm.attach", vm.id, f"DISK=[IMAGE_ID={image}]")
    hurt(own_storage, accident)
    vm.wait_for(RUNNING)
    (disk,) = [
        each
        for each in own_storage.document("vm", vm.id).iterfind("TEMPLATE/DISK")
        if each.findtext("IMAGE_ID") == str(image)
    ]
    device, number = disk.findtext("TARGET", ""), int(disk.findtext("DISK_ID", "-1"))
    eventually(f"the guest has {device}", lambda: vm.guest.has(device))
    vm.guest.write(device, f"word{accident}")
    own_storage.ask("one.vm.detach", vm.id, number)
    hurt(own_storage, accident)
    vm.wait_for(RUNNING)
    assert first_text(source, "raw") == f"word{accident}"
    assert not (directory(own_storage, vm, vm.host) / f"disk.{number}").exists()


@accidents
def test_a_live_migration_takes_the_disk_along(own_storage: BedCloud, vm: BedVm, accident: bool) -> None:
    boot, target = vm.guest.boot_id(), "node2" if vm.host == "node1" else "node1"
    vm.guest.get(f"/cgi-bin/note?write=live-{accident}")
    vm.migrate(target, live=True)
    hurt(own_storage, accident)
    eventually(f"it is on {target}", lambda: vm.host == target, 90)
    vm.wait_for(RUNNING)
    assert vm.guest.boot_id() == boot
    assert own_storage.runs_on(vm.id) == [target]
    eventually("its files are there alone", lambda: where(own_storage, vm) == [target])
    vm.act("reboot-hard")
    eventually("it has begun anew", lambda: vm.guest.has_rebooted(boot))
    assert vm.guest.get("/cgi-bin/note") == f"live-{accident}\n"


def test_a_live_migration_that_would_lose_snapshots_is_refused(own_storage: BedCloud, vm: BedVm) -> None:
    boot, host = vm.guest.boot_id(), vm.host
    own_storage.ask("one.vm.snapshotcreate", vm.id, "before")
    vm.wait_for(RUNNING)
    vm.migrate("node2" if host == "node1" else "node1", live=True)
    eventually("it is refused", lambda: "would be lost" in vm.look().error)
    vm.wait_for(RUNNING)
    assert vm.guest.boot_id() == boot
    assert where(own_storage, vm) == [host]
    own_storage.ask("one.vm.snapshotdelete", vm.id, 0)
    vm.wait_for(RUNNING)


def raw_content(path: Path) -> str:
    """A digest of the disk in a qcow2 image that nobody writes to."""
    with tempfile.NamedTemporaryFile() as raw:
        argv = ("qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(path), raw.name)
        subprocess.run(argv, check=True)
        return hashlib.sha256(Path(raw.name).read_bytes()).hexdigest()


@accidents
def test_a_disk_is_saved_as_an_image(own_storage: BedCloud, vm: BedVm, accident: bool) -> None:
    vm.guest.get(f"/cgi-bin/note?write=saved-{accident}")
    vm.act("poweroff")
    vm.wait_for(VmState.POWEROFF)
    image = own_storage.ask("one.vm.disksaveas", vm.id, 0, f"saved-{accident}", "OS", -1)
    hurt(own_storage, accident)
    source = Path(own_storage.wait_for_image(image).findtext("SOURCE", ""))
    vm.wait_for(VmState.POWEROFF)
    place = directory(own_storage, vm, vm.host)
    assert raw_content(source) == raw_content(place / "disk.0")
    assert not (place / "disk.0.saved").exists()
    vm.act("resume")
    vm.run()


def test_a_disk_is_saved_as_an_image_while_the_guest_runs(own_storage: BedCloud, vm: BedVm) -> None:
    boot = vm.guest.boot_id()
    image = own_storage.ask("one.vm.disksaveas", vm.id, 0, "saved-running", "OS", -1)
    source = Path(own_storage.wait_for_image(image).findtext("SOURCE", ""))
    vm.wait_for(RUNNING)
    assert vm.guest.boot_id() == boot
    assert raw_content(source)
    assert not (directory(own_storage, vm, vm.host) / "disk.0.saved").exists()


def test_a_vm_that_ends_leaves_nothing_on_any_machine(own_storage: BedCloud, vm: BedVm) -> None:
    vm.remove()
    assert where(own_storage, vm) == []
    assert own_storage.runs_on(vm.id) == []


def test_an_image_is_kept_on_the_replica_host_and_disks_come_from_there(own_storage: BedCloud) -> None:
    own_storage.ask("one.datastore.update", own_storage.system, "REPLICA_HOST=node1", 1)
    node1 = (
        own_storage.bed.host("node1").place
        / "local"
        / own_storage.location.relative_to(own_storage.bed.local)
    )
    for host in ("node2", "node1"):
        vm = BedVm.make(own_storage, host).run()
        assert own_storage.runs_on(vm.id) == [host]
        (replica,) = (node1 / "replicas").iterdir()
        used = replica.stat().st_mtime_ns
        vm.remove()
        os.utime(replica, (0, 0))
    assert used > 0
    log = own_storage.layout.log("core").read_text()
    assert "without a replica" not in log


def debugged(cloud: BedCloud, vm: BedVm, *words: str, typed: str = "") -> str:
    """What `one tm-debug` says."""
    argv = (
        sys.executable,
        "-m",
        "merope.daemon.one",
        "tm-debug",
        str(vm.id),
        *words,
        "--home",
        str(cloud.home),
    )
    return subprocess.run(argv, input=typed, capture_output=True, text=True, check=True).stdout


def test_a_transfer_that_failed_is_gone_through_step_by_step(own_storage: BedCloud) -> None:
    source = Path(own_storage.document("image", own_storage.image).findtext("SOURCE", ""))
    hidden = source.with_name("hidden")
    source.rename(hidden)
    vm = BedVm.make(own_storage, "node2")
    eventually("its prolog has failed", lambda: "PROLOG_FAILURE" in vm.look().phase)
    hidden.rename(source)
    listed = debugged(own_storage, vm, "--list")
    assert "1. [front-end] carrier copy" in listed
    assert "2. [node2] ssh clone" in listed
    assert where(own_storage, vm) == []
    told = debugged(own_storage, vm, typed="r\n\nr\nr\n\n")
    assert told.count(" done") == 3
    own_storage.ask("one.vm.recover", vm.id, 1)
    vm.run()
    assert own_storage.runs_on(vm.id) == ["node2"]
    vm.remove()
    assert where(own_storage, vm) == []
