"""Containers on hosts over SSH: a worker that the core brings there drives the host's own LXD."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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


@pytest.fixture(scope="module")
def there() -> Iterator[ContainerCloud]:
    if why_not():
        pytest.skip(why_not())
    home = Path(tempfile.mkdtemp(prefix="mrp-"))
    settings = home / "remotes/etc/vmm/lxd/lxdrc"
    settings.parent.mkdir(parents=True)
    settings.write_text(f":socket: {DIRECTORY / 'unix.socket'}\n:shutdown_timeout: 60\n")
    with temporary_bed(2) as bed:
        made = BedCloud(bed, home, bed.shared / "datastores", 18000 + os.getpid() % 4000, driver="raw")
        lxd = {host.name: LxdOnHost(host) for host in bed.hosts}
        made.start()
        try:
            for host in bed.hosts:
                lxd[host.name].start()
                made.add(host, "lxd")
            root_image(bed.directory / "root")
            made.prepare(bed.directory / "root", "shared")
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
