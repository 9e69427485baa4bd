"""Hosts that cannot be reached: what is said, that nothing is stuck, that it goes on when they are back."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.cloud import BedCloud, BedVm
from tests.real.machine import eventually
from tests.testbed.host import BedHost

from merope.drivers.ssh import Ssh
from merope.model.states import HostState, VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("real")]


@contextmanager
def cut_off(host: BedHost) -> Iterator[None]:
    host.link_down()
    try:
        yield
    finally:
        host.link_up()


def error_of(cloud: BedCloud, name: str) -> str:
    return cloud.document("host", cloud.hosts[name]).findtext("TEMPLATE/ERROR", "")


def test_a_host_that_is_cut_off_is_in_error_and_comes_back_with_its_guests(cloud: BedCloud) -> None:
    vm = BedVm.make(cloud, "node3").run()
    boot = vm.guest.boot_id()
    with cut_off(cloud.bed.host("node3")):
        cloud.wait_for_host("node3", HostState.ERROR, 120)
        assert "node3" in error_of(cloud, "node3")
        assert "cannot be reached by SSH" in error_of(cloud, "node3")
    cloud.wait_for_host("node3", HostState.MONITORED, 60)
    vm.run()
    assert vm.guest.boot_id() == boot
    assert cloud.runs_on(vm.id) == ["node3"]
    vm.remove()


def test_an_operation_on_a_host_that_is_cut_off_fails_with_the_reason_and_nothing_is_stuck(
    cloud: BedCloud,
) -> None:
    vm = BedVm.make(cloud, "node3").run()
    with cut_off(cloud.bed.host("node3")):
        vm.act("poweroff-hard")
        eventually("the error is told", lambda: "SSH" in vm.look().error or "broke" in vm.look().error, 120)
        assert "node3" in vm.look().error
        assert vm.look().phase in ("RUNNING", "UNKNOWN")
    cloud.wait_for_host("node3", HostState.MONITORED, 60)
    vm.run()
    vm.act("poweroff-hard")
    vm.wait_for(VmState.POWEROFF)
    assert cloud.runs_on(vm.id) == []
    vm.remove()


def test_a_host_whose_link_breaks_in_the_middle_of_an_operation_goes_on_when_it_is_back(
    cloud: BedCloud,
) -> None:
    vm = BedVm.make(cloud, "node3").run()
    host = cloud.bed.host("node3")
    vm.act("poweroff")
    with cut_off(host):
        eventually("the guest has shut down", lambda: cloud.runs_on(vm.id) == [], 60)
    cloud.wait_for_host("node3", HostState.MONITORED, 60)
    vm.wait_for(VmState.POWEROFF)
    vm.act("resume")
    vm.run()
    vm.remove()


def test_a_host_that_no_longer_accepts_the_key_says_what_to_do(cloud: BedCloud) -> None:
    public = (cloud.home / ".ssh/id_ed25519.pub").read_text()
    cloud.bed.refuse(public)
    try:
        Ssh(cloud.home).disconnect("node2")
        with cloud.client as client:
            client.call("one.host.status", cloud.hosts["node2"], 0)
        cloud.ask("one.host.status", cloud.hosts["node2"], 0)
        cloud.wait_for_host("node2", HostState.ERROR, 60)
        assert "it accepts none of our keys" in error_of(cloud, "node2")
        assert f"ssh-copy-id -f -i {cloud.home}/.ssh/id_ed25519.pub" in error_of(cloud, "node2")
    finally:
        cloud.bed.accept(public)
    cloud.wait_for_host("node2", HostState.MONITORED, 60)


def test_a_host_that_loses_its_power_is_in_error_and_its_guests_are_off_when_it_is_back(
    cloud: BedCloud,
) -> None:
    vm = BedVm.make(cloud, "node2").run()
    host = cloud.bed.host("node2")
    host.power_off()
    cloud.wait_for_host("node2", HostState.ERROR, 120)
    host.power_on()
    host.wait()
    cloud.wait_for_host("node2", HostState.MONITORED, 60)
    vm.wait_for(VmState.POWEROFF)
    vm.act("resume")
    vm.run()
    vm.remove()


def test_a_libvirtd_that_is_restarted_is_found_again(cloud: BedCloud) -> None:
    vm = BedVm.make(cloud, "node1").run()
    boot = vm.guest.boot_id()
    host = cloud.bed.host("node1")
    host.run("kill", "-9", (host.root / "run/libvirtd.pid").read_text().strip())
    vm.act("suspend")
    vm.wait_for(VmState.SUSPENDED)
    vm.act("resume")
    vm.run()
    assert vm.guest.boot_id() == boot
    vm.remove()
