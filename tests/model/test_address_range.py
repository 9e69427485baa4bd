"""Address ranges: addresses, leases, reservations and documents."""

import ipaddress
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from merope.model.address_range import (
    MAX_RESERVATION,
    MAX_SIZE,
    AddressRange,
    AddressRangeError,
    Viewer,
)
from merope.model.addresses import eui64, ip4_text, ip6_text, mac_text, parse_ip4, parse_ip6, parse_mac
from merope.model.leases import HELD, Leases, owner_of, owner_parts
from merope.model.permissions import ObjectType

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "examples"
SIZE = 12

kinds = st.sampled_from([ObjectType.VM, ObjectType.NET, ObjectType.VROUTER])
owners = st.builds(owner_of, kinds, st.integers(0, 3)) | st.just(HELD)


def vm(oid: int) -> int:
    return owner_of(ObjectType.VM, oid)


def make(**given: object) -> AddressRange:
    attributes = {name: str(value) for name, value in given.items()}
    return AddressRange.create(0, attributes, mac_prefix=0x0200, random=0x3E0256FC)


def ip4_range(size: int = 20) -> AddressRange:
    return make(TYPE="IP4", IP="10.1.0.10", SIZE=size)


def recorded(name: str) -> ElementTree.Element:
    path = EXAMPLES / name
    if not path.exists():
        pytest.skip(f"{name} of ../shared/examples is not there")
    return ElementTree.fromstring("".join(line.strip() for line in path.read_text().splitlines()))


def attributes_of(element: ElementTree.Element) -> dict[str, str]:
    return {part.tag: part.text or "" for part in element}


def flat(xml: str | ElementTree.Element) -> list[tuple[str, str]]:
    element = ElementTree.fromstring(xml) if isinstance(xml, str) else xml
    return [(part.tag, part.text or "") for part in element.iter()]


# Addresses


@given(st.integers(0, (1 << 48) - 1))
def test_a_mac_reads_back(mac: int) -> None:
    assert parse_mac(mac_text(mac)) == mac
    assert parse_mac(mac_text(mac).upper()) == mac


@given(st.integers(0, (1 << 32) - 1))
def test_an_ipv4_address_reads_back_and_looks_as_everywhere(ip: int) -> None:
    assert ip4_text(ip) == str(ipaddress.IPv4Address(ip))
    assert parse_ip4(ip4_text(ip)) == ip


@given(st.integers(0, (1 << 128) - 1))
def test_an_ipv6_address_reads_back(ip6: int) -> None:
    assert parse_ip6(ip6_text(ip6)) == ip6
    assert ipaddress.IPv6Address(ip6_text(ip6)) == ipaddress.IPv6Address(ip6)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_mac, "02:00:0a:01:00"),
        (parse_mac, "02:00:0a:01:00:0g"),
        (parse_mac, "02:00:0a:01:00:0a\n"),
        (parse_mac, "020:00:0a:01:00:0a"),
        (parse_ip4, "10.0.0"),
        (parse_ip4, "10.0.0.256"),
        (parse_ip4, "10.0.0.1\n"),
        (parse_ip4, "١0.0.0.1"),
        (parse_ip4, "10.0.0.-1"),
        (parse_ip6, ""),
        (parse_ip6, "2001:db8::/64"),
        (parse_ip6, "fe80::1%eth0"),
        (parse_ip6, "::1\0"),
        (parse_ip6, "\ud800"),
    ],
)
def test_what_is_no_address_is_refused(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(ValueError, match="not '"):
        parse(text)


def test_an_address_under_a_prefix_has_the_universal_bit_flipped_and_fffe_inserted() -> None:
    assert ip6_text(eui64(parse_ip6("fd00::"), parse_mac("02:00:0a:02:00:0a"))) == "fd00::aff:fe02:a"
    assert ip6_text(eui64(parse_ip6("fe80::"), parse_mac("00:16:3e:ab:cd:ef"))) == "fe80::216:3eff:feab:cdef"


# Recorded documents


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_range_and_its_leases_are_shown_as_recorded(number: int) -> None:
    shown = recorded("vnet.xml").findall("AR_POOL/AR")[number]
    stored = recorded("vnet-pool.xml").findall("VNET[ID='0']/AR_POOL/AR")[number]
    ours = AddressRange.from_stored(attributes_of(stored))
    assert flat(ours.to_xml()) == flat(shown)
    assert flat(ours.to_stored_xml()) == flat(stored)


def test_a_reservation_is_shown_as_recorded() -> None:
    parent = ip4_range()
    reserved = parent.reserve(owner_of(ObjectType.NET, 1), 3)
    assert reserved is not None
    own = AddressRange.reservation(0, reserved)
    assert flat(own.to_xml()) == flat(recorded("vnet-reservation.xml").findall("AR_POOL/AR")[0])
    assert own.parent_ar_id == 0


def test_values_stand_in_character_sections() -> None:
    xml = make(TYPE="ETHER", SIZE=1, NOTE="a]]>b & c").to_xml()
    assert "<MAC><![CDATA[02:00:3e:02:56:fc]]></MAC>" in xml
    assert "<USED_LEASES>0</USED_LEASES><LEASES/></AR>" in xml
    assert ElementTree.fromstring(xml).findtext("NOTE") == "a]]>b & c"


# Making one


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"TYPE": "ETHER"}, {"MAC": "02:00:3e:02:56:fc"}),
        ({"TYPE": "IP4", "IP": "10.1.0.10"}, {"MAC": "02:00:0a:01:00:0a", "IP": "10.1.0.10"}),
        (
            {"TYPE": "ip4", "IP": "10.1.0.10", "MAC": "00:16:3E:00:00:01"},
            {"MAC": "00:16:3e:00:00:01", "IP": "10.1.0.10"},
        ),
        ({"TYPE": "IP6"}, {"MAC": "02:00:3e:02:56:fc", "IP6_LINK": "fe80::3eff:fe02:56fc"}),
        (
            {"TYPE": "IP4_6", "IP": "10.2.0.10", "GLOBAL_PREFIX": "2001:db8::", "ULA_PREFIX": "fd00::"},
            {
                "MAC": "02:00:0a:02:00:0a",
                "IP": "10.2.0.10",
                "IP6_LINK": "fe80::aff:fe02:a",
                "IP6_ULA": "fd00::aff:fe02:a",
                "IP6_GLOBAL": "2001:db8::aff:fe02:a",
            },
        ),
        (
            {"TYPE": "IP6_STATIC", "IP6": "2001:db8::10", "PREFIX_LENGTH": "64"},
            {"MAC": "02:00:3e:02:56:fc", "IP6": "2001:db8::10"},
        ),
        (
            {"TYPE": "IP4_6_STATIC", "IP": "10.0.0.1", "IP6": "2001:db8::10", "PREFIX_LENGTH": "48"},
            {"MAC": "02:00:0a:00:00:01", "IP": "10.0.0.1", "IP6": "2001:db8::10"},
        ),
    ],
)
def test_each_type_has_its_own_addresses(given: dict[str, str], first: dict[str, str]) -> None:
    assert make(**given, SIZE=4).lease(0) == first


def test_what_only_the_core_sets_or_the_type_has_no_use_for_is_left_out() -> None:
    made = make(
        TYPE="ETHER", SIZE=2, IP="10.0.0.1", IP6="::1", PREFIX_LENGTH=64, GLOBAL_PREFIX="2001::", AR_ID=9,
        ALLOCATED=" 0 1", USED_LEASES=1, LEASES="", PARENT_NETWORK_AR_ID=3, MAC_END="x", BRIDGE="br1",
    )  # fmt: skip
    assert made.attributes == {
        "TYPE": "ETHER",
        "SIZE": "2",
        "AR_ID": "0",
        "MAC": "02:00:3e:02:56:fc",
        "BRIDGE": "br1",
    }
    assert made.used == 0


def test_what_the_user_wrote_stays_as_it_was_written() -> None:
    made = make(TYPE="IP4", SIZE=2, IP="10.0.0.010", MAC="0A:00:00:00:00:01")
    assert made.attributes["MAC"] == "0A:00:00:00:00:01"
    assert made.attributes["IP"] == "10.0.0.010"
    assert made.lease(1) == {"MAC": "0a:00:00:00:00:02", "IP": "10.0.0.11"}


@given(st.integers(0, MAX_SIZE - 1), st.integers(1, MAX_SIZE))
def test_a_random_mac_leaves_room_for_the_whole_range(random: int, size: int) -> None:
    made = AddressRange.create(0, {"TYPE": "ETHER", "SIZE": str(size)}, mac_prefix=0x0200, random=random)
    assert parse_mac(made.lease(size - 1)["MAC"]) - parse_mac(made.lease(0)["MAC"]) == size - 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SIZE": 1}, "missing address range TYPE, it must be one of ETHER, IP4, IP6, IP6_STATIC, IP4_6, "),
        ({"TYPE": "IP5", "SIZE": 1}, "Unknown or missing address range TYPE"),
        ({"TYPE": "ETHER"}, "Wrong SIZE for address range, it must be from 1 to 4294967296, not ''"),
        ({"TYPE": "ETHER", "SIZE": 0}, "Wrong SIZE"),
        ({"TYPE": "ETHER", "SIZE": -1}, "Wrong SIZE"),
        ({"TYPE": "ETHER", "SIZE": "9" * 5000}, "Wrong SIZE"),
        ({"TYPE": "ETHER", "SIZE": MAX_SIZE + 1}, "Wrong SIZE"),
        ({"TYPE": "ETHER", "SIZE": 1, "MAC": "02:00"}, "Wrong or empty MAC attribute, a MAC address is six"),
        ({"TYPE": "IP4", "SIZE": 1}, "Wrong or empty IP attribute, an IPv4 address is four numbers"),
        ({"TYPE": "IP4", "SIZE": 1, "IP": "10.0.0"}, "Wrong or empty IP attribute"),
        (
            {"TYPE": "IP4", "SIZE": 7, "IP": "255.255.255.250"},
            "from MAC 02:00:ff:ff:ff:fa it can be at most 6",
        ),
        (
            {"TYPE": "IP4", "SIZE": 7, "IP": "255.255.255.250", "MAC": "02:00:00:00:00:01"},
            "from IP 255.255.255.250 it can be at most 6",
        ),
        ({"TYPE": "ETHER", "SIZE": 2, "MAC": "02:00:ff:ff:ff:ff"}, "it can be at most 1"),
        ({"TYPE": "IP6", "SIZE": 1, "GLOBAL_PREFIX": "2001::/64"}, "Wrong format for GLOBAL_PREFIX, it must"),
        (
            {"TYPE": "IP6", "SIZE": 1, "ULA_PREFIX": "x"},
            "Wrong format for ULA_PREFIX, it must be an IPv6 prefix",
        ),
        (
            {"TYPE": "IP6_STATIC", "SIZE": 1, "PREFIX_LENGTH": 64},
            "Wrong or empty IP6 attribute, an IPv6 address",
        ),
        (
            {"TYPE": "IP6_STATIC", "SIZE": 1, "IP6": "::1"},
            "Wrong or empty PREFIX_LENGTH, it must be from 0 to 128",
        ),
        ({"TYPE": "IP6_STATIC", "SIZE": 1, "IP6": "::1", "PREFIX_LENGTH": 129}, "PREFIX_LENGTH"),
        (
            {"TYPE": "IP6_STATIC", "SIZE": 3, "IP6": "::ffff:fffe", "PREFIX_LENGTH": 64},
            "from IP6 ::ffff:fffe it can be at most 2",
        ),
    ],
)
def test_attributes_that_make_no_range_are_refused_by_name(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(AddressRangeError) as error:
        make(**given)
    assert sentence in str(error.value)


# Addresses of an index


@given(st.integers(0, SIZE - 1))
def test_every_address_of_an_index_leads_back_to_it(index: int) -> None:
    made = make(TYPE="IP4_6_STATIC", IP="10.0.0.250", IP6="2001:db8::fff8", PREFIX_LENGTH=64, SIZE=SIZE)
    lease = made.lease(index)
    assert made.index_of_mac(lease["MAC"]) == index
    assert made.index_of_ip(lease["IP"]) == index
    assert made.index_of_ip6(lease["IP6"]) == index


@pytest.mark.parametrize("ip", ["10.1.0.9", "10.1.0.30", "10.1.0", "", "::1"])
def test_an_address_outside_the_range_has_no_index(ip: str) -> None:
    assert ip4_range().index_of_ip(ip) is None


def test_a_type_without_an_address_finds_no_index_by_it() -> None:
    made = make(TYPE="ETHER", SIZE=2)
    assert made.index_of_ip("10.0.0.1") is None
    assert made.index_of_ip6("::1") is None
    assert ip4_range().index_of_ip6("::1") is None


def test_a_nic_gets_the_addresses_and_what_the_range_sets_in_place_of_its_network() -> None:
    made = make(TYPE="ETHER", SIZE=2, BRIDGE="br7", MTU="1400", GATEWAY="", NOTE="n", VN_MAD="")
    assert made.nic_attributes(1, ["MTU", "GATEWAY"]) == {
        "AR_ID": "0",
        "MAC": "02:00:3e:02:56:fd",
        "BRIDGE": "br7",
        "MTU": "1400",
    }


# Leases


def test_the_lowest_free_index_goes_first_also_after_a_release() -> None:
    made = ip4_range(4)
    assert [made.allocate(vm(n)) for n in range(5)] == [0, 1, 2, 3, None]
    assert made.release(vm(2), 2)
    assert made.release(vm(1), 1)
    assert [made.allocate(vm(n)) for n in (7, 8, 9)] == [1, 2, None]


@pytest.mark.parametrize("index", [-1, 4, 1 << 40])
def test_an_index_outside_the_range_is_not_given(index: int) -> None:
    made = ip4_range(4)
    assert made.allocate(vm(1), index) is None
    assert made.used == 0


def test_an_index_is_not_given_twice() -> None:
    made = ip4_range(4)
    assert made.allocate(vm(1), 2) == 2
    assert made.allocate(vm(2), 2) is None
    with pytest.raises(ValueError, match="Lease 2 is already given to 1"):
        made.leases.give(2, vm(2))


def test_a_lease_is_taken_back_from_its_owner_only() -> None:
    made = ip4_range(4)
    made.allocate(vm(1), 2)
    assert not made.release(vm(2), 2)
    assert not made.release(owner_of(ObjectType.NET, 1), 2)
    assert made.release(vm(1), 2)
    assert made.used == 0


def test_a_held_lease_belongs_to_vm_minus_one() -> None:
    made = ip4_range(4)
    made.allocate(HELD, 1)
    assert "<LEASE><IP><![CDATA[10.1.0.11]]></IP>" in made.to_xml()
    assert "<VM><![CDATA[-1]]></VM></LEASE>" in made.to_xml()
    assert made.leases.to_text() == f" 1 {0x10_FFFF_FFFF}"


@given(kinds, st.integers(-1, 0x7FFFFFFF))
def test_an_owner_keeps_its_type_and_id(kind: ObjectType, oid: int) -> None:
    assert owner_parts(owner_of(kind, oid)) == (kind, oid)


@given(st.dictionaries(st.integers(0, 2000), owners))
def test_the_stored_text_reads_back_as_the_same_leases(given: dict[int, int]) -> None:
    leases = Leases(given.items())
    assert Leases.parse(leases.to_text()) == leases
    assert leases.to_text() == "".join(f" {index} {given[index]}" for index in sorted(given))


@pytest.mark.parametrize("text", ["1", "1 2 3", "a b", "1 5 1 6", "1 -"])
def test_a_damaged_stored_text_is_an_error_that_names_the_range(text: str) -> None:
    stored = {**ip4_range().attributes, "AR_ID": "7", "ALLOCATED": text}
    with pytest.raises(ValueError, match="Stored address range 7 is damaged"):
        AddressRange.from_stored(stored)


class LeaseBook(RuleBasedStateMachine):
    """Any order of giving and taking back, against a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.range = ip4_range(SIZE)
        self.given: dict[int, int] = {}

    def free(self) -> list[int]:
        return [index for index in range(SIZE) if index not in self.given]

    @rule(owner=owners)
    def allocate_first(self, owner: int) -> None:
        index = self.range.allocate(owner)
        assert index == min(self.free(), default=None)
        if index is not None:
            self.given[index] = owner

    @rule(owner=owners, index=st.integers(-1, SIZE))
    def allocate_one(self, owner: int, index: int) -> None:
        expected = index if index in self.free() else None
        assert self.range.allocate(owner, index) == expected
        if expected is not None:
            self.given[index] = owner

    @rule(owner=owners, index=st.integers(0, SIZE))
    def release(self, owner: int, index: int) -> None:
        held = self.given.get(index) == owner
        assert self.range.release(owner, index) is held
        if held:
            del self.given[index]

    @rule(owner=owners)
    def release_all(self, owner: int) -> None:
        expected = sorted(index for index, holder in self.given.items() if holder == owner)
        assert self.range.release_all(owner) == expected
        for index in expected:
            del self.given[index]

    @rule(owner=owners, size=st.integers(1, 4), first=st.none() | st.integers(-1, SIZE))
    def reserve(self, owner: int, size: int, first: int | None) -> None:
        starts = range(SIZE - size + 1) if first is None else [first] if 0 <= first <= SIZE - size else []
        fits = [start for start in starts if not self.given.keys() & set(range(start, start + size))]
        reserved = self.range.reserve(owner, size, first)
        assert (reserved is not None) is bool(fits)
        if reserved is not None:
            assert self.range.index_of_ip(reserved["IP"]) == fits[0]
            self.given.update(dict.fromkeys(range(fits[0], fits[0] + size), owner))

    @rule()
    def store_and_load(self) -> None:
        stored = attributes_of(ElementTree.fromstring(self.range.to_stored_xml()))
        self.range = AddressRange.from_stored(stored)

    @rule()
    def copy(self) -> None:
        self.range.leases = self.range.leases.copy()

    @invariant()
    def agrees(self) -> None:
        assert dict(self.range.leases) == self.given
        assert self.range.used == len(self.given)
        assert self.range.first_free() == min(self.free(), default=None)
        assert self.range.leases.to_text() == "".join(f" {i} {self.given[i]}" for i in sorted(self.given))
        for owner in {*self.given.values(), HELD}:
            count = list(self.given.values()).count(owner)
            assert self.range.leases.count(owner) == len(self.range.leases.of(owner)) == count


TestALeaseIsNeverGivenTwice = LeaseBook.TestCase


def test_a_copy_of_leases_shares_nothing() -> None:
    leases = Leases({3: HELD})
    before = leases.to_text()
    twin = leases.copy()
    twin.give(0, HELD)
    assert twin.to_text() != before
    assert leases.to_text() == before
    assert 0 not in leases


# Who sees what


def test_a_viewer_sees_the_leases_of_their_own_objects_only() -> None:
    made = ip4_range()
    for index, owner in enumerate(
        [vm(1), vm(2), HELD, owner_of(ObjectType.NET, 1), owner_of(ObjectType.VROUTER, 1)]
    ):
        made.allocate(owner, index)
    shown = ElementTree.fromstring(made.to_xml(Viewer(vms={2}, vnets=(), vrouters=[1])))
    assert [part.text for part in shown.iterfind("LEASES/LEASE/IP")] == ["10.1.0.11", "10.1.0.14"]
    assert shown.findtext("USED_LEASES") == "5"
    assert len(ElementTree.fromstring(made.to_xml()).findall("LEASES/LEASE")) == 5


# Reservations, changes, removal


def test_a_reservation_takes_consecutive_leases_and_starts_where_they_start() -> None:
    parent = make(
        TYPE="IP4_6_STATIC", IP="10.0.0.1", IP6="2001:db8::1", PREFIX_LENGTH=64, SIZE=9, IPAM_MAD="x"
    )
    parent.allocate(vm(1), 2)
    reserved = parent.reserve(owner_of(ObjectType.NET, 5), 4)
    assert reserved is not None
    own = AddressRange.reservation(1, reserved)
    assert own.lease(0) == parent.lease(3)
    assert own.lease(3) == parent.lease(6)
    assert (own.size, own.ar_id, own.parent_ar_id, own.used) == (4, 1, 0, 0)
    assert "IPAM_MAD" not in own.attributes
    assert parent.leases.of(owner_of(ObjectType.NET, 5)) == [3, 4, 5, 6]


def test_a_reservation_that_does_not_fit_takes_nothing() -> None:
    parent = ip4_range(4)
    parent.allocate(vm(1), 2)
    assert parent.reserve(owner_of(ObjectType.NET, 5), 3) is None
    assert parent.reserve(owner_of(ObjectType.NET, 5), 2, first=1) is None
    assert parent.used == 1


@pytest.mark.parametrize("size", [0, -1, MAX_RESERVATION + 1])
def test_a_reservation_has_a_reasonable_size(size: int) -> None:
    with pytest.raises(AddressRangeError, match="SIZE of a reservation must be from 1 to 65536"):
        make(TYPE="ETHER", SIZE=MAX_SIZE, MAC="02:00:00:00:00:00").reserve(owner_of(ObjectType.NET, 5), size)


def test_an_update_replaces_attributes_but_not_which_addresses_these_are() -> None:
    made = make(TYPE="IP4_6", IP="10.0.0.1", SIZE=5, IPAM_MAD="ext", MTU=1400, GLOBAL_PREFIX="2001:db8::")
    made.allocate(vm(1), 4)
    made.update(
        {"TYPE": "ETHER", "IP": "10.9.9.9", "MAC": "02:00:00:00:00:00", "IPAM_MAD": "y", "AR_ID": "7",
         "ALLOCATED": "", "ULA_PREFIX": "fd00::", "DNS": "10.0.0.2", "IP_END": "x"}
    )  # fmt: skip
    assert made.attributes == {
        "TYPE": "IP4_6",
        "IP": "10.0.0.1",
        "MAC": "02:00:0a:00:00:01",
        "SIZE": "5",
        "IPAM_MAD": "ext",
        "AR_ID": "0",
        "ULA_PREFIX": "fd00::",
        "DNS": "10.0.0.2",
    }
    assert made.lease(4)["IP6_ULA"] == "fd00::aff:fe00:5"
    assert "IP6_GLOBAL" not in made.lease(4)
    assert made.used == 1


def test_restricted_attributes_stay_as_they_are() -> None:
    made = make(TYPE="ETHER", SIZE=5, BRIDGE="br0")
    made.update({"BRIDGE": "evil", "VLAN_ID": "4", "DNS": "1"}, kept=["BRIDGE", "VLAN_ID"])
    assert made.attributes["BRIDGE"] == "br0"
    assert "VLAN_ID" not in made.attributes
    assert made.attributes["DNS"] == "1"


def test_a_range_grows_and_shrinks_down_to_its_last_used_lease() -> None:
    made = ip4_range(10)
    made.allocate(vm(1), 6)
    made.update({"SIZE": "7"})
    assert made.attributes["SIZE"] == "7"
    assert [made.allocate(vm(1)) for _ in range(7)] == [0, 1, 2, 3, 4, 5, None]
    made.update({"SIZE": "8"})
    assert made.allocate(vm(1)) == 7


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SIZE": "6"}, "There are used leases that would fall outside the range"),
        ({"SIZE": "x"}, "Wrong SIZE"),
        ({"SIZE": str(MAX_SIZE)}, "can be at most"),
        ({"GLOBAL_PREFIX": "x"}, "Wrong format for GLOBAL_PREFIX"),
    ],
)
def test_a_change_that_cannot_be_made_changes_nothing(given: dict[str, str], sentence: str) -> None:
    made = make(TYPE="IP4_6", IP="10.0.0.1", SIZE=10)
    made.allocate(vm(1), 6)
    before = made.to_xml()
    with pytest.raises(AddressRangeError, match=sentence):
        made.update({"DNS": "10.0.0.2", **given})
    assert made.to_xml() == before


def test_a_static_range_keeps_its_prefix_length_unless_a_good_one_is_given() -> None:
    made = make(TYPE="IP6_STATIC", IP6="2001:db8::1", PREFIX_LENGTH=64, SIZE=2)
    made.update({"DNS": "::1"})
    assert made.attributes["PREFIX_LENGTH"] == "64"
    made.update({"PREFIX_LENGTH": "56"})
    assert made.attributes["PREFIX_LENGTH"] == "56"
    with pytest.raises(AddressRangeError, match="PREFIX_LENGTH"):
        made.update({"PREFIX_LENGTH": "x"})


def test_the_size_of_a_reservation_is_fixed() -> None:
    reserved = ip4_range().reserve(owner_of(ObjectType.NET, 1), 3)
    assert reserved is not None
    own = AddressRange.reservation(0, reserved)
    own.update({"SIZE": "3", "DNS": "10.0.0.1"})
    assert own.parent_ar_id == 0
    with pytest.raises(AddressRangeError, match="SIZE of a reservation cannot be changed"):
        own.update({"SIZE": "2"})


def test_a_range_in_use_goes_by_force_only() -> None:
    made = ip4_range()
    assert made.removal_fault() is None
    made.allocate(HELD)
    assert made.removal_fault() == "Address Range has leases in use"
    assert made.removal_fault(force=True) is None


def test_security_groups_are_told_once_each() -> None:
    assert make(TYPE="ETHER", SIZE=1, SECURITY_GROUPS="100, 0,100,x").security_groups == [0, 100]
    assert make(TYPE="ETHER", SIZE=1).security_groups == []
