"""Hosts over SSH: what the cloud knows of them, and the life of a VM on them and between them."""

import os

import pytest
from tests.e2e.cloud import BedCloud, BedVm
from tests.real.machine import eventually

from merope.model.states import VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]
accidents = pytest.mark.parametrize("accident", [False, True], ids=["undisturbed", "core killed"])


@pytest.mark.quick
def test_a_host_is_monitored_with_the_numbers_that_are_true(cloud: BedCloud) -> None:
    for host in cloud.bed.hosts:
        document = cloud.wait_for_host(host.name)
        assert document.findtext("TEMPLATE/HOSTNAME") == host.name
        assert int(document.findtext("HOST_SHARE/TOTAL_CPU", "0")) == 100 * (os.cpu_count() or 1)
        (total,) = [
            line.split()[1] for line in host.run("cat", "/proc/meminfo").splitlines() if "MemTotal" in line
        ]
        assert document.findtext("HOST_SHARE/TOTAL_MEM") == total


@pytest.mark.quick
def test_a_vm_boots_on_the_host_that_it_is_for_and_is_gone_when_it_is_terminated(cloud: BedCloud) -> None:
    vm = BedVm.make(cloud, "node2").run()
    assert cloud.runs_on(vm.id) == ["node2"]
    directory = cloud.location / str(cloud.system) / str(vm.id)
    assert (directory / "disk.0").exists()
    vm.remove()
    assert cloud.runs_on(vm.id) == []
    assert not directory.exists()


@pytest.fixture(scope="module")
def vm(cloud: BedCloud) -> BedVm:
    """One VM for the tests below, in their order; each leaves it running."""
    return BedVm.make(cloud, "node1").run()


def hurt(cloud: BedCloud, accident: bool) -> None:
    if accident:
        cloud.kill_the_core()


@accidents
def test_power_off_and_resume_keep_the_disk(cloud: BedCloud, vm: BedVm, accident: bool) -> None:
    vm.guest.get(f"/cgi-bin/note?write=kept-{accident}")
    vm.act("poweroff")
    hurt(cloud, accident)
    vm.wait_for(VmState.POWEROFF)
    assert cloud.runs_on(vm.id) == []
    vm.act("resume")
    hurt(cloud, accident)
    vm.run()
    assert vm.guest.get("/cgi-bin/note") == f"kept-{accident}\n"
    assert cloud.runs_on(vm.id) == [vm.host]


@accidents
def test_suspend_and_resume_keep_the_memory(cloud: BedCloud, vm: BedVm, accident: bool) -> None:
    boot = vm.guest.boot_id()
    vm.act("suspend")
    hurt(cloud, accident)
    vm.wait_for(VmState.SUSPENDED)
    assert cloud.runs_on(vm.id) == []
    vm.act("resume")
    hurt(cloud, accident)
    assert vm.run().guest.boot_id() == boot


@accidents
def test_a_live_migration_moves_the_guest_without_a_new_boot(
    cloud: BedCloud, vm: BedVm, accident: bool
) -> None:
    boot, target = vm.guest.boot_id(), "node2" if vm.host == "node1" else "node1"
    vm.migrate(target, live=True)
    hurt(cloud, accident)
    eventually(f"it is on {target}", lambda: vm.host == target)
    assert vm.run().guest.boot_id() == boot
    assert cloud.runs_on(vm.id) == [target]


@accidents
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["saved", "powered off", "powered off hard"])
def test_a_cold_migration_moves_the_guest(cloud: BedCloud, vm: BedVm, kind: int, accident: bool) -> None:
    boot, target = vm.guest.boot_id(), "node2" if vm.host == "node1" else "node1"
    vm.migrate(target, kind=kind)
    hurt(cloud, accident)
    eventually(f"it is on {target}", lambda: vm.host == target)
    vm.run()
    eventually("it runs there alone", lambda: cloud.runs_on(vm.id) == [target])
    assert (vm.guest.boot_id() == boot) == (kind == 0)


def test_a_vm_that_is_off_moves_without_starting(cloud: BedCloud, vm: BedVm) -> None:
    vm.act("poweroff-hard")
    vm.wait_for(VmState.POWEROFF)
    target = "node3"
    vm.migrate(target)
    eventually(f"it is on {target}", lambda: vm.host == target)
    vm.wait_for(VmState.POWEROFF)
    assert cloud.runs_on(vm.id) == []
    vm.act("resume")
    vm.run()
    assert cloud.runs_on(vm.id) == [target]


def test_a_stopped_vm_and_an_undeployed_one_come_back_on_another_host(cloud: BedCloud, vm: BedVm) -> None:
    for action, state in (("stop", VmState.STOPPED), ("undeploy", VmState.UNDEPLOYED)):
        vm.act(action)
        vm.wait_for(state)
        assert cloud.runs_on(vm.id) == []
        target = "node1" if vm.host != "node1" else "node2"
        cloud.ask("one.vm.deploy", vm.id, cloud.hosts[target], False, -1, "")
        vm.run()
        assert cloud.runs_on(vm.id) == [target]


@accidents
def test_a_guest_that_is_ended_is_gone_from_host_and_storage(
    cloud: BedCloud, vm: BedVm, accident: bool
) -> None:
    other = BedVm.make(cloud, "node3").run()
    directory = cloud.location / str(cloud.system) / str(other.id)
    other.act("terminate-hard")
    hurt(cloud, accident)
    other.wait_for(VmState.DONE)
    assert cloud.runs_on(other.id) == []
    assert not directory.exists()
    assert vm.guest.serves()
