"""Security groups and FILTER_*: what must pass passes, and what must not does not, by packets."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.drivers.contract_network import NetworkContract
from tests.drivers.crash import crash_points
from tests.drivers.network import frames
from tests.drivers.network.cloudlet import Cloudlet, cloudlet, join, machine, traces
from tests.drivers.network.frames import Ends
from tests.drivers.network.wires import Guest, marker, passes, why_not

from merope.drivers.network.base import NetworkDriver
from merope.drivers.network.differences import differences
from merope.model.vm import VM

pytestmark = pytest.mark.skipif(
    bool(why_not("iptables", "ip6tables", "nft")), reason=why_not("iptables", "ip6tables", "nft")
)

NIC = 'VN_MAD = "fw", BRIDGE = "onebr0", SECURITY_GROUPS = "100"'
TAGS = ', VLAN_TAGGED_ID = "0-9"'
OPEN = "RULE_TYPE = outbound, PROTOCOL = ALL", "RULE_TYPE = inbound, PROTOCOL = ALL"
V6 = {7: "2001:db8::7", 8: "2001:db8::8"}


def rules(*texts: str, group: int = 100) -> str:
    return "\n".join(f"SECURITY_GROUP_RULE = [ SECURITY_GROUP_ID = {group}, {text} ]" for text in texts)


class Pair:
    """A filtered guest (VM 7) and one that may send and receive everything (VM 8), on one bridge."""

    def __init__(self, cloud: Cloudlet) -> None:
        self.cloud = cloud
        self.host = cloud.host()
        self.driver = cloud.driver("fw", self.host)
        self.other = cloud.run(self.driver, self.host, machine(8, NIC + TAGS, more=rules(*OPEN)))
        self.guest = cloud.run(self.driver, self.host, machine(7, NIC, more=rules(*OPEN)))

    def set(self, *texts: str, nic: str = "") -> None:
        """Gives VM 7 these rules, as an update of its group does."""
        self.driver.update(machine(7, NIC + nic, more=rules(*texts)), "one-7", 100)

    def gets(self, make: Callable[[Ends, bytes], bytes], source: str = "", family: int = 4) -> bool:
        """Whether VM 7 gets what VM 8 sends, from `source` if that is not its own address."""
        ends = self.other.to(self.guest) if family == 4 else _six(self.other, self.guest)
        return self._passes(self.other, self.guest, make, replace(ends, src=source or ends.src))

    def sends(self, make: Callable[[Ends, bytes], bytes], target: str = "", family: int = 4) -> bool:
        ends = self.guest.to(self.other) if family == 4 else _six(self.guest, self.other)
        return self._passes(self.guest, self.other, make, replace(ends, dst=target or ends.dst))

    def _passes(self, one: Guest, two: Guest, make: Callable[[Ends, bytes], bytes], ends: Ends) -> bool:
        mark = marker()
        return passes(one, two, make(ends, mark), mark)


def _six(one: Guest, two: Guest) -> Ends:
    return Ends(one.mac, two.mac, V6[int(one.ip.rpartition(".")[2])], V6[int(two.ip.rpartition(".")[2])])


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloudlet]:
    with cloudlet(tmp_path) as made:
        yield made


@pytest.fixture
def pair(cloud: Cloudlet) -> Pair:
    return Pair(cloud)


def tcp(port: int) -> Callable[[Ends, bytes], bytes]:
    return lambda ends, mark: frames.tcp(ends, port, mark)


def udp(port: int) -> Callable[[Ends, bytes], bytes]:
    return lambda ends, mark: frames.udp(ends, port, mark)


def icmp(kind: int) -> Callable[[Ends, bytes], bytes]:
    return lambda ends, mark: frames.icmp(ends, kind, mark)


@pytest.mark.runs("network/fw", "pre", "post", "update", where="here")
def test_without_a_rule_nothing_passes_in_either_direction(pair: Pair) -> None:
    pair.set()
    assert not any(pair.gets(each) for each in (tcp(80), udp(53), icmp(8), frames.esp))
    assert not any(pair.sends(each) for each in (tcp(81), udp(54), icmp(8), frames.esp))


def test_inbound_rules_let_nothing_out_and_outbound_ones_nothing_in(pair: Pair) -> None:
    pair.set("RULE_TYPE = inbound, PROTOCOL = ALL")
    assert pair.gets(udp(1))
    assert not pair.sends(udp(2))
    pair.set("RULE_TYPE = outbound, PROTOCOL = ALL")
    assert pair.sends(udp(3))
    assert not pair.gets(udp(4))


def test_a_range_of_ports_is_open_and_its_neighbours_are_not(pair: Pair) -> None:
    pair.set('RULE_TYPE = inbound, PROTOCOL = TCP, RANGE = "22,80:90"')
    assert [pair.gets(tcp(port)) for port in (21, 22, 23, 79, 80, 85, 90, 91)] == [
        False, True, False, False, True, True, True, False,
    ]  # fmt: skip
    assert not pair.gets(udp(22))


def test_more_ports_than_one_rule_of_iptables_takes(pair: Pair) -> None:
    ports = range(100, 140, 2)
    pair.set(f'RULE_TYPE = outbound, PROTOCOL = UDP, RANGE = "{",".join(map(str, ports))}"')
    assert [pair.sends(udp(port)) for port in (100, 128, 130, 138, 139)] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("protocol", "make", "family"),
    [
        ("TCP", tcp(5), 4), ("TCP", tcp(5), 6), ("UDP", udp(5), 4), ("UDP", udp(5), 6), ("ICMP", icmp(8), 4),
        ("ICMPV6", icmp(128), 6), ("IPSEC", frames.esp, 4), ("IPSEC", frames.esp, 6), ("IPSEC", frames.ah, 4),
        ("IPSEC", frames.ah, 6), ("IPSEC", udp(500), 4), ("IPSEC", udp(4500), 6), ("ALL", frames.esp, 4),
        ("ALL", icmp(8), 4), ("ALL", icmp(128), 6), ("ALL", tcp(5), 6),
    ],
)  # fmt: skip
def test_each_protocol_passes_by_its_rule_and_not_by_another(
    pair: Pair, protocol: str, make: Callable[[Ends, bytes], bytes], family: int
) -> None:
    pair.set(f"RULE_TYPE = inbound, PROTOCOL = {protocol}")
    assert pair.gets(make, family=family)
    others = {"TCP", "UDP", "ICMP", "ICMPV6", "IPSEC"} - {protocol}
    others -= {"IPSEC": {"UDP"}, "ALL": others}.get(protocol, set())
    pair.set(*(f"RULE_TYPE = inbound, PROTOCOL = {each}" for each in others))
    assert not pair.gets(make, "10.0.0.50" if family == 4 else "2001:db8::50", family)


def test_one_type_of_icmp_is_not_another(pair: Pair) -> None:
    pair.set(
        "RULE_TYPE = inbound, PROTOCOL = ICMP, ICMP_TYPE = 8",
        "RULE_TYPE = inbound, PROTOCOL = ICMPV6, ICMPV6_TYPE = 128",
    )
    assert [pair.gets(icmp(kind)) for kind in (8, 13)] == [True, False]
    assert [pair.gets(icmp(kind), family=6) for kind in (128, 133)] == [True, False]


def test_addresses_are_those_of_the_rule_to_the_last_one(pair: Pair) -> None:
    pair.set('RULE_TYPE = inbound, PROTOCOL = UDP, IP = "192.0.2.10", SIZE = 5')
    sources = ("192.0.2.9", "192.0.2.10", "192.0.2.14", "192.0.2.15")
    assert [pair.gets(udp(9), source) for source in sources] == [False, True, True, False]
    pair.set('RULE_TYPE = outbound, PROTOCOL = TCP, RANGE = 443, IP = "2001:db8::10", SIZE = 2')
    targets = ("2001:db8::f", "2001:db8::10", "2001:db8::11", "2001:db8::12")
    assert [pair.sends(tcp(443), target, 6) for target in targets] == [False, True, True, False]
    assert not pair.sends(tcp(443))


def test_a_network_is_its_ranges_and_one_without_addresses_is_nobody(pair: Pair) -> None:
    network = "RULE_TYPE = inbound, PROTOCOL = ALL, NETWORK_ID = 5"
    slaac = 'IP6_ULA = "fd00::ff:fe00:1", MAC = "02:00:00:00:00:01"'
    pair.set(f'{network}, IP = "192.0.2.1", SIZE = 4', f"{network}, {slaac}, SIZE = 2")
    assert [pair.gets(udp(7), f"192.0.2.{n}") for n in (1, 4, 5)] == [True, True, False]
    assert [pair.gets(udp(7), f"fd00::ff:fe00:{n}", 6) for n in (1, 2, 3)] == [True, True, False]
    pair.set(f'{network}, MAC = "02:00:00:00:00:01", SIZE = 4')
    assert not pair.gets(udp(8), "192.0.2.1")


def test_answers_come_back_without_a_rule_of_their_own(pair: Pair) -> None:
    pair.set("RULE_TYPE = outbound, PROTOCOL = TCP, RANGE = 443")
    out, mark = pair.guest.to(pair.other), marker()
    assert passes(pair.guest, pair.other, frames.tcp(out, 443, mark, source=999), mark)
    reply = frames.tcp(out.back(), 999, mark, source=443, flags=frames.SYN_ACK, ack=2 + len(mark))
    assert passes(pair.other, pair.guest, reply, mark)
    assert not passes(pair.other, pair.guest, frames.tcp(out.back(), 998, mark, source=443), mark)


def test_the_rules_of_all_groups_of_a_nic_hold_and_of_no_other(pair: Pair) -> None:
    texts = [rules(f"RULE_TYPE = inbound, PROTOCOL = UDP, RANGE = {n}", group=n) for n in (100, 101, 102)]
    nic = NIC.replace('"100"', '"100,101"')
    pair.driver.update(machine(7, nic, more="\n".join(texts)), "one-7", 100)
    assert [pair.gets(udp(port)) for port in (100, 101, 102)] == [True, True, False]


def test_neighbours_find_each_other_and_nobody_says_that_he_is_a_router(pair: Pair) -> None:
    pair.set()
    assert [pair.sends(icmp(kind), family=6) for kind in (133, 134, 135, 136)] == [True, False, True, True]
    assert [pair.gets(icmp(kind), family=6) for kind in (133, 134, 135, 136)] == [False, True, True, True]


@pytest.mark.parametrize("tag", [0, 5])
@pytest.mark.parametrize("kind", [0x8100, 0x88A8])
def test_a_tag_of_a_vlan_leads_past_no_rule(pair: Pair, tag: int, kind: int) -> None:
    """Iptables does not look into tagged frames; those with the tag 0 guests take for untagged ones."""

    def hidden(ends: Ends, mark: bytes) -> bytes:
        return frames.tagged(frames.udp(ends, 5, mark), tag, kind)

    pair.set(*OPEN)
    assert not pair.gets(hidden)
    assert not pair.sends(hidden)
    pair.set(*OPEN, nic=', VLAN_TAGGED_ID = "5"')
    assert pair.sends(hidden) == pair.gets(hidden) == ((tag, kind) == (5, 0x8100))


def test_a_guest_has_the_rules_of_its_own_address_before_its_first_packet(cloud: Cloudlet) -> None:
    host = cloud.host()
    driver = cloud.driver("fw", host)
    other = cloud.run(driver, host, machine(8, NIC, more=rules(*OPEN)))
    vm = machine(7, NIC)
    driver.pre(vm)
    guest = cloud.plug(host, vm)
    mark = marker()
    assert not passes(guest, other, frames.udp(guest.to(other), 53, mark), mark)


MAC_FILTER, IP_FILTER = ', FILTER_MAC_SPOOFING = "YES"', ', FILTER_IP_SPOOFING = "YES"'
OTHERS_MAC, OTHERS_IP = "02:00:99:99:99:99", "10.0.0.99"


@pytest.mark.runs("network/fw", "FILTER_MAC_SPOOFING", where="here")
def test_a_guest_has_one_mac_where_that_is_filtered(pair: Pair) -> None:
    pair.set(*OPEN, nic=MAC_FILTER)
    assert pair.sends(udp(5))
    mark = marker()
    ends = replace(pair.guest.to(pair.other), src_mac=OTHERS_MAC)
    assert not passes(pair.guest, pair.other, frames.udp(ends, 5, mark), mark)
    said = frames.arp(pair.guest.mac, pair.guest.ip, _text(mark), said_mac=OTHERS_MAC)
    assert not passes(pair.guest, pair.other, said, mark)
    pair.set(*OPEN)
    assert passes(pair.guest, pair.other, frames.udp(ends, 5, mark), mark)


@pytest.mark.runs("network/fw", "FILTER_IP_SPOOFING", where="here")
def test_a_guest_has_its_own_addresses_where_that_is_filtered(pair: Pair) -> None:
    pair.set(*OPEN, nic=IP_FILTER + ', IP6_GLOBAL = "2001:db8::7"')
    assert pair.sends(udp(5))
    assert pair.sends(udp(5), family=6)
    mark = marker()
    for ends in (
        replace(pair.guest.to(pair.other), src=OTHERS_IP),
        replace(_six(pair.guest, pair.other), src="2001:db8::99"),
    ):
        assert not passes(pair.guest, pair.other, frames.udp(ends, 5, mark), mark)
    poison = frames.arp(pair.guest.mac, OTHERS_IP, _text(mark))
    assert not passes(pair.guest, pair.other, poison, mark)


def test_a_guest_advertises_its_own_address_alone(pair: Pair) -> None:
    pair.set(*OPEN, nic=IP_FILTER + ', IP6_GLOBAL = "2001:db8::7"')
    targets = ("2001:db8::7", "2001:db8::99")
    said = [lambda ends, mark, each=each: frames.advertisement(ends, each, mark) for each in targets]
    assert [pair.sends(each, family=6) for each in said] == [True, False]


def test_a_guest_without_an_address_yet_may_ask_for_one(pair: Pair) -> None:
    pair.set(*OPEN, nic=IP_FILTER)
    mark = marker()
    ends = Ends(pair.guest.mac, frames.BROADCAST, "0.0.0.0", "255.255.255.255")
    assert passes(pair.guest, pair.other, frames.udp(ends, 67, mark, source=68), mark)
    assert not passes(pair.guest, pair.other, frames.udp(ends, 68, mark, source=68), mark)


def test_the_addresses_of_aliases_and_of_the_router_are_the_nics_too(pair: Pair) -> None:
    alias = 'NIC_ALIAS = [ NIC_ID = 1, PARENT_ID = 0, ALIAS_ID = 0, IP = "10.0.0.70" ]'
    nic = f'{NIC}{IP_FILTER}, VROUTER_IP = "10.0.0.71"'
    pair.driver.update(machine(7, nic, more=f"{rules(*OPEN)}\n{alias}"), "one-7", 100)
    mark = marker()
    sources = [replace(pair.guest.to(pair.other), src=f"10.0.0.{n}") for n in (7, 70, 71, 72)]
    heard = [passes(pair.guest, pair.other, frames.udp(ends, 5, mark), mark) for ends in sources]
    assert heard == [True, True, True, False]


def test_the_host_itself_is_not_deceived_either(pair: Pair) -> None:
    """What is for an address of the bridge is no packet that is forwarded."""
    pair.host.ip(["address", "add", "10.0.0.1/24", "dev", "onebr0"])
    pair.set(*OPEN, nic=IP_FILTER)
    bridge = pair.host.ip(["-o", "link", "show", "onebr0"]).split("link/ether ")[1].split()[0]
    ends = Ends(pair.guest.mac, bridge, OTHERS_IP, "10.0.0.1")
    for _ in range(2):
        pair.guest.send(frames.icmp(ends, 8, marker()))
    assert OTHERS_IP not in pair.host.ip(["neighbour", "show"])


def _text(mark: bytes) -> str:
    return ".".join(map(str, mark))


def test_what_is_filtered_leaves_the_packets_of_others_to_the_administrators_rules(pair: Pair) -> None:
    pair.host.tool(["iptables", "-P", "FORWARD", "DROP"])
    assert pair.gets(udp(5))
    one, two = (Guest(pair.host, f"wire{n}", f"02:00:00:00:00:0{n}", f"10.9.0.{n}") for n in (1, 2))
    try:
        for guest in (one, two):
            join(pair.host, guest, "onebr0")
        mark = marker()
        assert not passes(one, two, frames.udp(one.to(two), 5, mark), mark)
    finally:
        one.remove()
        two.remove()


@pytest.mark.runs("network/fw", "clean", where="here")
def test_nothing_is_left_when_the_last_vm_has_gone(cloud: Cloudlet) -> None:
    host = cloud.host()
    before = traces(host)
    driver = cloud.driver("fw", host)
    vms = [machine(n, NIC + MAC_FILTER + IP_FILTER, more=rules(*OPEN)) for n in (7, 8)]
    guests = [cloud.run(driver, host, vm) for vm in vms]
    assert traces(host) != before
    for guest in guests:
        host.ip(["link", "delete", "dev", guest.port])
    for vm in vms:
        driver.clean(vm)
    assert traces(host) == before


def test_rules_of_5_12_are_taken_over_and_those_of_others_stay(pair: Pair) -> None:
    old = [
        "*filter",
        ":one-7-0-i - [0:0]",
        "-A one-7-0-i -j RETURN",
        "-A opennebula -p udp --dport 9 -j DROP",
        "COMMIT",
        "",
    ]
    pair.host.tool(["iptables-restore", "--noflush"], "\n".join(old))
    pair.set("RULE_TYPE = inbound, PROTOCOL = UDP, RANGE = 53")
    assert [pair.gets(udp(port)) for port in (53, 54)] == [True, False]
    pair.driver.clean(machine(7, NIC))
    pair.driver.clean(machine(8, NIC))
    assert "-A opennebula -p udp -m udp --dport 9 -j DROP" in pair.host.tool(["iptables", "-S"])


def test_what_an_update_changes_is_told_beforehand(pair: Pair) -> None:
    site = pair.cloud.site(pair.host)
    ports = [f"RULE_TYPE = inbound, PROTOCOL = TCP, RANGE = {port}" for port in (80, 443)]
    pair.set(ports[0])
    vm = machine(7, NIC, more=rules(ports[1]))
    told = differences(vm, site)
    assert told == [
        "- iptables -A one-7-0-i -p tcp -m multiport --dports 80 -j RETURN",
        "+ iptables -A one-7-0-i -p tcp -m multiport --dports 443 -j RETURN",
        "- ip6tables -A one-7-0-i -p tcp -m multiport --dports 80 -j RETURN",
        "+ ip6tables -A one-7-0-i -p tcp -m multiport --dports 443 -j RETURN",
    ]
    pair.driver.update(vm, "one-7", 100)
    assert differences(vm, site) == []


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "ICMP", "ICMPV6", "IPSEC", "ALL"])
def test_rules_are_written_as_the_kernel_tells_them(pair: Pair, protocol: str) -> None:
    span = 'IP = "2001:db8::5", SIZE = 3' if protocol == "ICMPV6" else 'IP = "10.0.0.5", SIZE = 3'
    more = {"TCP": 'RANGE = "22,80:90",', "ICMP": "ICMP_TYPE = 8,", "ICMPV6": "ICMPV6_TYPE = 128,"}.get(
        protocol, ""
    )
    texts = [
        f"RULE_TYPE = {way}, {more} PROTOCOL = {protocol}, {about}"
        for way in ("inbound", "outbound")
        for about in (span, 'IP = "2001:db8::1", SIZE = 2', "DESCRIPTION = all")
    ]
    pair.set(*texts)
    assert differences(machine(7, NIC, more=rules(*texts)), pair.cloud.site(pair.host)) == []


class FirewallCase:
    def __init__(self, cloud: Cloudlet) -> None:
        self._cloud = cloud
        self._host = cloud.host()
        self.driver: NetworkDriver = cloud.driver("fw", self._host)

    def vm(self, vm_id: int) -> VM:
        return machine(vm_id, NIC + MAC_FILTER, more=rules(*OPEN))

    def start(self, vm: VM) -> str:
        self._cloud.plug(self._host, vm)
        return f"one-{vm.id}"

    def state(self) -> object:
        return traces(self._host)


class TestFirewall(NetworkContract):
    @pytest.fixture
    def case(self, cloud: Cloudlet) -> FirewallCase:
        return FirewallCase(cloud)


def _kinds(vm: VM) -> dict[str, Callable[[NetworkDriver], None]]:
    return {
        "pre": lambda driver: driver.pre(vm),
        "clean": lambda driver: driver.clean(vm),
    }


@pytest.mark.parametrize("operation", ["pre", "clean"])
def test_a_driver_that_is_killed_at_any_step_leaves_what_the_next_try_completes(
    cloud: Cloudlet, operation: str
) -> None:
    host = cloud.host()
    driver = cloud.driver("fw", host)
    empty = traces(host)
    nic = NIC + MAC_FILTER + IP_FILTER
    vm = machine(7, nic, more=rules("RULE_TYPE = inbound, PROTOCOL = TCP"))
    do = _kinds(vm)[operation]

    def prepare() -> None:
        driver.clean(vm)
        if operation != "pre":
            driver.pre(machine(7, nic, more=rules(*OPEN)))

    prepare()
    do(driver)
    whole = traces(host)
    steps = 0
    for _ in crash_points(lambda: do(driver), prepare):
        steps += 1
        do(driver)
        assert traces(host) == whole
    assert steps > 2
    driver.clean(vm)
    assert traces(host) == empty


def test_rules_move_with_a_guest_that_changes_hosts(cloud: Cloudlet) -> None:
    """As a live migration calls the drivers: prepared there, cleared here, finished there."""
    one, two = cloud.host(), cloud.host()
    vm = machine(7, NIC, more=rules("RULE_TYPE = inbound, PROTOCOL = UDP, RANGE = 53"))
    leaving, coming = cloud.driver("fw", one), cloud.driver("fw", two)
    before = traces(one)
    guest = cloud.run(leaving, one, vm)
    coming.pre(vm)
    one.ip(["link", "delete", "dev", guest.port])
    leaving.clean(vm)
    coming.post(vm, "one-7")
    assert traces(one) == before
    other = cloud.run(coming, two, machine(8, NIC, more=rules(*OPEN)))
    guest = cloud.plug(two, vm)
    mark = marker()
    assert passes(other, guest, frames.udp(other.to(guest), 53, mark), mark)
    assert not passes(other, guest, frames.udp(other.to(guest), 54, mark), mark)
