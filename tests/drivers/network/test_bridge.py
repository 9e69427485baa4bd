"""The bridge driver on a kernel that is a dictionary, and the choice of an address range."""

import json
from dataclasses import asdict
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.contract_network import NetworkContract
from tests.drivers.network.kernel import Kernel

from merope.drivers.errors import DriverError
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.bridged import BridgeNetwork
from merope.drivers.network.host_route import CANDIDATES, free_range, routes
from merope.drivers.network.ip_link import Link, checked_name, links
from merope.drivers.network.made_links import MADE_BY_US
from merope.drivers.network.site import Settings, Site
from merope.model.template import Template
from merope.model.vm import VM


def machine(vm_id: int = 7, nic: str = "BRIDGE = onebr0") -> VM:
    template = Template.parse(f"NIC = [ NIC_ID = 0, VN_MAD = bridge, {nic} ]")
    return VM(vm_id, 0, 0, "oneadmin", "oneadmin", "web", template=template)


class BridgeCase:
    def __init__(self, state: Path) -> None:
        self.kernel = Kernel()
        self.driver: NetworkDriver = BridgeNetwork.of_site(Site(state, ip=self.kernel))

    def vm(self, vm_id: int) -> VM:
        return machine(vm_id)

    def start(self, vm: VM) -> str:
        self.kernel.add(f"one-{vm.id}-0", master="onebr0")
        return f"one-{vm.id}"

    def state(self) -> object:
        return {name: asdict(link) for name, link in self.kernel.links.items()}


@pytest.fixture
def case(tmp_path: Path) -> BridgeCase:
    return BridgeCase(tmp_path)


class TestBridge(NetworkContract):
    """The contract of every network driver."""


def test_a_bridge_is_made_up_and_marked_as_ours(case: BridgeCase) -> None:
    case.driver.pre(machine())
    assert case.kernel.links["onebr0"] == Link("onebr0", "bridge", True, 1500, MADE_BY_US, "")


def test_a_bridge_that_was_there_is_left_as_it_is_and_stays(case: BridgeCase) -> None:
    case.kernel.add("onebr0", "bridge")
    case.driver.pre(machine())
    case.driver.clean(machine())
    assert case.kernel.commands == []
    assert "onebr0" in case.kernel.links


def test_a_bridge_stays_while_a_guest_is_on_it(case: BridgeCase) -> None:
    case.driver.pre(machine())
    case.start(machine(8))
    case.driver.clean(machine())
    assert "onebr0" in case.kernel.links


def test_a_bridge_stays_for_a_vm_that_has_not_started_yet(case: BridgeCase) -> None:
    case.driver.pre(machine(7))
    case.driver.pre(machine(8))
    case.driver.clean(machine(7))
    assert "onebr0" in case.kernel.links
    case.driver.clean(machine(8))
    assert "onebr0" not in case.kernel.links


def test_a_site_may_keep_empty_bridges(tmp_path: Path) -> None:
    kernel = Kernel()
    driver = BridgeNetwork.of_site(Site(tmp_path, Settings({"keep_empty_bridge": "true"}), ip=kernel))
    driver.pre(machine())
    driver.clean(machine())
    assert "onebr0" in kernel.links


def test_the_physical_device_becomes_a_port_and_does_not_keep_the_bridge(case: BridgeCase) -> None:
    case.kernel.add("eth1")
    vm = machine(nic="BRIDGE = onebr0, PHYDEV = eth1")
    case.driver.pre(vm)
    assert case.kernel.links["eth1"].master == "onebr0"
    case.driver.clean(vm)
    assert "onebr0" not in case.kernel.links


@pytest.mark.parametrize(
    ("setup", "why"),
    [({}, "no interface eth1"), ({"master": "br9"}, "eth1 is a port of br9")],
)
def test_a_physical_device_that_cannot_serve_is_named(
    case: BridgeCase, setup: dict[str, str], why: str
) -> None:
    if setup:
        case.kernel.add("eth1", **setup)
    with pytest.raises(DriverError, match=why):
        case.driver.pre(machine(nic="BRIDGE = onebr0, PHYDEV = eth1"))


def test_the_mtu_of_the_network_is_set_on_the_device_and_the_bridge(case: BridgeCase) -> None:
    case.kernel.add("eth1")
    case.driver.pre(machine(nic="BRIDGE = onebr0, PHYDEV = eth1, MTU = 9000"))
    assert {case.kernel.links[name].mtu for name in ("eth1", "onebr0")} == {9000}


@pytest.mark.parametrize("mtu", ["0", "-1", "67", "65536", "big"])
def test_an_mtu_that_no_link_has_is_refused(case: BridgeCase, mtu: str) -> None:
    with pytest.raises(DriverError, match="MTU of NIC 0"):
        case.driver.pre(machine(nic=f'BRIDGE = onebr0, MTU = "{mtu}"'))


def test_a_link_that_is_no_bridge_is_not_taken_for_one(case: BridgeCase) -> None:
    case.kernel.add("onebr0", "vxlan")
    with pytest.raises(DriverError, match="onebr0 is there and is no bridge, but vxlan"):
        case.driver.pre(machine())


def test_nics_of_other_drivers_are_theirs(case: BridgeCase) -> None:
    vm = machine()
    vm.template.vectors("NIC")[0]["VN_MAD"] = "vxlan"
    case.driver.pre(vm)
    assert case.kernel.links == {}


@pytest.mark.parametrize("name", ["", "a" * 16, "../x", "-x", "a b", "br;id", "br\n", "br/0", "."])
def test_a_name_that_is_no_link_is_refused_before_anything_is_done(case: BridgeCase, name: str) -> None:
    vm = machine()
    vm.template.vectors("NIC")[0]["BRIDGE"] = name
    with pytest.raises(DriverError, match="VM 7: BRIDGE of NIC 0 is"):
        case.driver.pre(vm)
    assert case.kernel.commands == []


@given(st.text(min_size=1, max_size=20))
def test_what_is_accepted_as_a_name_is_one_word_without_a_path(name: str) -> None:
    try:
        checked_name(name, "name")
    except DriverError:
        return
    assert len(name) <= 15
    assert name.isascii()
    assert not set(name) & set(" /\t\n;|&$`'\"\\")
    assert not name.startswith(("-", "."))


def test_links_are_read_with_what_matters(case: BridgeCase) -> None:
    case.kernel.add("tap0", master="onebr0", alias="mine")
    assert links(case.kernel)["tap0"] == Link("tap0", "", True, 1500, "mine", "onebr0")


ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "0.0.0.0/1", "dev": "tun0"},
    {"dst": "128.0.0.0/1", "dev": "tun0"},
    {"dst": "10.0.0.0/8", "dev": "tun0"},
    {"type": "local", "dst": "172.30.231.7", "dev": "eth1", "table": "local"},
]


def test_default_routes_lead_anywhere_and_count_for_nothing() -> None:
    found = routes(lambda _: json.dumps(ROUTES))
    assert found == [IPv4Network("10.0.0.0/8"), IPv4Network("172.30.231.7/32")]


def test_a_host_without_routes_has_none() -> None:
    assert routes(lambda _: "") == []


def test_a_range_that_a_route_covers_or_leads_into_is_not_taken() -> None:
    known = routes(lambda _: json.dumps(ROUTES))
    assert free_range(known) == IPv4Network("192.168.231.0/24")


def test_when_every_range_is_taken_the_error_says_which_were_tried() -> None:
    with pytest.raises(DriverError, match=r"172\.30\.231\.0/24.*203\.0\.113\.0/24"):
        free_range([IPv4Network("0.0.0.0/2"), IPv4Network("128.0.0.0/1")])


networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(min_value=0, max_value=2**32 - 1),
    st.integers(min_value=2, max_value=32),
)


@given(st.lists(networks, max_size=8))
def test_the_chosen_range_never_touches_a_route(known: list[IPv4Network]) -> None:
    try:
        chosen = free_range(known)
    except DriverError:
        assert all(any(candidate.overlaps(route) for route in known) for candidate in CANDIDATES)
        return
    assert not any(chosen.overlaps(route) for route in known)
