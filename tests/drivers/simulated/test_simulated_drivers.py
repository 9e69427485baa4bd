"""The drivers of the simulated world against the contracts, and where they are as the original's dummies."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.drivers.contract_hypervisor import (
    HotplugContract,
    HypervisorContract,
    SaveContract,
    SnapshotContract,
)
from tests.drivers.contract_network import NetworkContract
from tests.drivers.simulated.machines import Cloud, machine

from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.dummy import DummyNetwork
from merope.drivers.simulated.datastore import SimulatedDatastore
from merope.drivers.simulated.world import World
from merope.model.datastore import Datastore
from merope.model.image import Image
from merope.model.states import DatastoreType
from merope.model.template import Vector
from merope.model.vm import VM


class SimulatedHypervisorCase:
    def __init__(self) -> None:
        self.cloud = Cloud()
        self.cloud.prepare(7)
        self.driver: Hypervisor = self.cloud.n1
        self.other: Hypervisor | None = self.cloud.n2
        self.other_name = "n2"
        self.system_dir = self.cloud.directory(7)

    def vm(self, vm_id: int) -> VM:
        return machine(vm_id)

    def plugged(self, vm_id: int) -> VM:
        vm = self.vm(vm_id)
        vm.template.add("DISK", Vector({"DISK_ID": "2"}))
        vm.template.add("NIC", Vector({"NIC_ID": "1", "VN_MAD": "dummy"}))
        self.cloud.transfer.make_image(1, "raw", "", self.cloud.place(vm_id, "disk.2"))
        self.cloud.network.pre(vm)
        return vm

    def exists(self, path: Path) -> bool:
        return self.cloud.world.storage.find("n1", path) is not None


class TestSimulatedHypervisor(HypervisorContract, SaveContract, HotplugContract, SnapshotContract):
    @pytest.fixture
    def case(self) -> SimulatedHypervisorCase:
        return SimulatedHypervisorCase()


@dataclass
class SimulatedNetworkCase:
    cloud: Cloud = field(default_factory=Cloud)

    @property
    def driver(self) -> NetworkDriver:
        return self.cloud.network

    def vm(self, vm_id: int) -> VM:
        return machine(vm_id)

    def start(self, vm: VM) -> str:
        return self.cloud.deploy(vm.id)

    def state(self) -> object:
        return set(self.cloud.world.host("n1").nics)


class TestSimulatedNetwork(NetworkContract):
    @pytest.fixture
    def case(self) -> SimulatedNetworkCase:
        return SimulatedNetworkCase()


class DummyNetworkCase(SimulatedNetworkCase):
    @property
    def driver(self) -> NetworkDriver:
        return DummyNetwork()


class TestDummyNetwork(NetworkContract):
    @pytest.fixture
    def case(self) -> DummyNetworkCase:
        return DummyNetworkCase()


def test_a_deploy_id_is_host_name_and_dummy() -> None:
    assert Cloud().deploy(0, "web-1") == "n1:web-1:dummy"


def test_vms_of_one_name_have_deploy_ids_of_their_own_for_ever() -> None:
    cloud = Cloud()
    first = cloud.deploy(1, "web")
    assert cloud.deploy(2, "web") == "n1:web-2:dummy"
    assert cloud.deploy(3, "web-2") == "n1:web-2-3:dummy"
    cloud.n1.cancel(first)
    assert cloud.deploy(4, "web") == "n1:web-4:dummy"
    assert cloud.deploy(1, "web") == first


def test_a_vm_that_is_put_back_with_its_deploy_id_keeps_it_and_nobody_else_gets_it() -> None:
    cloud = Cloud()
    cloud.prepare(1)
    domain = cloud.world.start(cloud.world.host("n1"), machine(1), cloud.directory(1), "n1:web:dummy")
    assert domain.deploy_id == "n1:web:dummy"
    assert cloud.deploy(2, "web") == "n1:web-2:dummy"


def test_a_host_is_as_the_originals_dummy_hosts_are() -> None:
    report = Cloud().n1.report()
    assert (report.total_cpu, report.total_memory) == (800, 16777216)
    assert (report.used_cpu, report.used_memory) == (80, 1677721)
    assert report.attributes["HYPERVISOR"] == "dummy"
    assert report.disk == (2048000, 9720, 2038280)


def test_datastores_are_as_the_originals_dummy_datastores_are() -> None:
    driver = SimulatedDatastore(World())
    datastore = Datastore(1, 0, 0, "oneadmin", "oneadmin", "default")
    usage = driver.monitor(datastore)
    assert (usage.total, usage.used, usage.free) == (20480, 9720, 20480)
    datastore.type = DatastoreType.SYSTEM_DS
    usage = driver.monitor(datastore)
    assert (usage.total, usage.used, usage.free) == (4796800, 1429920, 3333260)
    image = Image(0, 0, 0, "oneadmin", "oneadmin", "disk", fstype="raw")
    assert driver.make(image, datastore).source == "dummy_path"
