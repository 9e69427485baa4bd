"""one.vm.attachnic and one.vm.detachnic: NICs and aliases plugged into a VM that is there, and out of it."""

import pytest
from tests.core.conftest import sentence
from tests.core.vm_devices_world import ALIASED, cold
from tests.core.vm_world import ANN, Cloud, check, stand

from merope.model.errors import Code
from merope.model.phase import Phase
from merope.model.security_group import SecurityGroup
from merope.model.states import HistoryAction
from merope.model.template import Vector
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

PLUGGED = (Phase.RUNNING, Phase.POWEROFF)
CONTEXT = ALIASED + "CONTEXT = [ NETWORK = YES ]\n"
NIC = "NIC=[NETWORK_ID=0]"


def nics(cloud: Cloud, oid: int, name: str = "NIC") -> list[Vector]:
    return cloud.get(VM, oid).template.vectors(name)


def leases(cloud: Cloud) -> int:
    return cloud.get(VirtualNetwork, 0).used_leases


def test_an_attached_nic_has_a_lease_and_waits_for_the_driver() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.RUNNING, template=CONTEXT)
    assert cloud.call(ANN, "one.vm.attachnic", oid, NIC) == oid
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.arguments, cloud.phase(oid)) == ("vm.attach_nic", {"nic": 2}, Phase.HOTPLUG_NIC)
    new = nics(cloud, oid)[1]
    assert (new["NIC_ID"], new["NAME"], new["ATTACH"], new["TARGET"]) == ("2", "NIC2", "YES", "one-0-2")
    assert leases(cloud) == 3
    check(cloud)
    cloud.answer(op="vm")
    assert "ATTACH" not in nics(cloud, oid)[1]
    context = cloud.get(VM, oid).template.vector("CONTEXT")
    assert context is not None
    assert (context["ETH2_IP"], context["ETH2_MASK"]) == (new["IP"], "255.255.255.0")
    check(cloud)


def test_the_lease_of_a_nic_that_could_not_be_attached_is_returned() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.RUNNING, template=CONTEXT)
    used = cloud.used()
    cloud.call(ANN, "one.vm.attachnic", oid, NIC)
    cloud.answer(False, "no bridge", op="vm")
    vm = cloud.get(VM, oid)
    assert len(nics(cloud, oid)) == 1
    assert (leases(cloud), cloud.used()) == (2, used)
    assert not [key for key in vm.template.vector("CONTEXT") or () if key.startswith("ETH2_")]
    assert vm.user_template.get("ERROR").endswith(" : no bridge")
    check(cloud)


def test_a_nic_of_a_vm_that_is_off_is_there_at_once() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.POWEROFF)
    cloud.call(ANN, "one.vm.attachnic", oid, NIC)
    assert (cloud.phase(oid), len(nics(cloud, oid)), cloud.effects("vm")) == (Phase.POWEROFF, 2, [])
    assert "ATTACH" not in nics(cloud, oid)[1]
    check(cloud)
    cloud.call(ANN, "one.vm.detachnic", oid, 0)
    assert [nic["NIC_ID"] for nic in nics(cloud, oid)] == ["1"]
    check(cloud)


def test_a_hypervisor_with_cold_nic_attach_is_asked_also_when_the_vm_is_off() -> None:
    cloud = Cloud()
    cold(cloud)
    oid = stand(cloud, Phase.POWEROFF)
    cloud.call(ANN, "one.vm.attachnic", oid, NIC)
    assert cloud.phase(oid) is Phase.HOTPLUG_NIC_POWEROFF
    cloud.answer(op="vm")
    assert cloud.phase(oid) is Phase.POWEROFF
    check(cloud)


def test_an_alias_joins_its_nic() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.RUNNING, template=CONTEXT)
    cloud.call(ANN, "one.vm.attachnic", oid, "NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]")
    cloud.answer(op="vm")
    alias = nics(cloud, oid, "NIC_ALIAS")[1]
    assert (alias["PARENT_ID"], alias["ALIAS_ID"], alias["NAME"]) == ("0", "1", "NIC0_ALIAS2")
    assert nics(cloud, oid)[0]["ALIAS_IDS"] == "1,2"
    context = cloud.get(VM, oid).template.vector("CONTEXT")
    assert context is not None
    assert context["ETH0_ALIAS1_IP"] == alias["IP"]
    assert cloud.records(oid)[-2].action == HistoryAction.ALIAS_ATTACH
    check(cloud)


def test_an_alias_leaves_and_its_number_is_not_given_to_another() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.RUNNING, template=CONTEXT)
    cloud.call(ANN, "one.vm.attachnic", oid, "NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]")
    cloud.answer(op="vm")
    cloud.call(ANN, "one.vm.detachnic", oid, 1)
    cloud.answer(op="vm")
    assert nics(cloud, oid)[0]["ALIAS_IDS"] == "2"
    assert cloud.records(oid)[-2].action == HistoryAction.ALIAS_DETACH
    cloud.call(ANN, "one.vm.attachnic", oid, "NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]")
    assert [alias["ALIAS_ID"] for alias in nics(cloud, oid, "NIC_ALIAS")] == ["1", "2"]
    check(cloud)


@pytest.mark.parametrize("phase", PLUGGED, ids=lambda phase: phase.name)
def test_a_detached_nic_takes_its_aliases_along(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase, template=CONTEXT)
    cloud.call(ANN, "one.vm.detachnic", oid, 0)
    if phase is Phase.RUNNING:
        marked = [nic.get("ATTACH") for name in ("NIC", "NIC_ALIAS") for nic in nics(cloud, oid, name)]
        assert marked == ["YES", "YES"]
        cloud.answer(op="vm")
    assert (nics(cloud, oid), nics(cloud, oid, "NIC_ALIAS"), leases(cloud)) == ([], [], 0)
    context = cloud.get(VM, oid).template.vector("CONTEXT")
    assert context is not None
    assert not [key for key in context if key.startswith("ETH")]
    check(cloud)


def test_security_groups_come_and_go_with_the_nic_that_has_them() -> None:
    cloud = Cloud()
    group = cloud.call(ANN, "one.secgroup.allocate", "NAME=web\nRULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND]")
    oid = cloud.running()
    cloud.call(ANN, "one.vm.attachnic", oid, f'NIC=[NETWORK_ID=0,SECURITY_GROUPS="{group}"]')
    cloud.answer(op="vm")
    assert cloud.get(SecurityGroup, group).updated_vms == {oid}
    rules = cloud.get(VM, oid).template.vectors("SECURITY_GROUP_RULE")
    assert {rule["SECURITY_GROUP_ID"] for rule in rules} == {"0", str(group)}
    check(cloud)
    cloud.call(ANN, "one.vm.detachnic", oid, 1)
    cloud.answer(op="vm")
    assert cloud.get(SecurityGroup, group).updated_vms == set()
    rules = cloud.get(VM, oid).template.vectors("SECURITY_GROUP_RULE")
    assert {rule["SECURITY_GROUP_ID"] for rule in rules} == {"0"}
    check(cloud)


def test_nic_default_is_for_attached_nics_too() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.RUNNING, template=ALIASED + "NIC_DEFAULT=[MODEL=virtio]\n")
    cloud.call(ANN, "one.vm.attachnic", oid, NIC)
    assert nics(cloud, oid)[1]["MODEL"] == "virtio"


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (*PLUGGED, Phase.DONE)], ids=str)
def test_in_other_phases_both_are_refused(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    error = cloud.fails(ANN, "one.vm.attachnic", oid, NIC)
    assert sentence(error) == (Code.ACTION, f"Could not add a new NIC to VM {oid}, wrong state {phase.name}.")
    error = cloud.fails(ANN, "one.vm.detachnic", oid, 0)
    assert sentence(error) == (Code.ACTION, f"Could not detach NIC from VM {oid}, wrong state {phase.name}.")


REFUSED = [
    ("", Code.ACTION, "one NIC or NIC_ALIAS"),
    (f"{NIC}\n{NIC}", Code.ACTION, "one NIC or NIC_ALIAS"),
    ("NIC=[NETWORK_ID=99]", Code.NO_EXISTS, "Error getting virtual network [99]."),
    ("NIC=[NETWORK_MODE=auto]", Code.ACTION, "NETWORK_MODE auto"),
    ("NIC=[MODEL=virtio]", Code.INTERNAL, "NETWORK_ID"),
    ("NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC9]", Code.ACTION, "there is no NIC with the NAME 'NIC9'"),
    ('NIC=[NETWORK_ID=0,MAC="02:00:00:00:00:01"]', Code.AUTHORIZATION, "NIC includes a restricted attribute"),
    ("NIC=[NETWORK_ID=0,IP=10.9.9.9]", Code.ACTION, "10.9.9.9 is not available"),
]


@pytest.mark.parametrize(("template", "code", "said"), REFUSED)
def test_what_cannot_be_attached_is_refused_and_changes_nothing(template: str, code: Code, said: str) -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, "one.vm.attachnic", oid, template)
    assert error.code is code, error.message
    assert said in error.message


def test_a_network_that_the_host_cannot_reach_cannot_be_attached() -> None:
    cloud = Cloud()
    oid = cloud.running()
    far = cloud.call(0, "one.cluster.allocate", "far")
    template = "NAME=far\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.3.0.1,SIZE=4]"
    network = cloud.call(0, "one.vn.allocate", template, far)
    error = cloud.fails(0, "one.vm.attachnic", oid, f"NIC=[NETWORK_ID={network}]")
    assert sentence(error) == (Code.ACTION, f"Virtual network [{network}] is not part of cluster [0]")


def test_a_quota_limits_the_leases_that_are_attached() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.user.quota", ANN, "NETWORK=[ID=0,LEASES=1]")
    error = cloud.fails(ANN, "one.vm.attachnic", oid, NIC)
    assert error.code is Code.AUTHORIZATION
    assert "limit of 1 reached for LEASES quota" in error.message


def test_a_nic_that_is_not_there_cannot_be_detached() -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, "one.vm.detachnic", oid, 7)
    assert sentence(error) == (Code.ACTION, "Could not detach NIC with NIC_ID 7, it does not exist.")


def test_nics_of_a_virtual_routers_vm_are_the_routers() -> None:
    cloud = Cloud()
    cloud.call(0, "one.vrouter.allocate", "NAME=edge")
    cloud.call(0, "one.template.allocate", "NAME=machine\nCPU=1\nMEMORY=64\nVROUTER=YES")
    cloud.call(0, "one.vrouter.instantiate", 0, 1, 0, "", True, "")
    oid = 0
    for name, argument in (("attachnic", NIC), ("detachnic", 0)):
        error = cloud.fails(0, f"one.vm.{name}", oid, argument)
        assert sentence(error) == (Code.ACTION, "Action is not supported for virtual router VMs")
