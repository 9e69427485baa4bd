"""What VMs are themselves says where they may go, and which networks they get on the way."""

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, NETWORK, NODE0, NODE1, TEMPLATE, Cloud, check, stand

from merope.model.acl import parse_rule
from merope.model.errors import ApiError, Code
from merope.model.phase import Phase
from merope.model.security_group import SecurityGroup
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

AUTO = TEMPLATE.replace(
    "NIC = [ NETWORK_ID = 0 ]", "NIC = [ NETWORK_MODE = auto ]\nCONTEXT = [ NETWORK = YES ]"
)
PINNED = f"{TEMPLATE}VCPU = 2\nTOPOLOGY = [ PIN_POLICY = CORE ]\n"
CHOSEN = f'NIC = [ NIC_ID = "0", NETWORK_MODE = "auto", NETWORK_ID = "{NETWORK}" ]'


def deploy(cloud: Cloud, oid: int, extra: str, enforce: bool = False) -> None:
    cloud.call(0, "one.vm.deploy", oid, NODE0, enforce, -1, extra)


def refused(cloud: Cloud, oid: int, extra: str, who: int = 0) -> ApiError:
    return cloud.fails(who, "one.vm.deploy", oid, NODE0, False, -1, extra)


# Networks that are chosen with the host


def test_a_nic_without_a_network_gets_the_one_that_was_chosen() -> None:
    cloud = Cloud()
    oid = cloud.vm(AUTO)
    assert cloud.get(VirtualNetwork, NETWORK).used_leases == 0
    deploy(cloud, oid, CHOSEN)
    vm = cloud.get(VM, oid)
    [nic] = vm.template.vectors("NIC")
    assert (nic["NETWORK_ID"], nic["NETWORK"], nic["IP"]) == ("0", "private", "10.1.0.10")
    assert nic["NETWORK_MODE"] == "auto"
    context = vm.template.vector("CONTEXT")
    assert context is not None
    assert context["ETH0_IP"] == "10.1.0.10"
    assert cloud.get(SecurityGroup, 0).updated_vms == {oid}
    check(cloud)
    cloud.steps(2)
    assert cloud.phase(oid) is Phase.RUNNING


def test_a_vm_whose_networks_nobody_chose_starts_without() -> None:
    cloud = Cloud()
    oid = cloud.vm(AUTO)
    deploy(cloud, oid, "")
    assert "NETWORK_ID" not in cloud.get(VM, oid).template.vectors("NIC")[0]
    check(cloud)


@pytest.mark.parametrize(
    ("template", "extra", "words"),
    [
        (AUTO, 'NIC=[NIC_ID="3",NETWORK_ID="0"]', "NIC_ID 3 not found or not AUTO"),
        (TEMPLATE, CHOSEN, "NIC_ID 0 not found or not AUTO"),
        (AUTO, 'NIC=[NIC_ID="0"]', "NIC_ID 0 needs the NETWORK_ID of the network that was chosen"),
        (AUTO, f"{CHOSEN}\n{CHOSEN}", "NIC_ID 0 not found or not AUTO"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(template: str, extra: str, words: str) -> None:
    cloud = Cloud()
    oid = cloud.vm(template)
    assert sentence(refused(cloud, oid, extra)) == (Code.ACTION, words)


def test_who_may_not_deploy_is_told_nothing_of_the_nics() -> None:
    cloud = Cloud()
    bob = cloud.user("bob")
    assert refused(cloud, cloud.vm(AUTO), 'NIC=[NIC_ID="3",NETWORK_ID="0"]', bob).code is Code.AUTHORIZATION


def test_a_choice_that_is_no_template_is_refused() -> None:
    cloud = Cloud()
    assert refused(cloud, cloud.vm(AUTO), "NIC=[").code is Code.INTERNAL


def test_a_network_of_other_clusters_is_refused() -> None:
    cloud = Cloud()
    oid = cloud.vm(AUTO)
    cloud.call(0, "one.cluster.delvnet", 0, NETWORK)
    assert sentence(refused(cloud, oid, CHOSEN)) == (
        Code.ACTION,
        "Virtual network [0] is not part of cluster [0]",
    )


def test_a_network_without_a_free_lease_is_refused() -> None:
    cloud = Cloud()
    oid = cloud.vm(AUTO)
    cloud.call(0, "one.vn.hold", NETWORK, "LEASES=[IP=10.1.0.10]")
    cloud.call(0, "one.vn.update_ar", NETWORK, "AR=[AR_ID=0,SIZE=1]")
    assert sentence(refused(cloud, oid, CHOSEN)) == (
        Code.ACTION,
        "Cannot get IP/MAC lease from virtual network 0.",
    )


def test_a_lease_counts_for_the_owner_of_the_vm() -> None:
    cloud = Cloud()
    cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=0]")
    oid = cloud.vm(AUTO)
    cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=-2]")
    deploy(cloud, oid, CHOSEN)
    check(cloud)
    cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=1]")
    second = cloud.vm(AUTO)
    error = refused(cloud, second, CHOSEN)
    assert error.code is Code.AUTHORIZATION
    assert "limit of 1 reached for LEASES quota in NETWORK with ID: 0." in error.message


def test_the_network_must_be_one_that_who_deploys_may_use() -> None:
    cloud = Cloud(vm_admin_operations=(), vm_manage_operations=("deploy",))
    oid = cloud.vm(AUTO)
    for stored in list(cloud.state.rules):
        cloud.call(0, "one.acl.delrule", stored.id)
    for text in ("#2 HOST/* MANAGE *", "#2 DATASTORE/* USE *"):
        cloud.call(0, "one.acl.addrule", *(f"{part:x}" for part in parse_rule(text).key))
    error = refused(cloud, oid, CHOSEN, ANN)
    assert error.code is Code.AUTHORIZATION
    assert "Not authorized to perform USE NET [0]" in error.message


# Pinned VMs, devices, public clouds


def test_a_pinned_vm_is_put_where_it_fits_only() -> None:
    cloud = Cloud()
    small = cloud.host("small", cpu=10)
    oid = cloud.vm(PINNED, who=0)
    error = cloud.fails(0, "one.vm.deploy", oid, small, False)
    assert error.code is Code.ACTION
    assert "Not enough CPU capacity" in error.message
    cloud.call(0, "one.vm.deploy", cloud.vm(), small, False)


def test_a_pinned_vm_is_not_moved_while_it_runs() -> None:
    cloud = Cloud()
    cloud.pins(NODE0, NODE1)
    oid = cloud.vm(PINNED, who=0)
    deploy(cloud, oid, "")
    cloud.steps(2)
    assert sentence(cloud.fails(0, "one.vm.migrate", oid, NODE1, True)) == (
        Code.ACTION,
        "VM with a pinned NUMA topology cannot be live-migrated",
    )
    cloud.call(0, "one.vm.migrate", oid, NODE1, False)


def test_a_pinned_vm_has_as_many_cpus_as_virtual_ones() -> None:
    cloud = Cloud()
    oid = cloud.vm(PINNED, who=0)
    cloud.call(0, "one.vm.resize", oid, "CPU=1\nVCPU=3")
    assert cloud.get(VM, oid).template.get("CPU") == "3"
    cloud.call(0, "one.vm.resize", oid, "MEMORY=512")
    assert cloud.get(VM, oid).template.get("CPU") == "3"
    check(cloud)


def test_a_vm_with_a_pci_device_is_shut_down_to_be_moved() -> None:
    cloud = Cloud()
    cloud.pins(NODE0, NODE1)
    oid = cloud.vm(f"{TEMPLATE}PCI = [ VENDOR = 8086 ]", who=0)
    deploy(cloud, oid, "")
    cloud.steps(2)
    assert sentence(cloud.fails(0, "one.vm.migrate", oid, NODE1, False)) == (
        Code.ACTION,
        f"Cannot migrate VM [{oid}], use poweroff or poweroff-hard flag for migrating a VM with PCI devices",
    )
    cloud.call(0, "one.vm.migrate", oid, NODE1, False, False, -1, 1)


def test_vms_do_not_move_to_or_from_a_public_cloud() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.RUNNING)
    for host in (NODE0, NODE1):
        cloud.call(0, "one.host.update", host, "PUBLIC_CLOUD=YES", 1)
        assert sentence(cloud.fails(0, "one.vm.migrate", oid, NODE1, False)) == (
            Code.ACTION,
            "Cannot migrate to or from a Public Cloud Host",
        )
        cloud.call(0, "one.host.update", host, "PUBLIC_CLOUD=NO", 1)
    cloud.call(0, "one.vm.migrate", oid, NODE1, False)
