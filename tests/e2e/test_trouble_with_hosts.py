"""Hosts that cannot be reached: what is said, that nothing is stuck, that it goes on when they are back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.cloud import RUNNING, BedCloud, BedVm
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


@contextmanager
def without_power(host: BedHost) -> Iterator[None]:
    host.power_off()
    try:
        yield
    finally:
        host.power_on()
        host.wait()


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
    with without_power(cloud.bed.host("node2")):
        cloud.wait_for_host("node2", HostState.ERROR, 120)
    cloud.wait_for_host("node2", HostState.MONITORED, 60)
    vm.wait_for(VmState.POWEROFF)
    vm.act("resume")
    vm.run()
    vm.remove()


def kill_libvirtd(host: BedHost) -> None:
    """Its host's init starts it anew."""
    host.run("kill", "-9", (host.root / "run/libvirtd.pid").read_text().strip())


def test_a_libvirtd_that_is_restarted_is_found_again(cloud: BedCloud) -> None:
    vm = BedVm.make(cloud, "node1").run()
    boot = vm.guest.boot_id()
    kill_libvirtd(cloud.bed.host("node1"))
    vm.act("suspend")
    vm.wait_for(VmState.SUSPENDED)
    vm.act("resume")
    vm.run()
    assert vm.guest.boot_id() == boot
    vm.remove()


def last_heard(cloud: BedCloud, vm: BedVm) -> int:
    """When the VM was last looked at on its host, as the cloud tells it."""
    return int(cloud.document("vm", vm.id).findtext("MONITORING/TIMESTAMP", "0"))


def test_guests_go_on_and_are_said_to_run_while_libvirtd_is_restarted(cloud: BedCloud) -> None:
    vm = BedVm.make(cloud, "node1").run()
    boot, host = vm.guest.boot_id(), cloud.bed.host("node1")
    kill_libvirtd(host)
    host.wait()
    killed = time.time()
    phases = set()

    def was_looked_at_since() -> bool:
        phases.add(vm.look().phase)
        return last_heard(cloud, vm) > killed

    eventually("the host tells of the VM again", was_looked_at_since, 120)
    assert phases == {"RUNNING"}
    assert cloud.host_state("node1") is HostState.MONITORED
    assert vm.guest.boot_id() == boot
    vm.remove()


@contextmanager
def wrong_clock(cloud: BedCloud, host: BedHost, ahead: int) -> Iterator[None]:
    """Of all that the cloud runs on the host, its agent and its workers."""

    def connect_anew() -> None:
        cloud.ask("one.host.status", cloud.hosts[host.name], 2)
        Ssh(cloud.home).disconnect(host.name)
        cloud.ask("one.host.status", cloud.hosts[host.name], 0)
        cloud.wait_for_host(host.name)

    host.set_clock(ahead)
    try:
        connect_anew()
        yield
    finally:
        host.set_clock(0)
        connect_anew()


@pytest.mark.parametrize("ahead", [3600, -3600], ids=["fast", "slow"])
def test_a_host_whose_clock_is_an_hour_off_is_used_as_any_other(cloud: BedCloud, ahead: int) -> None:
    host = cloud.bed.host("node1")
    with wrong_clock(cloud, host, ahead):
        shown = int(Ssh(cloud.home).run("node1", ["date", "+%s"], timeout=20.0).stdout)
        assert abs(shown - time.time() - ahead) < 600
        vm = BedVm.make(cloud, "node1").run()
        boot = vm.guest.boot_id()
        for target in ("node2", "node1"):
            vm.migrate(target, live=True)
            vm.wait_for(RUNNING)
            assert vm.host == target
        assert vm.guest.boot_id() == boot
        last_minute = time.time() - 60
        eventually("the VM was looked at", lambda: last_heard(cloud, vm) > last_minute)
        assert last_heard(cloud, vm) < time.time() + 60
        assert cloud.host_state("node1") is HostState.MONITORED
        vm.act("poweroff")
        vm.wait_for(VmState.POWEROFF)
        vm.act("resume")
        vm.run()
        vm.remove()
        assert cloud.runs_on(vm.id) == []


def in_the_middle_of_a_live_migration(cloud: BedCloud, source: str, target: str) -> tuple[BedVm, str]:
    """A VM whose memory is on its way, so that both hosts have a domain of it; and the boot that it is of."""
    vm = BedVm.make(cloud, source).run()
    boot = vm.guest.boot_id()
    vm.migrate(target, live=True)
    eventually("both have it", lambda: set(cloud.runs_on(vm.id)) == {source, target})
    return vm, boot


def test_a_guest_stays_where_it_is_when_the_host_that_it_moves_to_loses_its_power(cloud: BedCloud) -> None:
    vm, boot = in_the_middle_of_a_live_migration(cloud, "node1", "node3")
    with without_power(cloud.bed.host("node3")):
        eventually("the migration has failed", lambda: vm.look().error != "", 180)
        vm.wait_for(RUNNING)
        assert vm.host == "node1"
        assert "node3" in vm.look().error
        assert cloud.runs_on(vm.id) == ["node1"]
        assert vm.guest.boot_id() == boot
    cloud.wait_for_host("node3", limit=120)
    assert cloud.runs_on(vm.id) == ["node1"]
    vm.remove()


def test_a_guest_is_off_and_nowhere_twice_when_the_host_that_it_moves_from_loses_its_power(
    cloud: BedCloud,
) -> None:
    vm, _ = in_the_middle_of_a_live_migration(cloud, "node3", "node1")
    with without_power(cloud.bed.host("node3")):
        cloud.wait_for_host("node3", HostState.ERROR, 120)
        eventually("nothing is left on the other", lambda: cloud.runs_on(vm.id) == [], 120)
    cloud.wait_for_host("node3", limit=120)
    vm.wait_for(VmState.POWEROFF, limit=120)
    vm.act("resume")
    vm.run()
    assert cloud.runs_on(vm.id) == ["node3"]
    vm.remove()
