"""Networks over several hosts: one network is one, and others are others, by packets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.drivers.contract_network import NetworkContract
from tests.drivers.crash import crash_points
from tests.drivers.network import frames
from tests.drivers.network.cloudlet import Cloudlet, cloudlet, machine, traces
from tests.drivers.network.switch import IN_USER_SPACE, PROGRAMS
from tests.drivers.network.wires import marker, passes, why_not

from merope.drivers.network.base import NetworkDriver
from merope.model.vm import VM

OPEN = "".join(
    f"SECURITY_GROUP_RULE = [ SECURITY_GROUP_ID = 100, PROTOCOL = ALL, RULE_TYPE = {way} ]\n"
    for way in ("inbound", "outbound")
)
FILTERS = ("iptables", "ip6tables", "nft")
_FILTERED = 'SECURITY_GROUPS = "100", PHYDEV = "eth1"'
_SWITCHED = f'BRIDGE_TYPE = "openvswitch", {IN_USER_SPACE}, PHYDEV = "eth1"'


@dataclass(frozen=True)
class Kind:
    """`nic` are the attributes of a NIC of the network with some number."""

    driver: str
    nic: Callable[[int], str]
    switched: bool = False

    def vm(self, vm_id: int, network: int, more: str = "") -> VM:
        return machine(vm_id, f'VN_MAD = "{self.driver}", {self.nic(network)}{more}', more=OPEN)


VXLAN = Kind("vxlan", lambda n: f'{_FILTERED}, VLAN_ID = {n}, BRIDGE = "onebr.{n}"')
VLAN = Kind("802.1Q", lambda n: f'{_FILTERED}, VLAN_ID = {n}, BRIDGE = "onebr.{n}"')
OVS = Kind("ovswitch", lambda n: f'{_SWITCHED}, VLAN_ID = {n}, BRIDGE = "ovsbr0"', switched=True)
OVS_VXLAN = Kind(
    "ovswitch_vxlan", lambda n: f'{_SWITCHED}, OUTER_VLAN_ID = {n}, BRIDGE = "ovsbr{n}"', switched=True
)

filters = pytest.mark.skipif(bool(why_not(*FILTERS)), reason=why_not(*FILTERS))
switches = pytest.mark.skipif(bool(why_not(*PROGRAMS, *FILTERS)), reason=why_not(*PROGRAMS, *FILTERS))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloudlet]:
    with cloudlet(tmp_path) as made:
        yield made


@filters
@pytest.mark.runs("network/vxlan", "pre", "post", "clean", where="here")
def test_a_vxlan_is_one_on_all_hosts_and_hears_nothing_of_another(cloud: Cloudlet) -> None:
    _is_one_and_alone(cloud, VXLAN)


@pytest.mark.helper_vm
@pytest.mark.runs("network/802.1Q", "pre", "post", "clean", where="helper VM")
def test_a_vlan_is_one_on_all_hosts_and_hears_nothing_of_another(cloud: Cloudlet) -> None:
    _is_one_and_alone(cloud, VLAN)


@switches
@pytest.mark.runs("network/ovswitch", "pre", "post", "clean", where="here")
def test_a_vlan_of_open_vswitch_is_one_on_all_hosts_and_hears_nothing_of_another(cloud: Cloudlet) -> None:
    _is_one_and_alone(cloud, OVS)


@switches
@pytest.mark.runs("network/ovswitch_vxlan", "pre", "post", "clean", where="here")
def test_a_vxlan_of_open_vswitch_is_one_on_all_hosts_and_hears_nothing_of_another(cloud: Cloudlet) -> None:
    _is_one_and_alone(cloud, OVS_VXLAN)


def _is_one_and_alone(cloud: Cloudlet, kind: Kind) -> None:
    """Guests of two networks on two hosts; afterwards the hosts are as they were before."""
    hosts = cloud.wired(switches=kind.switched)
    before = [traces(host) for host in hosts]
    drivers = [cloud.driver(kind.driver, host) for host in hosts]
    places = {7: (0, 5), 8: (1, 5), 17: (0, 6), 18: (1, 6)}
    vms = {number: kind.vm(number, network) for number, (_, network) in places.items()}
    guests = {n: cloud.run(drivers[host], hosts[host], vms[n]) for n, (host, _) in places.items()}
    mark = marker()
    assert passes(guests[7], guests[8], frames.udp(guests[7].to(guests[8]), 5, mark), mark)
    assert passes(guests[8], guests[7], frames.udp(guests[8].to(guests[7]), 5, mark), mark)
    mark = marker()
    shout = frames.arp(guests[7].mac, guests[7].ip, ".".join(map(str, mark)))
    assert passes(guests[7], guests[8], shout, mark)
    assert not passes(guests[7], guests[18], shout, mark, after=guests[17])
    assert not passes(guests[7], guests[17], shout, mark, after=guests[18])
    for number, (host, _) in places.items():
        cloud.unplug(hosts[host], vms[number])
        drivers[host].clean(vms[number])
    assert [traces(host) for host in hosts] == before


class Case:
    def __init__(self, cloud: Cloudlet, kind: Kind) -> None:
        self._cloud, self._kind = cloud, kind
        self._host, _ = cloud.wired(switches=kind.switched)
        self.driver: NetworkDriver = cloud.driver(kind.driver, self._host)

    def vm(self, vm_id: int) -> VM:
        return self._kind.vm(vm_id, 5)

    def start(self, vm: VM) -> str:
        self._cloud.plug(self._host, vm)
        return f"one-{vm.id}"

    def plug(self, vm: VM, nic_id: int) -> None:
        self._cloud.plug(self._host, vm, nic_id)

    def state(self) -> object:
        return traces(self._host)


@switches
@pytest.mark.parametrize("operation", ["pre", "clean"])
def test_a_driver_that_is_killed_at_any_step_leaves_what_the_next_try_completes(
    cloud: Cloudlet, operation: str
) -> None:
    """Of the driver that makes most: a bridge of Open vSwitch, a link of the kernel, and its port."""
    host, _ = cloud.wired(switches=True)
    driver, vm = cloud.driver("ovswitch_vxlan", host), OVS_VXLAN.vm(7, 5)
    empty = traces(host)
    driver.pre(vm)
    whole = traces(host) if operation == "pre" else empty

    def do() -> None:
        driver.pre(vm) if operation == "pre" else driver.clean(vm)

    def prepare() -> None:
        driver.clean(vm)
        if operation == "clean":
            driver.pre(vm)

    steps = 0
    for _ in crash_points(do, prepare):
        steps += 1
        do()
        assert traces(host) == whole
    assert steps > 4
    driver.clean(vm)
    assert traces(host) == empty


@pytest.mark.runs("network/vxlan", "update", where="here")
class TestVxlan(NetworkContract):
    pytestmark = filters

    @pytest.fixture
    def case(self, cloud: Cloudlet) -> Case:
        return Case(cloud, VXLAN)


@pytest.mark.runs("network/ovswitch", "update", where="here")
class TestOpenvSwitch(NetworkContract):
    pytestmark = switches

    @pytest.fixture
    def case(self, cloud: Cloudlet) -> Case:
        return Case(cloud, OVS)


@pytest.mark.runs("network/ovswitch_vxlan", "update", where="here")
class TestOpenvSwitchVxlan(NetworkContract):
    pytestmark = switches

    @pytest.fixture
    def case(self, cloud: Cloudlet) -> Case:
        return Case(cloud, OVS_VXLAN)
