"""Virtual routers: their floating addresses, and the VMs that share them."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import ANN, NODE0, Cloud, check

from merope.core import check_relations
from merope.model.errors import Code
from merope.model.permissions import ObjectType
from merope.model.phase import Phase
from merope.model.quota import Usage
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter

EDGE = 'NAME=edge\nNIC=[NETWORK="private",FLOATING_IP="YES"]'
MACHINE = "NAME=machine\nCPU=0.1\nMEMORY=64\nVROUTER=YES\nCONTEXT=[NETWORK=YES]"


def router(cloud: Core, oid: int = 0) -> VirtualRouter:
    return cloud.get(VirtualRouter, oid)


def nics(cloud: Core, oid: int = 0) -> list[dict[str, str]]:
    return [dict(nic) for nic in router(cloud, oid).template.vectors("NIC")]


def holders(cloud: Core, network: int = 0, who: int = 0) -> list[tuple[str, str]]:
    """(IP, who has it) of each lease of a network, as its document shows them."""
    document = ElementTree.fromstring(cloud.call(who, "one.vn.info", network))
    return [(lease[0].text or "", f"{lease[-1].tag} {lease[-1].text}") for lease in document.iter("LEASE")]


@pytest.fixture
def cloud() -> Cloud:
    """With a VM template 0 for routers, which everybody may use, as network 0; users may make routers."""
    made = Cloud()
    made.call(0, "one.acl.addrule", "200000001", f"{ObjectType.VROUTER | 0x4_0000_0000:x}", "8", "400000000")
    made.call(0, "one.template.allocate", MACHINE)
    made.call(0, "one.template.chmod", 0, *[-1] * 6, 1, -1, -1, False)
    return made


def routed(cloud: Cloud, count: int = 2, template: str = EDGE, who: int = 0) -> list[int]:
    """A router with running VMs; their ids."""
    oid = cloud.call(who, "one.vrouter.allocate", template)
    cloud.call(who, "one.vrouter.instantiate", oid, count, 0, "", False, "")
    vms = sorted(router(cloud, oid).vms)
    for vm_id in vms:
        cloud.call(0, "one.vm.deploy", vm_id, NODE0)
    cloud.steps(2)
    return vms


def test_a_router_is_the_recorded_one() -> None:
    cloud = Cloud()
    for number in range(7):
        cloud.call(0, "one.vn.hold", 0, f"LEASES=[IP=10.1.0.{10 + number}]")
    assert cloud.call(0, "one.vrouter.allocate", EDGE) == 0
    document = cloud.call(0, "one.vrouter.info", 0)
    assert flat(ElementTree.fromstring(document)) == flat(example("vrouter.xml"))
    check_schema(document, "vrouter")
    check_schema(cloud.call(0, "one.vrouterpool.info", -2, -1, -1), "vrouter_pool")


def test_the_floating_address_is_leased_to_the_router_and_its_network_knows_it(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    assert holders(cloud) == [("10.1.0.10", "VROUTER 0")]
    network = cloud.get(VirtualNetwork, 0)
    assert (network.vrouters, network.used_leases) == ({0}, 1)
    check_schema(cloud.call(0, "one.vn.info", 0), "vnet")


def test_a_nic_that_does_not_float_leases_nothing_to_the_router(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", "NAME=edge\nNIC=[NETWORK_ID=0,IP=10.1.0.15]")
    assert holders(cloud) == []
    assert cloud.get(VirtualNetwork, 0).vrouters == {0}
    assert nics(cloud) == [{"IP": "10.1.0.15", "NETWORK": "private", "NETWORK_ID": "0", "NIC_ID": "0"}]
    [vm_id] = routed_vms(cloud, 1)
    assert cloud.get(VM, vm_id).template.vectors("NIC")[0]["IP"] == "10.1.0.15"


def routed_vms(cloud: Cloud, count: int) -> list[int]:
    cloud.call(0, "one.vrouter.instantiate", 0, count, 0, "", True, "")
    return sorted(router(cloud).vms)


def test_an_address_may_be_asked_for(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", "NAME=edge\nNIC=[NETWORK_ID=0,FLOATING_IP=YES,IP=10.1.0.20]")
    assert nics(cloud)[0]["VROUTER_IP"] == "10.1.0.20"
    assert "IP" not in nics(cloud)[0]
    error = cloud.fails(0, "one.vrouter.allocate", "NAME=b\nNIC=[NETWORK_ID=0,FLOATING_IP=YES,IP=10.1.0.20]")
    assert sentence(error) == (Code.INTERNAL, "IP 10.1.0.20 is not available in virtual network 0.")


@pytest.mark.parametrize(
    ("template", "detail"),
    [
        ("A=b", "Invalid NAME, it cannot be empty"),
        ("NAME=a\nNIC=x", "A NIC must be a vector"),
        ("NAME=a\nNIC=[NETWORK_MODE=auto]", "A NIC of a virtual router names its network"),
        ("NAME=a\nNIC_ALIAS=[PARENT=NIC0]", "A virtual router has no NIC_ALIAS."),
        ("NAME=a\nKEEPALIVED_ID=0", "KEEPALIVED_ID must be from 1 to 255, not '0'."),
        ("NAME=a\nKEEPALIVED_ID=256", "KEEPALIVED_ID must be from 1 to 255, not '256'."),
        ("NAME=a\nKEEPALIVED_ID=x", "KEEPALIVED_ID must be from 1 to 255, not 'x'."),
        ("NAME=a\nNIC=[FLOATING_IP=YES]", "A NIC needs NETWORK_ID or NETWORK."),
    ],
)
def test_a_template_that_makes_no_router_is_refused(cloud: Cloud, template: str, detail: str) -> None:
    error = cloud.fails(0, "one.vrouter.allocate", template)
    assert (error.code, error.message[: len(detail)]) == (Code.INTERNAL, detail)


def test_a_network_that_is_not_there_is_named(cloud: Cloud) -> None:
    error = cloud.fails(0, "one.vrouter.allocate", "NAME=a\nNIC=[NETWORK_ID=9]")
    assert "9" in error.message


# Rights and quotas


def test_routers_take_the_right_to_use_their_networks_and_count_floating_addresses(cloud: Cloud) -> None:
    nic = "NAME=mine\nNIC=[NETWORK_ID=0,FLOATING_IP=YES]"
    cloud.call(0, "one.vn.chmod", 0, *[0] * 9)
    [everything] = [rule.id for rule in cloud.state.rules if rule.to_string() == "@1 NET/* USE #0"]
    cloud.call(0, "one.acl.delrule", everything)
    assert "USE NET [0]" in cloud.fails(ANN, "one.vrouter.allocate", nic).message
    cloud.call(0, "one.vn.chmod", 0, *[-1] * 6, 1, -1, -1)
    cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=1]")
    oid = cloud.call(ANN, "one.vrouter.allocate", nic)
    assert cloud.state.user_quotas[ANN].usage() - images(cloud) == Usage().network(0, 1)
    error = cloud.fails(ANN, "one.vrouter.attachnic", oid, "NIC=[NETWORK_ID=0,FLOATING_IP=YES]")
    assert "limit of 1 reached for LEASES quota in NETWORK with ID: 0" in error.message
    cloud.call(ANN, "one.vrouter.attachnic", oid, "NIC=[NETWORK_ID=0]")
    cloud.call(ANN, "one.vrouter.delete", oid)
    assert cloud.state.user_quotas[ANN].usage() - images(cloud) == Usage()
    check(cloud)


def images(cloud: Cloud) -> Usage:
    """What ann's images take."""
    return Usage().datastore(1, images=2, size=128)


def test_users_set_no_restricted_attributes_of_nics(cloud: Cloud) -> None:
    for given in ("MAC=02:00:0a:01:00:0f", "FILTER=x", "VLAN_ID=3", "INBOUND_AVG_BW=1"):
        nic = f"NIC=[NETWORK_ID=0,FLOATING_IP=YES,{given}]"
        error = cloud.fails(ANN, "one.vrouter.allocate", f"NAME=mine\n{nic}")
        assert (error.code, "restricted attribute NIC/" in error.message) == (Code.AUTHORIZATION, True)
    oid = cloud.call(ANN, "one.vrouter.allocate", "NAME=mine")
    error = cloud.fails(ANN, "one.vrouter.attachnic", oid, "NIC=[NETWORK_ID=0,MAC=02:00:0a:01:00:0f]")
    assert error.code is Code.AUTHORIZATION


def test_who_may_not_manage_a_router_changes_nothing_of_it(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    for name, *arguments in (
        ("one.vrouter.delete",),
        ("one.vrouter.attachnic", "NIC=[NETWORK_ID=0]"),
        ("one.vrouter.detachnic", 0),
        ("one.vrouter.instantiate", 1, 0, "", False, ""),
        ("one.vrouter.update", "A=b", 1),
        ("one.vrouter.rename", "x"),
    ):
        error = cloud.fails(ANN, str(name), 0, *arguments)
        assert "MANAGE VROUTER [0]" in error.message, name


def test_leases_of_a_router_are_shown_to_who_may_use_it(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    assert holders(cloud, who=ANN) == []
    cloud.call(0, "one.vrouter.chmod", 0, *[-1] * 6, 1, -1, -1)
    assert holders(cloud, who=ANN) == [("10.1.0.10", "VROUTER 0")]


# VMs


def test_its_vms_have_its_nics_and_know_what_they_share(cloud: Cloud) -> None:
    first, second = routed(cloud, 2, EDGE + "\nKEEPALIVED_PASSWORD=secret")
    vm = cloud.get(VM, first)
    assert (vm.name, cloud.get(VM, second).name) == ("vr-edge-0", "vr-edge-1")
    [nic] = vm.template.vectors("NIC")
    assert (nic["IP"], nic["VROUTER_IP"]) == ("10.1.0.11", "10.1.0.10")
    assert holders(cloud) == [("10.1.0.10", "VROUTER 0"), ("10.1.0.11", "VM 0"), ("10.1.0.12", "VM 1")]
    told = {"VROUTER_ID": "0", "VROUTER_KEEPALIVED_ID": "1", "VROUTER_KEEPALIVED_PASSWORD": "secret"}
    context = vm.template.vector("CONTEXT")
    assert context is not None
    for name, text in told.items():
        assert (vm.template.get(name), context[name]) == (text, text)
    assert (context["ETH0_VROUTER_IP"], context["ETH0_IP"]) == ("10.1.0.10", "10.1.0.11")
    assert router(cloud).template.get("TEMPLATE_ID") == "0"
    check(cloud)


def test_a_nic_that_only_floats_gives_its_vms_no_address_of_their_own(cloud: Cloud) -> None:
    edge = "NAME=edge\nNIC=[NETWORK_ID=0,FLOATING_IP=YES,FLOATING_ONLY=YES]"
    first, second = routed(cloud, 2, edge)
    assert holders(cloud) == [("10.1.0.10", "VROUTER 0")]
    found = [cloud.get(VM, oid).template.vectors("NIC")[0] for oid in (first, second)]
    assert all("IP" not in nic and nic["VROUTER_IP"] == "10.1.0.10" for nic in found)
    assert found[0]["MAC"] != found[1]["MAC"]
    assert found[0]["SECURITY_GROUPS"] == "0"
    cloud.call(0, "one.vrouter.delete", 0)
    assert holders(cloud) == []
    check(cloud)


def test_users_count_only_what_their_router_and_its_vms_lease(cloud: Cloud) -> None:
    cloud.call(0, "one.vn.chmod", 0, *[-1] * 6, 1, -1, -1)
    edge = (
        "NAME=edge\nNIC=[NETWORK_ID=0,FLOATING_IP=YES,FLOATING_ONLY=YES]\n"
        "NIC=[NETWORK_ID=0,FLOATING_IP=YES]\nNIC=[NETWORK_ID=0]"
    )
    routed(cloud, 2, edge, ANN)
    assert len(holders(cloud)) == 6
    check(cloud)
    cloud.call(ANN, "one.vrouter.delete", 0)
    cloud.answer()
    check(cloud)


def test_the_template_that_was_used_is_used_again(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    error = cloud.fails(0, "one.vrouter.instantiate", 0, 1, -1, "", False, "")
    assert error.message.startswith("A template ID was not provided")
    cloud.call(0, "one.vrouter.instantiate", 0, 1, 0, "r-%i-%i", True, "")
    assert cloud.call(0, "one.vrouter.instantiate", 0, 1, -1, "again", True, "MEMORY=128") == 0
    vms = [cloud.get(VM, oid) for oid in sorted(router(cloud).vms)]
    assert [(vm.name, vm.template.get("MEMORY"), vm.phase) for vm in vms] == [
        ("r-0-0", "64", Phase.HOLD),
        ("again", "128", Phase.HOLD),
    ]


def test_only_templates_that_are_marked_make_routers_and_make_nothing_else(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    cloud.call(0, "one.template.allocate", "NAME=plain\nCPU=1\nMEMORY=64")
    error = cloud.fails(0, "one.vrouter.instantiate", 0, 1, 1, "", False, "")
    assert sentence(error) == (Code.ACTION, "Only virtual router templates are allowed")
    error = cloud.fails(0, "one.template.instantiate", 0, "x", False, "", False)
    assert sentence(error) == (Code.ACTION, "Virtual router templates cannot be instantiated")
    for count in (-1, 256):
        assert cloud.fails(0, "one.vrouter.instantiate", 0, count, 0, "", False, "").code is Code.ACTION


def test_all_vms_of_a_request_are_made_or_none(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    error = cloud.fails(0, "one.vrouter.instantiate", 0, 20, 0, "", False, "")
    assert error.code is Code.ALLOCATE
    assert error.message.endswith("Cannot get IP/MAC lease from virtual network 0.")


def test_nobody_makes_a_vm_a_routers_by_its_template(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    oid = cloud.vm(
        "CPU=1\nMEMORY=1\nVROUTER_ID=0\nVROUTER_KEEPALIVED_ID=1\n"
        "NIC=[NETWORK_ID=0,VROUTER_IP=10.1.0.10,VROUTER_MAC=x,FLOATING_ONLY=YES]"
    )
    vm = cloud.get(VM, oid)
    assert "VROUTER_ID" not in vm.template
    [nic] = vm.template.vectors("NIC")
    assert (nic["IP"], "VROUTER_IP" in nic) == ("10.1.0.11", False)
    assert router(cloud).vms == set()


def test_a_vm_that_ends_leaves_its_router_and_another_may_take_its_place(cloud: Cloud) -> None:
    first, second = routed(cloud)
    cloud.call(0, "one.vm.action", "terminate-hard", first)
    cloud.steps(2)
    assert router(cloud).vms == {second}
    cloud.call(0, "one.vrouter.instantiate", 0, 1, -1, "", True, "")
    assert router(cloud).vms == {second, second + 1}
    check(cloud)


def test_the_devices_of_its_vms_are_the_routers_to_change(cloud: Cloud) -> None:
    [vm_id] = routed(cloud, 1)
    for name, *arguments in (
        ("one.vm.attachnic", "NIC=[NETWORK_ID=0]"),
        ("one.vm.detachnic", 0),
    ):
        error = cloud.fails(0, str(name), vm_id, *arguments)
        assert sentence(error) == (Code.ACTION, "Action is not supported for virtual router VMs")


# NICs


def test_a_nic_comes_to_the_router_and_to_each_of_its_vms(cloud: Cloud) -> None:
    first, second = routed(cloud)
    cloud.call(0, "one.vrouter.attachnic", 0, "NIC=[NETWORK_ID=0,FLOATING_IP=YES,VROUTER_MANAGEMENT=YES]")
    assert [nic["NIC_ID"] for nic in nics(cloud)] == ["0", "1"]
    floating = nics(cloud)[1]["VROUTER_IP"]
    for vm_id in (first, second):
        assert cloud.phase(vm_id) is Phase.HOTPLUG_NIC
        assert cloud.get(VM, vm_id).template.vectors("NIC")[1]["VROUTER_IP"] == floating
    cloud.steps(1)
    check(cloud)
    cloud.call(0, "one.vrouter.detachnic", 0, 1)
    cloud.steps(1)
    assert [nic["NIC_ID"] for nic in nics(cloud)] == ["0"]
    assert [len(cloud.get(VM, oid).template.vectors("NIC")) for oid in (first, second)] == [1, 1]
    assert len(holders(cloud)) == 3
    check(cloud)


def test_the_right_nic_leaves_a_vm_whose_numbers_are_others(cloud: Cloud) -> None:
    cloud.call(0, "one.vn.allocate", "NAME=b\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=ETHER,SIZE=9]", -1)
    cloud.call(
        0, "one.vrouter.allocate", "NAME=edge\nNIC=[NETWORK_ID=0]\nNIC=[NETWORK_ID=1]\nNIC=[NETWORK_ID=0]"
    )
    cloud.call(0, "one.vrouter.detachnic", 0, 0)
    [vm_id] = routed_vms(cloud, 1)
    cloud.call(0, "one.vm.action", "release", vm_id)
    cloud.call(0, "one.vm.deploy", vm_id, NODE0)
    cloud.steps(2)
    assert [nic["NIC_ID"] for nic in nics(cloud)] == ["1", "2"]
    cloud.call(0, "one.vrouter.detachnic", 0, 1)
    cloud.steps(1)
    assert [nic["NETWORK_ID"] for nic in cloud.get(VM, vm_id).template.vectors("NIC")] == ["0"]
    check(cloud)


def test_a_nic_is_attached_to_all_vms_or_to_none(cloud: Cloud) -> None:
    first, _ = routed(cloud)
    cloud.call(0, "one.vm.action", "suspend", first)
    error = cloud.fails(0, "one.vrouter.attachnic", 0, "NIC=[NETWORK_ID=0,FLOATING_IP=YES]")
    assert sentence(error) == (
        Code.ACTION,
        f"Could not add a new NIC to VM {first}, wrong state SAVE_SUSPEND.",
    )


@pytest.mark.parametrize(
    ("template", "detail"),
    [
        ("A=b", "The template must have one NIC, and no NIC_ALIAS."),
        ("NIC=[NETWORK_ID=0]\nNIC=[NETWORK_ID=0]", "The template must have one NIC, and no NIC_ALIAS."),
        ("NIC=[NETWORK_ID=0]\nNIC_ALIAS=[PARENT=NIC0]", "The template must have one NIC, and no NIC_ALIAS."),
        ("NIC=[NETWORK_MODE=auto]", "A NIC of a virtual router names its network"),
        (
            "NIC=[NETWORK_ID=0,FLOATING_IP=YES,IP=1.2.3.4]",
            "IP 1.2.3.4 is not available in virtual network 0.",
        ),
    ],
)
def test_what_is_no_nic_of_a_router_is_not_attached(cloud: Cloud, template: str, detail: str) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    error = cloud.fails(0, "one.vrouter.attachnic", 0, template)
    assert (error.code, error.message[: len(detail)]) == (Code.ACTION, detail)


def test_a_nic_that_is_not_there_is_not_detached(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    error = cloud.fails(0, "one.vrouter.detachnic", 0, 7)
    assert sentence(error) == (Code.ACTION, "NIC with NIC_ID 7 does not exist.")


# Updates, owners, removal


def test_an_update_leaves_the_nics_alone(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    before = nics(cloud)
    for how in (0, 1):
        cloud.call(0, "one.vrouter.update", 0, "NAME=x\nNIC=[NETWORK_ID=5]\nDESCRIPTION=d", how)
        assert (nics(cloud), router(cloud).name) == (before, "edge")
        assert router(cloud).template.get("DESCRIPTION") == "d"
    error = cloud.fails(0, "one.vrouter.update", 0, "KEEPALIVED_ID=999", 1)
    assert error.message == "Cannot update template. KEEPALIVED_ID must be from 1 to 255, not '999'."


def test_its_vms_go_with_it_to_another_owner_and_have_its_permissions(cloud: Cloud) -> None:
    vms = routed(cloud)
    cloud.call(0, "one.vrouter.chown", 0, ANN, 1)
    assert [(cloud.get(VM, oid).uid, cloud.get(VM, oid).gname) for oid in vms] == [(ANN, "users")] * 2
    check(cloud)
    cloud.call(0, "one.vrouter.chmod", 0, 1, 1, -1, 1, 0, -1, 1, -1, -1)
    assert {str(cloud.get(VM, oid).permissions) for oid in vms} == {str(router(cloud).permissions)}
    cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=2]")
    cloud.call(0, "one.vrouter.chown", 0, 0, 0)
    error = cloud.fails(0, "one.vrouter.chown", 0, ANN, -1)
    assert "limit of 2 reached for LEASES" in error.message


def test_a_deleted_router_takes_its_vms_addresses_and_rules_along(cloud: Cloud) -> None:
    first, second = routed(cloud)
    cloud.call(0, "one.vrouter.instantiate", 0, 1, -1, "", True, "")
    resource = ObjectType.VROUTER | 1 << 32
    cloud.call(0, "one.acl.addrule", f"{0x1_0000_0001:x}", f"{resource:x}", "1", "100000000")
    assert cloud.call(0, "one.vrouter.delete", 0) == 0
    assert not cloud.exists(VirtualRouter, 0)
    assert not cloud.state.rules.rules_about(ObjectType.VROUTER, 0)
    assert cloud.phase(second + 1) is Phase.DONE
    assert [cloud.phase(oid) for oid in (first, second)] == [Phase.SHUTDOWN] * 2
    assert cloud.get(VirtualNetwork, 0).vrouters == set()
    cloud.steps(2)
    assert [cloud.phase(oid) for oid in (first, second)] == [Phase.DONE] * 2
    assert holders(cloud) == []
    check(cloud)


def test_vms_in_any_state_do_not_keep_a_router(cloud: Cloud) -> None:
    first, second = routed(cloud)
    cloud.call(0, "one.vm.action", "suspend", first)
    cloud.call(0, "one.vm.action", "poweroff", second)
    cloud.call(0, "one.vrouter.delete", 0)
    cloud.answer()
    cloud.answer()
    assert not cloud.exists(VirtualRouter, 0)
    check(cloud)


def test_a_locked_router_is_read_and_not_changed(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    cloud.call(0, "one.vrouter.lock", 0, 2, False)
    assert "VROUTER is locked. [0]" in cloud.fails(0, "one.vrouter.delete", 0).message
    check_schema(cloud.call(0, "one.vrouter.info", 0), "vrouter")
    cloud.call(0, "one.vrouter.unlock", 0)
    cloud.call(0, "one.vrouter.delete", 0)


def test_a_network_with_a_floating_address_stays(cloud: Cloud) -> None:
    cloud.call(0, "one.vrouter.allocate", EDGE)
    error = cloud.fails(0, "one.vn.delete", 0)
    assert error.message.endswith("Can not remove a virtual network with leases in use")


@pytest.mark.parametrize("oid", [99, -1])
def test_ids_that_are_of_no_router_are_named(cloud: Cloud, oid: int) -> None:
    for name, *arguments in (
        ("one.vrouter.info",),
        ("one.vrouter.delete",),
        ("one.vrouter.instantiate", 1, 0, "", False, ""),
        ("one.vrouter.attachnic", "NIC=[NETWORK_ID=0]"),
        ("one.vrouter.detachnic", 0),
        ("one.vrouter.chmod", *[-1] * 9),
        ("one.vrouter.chown", 0, 0),
    ):
        error = cloud.fails(0, str(name), oid, *arguments)
        assert sentence(error) == (Code.NO_EXISTS, f"Error getting virtual router [{oid}].")


def test_a_network_goes_in_which_a_router_has_no_address_of_its_own_and_nothing_is_wrong_then(
    cloud: Cloud,
) -> None:
    cloud.call(0, "one.vrouter.allocate", "NAME=edge\nNIC=[NETWORK=private]")
    cloud.call(0, "one.vn.delete", 0)
    assert nics(cloud)[0]["NETWORK_ID"] == "0"
    assert [found.sentence for look in check_relations.CHECKS for found in look(cloud.state)] == []
