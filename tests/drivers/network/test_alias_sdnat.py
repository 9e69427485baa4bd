"""External aliases: a guest with a private address is reached by another, by packets."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.drivers.network import frames
from tests.drivers.network.cloudlet import Cloudlet, cloudlet, machine, traces
from tests.drivers.network.frames import Ends
from tests.drivers.network.wires import Guest, Machine, marker, passes, why_not

from merope.drivers.errors import DriverError

pytestmark = pytest.mark.skipif(bool(why_not("iptables")), reason=why_not("iptables"))

NIC = 'VN_MAD = "bridge", BRIDGE = "onebr0"'
OUTSIDE = "198.51.100.7"


def alias(ip: str = OUTSIDE, number: int = 1, parent: int = 0) -> str:
    return (
        f'NIC_ALIAS = [ NIC_ID = {number}, ALIAS_ID = 0, PARENT_ID = {parent}, VN_MAD = "alias_sdnat", '
        f'EXTERNAL = "YES", IP = "{ip}" ]'
    )


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloudlet]:
    with cloudlet(tmp_path) as made:
        yield made


def mac_of(host: Machine, link: str) -> str:
    return host.ip(["-o", "link", "show", link]).split("link/ether ")[1].split()[0]


@pytest.mark.runs("network/alias_sdnat", "pre", "post", "clean", where="here")
def test_a_guest_is_reached_by_its_alias_and_leaves_with_it(cloud: Cloudlet) -> None:
    host = cloud.host()
    driver = cloud.driver("alias_sdnat", host)
    guest = cloud.run(cloud.driver("bridge", host), host, machine(7, NIC))
    other = cloud.run(cloud.driver("bridge", host), host, machine(8, NIC))
    world = Guest(host, "eth1", "02:00:00:00:00:02", "192.0.2.2")
    try:
        host.set("ipv4/ip_forward", "1")
        host.ip(["link", "set", "dev", "eth1", "up"])
        for link, address, neighbour in (("onebr0", "10.0.0.1/24", guest), ("eth1", "192.0.2.1/24", world)):
            host.ip(["address", "add", address, "dev", link])
            host.ip(["neighbour", "add", neighbour.ip, "lladdr", neighbour.mac, "dev", link])
        before = traces(host)
        driver.post(machine(7, NIC, more=alias()), "one-7")
        mark = marker()
        world.send(frames.udp(Ends(world.mac, mac_of(host, "eth1"), world.ip, OUTSIDE), 80, mark))
        assert _addresses(guest.next(mark)) == (world.ip, guest.ip)
        mark = marker()
        guest.send(frames.udp(Ends(guest.mac, mac_of(host, "onebr0"), guest.ip, world.ip), 99, mark))
        assert _addresses(world.next(mark)) == (OUTSIDE, world.ip)
        mark = marker()
        assert passes(guest, other, frames.udp(guest.to(other), 5, mark), mark)
        driver.clean(machine(7, NIC, more=alias()))
        assert traces(host) == before
    finally:
        world.remove()


def _addresses(frame: bytes) -> tuple[str, str]:
    return str(ip_address(frame[26:30])), str(ip_address(frame[30:34]))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (alias(parent=4), "PARENT_ID of NIC 1 is '4', which is no NIC"),
        (alias(ip="2001:db8::1"), "IP of NIC 1 is '2001:db8::1', expected an IPv4 address"),
    ],
)
def test_an_alias_that_leads_nowhere_is_refused(cloud: Cloudlet, more: str, why: str) -> None:
    host = cloud.host()
    before = traces(host)
    with pytest.raises(DriverError, match=why):
        cloud.driver("alias_sdnat", host).post(machine(7, NIC, more=more), "one-7")
    assert traces(host) == before


def test_aliases_of_others_stay_when_one_goes(cloud: Cloudlet) -> None:
    host = cloud.host()
    driver = cloud.driver("alias_sdnat", host)
    one, two = (machine(n, NIC, more=alias(f"198.51.100.{n}")) for n in (7, 8))
    driver.post(one, "one-7")
    with_one = traces(host)
    for _ in range(2):
        driver.post(two, "one-8")
    assert "198.51.100.8" in host.tool(["iptables", "-t", "nat", "-S"])
    for _ in range(2):
        driver.clean(two, 1)
    assert traces(host) == with_one


def test_an_alias_that_is_not_external_is_the_guests_to_have(cloud: Cloudlet) -> None:
    host = cloud.host()
    before = traces(host)
    cloud.driver("alias_sdnat", host).post(machine(7, NIC, more=alias().replace("YES", "NO")), "one-7")
    assert traces(host) == before
