"""What the rules of security groups mean, before any host is asked."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drivers.network.cloudlet import machine

from merope.drivers.errors import DriverError
from merope.drivers.network import iptables
from merope.drivers.network.packet_rules import Allowed, Protocol, Span, Way, allowed
from merope.drivers.network.site import Site
from merope.drivers.network.spoofing import spoofing_chains
from merope.drivers.network.vlan import tagged
from merope.model.vm import VM

NIC = 'VN_MAD = "fw", BRIDGE = "onebr0", SECURITY_GROUPS = "100, 101"'


def vm(*rules: str) -> VM:
    return machine(
        7, NIC, more="\n".join(f"SECURITY_GROUP_RULE = [ SECURITY_GROUP_ID = 100, {r} ]" for r in rules)
    )


def read(*rules: str) -> list[Allowed]:
    given = vm(*rules)
    return allowed(given, given.template.vectors("NIC")[0])


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("RULE_TYPE = inbound", "PROTOCOL is '', expected one of ALL, TCP"),
        (
            "PROTOCOL = TCP, RULE_TYPE = sideways",
            "RULE_TYPE is 'sideways', expected one of INBOUND, OUTBOUND",
        ),
        ('PROTOCOL = TCP, RULE_TYPE = inbound, RANGE = "80 -j ACCEPT"', "RANGE has '80 -j ACCEPT'"),
        ('PROTOCOL = TCP, RULE_TYPE = inbound, RANGE = "90:80"', "RANGE has '90:80'"),
        ('PROTOCOL = TCP, RULE_TYPE = inbound, RANGE = "65536"', "RANGE has '65536'"),
        ("PROTOCOL = ICMP, RULE_TYPE = inbound, ICMP_TYPE = echo", "ICMP_TYPE is 'echo', expected 0 to 255"),
        ("PROTOCOL = ALL, RULE_TYPE = inbound, IP = everybody, SIZE = 1", "'everybody'"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_with_the_group_and_the_reason(rule: str, why: str) -> None:
    with pytest.raises(DriverError, match=f"VM 7: a rule of security group 100: .*{why}"):
        read(rule)


def test_ranges_that_touch_are_one_and_those_that_everybody_has_anyway_are_none() -> None:
    base = "PROTOCOL = UDP, RULE_TYPE = inbound"
    near = [f'{base}, IP = "10.0.0.{first}", SIZE = 4' for first in (1, 5, 20)]
    spans = [each.span for each in read(*near)]
    assert [str(span) for span in spans] == ["10.0.0.1-10.0.0.8", "10.0.0.20-10.0.0.23"]
    assert read(*near, base) == [Allowed(Way.INBOUND, Protocol.UDP)]


def test_addresses_that_follow_from_macs_are_consecutive_within_their_lower_half() -> None:
    slaac = 'IP6_GLOBAL = "2001:db8::ff:feff:fffe", MAC = "02:00:00:ff:ff:fe", SIZE = 4'
    spans = [str(each.span) for each in read(f"PROTOCOL = ALL, RULE_TYPE = inbound, NETWORK_ID = 3, {slaac}")]
    assert spans == [
        "2001:db8::ff:feff:fffe-2001:db8::ff:feff:ffff",
        "2001:db8::1ff:fe00:0-2001:db8::1ff:fe00:1",
    ]


@pytest.mark.parametrize(("kind", "protocol"), [("", "802.1q"), ("802.1ad", "802.1ad"), ("802.1Q", "802.1q")])
def test_the_tag_of_a_network_is_of_the_kind_that_it_says(tmp_path: Path, kind: str, protocol: str) -> None:
    nic = f'VN_MAD = "802.1Q", PHYDEV = "eth1", VLAN_ID = 50, QINQ_TYPE = "{kind}"'
    given = machine(7, nic)
    uplink = tagged(Site(tmp_path), given, given.template.vectors("NIC")[0])
    assert (uplink.name, uplink.parent) == ("eth1.50", "eth1")
    assert list(uplink.arguments()) == ["protocol", protocol, "id", "50"]


def test_what_a_guest_may_tag_is_in_a_list_and_nothing_else_is_hidden_from_the_rules() -> None:
    given = machine(7, 'VN_MAD = "802.1Q", CVLANS = "101,103-104"')
    (nic,) = given.template.vectors("NIC")
    for chain in spoofing_chains(given, nic, "one-7-0").values():
        assert chain.rules[0] == "ether type 0x8100 vlan id != { 101, 103, 104 } drop"
        assert chain.rules[1].startswith("ether type { 0x88a8,")


ports = st.integers(0, 65535)
words = st.one_of(ports.map(str), st.tuples(ports, ports).map(lambda pair: f"{min(pair)}:{max(pair)}"))


@given(st.lists(words, min_size=1, max_size=60))
def test_every_port_is_in_a_rule_and_no_rule_has_more_than_the_kernel_takes(given_words: list[str]) -> None:
    (each,) = read(f'PROTOCOL = TCP, RULE_TYPE = inbound, RANGE = "{",".join(given_words)}"')
    lines = iptables.nic_chains(7, 0, [each], 4)["one-7-0-i"][:-1]
    lists = [line.split("--dports ")[1].split(" ")[0].split(",") for line in lines]
    assert sorted(word for words in lists for word in words) == sorted(set(given_words))
    assert all(sum(1 + (":" in word) for word in words) <= 15 for words in lists)


spans_of = st.tuples(st.integers(0, 200), st.integers(1, 40))


@given(st.lists(spans_of, max_size=12))
def test_the_addresses_let_in_are_those_of_the_rules_and_no_others(pairs: list[tuple[int, int]]) -> None:
    base = "PROTOCOL = ALL, RULE_TYPE = inbound"
    found = read(*(f'{base}, IP = "{IPv4Address(first)}", SIZE = {size}' for first, size in pairs))
    wanted = {address for first, size in pairs for address in range(first, first + size)}
    spans = [each.span for each in found if isinstance(each.span, Span)]
    assert {address for span in spans for address in range(span.first, span.last + 1)} == wanted
    assert len(found) == sum(1 for address in wanted if address - 1 not in wanted)


chains = st.dictionaries(
    st.builds("one-{}-{}-{}".format, st.integers(0, 3), st.integers(0, 2), st.sampled_from("io")),
    st.lists(st.sampled_from(["-p tcp -j RETURN", "-p udp -j RETURN", "-j DROP"]), min_size=1).map(tuple),
    max_size=6,
)


@given(chains, chains)
def test_the_change_from_one_state_to_another_is_nothing_exactly_when_they_are_the_same(
    before: dict[str, tuple[str, ...]], after: dict[str, tuple[str, ...]]
) -> None:
    empty = iptables.State()
    present, wanted = (
        empty.with_nics(each, {name: name[:-2] for name in each}, set()) for each in (before, after)
    )
    assert (iptables.transaction(present, wanted) == "") == (before == after)
    listing = [f"-N {name}" for name in [*before, iptables.TOP]] + iptables.shown(present)
    assert iptables.parsed("\n".join(listing)) == present
