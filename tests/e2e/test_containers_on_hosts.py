"""Containers on hosts over SSH: a worker that the core brings there drives the host's own LXD."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from containers import root_image, why_not
from tests.e2e.cloud import RUNNING, BedCloud, BedVm
from tests.e2e.lxd_on_hosts import DIRECTORY, LxdOnHost
from tests.e2e.making import temporary_bed
from tests.real.machine import eventually

from merope.model.states import VmState

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("lxd")]
LXD = "hypervisor/lxd"


@dataclass(frozen=True)
class ContainerCloud:
    """Two hosts, each with an LXD, and storage that both see."""

    cloud: BedCloud
    lxd: dict[str, LxdOnHost]

    def make(self, host: str) -> BedVm:
        vm = BedVm.make(self.cloud, host)
        vm.wait_for(RUNNING)
        return vm

    def left(self) -> dict[str, list[list[str]]]:
        """What is on the hosts of VMs: containers, links, mounts; nothing of a host that has none."""
        found = {name: [on.containers(), on.links(), on.mounts()] for name, on in self.lxd.items()}
        return {name: each for name, each in found.items() if any(each)}


@pytest.fixture(scope="module", params=["shared", "ssh"])
def there(request: pytest.FixtureRequest) -> Iterator[ContainerCloud]:
    """With `ssh` each host has storage of its own."""
    if why_not():
        pytest.skip(why_not())
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    settings = home / "remotes/etc/vmm/lxd/lxdrc"
    settings.parent.mkdir(parents=True)
    settings.write_text(f":socket: {DIRECTORY / 'unix.socket'}\n:shutdown_timeout: 60\n")
    with temporary_bed(2) as bed:
        storage = bed.shared if request.param == "shared" else bed.local
        made = BedCloud(bed, home, storage / "datastores", 18000 + os.getpid() % 4000, driver="raw")
        lxd = {host.name: LxdOnHost(host) for host in bed.hosts}
        made.start()
        try:
            for host in bed.hosts:
                lxd[host.name].start()
                made.add(host, "lxd")
            root_image(bed.directory / "root")
            made.prepare(bed.directory / "root", request.param)
            for host in bed.hosts:
                made.wait_for_host(host.name)
            yield ContainerCloud(made, lxd)
        finally:
            made.stop()
            for each in lxd.values():
                each.stop()
            shutil.rmtree(home)


@pytest.mark.runs(LXD, "deploy", "shutdown", "cancel", "domains")
def test_a_container_lives_on_a_host_over_ssh_and_moves_to_another(there: ContainerCloud) -> None:
    first, second = there.lxd["node1"], there.lxd["node2"]
    vm = there.make("node1")
    name = f"one-{vm.id}"
    assert (first.containers(), first.links()) == ([name], [f"one-{vm.id}-0"])
    assert first.mounts()
    assert "ETH0_IP=" in first.shell(name, "cat /context/context.sh")
    first.shell(name, "echo kept > /root/note")
    vm.act("poweroff")
    vm.wait_for(VmState.POWEROFF)
    assert there.left() == {}
    vm.act("resume")
    vm.wait_for(RUNNING)
    assert first.shell(name, "cat /root/note") == "kept"
    vm.migrate("node2", kind=1)
    eventually("it is on node2", lambda: vm.host == "node2")
    vm.wait_for(RUNNING)
    assert (first.containers(), second.containers()) == ([], [name])
    assert second.shell(name, "cat /root/note") == "kept"
    second.client("stop", name)
    vm.wait_for(VmState.POWEROFF)
    vm.act("resume")
    vm.wait_for(RUNNING)
    vm.act("terminate-hard")
    vm.wait_for(VmState.DONE)
    assert there.left() == {}


@pytest.mark.runs(LXD, "reboot", "cancel")
def test_a_container_ends_also_while_it_reboots(there: ContainerCloud) -> None:
    vm = there.make("node1")
    vm.act("reboot")
    vm.act("terminate")
    vm.wait_for(VmState.DONE)
    assert there.left() == {}


@pytest.mark.runs(LXD, "save")
@pytest.mark.parametrize("ask", ["suspend", "stop", "migrate"])
def test_what_would_keep_memory_is_refused_and_the_container_goes_on(there: ContainerCloud, ask: str) -> None:
    vm = there.make("node1")
    there.lxd["node1"].shell(f"one-{vm.id}", "touch /run/mark")
    if ask == "migrate":
        vm.migrate("node2")
    else:
        vm.act(ask)
    eventually("it is refused", lambda: "memory of a container cannot be kept" in vm.look().error)
    vm.wait_for(RUNNING)
    there.lxd["node1"].shell(f"one-{vm.id}", "ls /run/mark")
    assert there.lxd["node2"].containers() == []
    vm.remove()
    assert there.left() == {}


@pytest.mark.runs(LXD, "shutdown", "deploy")
def test_a_container_moves_there_and_back_with_its_files(there: ContainerCloud) -> None:
    vm = there.make("node1")
    name = f"one-{vm.id}"
    there.lxd["node1"].shell(name, "echo carried > /root/note; chmod 640 /root/note")
    for target in ("node2", "node1"):
        vm.migrate(target, kind=2)
        eventually(f"it is on {target}", partial(has, there.lxd[target], name))
        vm.wait_for(RUNNING)
        told = there.lxd[target].shell(name, "cat /root/note; stat -c '%u %a' /root/note")
        assert told.split() == ["carried", "0", "640"]
        assert [other for other in there.left() if other != target] == []
    vm.remove()


def has(on: LxdOnHost, name: str) -> bool:
    return name in on.containers()
