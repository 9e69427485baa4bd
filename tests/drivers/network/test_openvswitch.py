"""Open vSwitch: VLANs of ports, and the flows that hold guests to their addresses, by packets."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.drivers.network import frames
from tests.drivers.network.cloudlet import Cloudlet, cloudlet, machine, traces
from tests.drivers.network.frames import Ends
from tests.drivers.network.switch import IN_USER_SPACE, PROGRAMS
from tests.drivers.network.wires import Guest, marker, passes, why_not

from merope.drivers.errors import DriverError
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.openvswitch import OpenvSwitchNetwork
from merope.drivers.network.ovs_port import vlan_columns
from merope.drivers.network.site import Settings, Site
from merope.model.vm import VM, History

NIC = f'VN_MAD = "ovswitch", BRIDGE_TYPE = "openvswitch", BRIDGE = "ovsbr0", {IN_USER_SPACE}'
needs_switch = pytest.mark.skipif(bool(why_not(*PROGRAMS)), reason=why_not(*PROGRAMS))
OTHERS_MAC, OTHERS_IP = "02:00:99:99:99:99", "10.0.0.99"
MAC_FILTER, IP_FILTER = ', FILTER_MAC_SPOOFING = "YES"', ', FILTER_IP_SPOOFING = "YES"'


class Pair:
    """VM 7, whose NIC is set by tests, and VM 8, whose NIC filters nothing."""

    def __init__(self, cloud: Cloudlet) -> None:
        self.cloud = cloud
        self.host = cloud.host()
        cloud.switch(self.host)
        settings = Settings({"arp_cache_poisoning": "false"})
        self.driver = cloud.driver("ovswitch", self.host, settings)
        self.guest = cloud.run(self.driver, self.host, machine(7, NIC))
        self.other = cloud.run(self.driver, self.host, machine(8, NIC))

    def set(self, nic: str) -> None:
        self.put(self.driver, machine(7, NIC + nic))

    def put(self, driver: NetworkDriver, vm: VM) -> None:
        """Returns when the switch looks at its flows anew: it does so soon after, by itself."""
        driver.post(vm, f"one-{vm.id}")
        self.host.tool(["ovs-appctl", "revalidator/wait"])

    def third(self) -> Guest:
        """A guest of VLAN 20."""
        return self.cloud.run(self.driver, self.host, machine(9, NIC + ", VLAN_ID = 20"))

    def sends(self, frame: bytes, mark: bytes) -> bool:
        return passes(self.guest, self.other, frame, mark)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with cloudlet(tmp_path) as cloud:
        yield Pair(cloud)


def _text(mark: bytes) -> str:
    return ".".join(map(str, mark))


@needs_switch
@pytest.mark.runs("network/ovswitch", "FILTER_MAC_SPOOFING", where="here")
def test_a_guest_has_one_mac_where_that_is_filtered(pair: Pair) -> None:
    mark = marker()
    own = pair.guest.to(pair.other)
    wrong = [
        frames.udp(replace(own, src_mac=OTHERS_MAC), 5, mark),
        frames.arp(own.src_mac, own.src, _text(mark), said_mac=OTHERS_MAC),
    ]
    assert all(pair.sends(each, mark) for each in wrong)
    pair.set(MAC_FILTER)
    assert pair.sends(frames.udp(own, 5, mark), mark)
    assert not any(pair.sends(each, mark) for each in wrong)


@needs_switch
@pytest.mark.runs("network/ovswitch", "FILTER_IP_SPOOFING", where="here")
def test_a_guest_has_its_own_addresses_where_that_is_filtered(pair: Pair) -> None:
    mark = marker()
    own = pair.guest.to(pair.other)
    own6 = Ends(own.src_mac, own.dst_mac, "2001:db8::7", "2001:db8::8")
    wrong = [
        frames.udp(replace(own, src=OTHERS_IP), 5, mark),
        frames.udp(replace(own6, src="2001:db8::99"), 5, mark),
        frames.arp(own.src_mac, OTHERS_IP, _text(mark)),
        frames.advertisement(own6, "2001:db8::99", mark),
    ]
    right = [
        frames.udp(own, 5, mark),
        frames.udp(own6, 5, mark),
        frames.advertisement(own6, "2001:db8::7", mark),
        frames.udp(Ends(own.src_mac, frames.BROADCAST, "0.0.0.0", "255.255.255.255"), 67, mark, source=68),
    ]
    assert [pair.sends(each, mark) for each in (*wrong, *right)] == [True] * 8
    pair.set(IP_FILTER + MAC_FILTER + ', IP6_GLOBAL = "2001:db8::7"')
    assert [pair.sends(each, mark) for each in right] == [True] * 4
    assert [pair.sends(each, mark) for each in wrong] == [False] * 4
    pair.set("")
    assert all(pair.sends(each, mark) for each in wrong)


@needs_switch
def test_nobody_says_by_arp_that_he_is_another_unless_the_site_allows_it(pair: Pair) -> None:
    mark = marker()
    poison = frames.arp(pair.guest.mac, OTHERS_IP, _text(mark))
    strict = pair.cloud.driver("ovswitch", pair.host)
    pair.put(strict, machine(7, NIC))
    assert not pair.sends(poison, mark)
    assert pair.sends(frames.udp(replace(pair.guest.to(pair.other), src=OTHERS_IP), 5, mark), mark)
    pair.set("")
    assert pair.sends(poison, mark)


@needs_switch
@pytest.mark.runs("network/ovswitch", "VLAN_TAGGED_ID", where="here")
def test_a_trunk_carries_the_vlans_of_its_list(pair: Pair) -> None:
    """VM 8 is in VLAN 20; VM 7 reaches it by tagging its frames, if its trunk has that VLAN."""
    pair.put(pair.driver, machine(8, NIC + ", VLAN_ID = 20"))
    third, heard = pair.third(), []
    for trunk in ("20,30-32", "30-32"):
        pair.set(f', VLAN_ID = 10, VLAN_TAGGED_ID = "{trunk}"')
        mark = marker()
        frame = frames.tagged(frames.udp(pair.guest.to(pair.other), 5, mark), 20)
        heard.append(passes(pair.guest, pair.other, frame, mark, after=third))
    assert heard == [True, False]


@needs_switch
def test_vlans_of_a_guest_are_carried_in_that_of_its_network(tmp_path: Path) -> None:
    """QinQ: what leaves by the physical device has the network's tag around the guest's."""
    with cloudlet(tmp_path) as cloud:
        host = cloud.host()
        cloud.switch(host)
        host.tool(["ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2"])
        wire = Guest(host, "eth1", "02:00:00:00:00:01", "10.0.0.1")
        nic = f'{NIC}, PHYDEV = "eth1", VLAN_ID = 50, CVLANS = "101,103-104"'
        driver = cloud.driver("ovswitch", host)
        guest = cloud.run(driver, host, machine(7, nic))
        try:
            mark = marker()
            shout = frames.arp(guest.mac, guest.ip, _text(mark))
            guest.send(frames.tagged(shout, 102))
            guest.send(frames.tagged(shout, 103))
            heard = wire.next(mark)
            assert heard[12:20] == struct.pack("!HHHH", 0x88A8, 50, 0x8100, 103)
        finally:
            wire.remove()


@needs_switch
def test_a_device_that_another_bridge_has_is_refused_with_its_name(tmp_path: Path) -> None:
    with cloudlet(tmp_path) as cloud:
        host, _ = cloud.wired(switches=True)
        driver = cloud.driver("ovswitch", host)
        driver.pre(machine(7, f'{NIC}, PHYDEV = "eth1"'))
        other = machine(8, f'{NIC}, PHYDEV = "eth1"'.replace("ovsbr0", "ovsbr1"))
        with pytest.raises(DriverError, match="eth1 is a port of ovsbr0, it cannot be one of ovsbr1 as well"):
            driver.pre(other)
        with pytest.raises(
            DriverError, match="there is no interface eth7 on this host for the bridge ovsbr0"
        ):
            driver.pre(machine(9, f'{NIC}, PHYDEV = "eth7"'))
        driver.clean(other)
        host.ip(["link", "add", "name", "lbr0", "type", "bridge"])
        with pytest.raises(DriverError, match="the link lbr0 is there and is no bridge of Open vSwitch"):
            driver.pre(machine(9, NIC.replace("ovsbr0", "lbr0")))


@needs_switch
def test_an_administrators_bridge_stays_and_loses_the_port_that_was_added_to_it(tmp_path: Path) -> None:
    with cloudlet(tmp_path) as cloud:
        host, _ = cloud.wired(switches=True)
        host.tool(["ovs-vsctl", "add-br", "ovsbr0", "--", "set", "Bridge", "ovsbr0", "datapath_type=netdev"])
        before = traces(host)
        driver, vm = cloud.driver("ovswitch", host), machine(7, f'{NIC}, PHYDEV = "eth1"')
        driver.pre(vm)
        assert "eth1" in host.tool(["ovs-vsctl", "list-ports", "ovsbr0"])
        driver.clean(vm)
        assert traces(host) == before


@pytest.mark.parametrize(
    ("nic", "why"),
    [
        ("VLAN_ID = 4096", "VLAN_ID of NIC 0 is '4096', expected 0 to 4095"),
        ('VLAN_TAGGED_ID = "1,x"', "VLAN_TAGGED_ID of NIC 0 has 'x'"),
        ('VLAN_TAGGED_ID = "9-3"', "VLAN_TAGGED_ID of NIC 0 has '9-3'"),
        ('CVLANS = "5"', "CVLANS of NIC 0 needs VLAN_ID"),
        ('VLAN_ID = 5, CVLANS = "5", QINQ_TYPE = "vlan"', "QINQ_TYPE of NIC 0 is 'vlan', expected 802.1q"),
    ],
)
def test_a_vlan_that_cannot_be_is_refused(nic: str, why: str) -> None:
    vm = machine(7, f"{NIC}, {nic}")
    with pytest.raises(DriverError, match=why):
        vlan_columns(vm, vm.template.vectors("NIC")[0])


class Recorder:
    """Open vSwitch with DPDK is not to be had everywhere: notes what it would be told."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.bridges: list[str] = []

    def __call__(self, arguments: list[str], text: str = "") -> str:
        command = " ".join(arguments)
        self.commands.append(command)
        if "add-br" in arguments:
            self.bridges.append("ovsbr0")
        return "ovsbr0\n" if "list-br" in arguments and self.bridges else ""


@pytest.mark.runs("network/ovswitch", "openvswitch_dpdk", where="stand-in")
def test_a_guest_with_shared_memory_gets_a_port_with_the_socket_that_qemu_makes(tmp_path: Path) -> None:
    tool = Recorder()
    site = Site(tmp_path, datastores=Path("/var/lib/one/datastores"), ip=lambda _: "[]", tool=tool)
    driver = OpenvSwitchNetwork(site)
    vm: VM = machine(
        7, 'VN_MAD = "ovswitch", BRIDGE = "ovsbr0", BRIDGE_TYPE = "openvswitch_dpdk", VLAN_ID = 5'
    )
    vm.history_records.append(History(7, 0, "node1", 0, 0, 0, ds_id=100))
    driver.pre(vm)
    assert any("datapath_type=netdev" in each for each in tool.commands)
    (added,) = [each for each in tool.commands if "add-port" in each]
    assert "type=dpdkvhostuserclient options:vhost-server-path=/var/lib/one/datastores/100/7/one-7-0" in added
    assert "set Port one-7-0 tag=5" in added
    driver.clean(vm)
    assert any("del-port ovsbr0 one-7-0" in each for each in tool.commands)
