"""The core is killed (SIGKILL) in each step of what is done to a VM: it goes on, and nothing is left over."""

import time

import pytest
from tests.e2e.cloud import RUNNING, BedCloud, BedVm
from tests.real.machine import SHELL, eventually

from merope.model.states import VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]
_SHELL = "," + SHELL.replace("=", '="', 1) + '"'


def kill_in(vm: BedVm, step: str) -> None:
    """The core ends as soon as the VM is seen in that step."""
    deadline = time.monotonic() + 60
    while vm.look().phase != step:
        assert time.monotonic() < deadline, f"{step} was not seen, the VM is in {vm.look().phase}"
    vm.cloud.kill_the_core()


def taps(cloud: BedCloud, vm: BedVm) -> list[str]:
    """The links of a VM on all hosts."""
    found = []
    for host in cloud.bed.hosts:
        found += [
            name for name in host.run("ls", "/proc/sys/net/ipv4/conf").split() if name == f"one-{vm.id}-0"
        ]
    return found


def left_of(vm: BedVm) -> list[str]:
    """What hosts and storage have of it."""
    cloud = vm.cloud
    directory = cloud.location / str(cloud.system) / str(vm.id)
    files = [str(path) for path in (directory, *directory.rglob("*")) if path.exists()]
    return [*cloud.runs_on(vm.id), *taps(cloud, vm), *files]


def is_gone(vm: BedVm) -> None:
    """What is left of a VM that is DONE goes too: what was given up is removed afterwards."""
    try:
        eventually("nothing is left of it", lambda: left_of(vm) == [])
    except AssertionError as error:
        raise AssertionError(f"{error}: {left_of(vm)}") from error


@pytest.mark.parametrize("step", ["PROLOG", "BOOT"])
def test_a_vm_that_is_deployed_runs_once(cloud: BedCloud, step: str) -> None:
    vm = BedVm.make(cloud, "node1")
    kill_in(vm, step)
    vm.run()
    assert cloud.runs_on(vm.id) == ["node1"]
    assert len(taps(cloud, vm)) == 1
    vm.remove()
    is_gone(vm)


@pytest.mark.parametrize("step", ["PROLOG", "BOOT"])
def test_a_vm_that_is_given_up_after_the_core_was_killed_in_its_start_leaves_nothing(
    cloud: BedCloud, step: str
) -> None:
    vm = BedVm.make(cloud, "node1")
    kill_in(vm, step)
    vm.look()  # the core is back
    cloud.ask("one.vm.recover", vm.id, 3)
    vm.wait_for(VmState.DONE)
    is_gone(vm)


@pytest.fixture(scope="module")
def moved(cloud: BedCloud) -> BedVm:
    """One VM for the tests below; each leaves it running."""
    return BedVm.make(cloud, "node1", _SHELL).run()


@pytest.mark.parametrize(
    ("live", "kind", "step"),
    [
        (True, 0, "MIGRATE"),
        (False, 0, "SAVE_MIGRATE"),
        (False, 0, "BOOT_MIGRATE"),
        (False, 1, "SAVE_MIGRATE"),
        (False, 1, "BOOT"),
    ],
    ids=["live", "saved: save", "saved: start", "off: stop", "off: start"],
)
def test_a_vm_that_moves_is_in_one_place(
    cloud: BedCloud, moved: BedVm, live: bool, kind: int, step: str
) -> None:
    boot, target = moved.guest.boot_id(), "node2" if moved.host == "node1" else "node1"
    moved.migrate(target, live=live, kind=kind)
    kill_in(moved, step)
    eventually(f"it is on {target}", lambda: moved.host == target, 90)
    moved.run()
    eventually("it runs there alone", lambda: cloud.runs_on(moved.id) == [target])
    assert len(taps(cloud, moved)) == 1
    assert (moved.guest.boot_id() == boot) == (kind == 0)


def snapshots_on_host(cloud: BedCloud, vm: BedVm) -> list[str]:
    """What libvirt has of them."""
    listed = cloud.bed.host(vm.host).run("virsh", "snapshot-list", "--name", f"one-{vm.id}")
    return listed.split()


def test_a_snapshot_that_is_made_returned_to_and_removed_is_whole(cloud: BedCloud, moved: BedVm) -> None:
    moved.guest.run("echo remembered >/run/word")
    number = cloud.ask("one.vm.snapshotcreate", moved.id, "moment")
    kill_in(moved, "HOTPLUG_SNAPSHOT")
    moved.wait_for(RUNNING)
    assert snapshots_on_host(cloud, moved) == [f"snap-{number}"]
    moved.guest.wait()
    moved.guest.run("echo forgotten >/run/word")
    cloud.ask("one.vm.snapshotrevert", moved.id, number)
    kill_in(moved, "HOTPLUG_SNAPSHOT")
    moved.run()
    assert moved.guest.run("cat /run/word") == "remembered\n"
    cloud.ask("one.vm.snapshotdelete", moved.id, number)
    kill_in(moved, "HOTPLUG_SNAPSHOT")
    moved.wait_for(RUNNING)
    assert snapshots_on_host(cloud, moved) == []
    assert cloud.document("vm", moved.id).find("TEMPLATE/SNAPSHOT") is None


def test_a_snapshot_of_a_disk_is_whole(cloud: BedCloud, moved: BedVm) -> None:
    moved.guest.get("/cgi-bin/note?write=before")
    moved.act("poweroff")
    moved.wait_for(VmState.POWEROFF)
    number = cloud.ask("one.vm.disksnapshotcreate", moved.id, 0, "before")
    kill_in(moved, "DISK_SNAPSHOT_POWEROFF")
    moved.wait_for(VmState.POWEROFF)
    moved.act("resume")
    assert moved.run().guest.get("/cgi-bin/note") == "before\n"
    moved.guest.get("/cgi-bin/note?write=after")
    moved.act("poweroff")
    moved.wait_for(VmState.POWEROFF)
    cloud.ask("one.vm.disksnapshotrevert", moved.id, 0, number)
    kill_in(moved, "DISK_SNAPSHOT_REVERT_POWEROFF")
    moved.wait_for(VmState.POWEROFF)
    moved.act("resume")
    assert moved.run().guest.get("/cgi-bin/note") == "before\n"
    moved.remove()
    is_gone(moved)
