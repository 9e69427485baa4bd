"""What the drivers of Linux bridges make, and what they refuse: on a real kernel."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drivers.contract_network import NetworkContract
from tests.drivers.network import frames
from tests.drivers.network.cloudlet import Cloudlet, cloudlet, join, machine, traces
from tests.drivers.network.test_networks_of_hosts import VXLAN
from tests.drivers.network.wires import Guest, Machine, marker, passes, why_not

from merope.drivers.errors import DriverError
from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.site import Settings, read_settings
from merope.model.vm import VM

pytestmark = pytest.mark.skipif(
    bool(why_not("iptables", "ip6tables", "nft")), reason=why_not("iptables", "ip6tables", "nft")
)

NIC = 'VN_MAD = "ebtables", BRIDGE = "onebr0"'
TUNNEL = 'VN_MAD = "vxlan", PHYDEV = "eth1", VLAN_ID = 9, BRIDGE = "onebr.9"'


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloudlet]:
    with cloudlet(tmp_path) as made:
        yield made


def link(host: Machine, name: str) -> dict[str, object]:
    (found,) = json.loads(host.ip(["-j", "-d", "link", "show", name]))
    return {**found, **found["linkinfo"].get("info_data", {})}


@pytest.mark.runs("network/ebtables", "pre", "post", "clean", where="here")
def test_ebtables_keeps_networks_on_one_bridge_apart(cloud: Cloudlet) -> None:
    host = cloud.host()
    before = traces(host)
    driver = cloud.driver("ebtables", host)
    vms = [machine(7, NIC), machine(8, NIC)]
    guest, other = (cloud.run(driver, host, vm) for vm in vms)
    stranger = Guest(host, "strange0", "02:00:77:77:77:07", "10.0.0.77")
    try:
        join(host, stranger, "onebr0")
        mark = marker()
        assert passes(guest, other, frames.udp(guest.to(other), 5, mark), mark)
        assert not passes(stranger, guest, frames.udp(stranger.to(guest), 5, mark), mark, after=other)
        spoofed = frames.ethernet("02:00:0a:00:00:63", other.mac, 0x0800, mark)
        assert not passes(guest, other, spoofed, mark)
    finally:
        stranger.remove()
    for vm in vms:
        cloud.unplug(host, vm)
        driver.clean(vm)
    assert traces(host) == before


class EbtablesCase:
    def __init__(self, cloud: Cloudlet) -> None:
        self._cloud, self._host = cloud, cloud.host()
        self.driver: NetworkDriver = cloud.driver("ebtables", self._host)

    def vm(self, vm_id: int) -> VM:
        return machine(vm_id, NIC)

    def start(self, vm: VM) -> str:
        self._cloud.plug(self._host, vm)
        return f"one-{vm.id}"

    def state(self) -> object:
        return traces(self._host)


@pytest.mark.runs("network/ebtables", "update", where="here")
class TestEbtables(NetworkContract):
    @pytest.fixture
    def case(self, cloud: Cloudlet) -> EbtablesCase:
        return EbtablesCase(cloud)


@pytest.mark.runs("network/vxlan", "VXLAN_MODE=evpn", where="here")
@pytest.mark.parametrize("endpoint", ["dev", "local_ip"])
def test_without_multicast_a_vxlan_reaches_hosts_that_it_is_told_of(cloud: Cloudlet, endpoint: str) -> None:
    hosts = cloud.wired()
    more = f', VXLAN_MODE = "evpn", VXLAN_TEP = "{endpoint}"'
    vms = [VXLAN.vm(number, 5, more) for number in (7, 8)]
    one, two = (cloud.run(cloud.driver("vxlan", host), host, vm) for host, vm in zip(hosts, vms, strict=True))
    assert link(hosts[0], "eth1.5").get("learning") is False
    for number, host in enumerate(hosts):
        # What a routing daemon does.
        peer = f"192.0.2.{2 - number}"
        host.tool(["bridge", "fdb", "append", "00:00:00:00:00:00", "dev", "eth1.5", "dst", peer])
    mark = marker()
    assert passes(one, two, frames.udp(one.to(two), 5, mark), mark)


def test_options_of_network_and_site_are_those_of_the_links(cloud: Cloudlet, tmp_path: Path) -> None:
    conf = tmp_path / "OpenNebulaNetwork.conf"
    conf.write_text(
        ":vxlan_mc: 239.10.0.0\n:vxlan_ttl: 7   # hops\n"
        ":ip_link_conf:\n    :dstport: 4789\n:bridge_conf:\n  :stp: on\n"
    )
    host, _ = cloud.wired()
    driver = cloud.driver("vxlan", host, read_settings(conf))
    driver.pre(machine(7, f'{TUNNEL}, IP_LINK_CONF = "udpcsum=,tos=4", BRIDGE_CONF = "ageing_time=20000"'))
    tunnel, bridge = link(host, "eth1.9"), link(host, "onebr.9")
    assert (tunnel["group"], tunnel["ttl"], tunnel["port"]) == ("239.10.0.9", 7, 4789)
    assert tunnel["udp_csum"] is True
    assert (bridge["stp_state"], bridge["ageing_time"]) == (1, 20000)


def test_the_mtu_of_a_network_is_that_of_its_links(cloud: Cloudlet) -> None:
    host, _ = cloud.wired()
    cloud.driver("vxlan", host).pre(machine(7, f"{TUNNEL}, MTU = 1400"))
    assert [link(host, name)["mtu"] for name in ("eth1.9", "onebr.9")] == [1400, 1400]


@pytest.mark.parametrize(
    ("nic", "why"),
    [
        (
            TUNNEL.replace("eth1", "eth7").replace("onebr.9", "br").replace("9,", "11,"),
            "there is no interface eth7 on this host for the bridge br",
        ),
        (
            TUNNEL.replace("VLAN_ID = 9", "VLAN_ID = 10"),
            "onebr.9 is joined to eth1.9, which carries another network",
        ),
        (TUNNEL.replace("onebr.9", "onebr.10"), "eth1.9 is a port of onebr.9"),
        (TUNNEL.replace("eth1", "eth2").replace("onebr.9", "br"), "eth1.9 has the VXLAN id 9"),
        (
            TUNNEL.replace("eth1", "nameof14chars4"),
            "the link nameof14chars4.9 would have more than 15 characters",
        ),
        (TUNNEL.replace('PHYDEV = "eth1", ', ""), "PHYDEV of NIC 0 is missing; VN_MAD vxlan needs it"),
        (TUNNEL.replace("9,", "16777216,"), "VLAN_ID of NIC 0 is '16777216', expected 1 to 16777215"),
        (f'{TUNNEL}, VXLAN_MODE = "unicast"', "VXLAN_MODE of NIC 0 is 'unicast', expected multicast or evpn"),
        (f'{TUNNEL}, VXLAN_MC = "10.0.0.0"', "10.0.0.9 is no multicast address"),
        (f'{TUNNEL}, IP_LINK_CONF = "ttl=1; reboot"', "IP_LINK_CONF of NIC 0 has 'ttl=1; reboot'"),
    ],
)
def test_what_cannot_go_together_is_refused_with_the_reason(cloud: Cloudlet, nic: str, why: str) -> None:
    host, _ = cloud.wired()
    host.ip(["link", "add", "name", "eth2", "type", "veth", "peer", "name", "eth3"])
    driver = cloud.driver("vxlan", host)
    if "VXLAN_M" not in nic and "LINK_CONF" not in nic:
        driver.pre(machine(7, TUNNEL))
    before = traces(host)
    vm = machine(8, nic)
    with pytest.raises(DriverError, match=why):
        driver.pre(vm)
    if "PHYDEV" in nic and "chars" not in nic and "16777216" not in nic:
        driver.clean(vm)
    assert traces(host) == before


def test_a_link_of_an_administrator_is_used_and_stays(cloud: Cloudlet) -> None:
    host, _ = cloud.wired()
    host.ip(
        ["link", "add", "name", "eth1.9", "type", "vxlan", "id", "9", "dev", "eth1", "remote", "192.0.2.2"]
    )
    before = traces(host)
    driver, vm = cloud.driver("vxlan", host), machine(7, TUNNEL)
    driver.pre(vm)
    assert link(host, "eth1.9")["master"] == "onebr.9"
    driver.clean(vm)
    assert traces(host) == before


@pytest.mark.parametrize("text", ["vxlan_ttl = 5", ":vxlan_ttl 5", "- a", "{x: y}"])
def test_a_conf_that_is_no_list_of_settings_is_refused_with_the_line(tmp_path: Path, text: str) -> None:
    conf = tmp_path / "OpenNebulaNetwork.conf"
    conf.write_text(f"# the site\n\n{text}\n")
    with pytest.raises(DriverError, match=r"OpenNebulaNetwork\.conf, line 3: expected :name: value"):
        read_settings(conf)


def test_a_site_without_a_conf_has_the_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "none") == Settings()
