"""A VM's interfaces: leases, aliases, what comes from the network, security groups."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.core.vm_world import ANN, Cloud, check

from merope.core import vm_nics
from merope.model.errors import ApiError, Code
from merope.model.security_group import SecurityGroup
from merope.model.template import Template, Vector
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

SMALL = "CPU=1\nMEMORY=1\n"


def nics(cloud: Cloud, oid: int) -> list[Vector]:
    return vm_nics.nics_of(cloud.get(VM, oid).template)


def network(cloud: Cloud, text: str, name: str = "other") -> int:
    oid = cloud.call(0, "one.vn.allocate", f"NAME={name}\n{text}", -1)
    assert isinstance(oid, int)
    return oid


def test_the_lowest_free_address_is_given() -> None:
    cloud = Cloud()
    first = cloud.vm(f"{SMALL}NIC=[NETWORK_ID=0]\nNIC=[NETWORK=private,NETWORK_UNAME=oneadmin]")
    assert [nic["IP"] for nic in nics(cloud, first)] == ["10.1.0.10", "10.1.0.11"]
    second = cloud.vm(f"{SMALL}NIC=[NETWORK_ID=0]")
    cloud.call(ANN, "one.vm.action", "terminate", first)
    third = cloud.vm(f"{SMALL}NIC=[NETWORK_ID=0]")
    assert nics(cloud, second)[0]["IP"] == "10.1.0.12"
    assert nics(cloud, third)[0]["IP"] == "10.1.0.10"
    check(cloud)


def test_an_address_that_is_asked_for_is_given_once() -> None:
    cloud = Cloud()
    text = f"{SMALL}NIC=[NETWORK_ID=0,IP=10.1.0.20]"
    oid = cloud.vm(text)
    nic = nics(cloud, oid)[0]
    assert (nic["IP"], nic["MAC"]) == ("10.1.0.20", "02:00:0a:01:00:14")
    error = cloud.fails(ANN, "one.vm.allocate", text)
    assert error.code is Code.INTERNAL
    assert "IP 10.1.0.20 is not available in virtual network 0." in error.message
    error = cloud.fails(0, "one.vm.allocate", f'{SMALL}NIC=[NETWORK_ID=0,MAC="02:00:0a:01:00:14"]')
    assert "is not available" in error.message
    error = cloud.fails(ANN, "one.vm.allocate", f"{SMALL}NIC=[NETWORK_ID=0,IP=10.9.9.9]")
    assert "is not available" in error.message


def test_an_address_on_hold_is_not_given() -> None:
    cloud = Cloud()
    cloud.call(0, "one.vn.hold", 0, "LEASES=[IP=10.1.0.10]")
    assert nics(cloud, cloud.vm(f"{SMALL}NIC=[NETWORK_ID=0]"))[0]["IP"] == "10.1.0.11"
    assert cloud.fails(ANN, "one.vm.allocate", f"{SMALL}NIC=[NETWORK_ID=0,IP=10.1.0.10]")


def test_a_network_that_is_full_refuses_the_vm_and_keeps_none_of_its_leases() -> None:
    cloud = Cloud()
    tiny = network(cloud, "VN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=ETHER,SIZE=1]")
    error = cloud.fails(ANN, "one.vm.allocate", SMALL + f"NIC=[NETWORK_ID={tiny}]\n" * 2)
    assert f"Cannot get IP/MAC lease from virtual network {tiny}." in error.message
    oid = cloud.vm(f"{SMALL}NIC=[NETWORK_ID={tiny}]")
    assert "IP" not in nics(cloud, oid)[0]
    check(cloud)


def test_a_second_range_is_used_when_the_first_is_full() -> None:
    cloud = Cloud()
    two = network(
        cloud,
        "VN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.2.0.1,SIZE=1]\n"
        "AR=[TYPE=IP4,IP=10.3.0.1,SIZE=1,VN_MAD=bridge,BRIDGE=b3,GATEWAY=10.3.0.9]",
    )
    oid = cloud.vm(SMALL + f"NIC=[NETWORK_ID={two}]\n" * 2 + "CONTEXT=[NETWORK=YES]")
    first, second = nics(cloud, oid)
    assert [nic["AR_ID"] for nic in (first, second)] == ["0", "1"]
    # What a range says of itself is said in place of its network.
    assert [(nic["VN_MAD"], nic["BRIDGE"]) for nic in (first, second)] == [("dummy", "b"), ("bridge", "b3")]
    context = cloud.get(VM, oid).template.vector("CONTEXT")
    assert context is not None
    assert (context["ETH0_GATEWAY"], context["ETH1_GATEWAY"]) == ("", "10.3.0.9")


def test_what_a_nic_has_from_its_network_cannot_be_chosen() -> None:
    cloud = Cloud()
    oid = cloud.vm(
        f"{SMALL}NIC=[NETWORK_ID=0,PHYDEV=eth0,OUTER_VLAN_ID=9,VN_MAD=802.1Q,BRIDGE_TYPE=none,"
        'AR_ID=7,CLUSTER_ID="0,1",CONF="x=y",IP_LINK_CONF="a=b",PARENT_NETWORK_ID=5,NIC_ID=3,'
        'ALIAS_IDS="9",VROUTER_IP=1.2.3.4,MODEL=virtio]'
    )
    [nic] = nics(cloud, oid)
    assert dict(nic) == {
        "AR_ID": "0",
        "BRIDGE": "br0",
        "BRIDGE_TYPE": "linux",
        "CLUSTER_ID": "0",
        "IP": "10.1.0.10",
        "MAC": "02:00:0a:01:00:0a",
        "MODEL": "virtio",
        "NAME": "NIC0",
        "NETWORK": "private",
        "NETWORK_ID": "0",
        "NIC_ID": "0",
        "SECURITY_GROUPS": "0",
        "TARGET": "one-0-0",
        "VN_MAD": "dummy",
    }


def test_vlan_ids_and_inherited_attributes_come_from_the_network() -> None:
    cloud = Cloud()
    tagged = network(cloud, "VN_MAD=802.1Q\nPHYDEV=eth1\nVLAN_ID=7\nMTU=9000\nAR=[TYPE=ETHER,SIZE=3]")
    [nic] = nics(cloud, cloud.vm(f"{SMALL}NIC=[NETWORK_ID={tagged},MTU=1]"))
    assert (nic["PHYDEV"], nic["VLAN_ID"], nic["BRIDGE"], nic["MTU"]) == ("eth1", "7", "onebr.7", "9000")


def test_an_alias_has_the_lease_of_its_own_and_the_parent_of_its_name() -> None:
    cloud = Cloud()
    oid = cloud.vm(
        f"{SMALL}NIC=[NETWORK_ID=0,NAME=web]\nNIC=[NETWORK_ID=0]\n"
        "NIC_ALIAS=[NETWORK_ID=0,PARENT=web]\nNIC_ALIAS=[NETWORK_ID=0,PARENT=web]\n"
        "NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC1,NAME=admin]"
    )
    found = nics(cloud, oid)
    assert [nic["NAME"] for nic in found] == ["web", "NIC1", "web_ALIAS2", "web_ALIAS3", "admin"]
    assert [nic.get("ALIAS_ID") for nic in found] == [None, None, "0", "1", "0"]
    assert [nic.get("PARENT_ID") for nic in found] == [None, None, "0", "0", "1"]
    assert [nic.get("ALIAS_IDS") for nic in found] == ["2,3", "4", None, None, None]
    assert len({nic["IP"] for nic in found}) == 5
    check(cloud)
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    assert cloud.get(VirtualNetwork, 0).used_leases == 0


@pytest.mark.parametrize(
    "alias",
    ["NETWORK_ID=0", "NETWORK_ID=0,PARENT=no", "NETWORK_MODE=auto,PARENT=NIC0", "NETWORK_ID=9,PARENT=NIC0"],
)
def test_an_alias_without_a_parent_is_refused(alias: str) -> None:
    cloud = Cloud()
    assert cloud.fails(ANN, "one.vm.allocate", f"{SMALL}NIC=[NETWORK_ID=0]\nNIC_ALIAS=[{alias}]")


def test_defaults_fill_in_what_a_nic_leaves_out() -> None:
    cloud = Cloud()
    oid = cloud.vm(
        f"{SMALL}NIC_DEFAULT=[MODEL=virtio,RDP=YES]\nNIC=[NETWORK_ID=0]\nNIC=[NETWORK_ID=0,MODEL=e1000]"
    )
    assert [(nic["MODEL"], nic["RDP"]) for nic in nics(cloud, oid)] == [("virtio", "YES"), ("e1000", "YES")]
    for wrong in ("NIC_DEFAULT=[NETWORK_ID=0]", "NIC_DEFAULT=[A=b]\nNIC_DEFAULT=[A=c]"):
        assert cloud.fails(ANN, "one.vm.allocate", SMALL + wrong).code is Code.INTERNAL


def test_a_nic_whose_network_the_scheduler_chooses_takes_no_lease_yet() -> None:
    cloud = Cloud()
    oid = cloud.vm(f'{SMALL}NIC=[NETWORK_MODE=auto,SCHED_REQUIREMENTS="BRIDGE=br0",NETWORK_ID=0,AR_ID=0]')
    [nic] = nics(cloud, oid)
    assert dict(nic) == {
        "NAME": "NIC0",
        "NETWORK_MODE": "auto",
        "NIC_ID": "0",
        "SCHED_REQUIREMENTS": "BRIDGE=br0",
    }
    check(cloud)


def test_security_groups_of_nic_network_and_range_come_together() -> None:
    cloud = Cloud()
    groups = [
        cloud.call(0, "one.secgroup.allocate", f"NAME=g{n}\nRULE=[PROTOCOL=ALL,RULE_TYPE=inbound]")
        for n in range(3)
    ]
    assert groups == [100, 101, 102]
    joined = network(
        cloud,
        "VN_MAD=dummy\nBRIDGE=b\nSECURITY_GROUPS=100\nAR=[TYPE=ETHER,SIZE=2,SECURITY_GROUPS=101]",
    )
    oid = cloud.vm(f'{SMALL}NIC=[NETWORK_ID={joined},SECURITY_GROUPS="102"]', who=0)
    [nic] = nics(cloud, oid)
    assert nic["SECURITY_GROUPS"] == "0,100,101,102"
    rules = cloud.get(VM, oid).template.vectors("SECURITY_GROUP_RULE")
    assert [rule["SECURITY_GROUP_ID"] for rule in rules] == ["0", "0", "100", "101", "102"]
    assert all(cloud.get(SecurityGroup, group).updated_vms == {oid} for group in (0, *groups))
    check(cloud)
    cloud.call(0, "one.vm.action", "terminate", oid)
    assert not any(cloud.get(SecurityGroup, group).updated_vms for group in (0, *groups))


def test_a_rule_about_a_network_becomes_one_about_each_of_its_ranges() -> None:
    cloud = Cloud()
    other = network(
        cloud, "VN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.7.0.1,SIZE=5]\nAR=[TYPE=IP4,IP=10.8.0.1,SIZE=6]"
    )
    group = cloud.call(
        0,
        "one.secgroup.allocate",
        f"NAME=peers\nRULE=[PROTOCOL=TCP,RULE_TYPE=inbound,NETWORK_ID={other}]",
    )
    oid = cloud.vm(f'{SMALL}NIC=[NETWORK_ID=0,SECURITY_GROUPS="{group}"]', who=0)
    rules = cloud.get(VM, oid).template.vectors("SECURITY_GROUP_RULE")[2:]
    assert [(rule["IP"], rule["SIZE"]) for rule in rules] == [("10.7.0.1", "5"), ("10.8.0.1", "6")]


def test_a_rule_about_a_network_is_about_its_ipv6_addresses_too() -> None:
    cloud = Cloud()
    prefix = "GLOBAL_PREFIX=2001:db8::, ULA_PREFIX=fd00::, MAC=02:00:00:00:00:01"
    other = network(
        cloud, f"VN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP6,SIZE=5,{prefix}]\n"
        "AR=[TYPE=IP6_STATIC,IP6=2001:db8:1::1,PREFIX_LENGTH=64,SIZE=6]"
    )  # fmt: skip
    rule = f"RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,NETWORK_ID={other}]"
    group = cloud.call(0, "one.secgroup.allocate", f"NAME=peers\n{rule}")
    oid = cloud.vm(f'{SMALL}NIC=[NETWORK_ID=0,SECURITY_GROUPS="{group}"]', who=0)
    slaac, static = cloud.get(VM, oid).template.vectors("SECURITY_GROUP_RULE")[2:]
    assert (slaac["IP6_GLOBAL"], slaac["IP6_ULA"]) == ("2001:db8::ff:fe00:1", "fd00::ff:fe00:1")
    assert (slaac["MAC"], slaac["SIZE"]) == ("02:00:00:00:00:01", "5")
    assert (static["IP6"], static["SIZE"]) == ("2001:db8:1::1", "6")


def test_what_a_nic_is_joined_to_is_the_networks_and_not_the_users_to_say() -> None:
    cloud = Cloud()
    joined = network(cloud, "VN_MAD=vxlan\nPHYDEV=eth1\nVLAN_ID=9\nVXLAN_MODE=evpn\nAR=[TYPE=ETHER,SIZE=2]")
    oid = cloud.vm(f'{SMALL}NIC=[NETWORK_ID={joined},VLAN_TAGGED_ID="1-4000",VXLAN_TEP=dev]', who=0)
    [nic] = nics(cloud, oid)
    assert nic["VXLAN_MODE"] == "evpn"
    assert not {"VLAN_TAGGED_ID", "VXLAN_TEP"} & set(nic)


def test_a_group_that_was_deleted_does_not_make_its_network_useless() -> None:
    cloud = Cloud()
    group = cloud.call(0, "one.secgroup.allocate", "NAME=web")
    joined = network(cloud, f"VN_MAD=dummy\nBRIDGE=b\nSECURITY_GROUPS={group}\nAR=[TYPE=ETHER,SIZE=2]")
    cloud.call(0, "one.secgroup.delete", group)
    oid = cloud.vm(f"{SMALL}NIC=[NETWORK_ID={joined}]")
    rules = cloud.get(VM, oid).template.vectors("SECURITY_GROUP_RULE")
    assert {rule["SECURITY_GROUP_ID"] for rule in rules} == {"0"}


def test_a_network_that_was_taken_away_by_force_does_not_keep_a_vm_alive() -> None:
    cloud = Cloud()
    oid = cloud.vm(f"{SMALL}NIC=[NETWORK_ID=0]")
    cloud.call(0, "one.vn.rm_ar", 0, 0, True)
    cloud.call(0, "one.vn.delete", 0)
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    assert not cloud.exists(VM, oid)


def test_numbers_in_lists_of_groups_are_read_strictly() -> None:
    nic = Vector(SECURITY_GROUPS=" 0 ,100,x,-3,٣,99999999999999999999")
    assert vm_nics.groups_of(nic) == [0, 100]
    assert vm_nics.security_groups(Template([("NIC", Vector(nic, NIC_ID="0"))])) == [0, 100]


class Leases(RuleBasedStateMachine):
    """VMs come and go, addresses are held and released: no address is ever given twice."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud()
        self.vms: list[int] = []
        self.held: set[str] = set()

    @rule(count=st.integers(1, 6))
    def allocate(self, count: int) -> None:
        try:
            self.vms.append(self.cloud.vm(SMALL + "NIC=[NETWORK_ID=0]\n" * count))
        except ApiError as error:
            if "Cannot get IP/MAC lease" not in error.message:
                raise

    @rule(last=st.integers(10, 29))
    def ask(self, last: int) -> None:
        try:
            self.vms.append(self.cloud.vm(f"{SMALL}NIC=[NETWORK_ID=0,IP=10.1.0.{last}]"))
        except ApiError as error:
            if "is not available" not in error.message:
                raise

    @precondition(lambda self: self.vms)
    @rule(data=st.data())
    def terminate(self, data: st.DataObject) -> None:
        oid = data.draw(st.sampled_from(self.vms))
        self.vms.remove(oid)
        self.cloud.call(ANN, "one.vm.action", "terminate", oid)

    @rule(last=st.integers(10, 29))
    def hold(self, last: int) -> None:
        try:
            self.cloud.call(0, "one.vn.hold", 0, f"LEASES=[IP=10.1.0.{last}]")
            self.held.add(f"10.1.0.{last}")
        except ApiError as error:
            if "it is in use" not in error.message:
                raise

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        ip = data.draw(st.sampled_from(sorted(self.held)))
        self.held.remove(ip)
        self.cloud.call(0, "one.vn.release", 0, f"LEASES=[IP={ip}]")

    @invariant()
    def nothing_is_given_twice(self) -> None:
        check(self.cloud)
        given = [nic["IP"] for oid in self.vms for nic in nics(self.cloud, oid)]
        assert len(set(given)) == len(given)
        assert not set(given) & self.held
        assert self.cloud.get(VirtualNetwork, 0).used_leases == len(given) + len(self.held)


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
