"""The contracts of drivers on a real host: QEMU through libvirt, and bridges of this kernel."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.drivers.contract_hypervisor import HypervisorContract, SaveContract, SnapshotContract
from tests.drivers.contract_network import NetworkContract
from tests.real.machine import Host, vector, why_not

from merope.drivers.diskimage import create_qcow2
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.bridged import BridgeNetwork
from merope.drivers.network.ip_link import links, run_ip
from merope.drivers.network.made_links import MADE_BY_US
from merope.drivers.network.site import Site
from merope.model.template import Template
from merope.model.vm import VM

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("real")]


class RealHypervisorCase:
    """Machines without a system: firmware that finds nothing to boot is all that the contract needs."""

    def __init__(self, host: Host, second_host: Host) -> None:
        self.driver: Hypervisor = host.migrating_to(second_host)
        self.other: Hypervisor | None = second_host.driver
        self.other_name = "mrp-host2"
        self.bridge = host.bridge
        self.system_dir = host.directory(7)
        self.system_dir.mkdir(parents=True)
        for disk in ("disk.0", "disk.2", "disk.8"):
            create_qcow2(self.system_dir / disk, 1)

    def vm(self, vm_id: int) -> VM:
        number = 0 if vm_id == 7 else vm_id
        template = Template.parse(
            "MEMORY = 32\nCPU = 0.1\n"
            f"DISK = [ DISK_ID = {number}, TYPE = FILE, DRIVER = qcow2, CACHE = unsafe, TARGET = vda ]"
        )
        return VM(vm_id, 0, 0, "oneadmin", "oneadmin", f"vm{vm_id}", template=template)

    def plugged(self, vm_id: int) -> VM:
        vm = self.vm(vm_id)
        vm.template.add("DISK", vector(DISK_ID=2, TYPE="FILE", DRIVER="qcow2", TARGET="vdb"))
        vm.template.add("NIC", vector(NIC_ID=1, BRIDGE=self.bridge, MAC="02:00:00:00:07:01", MODEL="virtio"))
        return vm

    def exists(self, path: Path) -> bool:
        return path.exists()


@pytest.mark.runs(
    "hypervisor/kvm",
    "deploy",
    "cancel",
    "reset",
    "save",
    "restore",
    "migrate",
    "snapshot_create",
    "snapshot_revert",
    "snapshot_delete",
    "domains",
    "report",
)
class TestRealHypervisor(HypervisorContract, SaveContract, SnapshotContract):
    @pytest.fixture
    def case(self, host: Host, second_host: Host) -> Iterator[RealHypervisorCase]:
        yield RealHypervisorCase(host, second_host)
        second_host.clear()


class BridgeCase:
    def __init__(self, state: Path, bridge: str) -> None:
        self.driver: NetworkDriver = BridgeNetwork.of_site(Site(state))
        self.bridge = bridge
        self.plugged: list[str] = []

    def vm(self, vm_id: int) -> VM:
        where = f"VN_MAD = bridge, BRIDGE = {self.bridge}, TARGET = mrp-{vm_id}-0"
        nic = f"NIC = [ NIC_ID = 0, MTU = 1400, {where} ]"
        return VM(vm_id, 0, 0, "oneadmin", "oneadmin", f"vm{vm_id}", template=Template.parse(nic))

    def start(self, vm: VM) -> str:
        tap = vm.template.vectors("NIC")[0]["TARGET"]
        run_ip(["tuntap", "add", "dev", tap, "mode", "tap"])
        run_ip(["link", "set", "dev", tap, "master", self.bridge])
        self.plugged.append(tap)
        return f"one-{vm.id}"

    def state(self) -> object:
        # What a kernel tells of a bridge has timers that run.
        return [
            replace(link, data={}) for link in links().values() if self.bridge in (link.name, link.master)
        ]

    def clear(self) -> None:
        for name in [*self.plugged, self.bridge]:
            if name in links():
                run_ip(["link", "delete", "dev", name])


@pytest.mark.runs("network/bridge", "pre", "post", "clean", "update")
class TestRealBridge(NetworkContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> Iterator[BridgeCase]:
        reason = why_not()
        if reason:
            pytest.skip(reason)
        made = BridgeCase(tmp_path, f"mrpb{os.getpid() % 100000}")
        yield made
        made.clear()

    def test_the_bridge_is_up_with_the_networks_mtu(self, case: BridgeCase) -> None:
        case.driver.pre(case.vm(7))
        bridge = links()[case.bridge]
        assert (bridge.kind, bridge.up, bridge.mtu, bridge.alias) == ("bridge", True, 1400, MADE_BY_US)

    def test_a_bridge_with_a_guest_on_it_stays(self, case: BridgeCase) -> None:
        case.driver.pre(case.vm(7))
        case.start(case.vm(8))
        case.driver.clean(case.vm(7))
        assert case.bridge in links()


def test_the_range_of_the_tests_is_on_no_other_route(bridge: tuple[str, IPv4Network]) -> None:
    name, network = bridge
    assert shutil.which("ip")
    found = run_ip(["-4", "-j", "route", "show", "to", "root", str(network)])
    assert name in found
