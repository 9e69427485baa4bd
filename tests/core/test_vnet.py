"""Virtual networks: creation, how they reach hosts, ranges, holds, reservations, and who sees which lease."""

from xml.etree import ElementTree

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import ANN, Cloud, check

from merope.core.methods import METHODS
from merope.core.transaction import SYSTEM
from merope.model import vlan_bitmap
from merope.model.change import Delete, Put
from merope.model.cluster import Cluster
from merope.model.errors import ApiError, Code
from merope.model.leases import owner_parts
from merope.model.permissions import ObjectType
from merope.model.quota import Usage
from merope.model.vdc import Vdc
from merope.model.vnet import VirtualNetwork

PRIVATE = """NAME=private
BRIDGE=br0
VN_MAD=dummy
DNS=10.1.0.1
GATEWAY=10.1.0.1
NETWORK_ADDRESS=10.1.0.0
NETWORK_MASK=255.255.255.0
"""
RANGES = """AR=[TYPE=IP4,IP=10.1.0.10,SIZE=20]
AR=[TYPE=IP4_6,IP=10.2.0.10,SIZE=5,GLOBAL_PREFIX="2001:db8::",ULA_PREFIX="fd00::"]
AR=[TYPE=ETHER,MAC="02:00:3e:02:56:fc",SIZE=3]
"""


def allocate(core: Core, text: str, who: int = 0) -> int:
    oid = core.call(who, "one.vn.allocate", text, -1)
    assert isinstance(oid, int)
    return oid


def vn(core: Core, oid: int = 0) -> VirtualNetwork:
    return core.get(VirtualNetwork, oid)


@pytest.fixture
def net(core: Core) -> Core:
    """A cloud whose network 0 is the recorded one, before anybody used it."""
    assert allocate(core, PRIVATE + RANGES) == 0
    return core


def leases(core: Core, who: int = 0, oid: int = 0) -> list[tuple[str, str]]:
    """(address, holder) of every lease that is shown."""
    document = ElementTree.fromstring(core.call(who, "one.vn.info", oid))
    return [(lease[0].text or "", f"{lease[-1].tag} {lease[-1].text}") for lease in document.iter("LEASE")]


# Documents


def test_a_reservation_is_the_recorded_one(net: Core) -> None:
    assert net.call(0, "one.vn.reserve", 0, "NAME=reserved\nSIZE=3") == 1
    ours = ElementTree.fromstring(net.call(0, "one.vn.info", 1))
    assert flat(ours) == flat(example("vnet-reservation.xml"))


def test_a_network_is_the_recorded_one_but_for_what_uses_it(net: Core) -> None:
    net.call(0, "one.vn.reserve", 0, "NAME=reserved\nSIZE=3")
    ours, recorded = ElementTree.fromstring(net.call(0, "one.vn.info", 0)), example("vnet.xml")
    for document in (ours, recorded):
        for path in ("USED_LEASES", "VROUTERS", "AR_POOL/AR/LEASES", "AR_POOL/AR/USED_LEASES"):
            for found in document.findall(path):
                found.clear()
    assert flat(ours) == flat(recorded)


def test_the_pool_shows_networks_as_they_are_stored(net: Core) -> None:
    net.call(0, "one.vn.reserve", 0, "NAME=reserved\nSIZE=3")
    ours = ElementTree.fromstring(net.call(0, "one.vnpool.info", -2, -1, -1))
    recorded = example("vnet-pool.xml")
    assert flat(ours[0]) == flat(recorded[0])
    allocated = ours[1].findtext("AR_POOL/AR/ALLOCATED")
    assert allocated == " 0 274877906945 1 274877906945 2 274877906945"


def test_documents_are_valid(net: Core) -> None:
    check_schema(net.call(0, "one.vn.info", 0), "vnet")
    net.call(0, "one.vn.hold", 0, "LEASES=[IP=10.1.0.12]")
    check_schema(net.call(0, "one.vn.info", 0), "vnet")
    check_schema(net.call(0, "one.vnpool.info", -2, -1, -1), "vnet_pool")


# Creation


@pytest.mark.parametrize(
    ("text", "bridge", "kind"),
    [
        ("VN_MAD=bridge", "onebr0", "linux"),
        ("VN_MAD=bridge\nBRIDGE=mine", "mine", "linux"),
        ("VN_MAD=fw", "onebr0", "linux"),
        ("VN_MAD=dummy\nBRIDGE=b", "b", "linux"),
        ("VN_MAD=802.1Q\nPHYDEV=eth0\nVLAN_ID=50", "onebr.50", "linux"),
        ("VN_MAD=ovswitch\nVLAN_ID=50", "onebr.50", "openvswitch"),
        ("VN_MAD=vxlan\nPHYDEV=eth0\nVLAN_ID=100000", "onebr.100000", "linux"),
        ("VN_MAD=ovswitch_vxlan\nOUTER_VLAN_ID=9", "onebr0", "openvswitch"),
        ("VN_MAD=vcenter\nBRIDGE=pg", "pg", "vcenter_port_groups"),
    ],
)
def test_a_bridge_is_named_after_the_vlan_or_the_network(
    core: Core, text: str, bridge: str, kind: str
) -> None:
    allocate(core, f"NAME=n\n{text}")
    network = vn(core)
    assert (network.bridge, network.bridge_type) == (bridge, kind)
    assert (network.template.get("BRIDGE"), network.template.get("BRIDGE_TYPE")) == (bridge, kind)
    assert network.template.get("SECURITY_GROUPS") == "0"
    assert (network.clusters, core.get(Cluster, 0).vnets) == ({0}, {0})


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("VN_MAD=bridge", "No NAME in template for Virtual Network."),
        ('NAME=""\nVN_MAD=bridge', "No NAME in template for Virtual Network."),
        ("NAME=n", "No VN_MAD in template for Virtual Network."),
        ("NAME=n\nVN_MAD=tape", 'VN_MAD named "tape" is not defined in oned.conf'),
        ("NAME=n\nVN_MAD=dummy", "VN_MAD dummy needs the attribute BRIDGE."),
        ("NAME=n\nVN_MAD=802.1Q\nVLAN_ID=1", "VN_MAD 802.1Q needs the attribute PHYDEV."),
        ("NAME=n\nVN_MAD=802.1Q\nPHYDEV=e", "VN_MAD 802.1Q needs VLAN_ID, or AUTOMATIC_VLAN_ID=YES."),
        ("NAME=n\nVN_MAD=vxlan\nPHYDEV=e", "VN_MAD vxlan needs VLAN_ID, or AUTOMATIC_VLAN_ID=YES."),
        ("NAME=n\nVN_MAD=ovswitch_vxlan", "VN_MAD ovswitch_vxlan needs OUTER_VLAN_ID, or"),
        (
            "NAME=n\nVN_MAD=802.1Q\nPHYDEV=e\nVLAN_ID=4096",
            "VLAN_ID must be a number from 0 to 4095, not '4096'.",
        ),
        ("NAME=n\nVN_MAD=802.1Q\nPHYDEV=e\nVLAN_ID=-1", "VLAN_ID must be a number from 0 to 4095"),
        (f"NAME=n\nVN_MAD=802.1Q\nPHYDEV=e\nVLAN_ID={'9' * 5000}", "VLAN_ID must be a number"),
        ("NAME=n\nVN_MAD=vxlan\nPHYDEV=e\nVLAN_ID=16777216", "VLAN_ID must be a number from 0 to 16777215"),
        ('NAME="a/b"\nVN_MAD=bridge', "Invalid NAME, char '/' is not allowed"),
        (f"NAME={'n' * 129}\nVN_MAD=bridge", "Invalid NAME, max length is 128 chars"),
        (
            "NAME=n\nVN_MAD=bridge\nSECURITY_GROUPS=web",
            "SECURITY_GROUPS is a list of ids such as 0,100; 'web'",
        ),
        ("NAME=n\nVN_MAD=bridge\nAR=[TYPE=IP4]", "Wrong SIZE for address range"),
        ("NAME=n\nVN_MAD=bridge\nAR=[SIZE=4]", "Unknown or missing address range TYPE"),
        ("NAME=n\nVN_MAD=bridge\nAR=[TYPE=IP4,SIZE=4,IP=1.2.3]", "Wrong or empty IP attribute"),
        ("NAME=n\nVN_MAD=bridge\nAR=IP4", "AR must be a vector"),
        (
            "NAME=n\nVN_MAD=bridge\nAR=[TYPE=ETHER,SIZE=1,IPAM_MAD=x]",
            "IPAM_MAD must be one of oned.conf's drivers (dummy), not 'x'",
        ),
    ],
)
def test_a_template_that_makes_no_network_is_refused_with_a_sentence(
    core: Core, text: str, detail: str
) -> None:
    error = core.fails(0, "one.vn.allocate", text, -1)
    assert error.code is Code.INTERNAL
    assert error.message.startswith(detail)
    assert len(error.message) < 500


def test_names_are_unique_for_each_owner() -> None:
    cloud = Cloud()
    cloud.call(0, "one.acl.addrule", f"{0x1_0000_0002:x}", f"{ObjectType.NET | 1 << 34:x}", "8", "100000000")
    cloud.call(
        0, "one.acl.addrule", f"{0x1_0000_0002:x}", f"{ObjectType.CLUSTER | 1 << 34:x}", "4", "100000000"
    )
    error = cloud.fails(0, "one.vn.allocate", "NAME=private\nVN_MAD=bridge", -1)
    assert error.message == "NAME is already taken by NET 0."
    assert allocate(cloud, "NAME=private\nVN_MAD=bridge", ANN) == 1
    error = cloud.fails(0, "one.vn.chown", 1, 0, -1)
    assert error.message == "user [0] already owns virtual network [0] with NAME private"


def test_users_make_no_networks() -> None:
    cloud = Cloud()
    assert sentence(cloud.fails(ANN, "one.vn.allocate", "NAME=n\nVN_MAD=bridge", -1)) == (
        Code.AUTHORIZATION,
        f"User [{ANN}] : Not authorized to perform CREATE NET; Not authorized to perform ADMIN CLUSTER [0].",
    )


def test_a_network_is_made_in_the_cluster_that_is_asked_for(core: Core) -> None:
    core.call(0, "one.cluster.allocate", "far")
    oid = core.call(0, "one.vn.allocate", "NAME=n\nVN_MAD=bridge", 100)
    assert (vn(core, oid).clusters, core.get(Cluster, 100).vnets, core.get(Cluster, 0).vnets) == (
        {100},
        {oid},
        set(),
    )
    error = core.fails(0, "one.vn.allocate", "NAME=m\nVN_MAD=bridge", 77)
    assert sentence(error) == (Code.NO_EXISTS, "Error getting cluster [77].")


def test_membership_is_a_row_of_its_own(core: Core) -> None:
    tx = core.transaction(SYSTEM)
    METHODS["one.vn.allocate"].run(tx, "NAME=n\nVN_MAD=bridge", -1)
    change, parsed = tx.commit(1)
    assert Put("cluster_network_relation", (0, 0), {"cid": 0, "oid": 0}) in change.operations
    core.state.apply(change, parsed)
    tx = core.transaction(SYSTEM)
    METHODS["one.vn.delete"].run(tx, 0)
    assert Delete("cluster_network_relation", (0, 0)) in tx.commit(2)[0].operations


# VLAN ids


def test_automatic_vlan_ids_are_found_free_and_kept(core: Core) -> None:
    auto = "VN_MAD=802.1Q\nPHYDEV=eth0\nAUTOMATIC_VLAN_ID=YES"
    first = allocate(core, f"NAME=a\n{auto}")
    network = vn(core, first)
    assert (network.vlan_id, network.vlan_id_automatic, network.bridge) == ("2", 1, "onebr.2")
    allocate(core, "NAME=b\nVN_MAD=802.1Q\nPHYDEV=eth0\nVLAN_ID=4")
    third = allocate(core, f"NAME=c\n{auto}")
    assert vn(core, third).vlan_id == "5"
    check_schema(core.call(0, "one.vn.info", first), "vnet")
    core.call(0, "one.vn.update", first, "VN_MAD=802.1Q\nPHYDEV=eth1\nVLAN_ID=9\nAUTOMATIC_VLAN_ID=NO")
    network = vn(core, first)
    assert (network.vlan_id, network.vlan_id_automatic, network.phydev) == ("2", 1, "eth1")
    assert network.template.get("AUTOMATIC_VLAN_ID") == "YES"
    core.call(0, "one.vn.delete", first)
    fourth = allocate(core, f"NAME=d\n{auto}")
    assert vn(core, fourth).vlan_id == "6"


def test_automatic_vlan_ids_stand_in_the_map_that_5_12_reads(core: Core) -> None:
    def noted(name: str, *arguments: object) -> set[int] | None:
        tx = core.transaction(SYSTEM)
        METHODS[name].run(tx, *arguments)
        change, parsed = tx.commit(core.state.index + 1)
        core.state.apply(change, parsed)
        rows = [
            operation.row
            for operation in change.operations
            if isinstance(operation, Put) and operation.table == vlan_bitmap.TABLE
        ]
        return vlan_bitmap.decode(str(rows[0]["map"])) if rows else None

    auto = "VN_MAD=802.1Q\nPHYDEV=eth0\nAUTOMATIC_VLAN_ID=YES"
    assert noted("one.vn.allocate", f"NAME=a\n{auto}", -1) == {2}
    assert noted("one.vn.allocate", "NAME=b\nVN_MAD=802.1Q\nPHYDEV=eth0\nVLAN_ID=9", -1) is None
    assert noted("one.vn.allocate", "NAME=c\nVN_MAD=vxlan\nPHYDEV=e\nAUTOMATIC_VLAN_ID=YES", -1) is None
    assert noted("one.vn.allocate", "NAME=d\nVN_MAD=vcenter\nAUTOMATIC_VLAN_ID=YES", -1) == {2, 5}
    assert noted("one.vn.delete", 2) is None
    assert noted("one.vn.delete", 0) == {5}


def test_vxlan_ids_follow_from_the_networks_id() -> None:
    core = Core(vxlan_ids_start=100)
    allocate(core, "NAME=a\nVN_MAD=bridge")
    allocate(core, "NAME=b\nVN_MAD=vxlan\nPHYDEV=e\nAUTOMATIC_VLAN_ID=YES")
    allocate(core, "NAME=c\nVN_MAD=ovswitch_vxlan\nAUTOMATIC_OUTER_VLAN_ID=YES\nAUTOMATIC_VLAN_ID=YES")
    assert (vn(core, 1).vlan_id, vn(core, 1).vlan_id_automatic) == ("101", 1)
    outer = vn(core, 2)
    assert (outer.outer_vlan_id, outer.outer_vlan_id_automatic, outer.vlan_id) == ("102", 1, "4")


def test_reserved_and_used_vlan_ids_are_passed_over_until_none_is_left() -> None:
    core = Core(vlan_ids_start=4090, vlan_ids_reserved=((0, 4091), (4095, 4095)))
    given = []
    for number in range(3):
        allocate(core, f"NAME=n{number}\nVN_MAD=ovswitch\nAUTOMATIC_VLAN_ID=YES")
        given.append(vn(core, number).vlan_id)
    assert given == ["4092", "4093", "4094"]
    error = core.fails(0, "one.vn.allocate", "NAME=x\nVN_MAD=ovswitch\nAUTOMATIC_VLAN_ID=YES", -1)
    assert error.message.endswith("There is no free VLAN_ID left for AUTOMATIC_VLAN_ID.")


def test_a_stated_vlan_id_is_not_automatic(core: Core) -> None:
    allocate(core, "NAME=a\nVN_MAD=ovswitch\nVLAN_ID=77\nAUTOMATIC_VLAN_ID=YES")
    assert (vn(core).vlan_id, vn(core).vlan_id_automatic) == ("77", 0)


# Updates


def test_elements_follow_the_template(net: Core) -> None:
    net.call(0, "one.vn.update", 0, "BRIDGE=br9\nPHYDEV=eth3\nVLAN_ID=12\nDNS=8.8.8.8", 1)
    network = vn(net)
    assert (network.bridge, network.phydev, network.vlan_id) == ("br9", "eth3", "12")
    assert (network.template.get("DNS"), network.template.get("GATEWAY")) == ("8.8.8.8", "10.1.0.1")
    net.call(0, "one.vn.update", 0, "NOTE=x", 0)
    network = vn(net)
    assert (network.vn_mad, network.bridge, network.phydev, network.vlan_id) == ("dummy", "br9", "eth3", "12")
    assert {name: network.template.get(name) for name in network.template.names()} == {
        "BRIDGE": "br9",
        "BRIDGE_TYPE": "linux",
        "NOTE": "x",
        "PHYDEV": "eth3",
        "SECURITY_GROUPS": "0",
        "VLAN_ID": "12",
        "VN_MAD": "dummy",
    }
    net.call(0, "one.vn.update", 0, 'VLAN_ID=""\nPHYDEV=""', 1)
    assert (vn(net).vlan_id, vn(net).phydev) == ("", "")


def test_an_update_leaves_ranges_and_name_alone(net: Core) -> None:
    before = vn(net).ar_pool[0].to_stored_xml()
    net.call(0, "one.vn.update", 0, "AR=[TYPE=IP4,IP=9.9.9.9,SIZE=1]\nNAME=other\nX=y", 1)
    assert vn(net).ar_pool[0].to_stored_xml() == before
    assert len(vn(net).ar_pool) == 3
    assert vn(net).name == "private"
    assert "AR" not in vn(net).template
    assert "NAME" not in vn(net).template


def test_an_update_to_what_is_no_network_is_refused(net: Core) -> None:
    for text, detail in (
        ("VN_MAD=tape", 'VN_MAD named "tape" is not defined in oned.conf'),
        ("VN_MAD=802.1Q", "VN_MAD 802.1Q needs the attribute PHYDEV."),
        ("SECURITY_GROUPS=x", "SECURITY_GROUPS is a list of ids such as 0,100; 'x' is none."),
        ("VLAN_ID=x", "VLAN_ID must be a number from 0 to 4095, not 'x'."),
    ):
        error = net.fails(0, "one.vn.update", 0, text, 1)
        assert sentence(error) == (Code.INTERNAL, f"Cannot update template. {detail}")


def test_security_groups_are_those_of_the_template_and_never_none(net: Core) -> None:
    net.call(0, "one.vn.update", 0, 'SECURITY_GROUPS="100, 7"', 1)
    assert vn(net).template.get("SECURITY_GROUPS") == "7,100"
    net.call(0, "one.vn.update", 0, 'SECURITY_GROUPS=""', 1)
    assert vn(net).template.get("SECURITY_GROUPS") == "0"


def test_who_reserved_addresses_does_not_change_how_they_reach_hosts() -> None:
    cloud = Cloud()
    mine = cloud.call(ANN, "one.vn.reserve", 0, "NAME=mine\nSIZE=2")
    for text in (
        "BRIDGE=br9",
        "VN_MAD=bridge",
        "PHYDEV=eth0",
        "VLAN_ID=3",
        "FILTER_IP_SPOOFING=NO",
        "CONF=x",
    ):
        error = cloud.fails(ANN, "one.vn.update", mine, text, 1)
        name = text.partition("=")[0]
        assert sentence(error) == (
            Code.INTERNAL,
            f"Cannot update template. Tried to change restricted attribute: {name}",
        )
    cloud.call(ANN, "one.vn.update", mine, "NOTE=x\nDNS=9.9.9.9", 0)
    network = cloud.get(VirtualNetwork, mine)
    assert (network.bridge, network.template.get("NOTE")) == ("br0", "x")
    cloud.call(0, "one.vn.update", mine, "BRIDGE=br9", 1)
    assert cloud.get(VirtualNetwork, mine).bridge == "br9"


# Ranges


def test_ranges_are_added_numbered_and_removed(net: Core) -> None:
    net.call(0, "one.vn.add_ar", 0, "AR=[TYPE=IP4,IP=10.3.0.1,SIZE=2]\nAR=[TYPE=ETHER,SIZE=1]")
    assert [ranged.ar_id for ranged in vn(net).ar_pool] == [0, 1, 2, 3, 4]
    net.call(0, "one.vn.rm_ar", 0, 3)
    assert [ranged.ar_id for ranged in vn(net).ar_pool] == [0, 1, 2, 4]
    error = net.fails(0, "one.vn.rm_ar", 0, 3)
    assert sentence(error) == (Code.ACTION, "Address Range 3 does not exist in virtual network 0.")


def test_a_range_in_use_goes_only_by_force(net: Core) -> None:
    net.call(0, "one.vn.hold", 0, "LEASES=[IP=10.1.0.10]")
    error = net.fails(0, "one.vn.rm_ar", 0, 0)
    assert sentence(error) == (Code.ACTION, "Address Range has leases in use.")
    net.call(0, "one.vn.rm_ar", 0, 0, True)
    assert vn(net).used_leases == 0
    net.call(0, "one.vn.delete", 0)


@pytest.mark.parametrize("text", ["", "IP=1.2.3.4", "AR=x", "AR=[TYPE=IP4]", "AR=[TYPE=IP4,IP=x,SIZE=1]"])
def test_what_is_no_range_is_not_added(net: Core, text: str) -> None:
    assert net.fails(0, "one.vn.add_ar", 0, text).code is Code.ACTION
    assert net.fails(0, "one.vn.update_ar", 0, text).code is Code.ACTION


def test_a_range_keeps_its_addresses_when_it_is_updated(net: Core) -> None:
    net.call(0, "one.vn.update_ar", 0, "AR=[AR_ID=0,IP=9.9.9.9,MAC=a,TYPE=ETHER,SIZE=30,GATEWAY=10.1.0.2]")
    ranged = vn(net).ar_pool[0]
    assert dict(ranged.attributes) == {
        "AR_ID": "0",
        "GATEWAY": "10.1.0.2",
        "IP": "10.1.0.10",
        "MAC": "02:00:0a:01:00:0a",
        "SIZE": "30",
        "TYPE": "IP4",
    }
    net.call(0, "one.vn.hold", 0, "LEASES=[IP=10.1.0.39]")
    error = net.fails(0, "one.vn.update_ar", 0, "AR=[AR_ID=0,SIZE=20]")
    assert "used leases that would fall outside" in error.message
    for wrong in ("SIZE=3", "AR_ID=9", "AR_ID=x", f"AR_ID={'9' * 5000}", "AR_ID=0,SECURITY_GROUPS=x"):
        assert net.fails(0, "one.vn.update_ar", 0, f"AR=[{wrong}]").code is Code.ACTION


def test_who_manages_a_network_does_not_change_what_is_for_administrators() -> None:
    cloud = Cloud()
    cloud.call(0, "one.vn.update_ar", 0, "AR=[AR_ID=0,BRIDGE=br7]")
    cloud.call(0, "one.vn.chown", 0, ANN, 1)
    cloud.call(ANN, "one.vn.update_ar", 0, "AR=[AR_ID=0,BRIDGE=evil,PHYDEV=eth0,GATEWAY=1.1.1.1]")
    attributes = vn(cloud).ar_pool[0].attributes
    assert (attributes["BRIDGE"], attributes.get("PHYDEV"), attributes["GATEWAY"]) == ("br7", None, "1.1.1.1")


def test_rights_on_ranges_are_administrators_except_to_change_and_give_back() -> None:
    cloud = Cloud()
    cloud.call(0, "one.vn.chown", 0, ANN, 1)
    for name in ("one.vn.add_ar", "one.vn.rm_ar"):
        argument: object = "AR=[TYPE=ETHER,SIZE=1]" if name.endswith("add_ar") else 0
        assert "ADMIN NET [0]" in cloud.fails(ANN, name, 0, argument).message
    cloud.call(ANN, "one.vn.free_ar", 0, 0)
    assert vn(cloud).ar_pool == []


# Holds


def test_an_address_on_hold_belongs_to_vm_minus_one(net: Core) -> None:
    net.call(0, "one.vn.hold", 0, 'LEASES=[IP=10.1.0.12]\nLEASES=[MAC="02:00:0a:02:00:0a"]')
    assert leases(net) == [("10.1.0.12", "VM -1"), ("10.2.0.10", "VM -1")]
    assert vn(net).used_leases == 2
    net.call(0, "one.vn.release", 0, "LEASES=[IP=10.1.0.12,AR_ID=0]")
    net.call(0, "one.vn.release", 0, "LEASES=[IP=10.2.0.10]")
    assert leases(net) == []
    assert vn(net).used_leases == 0


@pytest.mark.parametrize(
    ("lease", "detail"),
    [
        ("IP=10.1.0.9", "IP 10.1.0.9 is not part of an address range."),
        ("IP=10.1.0.30", "IP 10.1.0.30 is not part of an address range."),
        ("IP=x", "IP x is not part of an address range."),
        (f"IP={'9' * 9999}", "IP 999"),
        ("IP=10.1.0.10,AR_ID=1", "IP 10.1.0.10 is not part of an address range."),
        ("IP=10.1.0.10,AR_ID=7", "Address Range 7 does not exist in virtual network 0."),
        ("IP=10.1.0.10,AR_ID=-1", "AR_ID must be a whole number, 0 or more, not '-1'."),
        ('IP=10.1.0.10,MAC="02:00:0a:01:00:0a"', "LEASES needs exactly one of IP, IP6 and MAC."),
        ("AR_ID=0", "LEASES needs exactly one of IP, IP6 and MAC."),
    ],
)
def test_what_is_no_address_cannot_be_held(net: Core, lease: str, detail: str) -> None:
    for name in ("one.vn.hold", "one.vn.release"):
        error = net.fails(0, name, 0, f"LEASES=[{lease}]")
        assert error.code is Code.ACTION
        assert error.message.startswith(detail)
        assert len(error.message) < 200
    assert net.fails(0, "one.vn.hold", 0, "IP=10.1.0.10").message == "The template has no LEASES = [ … ]."


def test_an_address_in_use_is_neither_held_nor_released() -> None:
    cloud = Cloud()
    cloud.vm()
    error = cloud.fails(0, "one.vn.hold", 0, "LEASES=[IP=10.1.0.10]")
    assert error.message == "IP 10.1.0.10 cannot be put on hold, it is in use."
    error = cloud.fails(0, "one.vn.release", 0, "LEASES=[IP=10.1.0.10]")
    assert error.message == "IP 10.1.0.10 is not on hold."


def test_several_addresses_are_held_all_or_none(net: Core) -> None:
    net.fails(0, "one.vn.hold", 0, "LEASES=[IP=10.1.0.10]\nLEASES=[IP=10.9.9.9]")
    assert vn(net).used_leases == 0


# Reservations


def test_a_reservation_is_its_owners_and_counts_for_them() -> None:
    cloud = Cloud()
    mine = cloud.call(ANN, "one.vn.reserve", 0, "NAME=mine\nSIZE=4")
    network = cloud.get(VirtualNetwork, mine)
    assert (network.uid, network.gid, network.parent_network_id) == (ANN, 1, 0)
    assert network.clusters == {0}
    assert cloud.get(Cluster, 0).vnets == {0, mine}
    assert cloud.used() - Usage().datastore(1, images=2, size=128) == Usage().network(0, 4)
    check(cloud)
    oid = cloud.vm(f"CPU=1\nMEMORY=1\nNIC=[NETWORK_ID={mine}]")
    assert vn(cloud, mine).used_leases == 1
    assert cloud.fails(ANN, "one.vn.delete", mine).message.endswith(
        "Can not remove a virtual network with leases in use"
    )
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    cloud.call(ANN, "one.vn.delete", mine)
    assert vn(cloud).used_leases == 0
    assert cloud.used() == Usage().datastore(1, images=2, size=128)
    check(cloud)


def test_a_reservation_grows_and_shrinks_by_ranges() -> None:
    cloud = Cloud()
    mine = cloud.call(ANN, "one.vn.reserve", 0, "NAME=mine\nSIZE=2\nAR_ID=0\nIP=10.1.0.20")
    assert cloud.call(ANN, "one.vn.reserve", 0, f"NETWORK_ID={mine}\nSIZE=3") == mine
    network = vn(cloud, mine)
    assert [(r.ar_id, r.attributes["IP"], r.size) for r in network.ar_pool] == [
        (0, "10.1.0.20", 2),
        (1, "10.1.0.10", 3),
    ]
    check(cloud)
    cloud.call(ANN, "one.vn.free_ar", mine, 0)
    assert vn(cloud).used_leases == 3
    check(cloud)
    assert "ADMIN NET" in cloud.fails(ANN, "one.vn.add_ar", mine, "AR=[TYPE=ETHER,SIZE=1]").message
    error = cloud.fails(0, "one.vn.add_ar", mine, "AR=[TYPE=ETHER,SIZE=1]")
    assert error.message.startswith("A reservation gets addresses by reserving")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("NAME=r", "SIZE must be a whole number, 0 or more, not ''."),
        ("NAME=r\nSIZE=0", "SIZE of a reservation must be greater than 0."),
        ("NAME=r\nSIZE=-1", "SIZE must be a whole number"),
        (f"NAME=r\nSIZE={'9' * 5000}", "SIZE must be a whole number"),
        ("NAME=r\nSIZE=2147483647", "SIZE of a reservation must be from 1 to 65536, not 2147483647"),
        ("NAME=r\nSIZE=21", "Not enough free addresses in an address range of virtual network 0."),
        ("SIZE=1", "A reservation needs NAME, or the NETWORK_ID of one that exists."),
        ("NAME=r\nSIZE=1\nIP=10.1.0.10", "IP of a reservation needs the AR_ID that it is taken from."),
        ("NAME=r\nSIZE=1\nAR_ID=5", "Address Range 5 does not exist in virtual network 0."),
        ("NAME=r\nSIZE=3\nAR_ID=0\nIP=10.1.0.28", "Not enough free addresses"),
        ("NAME=r\nSIZE=3\nAR_ID=0\nIP=10.9.0.1", "Not enough free addresses"),
        ("NAME=r\nSIZE=3\nAR_ID=0\nIP=10.1.0.10\nMAC=a", "Only one of IP, IP6 and MAC can be asked for"),
        ("NETWORK_ID=0\nSIZE=1", "Virtual network [0] is not a reservation of virtual network [0]."),
    ],
)
def test_what_cannot_be_reserved_is_refused(text: str, detail: str) -> None:
    cloud = Cloud()
    error = cloud.fails(0, "one.vn.reserve", 0, text)
    assert error.code is Code.ACTION
    assert error.message.startswith(detail)


def test_names_ids_quotas_and_rights_bound_reservations() -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vn.reserve", 0, 'NAME="a<b"\nSIZE=1')
    assert error.code is Code.ALLOCATE
    mine = cloud.call(ANN, "one.vn.reserve", 0, "NAME=mine\nSIZE=2")
    assert (
        "NAME is already taken by NET" in cloud.fails(ANN, "one.vn.reserve", 0, "NAME=mine\nSIZE=1").message
    )
    error = cloud.fails(ANN, "one.vn.reserve", mine, "NAME=x\nSIZE=1")
    assert error.message == "Cannot reserve addresses from a reservation."
    cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=3]")
    error = cloud.fails(ANN, "one.vn.reserve", 0, "NAME=more\nSIZE=2")
    assert "limit of 3 reached for LEASES quota in NETWORK with ID: 0" in error.message
    bob = cloud.user("bob")
    error = cloud.fails(bob, "one.vn.reserve", 0, f"NETWORK_ID={mine}\nSIZE=1")
    assert f"MANAGE NET [{mine}]" in error.message
    assert cloud.fails(0, "one.vn.reserve", 0, "NETWORK_ID=99\nSIZE=1").code is Code.NO_EXISTS


def test_a_reservation_that_changes_hands_counts_for_its_new_owner() -> None:
    cloud = Cloud()
    mine = cloud.call(ANN, "one.vn.reserve", 0, "NAME=mine\nSIZE=4")
    bob = cloud.user("bob")
    cloud.call(0, "one.user.quota", bob, "NETWORK=[ID=0,LEASES=3]")
    assert cloud.fails(0, "one.vn.chown", mine, bob, -1).code is Code.AUTHORIZATION
    cloud.call(0, "one.user.quota", bob, "NETWORK=[ID=0,LEASES=4]")
    cloud.call(0, "one.vn.chown", mine, bob, -1)
    check(cloud)
    assert cloud.used("user", bob) == Usage().network(0, 4)


def test_a_parent_with_reservations_stays() -> None:
    cloud = Cloud()
    mine = cloud.call(ANN, "one.vn.reserve", 0, "NAME=mine\nSIZE=4")
    assert cloud.fails(0, "one.vn.delete", 0).code is Code.ACTION
    cloud.call(0, "one.vn.rm_ar", 0, 0, True)
    cloud.call(0, "one.vn.delete", 0)
    cloud.call(ANN, "one.vn.delete", mine)
    assert cloud.used() == Usage().datastore(1, images=2, size=128)


def test_a_reservation_of_a_tagged_network_is_tagged_but_not_automatic() -> None:
    cloud = Cloud()
    tagged = allocate(cloud, "NAME=t\nVN_MAD=ovswitch\nAUTOMATIC_VLAN_ID=YES\nAR=[TYPE=ETHER,SIZE=9]")
    mine = cloud.call(ANN, "one.vn.reserve", tagged, "NAME=mine\nSIZE=4")
    network = vn(cloud, mine)
    assert (network.vlan_id, network.vlan_id_automatic) == (vn(cloud, tagged).vlan_id, 0)
    cloud.call(ANN, "one.vn.update", mine, "NOTE=x", 0)
    assert vn(cloud, mine).vlan_id == vn(cloud, tagged).vlan_id


# Who sees what


def test_leases_are_shown_to_managers_and_to_whom_their_holders_belong() -> None:
    cloud = Cloud()
    bob = cloud.user("bob")
    anns, bobs = cloud.vm(), cloud.vm("CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=0]", who=bob)
    reserved = cloud.call(bob, "one.vn.reserve", 0, "NAME=r\nSIZE=1")
    cloud.call(0, "one.vn.hold", 0, "LEASES=[IP=10.1.0.29]")
    everything = [
        ("10.1.0.10", f"VM {anns}"),
        ("10.1.0.11", f"VM {bobs}"),
        ("10.1.0.12", f"VNET {reserved}"),
        ("10.1.0.29", "VM -1"),
    ]
    assert leases(cloud) == everything
    assert leases(cloud, ANN) == everything[:1]
    assert leases(cloud, bob) == everything[1:3]
    used = ElementTree.fromstring(cloud.call(ANN, "one.vn.info", 0)).findtext("USED_LEASES")
    assert used == "4"
    cloud.call(0, "one.vm.chmod", bobs, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    assert leases(cloud, ANN) == everything[:2]
    cloud.call(0, "one.vn.chmod", 0, -1, -1, -1, -1, -1, -1, 1, 1, -1)
    assert leases(cloud, ANN) == everything


def test_a_reservation_is_not_seen_through_rules_for_all() -> None:
    cloud = Cloud()
    mine = cloud.call(0, "one.vn.reserve", 0, "NAME=mine\nSIZE=2")
    assert cloud.fails(ANN, "one.vn.info", mine).code is Code.AUTHORIZATION
    listed = ElementTree.fromstring(cloud.call(ANN, "one.vnpool.info", -2, -1, -1))
    assert [item.findtext("ID") for item in listed] == ["0"]


def test_a_locked_network_is_read_and_not_changed(net: Core) -> None:
    net.call(0, "one.vn.lock", 0, 1)
    assert "<LOCK><LOCKED>1</LOCKED>" in net.call(0, "one.vn.info", 0)
    check_schema(net.call(0, "one.vn.info", 0), "vnet")
    for name, *arguments in (
        ("one.vn.update", "A=b"),
        ("one.vn.hold", "LEASES=[IP=10.1.0.12]"),
        ("one.vn.reserve", "NAME=r\nSIZE=1"),
        ("one.vn.delete",),
        ("one.vn.add_ar", "AR=[TYPE=ETHER,SIZE=1]"),
    ):
        assert "NET is locked." in net.fails(0, name, 0, *arguments).message
    error = net.fails(0, "one.vm.allocate", "CPU=1\nMEMORY=1\nNIC=[NETWORK_ID=0]")
    assert "NET is locked." in error.message


# Removal


def test_a_deleted_network_leaves_clusters_rules_and_vdcs(net: Core) -> None:
    net.call(0, "one.vdc.allocate", "NAME=lab")
    net.call(0, "one.vdc.addvnet", 100, 0, 0)
    net.call(0, "one.acl.addrule", f"{0x1_0000_0001:x}", f"{ObjectType.NET | 1 << 32:x}", "1", "100000000")
    assert net.call(0, "one.vn.delete", 0) == 0
    assert not net.exists(VirtualNetwork, 0)
    assert net.get(Cluster, 0).vnets == set()
    assert net.get(Vdc, 100).vnets == set()
    assert not net.state.rules.rules_about(ObjectType.NET, 0)
    assert net.call(0, "one.vnpool.info", -2, -1, -1) == "<VNET_POOL/>"


METHODS_OF_NETWORKS = sorted(
    name for name, method in METHODS.items() if name.startswith("one.vn.") and method.params[0].name == "id"
)


@pytest.mark.parametrize("name", METHODS_OF_NETWORKS)
@pytest.mark.parametrize("oid", [7, -1, 2**31 - 1, -(2**31)])
def test_ids_that_are_of_no_network_are_named(core: Core, name: str, oid: int) -> None:
    fillers = {"s": "AR=[AR_ID=0]", "i": 0, "b": False}
    arguments = [fillers[param.type.value] for param in METHODS[name].params[1:] if param.default is ...]
    error = core.fails(0, name, oid, *arguments)
    assert sentence(error) == (Code.NO_EXISTS, f"Error getting virtual network [{oid}].")


def test_hostile_templates_are_refused_in_time(core: Core) -> None:
    allocate(core, PRIVATE + RANGES)
    for text in (
        "x" * 1_000_000,
        "AR=[" * 10_000,
        "<" * 100_000,
        "LEASES=[IP=\x00]",
        'A="' + "b" * 1_000_000,
    ):
        for name in ("one.vn.update", "one.vn.add_ar", "one.vn.hold", "one.vn.reserve"):
            error = core.fails(0, name, 0, text)
            assert error.code is Code.INTERNAL
            assert len(error.message) < 500


class Reservations(RuleBasedStateMachine):
    """Reserving and giving back, holding and releasing: the parent's leases are what its children have."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud()
        self.children: list[int] = []
        self.count = 0

    @rule(size=st.integers(1, 8))
    def reserve(self, size: int) -> None:
        self.count += 1
        try:
            self.children.append(
                self.cloud.call(ANN, "one.vn.reserve", 0, f"NAME=r{self.count}\nSIZE={size}")
            )
        except ApiError as error:
            if "Not enough free addresses" not in error.message:
                raise

    @precondition(lambda self: self.children)
    @rule(data=st.data(), size=st.integers(1, 5), first=st.integers(10, 29))
    def grow(self, data: st.DataObject, size: int, first: int) -> None:
        child = data.draw(st.sampled_from(self.children))
        text = f"NETWORK_ID={child}\nSIZE={size}\nAR_ID=0\nIP=10.1.0.{first}"
        try:
            self.cloud.call(ANN, "one.vn.reserve", 0, text)
        except ApiError as error:
            if "Not enough free addresses" not in error.message:
                raise

    @precondition(lambda self: self.children)
    @rule(data=st.data())
    def shrink(self, data: st.DataObject) -> None:
        child = data.draw(st.sampled_from(self.children))
        ranges = vn(self.cloud, child).ar_pool
        if ranges:
            self.cloud.call(ANN, "one.vn.free_ar", child, data.draw(st.sampled_from(ranges)).ar_id)

    @precondition(lambda self: self.children)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        child = data.draw(st.sampled_from(self.children))
        self.children.remove(child)
        self.cloud.call(ANN, "one.vn.delete", child)

    @invariant()
    def parents_and_children_agree(self) -> None:
        check(self.cloud)
        parent = vn(self.cloud)
        held = [
            (owner_parts(owner)[1], parent.ar_pool[0].lease(index)["IP"])
            for index, owner in parent.ar_pool[0].leases
        ]
        had = [
            (child, ranged.lease(index)["IP"])
            for child in self.children
            for ranged in vn(self.cloud, child).ar_pool
            for index in range(ranged.size)
        ]
        assert sorted(held) == sorted(had)


TestReservations = Reservations.TestCase
TestReservations.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
