"""VM groups: roles, rules, and the VMs that play the roles."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import ANN, TEMPLATE, Cloud, check

from merope.core import check_groups
from merope.model.errors import Code
from merope.model.phase import Phase
from merope.model.vm import VM
from merope.model.vm_group import VmGroup

TIER = (
    "NAME=tier\nROLE=[NAME=front,POLICY=ANTI_AFFINED]\n"
    'ROLE=[NAME=db,HOST_AFFINED="0,1"]\nROLE=[NAME=cache]\nNOTE=x'
)
USE_IT = (-1, -1, -1, 1, -1, -1, -1, -1, -1)


def allocate(core: Core, text: str = TIER, who: int = ANN) -> int:
    oid = core.call(who, "one.vmgroup.allocate", text)
    assert isinstance(oid, int)
    return oid


def in_role(role: str = "db", more: str = "VMGROUP_ID=0") -> str:
    return f"{TEMPLATE}VMGROUP=[{more},ROLE={role}]\n"


def members(core: Core, oid: int = 0) -> dict[str, str]:
    """Role → its VMS."""
    return {role["NAME"]: role.get("VMS", "") for role in core.get(VmGroup, oid).roles.vectors("ROLE")}


@pytest.fixture
def cloud() -> Cloud:
    """Ann's group 0."""
    made = Cloud()
    assert allocate(made) == 0
    return made


# Groups


def test_a_group_is_the_recorded_one() -> None:
    cloud = Cloud()
    allocate(
        cloud, 'NAME=tier\nROLE=[NAME=front,POLICY=ANTI_AFFINED]\nROLE=[NAME=db,HOST_AFFINED="0,1"]', who=0
    )
    cloud.vm(in_role(), who=0)
    ours = ElementTree.fromstring(cloud.call(0, "one.vmgroup.info", 0))
    assert flat(ours) == flat(example("vmgroup.xml"))


def test_documents_are_valid(cloud: Cloud) -> None:
    cloud.call(ANN, "one.vmgroup.lock", 0, 3)
    check_schema(cloud.call(ANN, "one.vmgroup.info", 0), "vm_group")
    check_schema(cloud.call(ANN, "one.vmgrouppool.info", -2, -1, -1), "vm_group_pool")


def test_a_group_with_vms_is_valid_but_for_the_vms_that_the_schema_does_not_know(cloud: Cloud) -> None:
    cloud.vm(in_role())
    document = cloud.call(ANN, "one.vmgroup.info", 0)
    vms = "<VMS><![CDATA[0]]></VMS>"
    assert document.count(vms) == 1
    check_schema(document.replace(vms, ""), "vm_group")


def test_roles_are_numbered_and_start_without_vms(cloud: Cloud) -> None:
    oid = allocate(cloud, 'NAME=g\nROLE=[NAME=a,ID=7,VMS="1,2"]\nROLE=[NAME=b]')
    roles = cloud.get(VmGroup, oid).roles.vectors("ROLE")
    assert [(role["ID"], role["NAME"], "VMS" in role) for role in roles] == [
        ("0", "a", False),
        ("1", "b", False),
    ]


THREE = "NAME=g\nROLE=[NAME=a]\nROLE=[NAME=b]\nROLE=[NAME=c]\n"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("ROLE=[NAME=a]", "No NAME in template for VM group."),
        ("NAME=tier\nROLE=[NAME=a]", "NAME is already taken by VMGroup 0."),
        ("NAME=g\nROLE=[POLICY=AFFINED]", "Missing NAME in VM group role"),
        ("NAME=g\nROLE=[NAME=a]\nROLE=[NAME=a]", "Role already exists: a"),
        (
            "NAME=g\n" + "".join(f"ROLE=[NAME=r{number}]\n" for number in range(33)),
            "Maximum number of roles in a VM Group reached: 33, at most 32",
        ),
        (
            'NAME=g\nROLE=[NAME=a,HOST_AFFINED="0,node1"]',
            "HOST_AFFINED of role a must be host ids with commas between, not '0,node1'",
        ),
        (THREE + 'AFFINED="a,d"', "Some roles used in AFFINED attribute (a,d) are not defined"),
        (THREE + 'ANTI_AFFINED=" , "', "Some roles used in ANTI_AFFINED attribute ( , ) are not defined"),
        (THREE + 'AFFINED="a,b"\nAFFINED="b, a"', "Duplicated AFFINED rule (b, a) detected."),
        (
            'NAME=g\nROLE=[NAME=a,POLICY=anti_affined]\nROLE=[NAME=b]\nAFFINED="a,b"',
            "Role a is in an AFFINED rule but the role policy is ANTI_AFFINED",
        ),
        (
            THREE + 'AFFINED="a,b"\nANTI_AFFINED="b,a"',
            "Roles defined in AFFINED and ANTI_AFFINED rules: a b",
        ),
        (
            THREE + 'AFFINED="a,b"\nAFFINED="b,c"\nANTI_AFFINED="a,c"',
            "Roles defined in AFFINED and ANTI_AFFINED rules: a c",
        ),
    ],
)
def test_what_makes_no_group_is_refused(cloud: Cloud, template: str, words: str) -> None:
    assert sentence(cloud.fails(ANN, "one.vmgroup.allocate", template)) == (Code.INTERNAL, words)


def test_rules_may_share_one_role(cloud: Cloud) -> None:
    # As the example of the documentation's wizard: vm and bck together, vm and db apart.
    oid = allocate(cloud, THREE + 'AFFINED="a,b"\nANTI_AFFINED="a,c"')
    assert cloud.get(VmGroup, oid).template.get("ANTI_AFFINED") == "a,c"


def test_rules_change_and_roles_do_not(cloud: Cloud) -> None:
    cloud.call(ANN, "one.vmgroup.update", 0, 'AFFINED="db,cache"\nROLE=[NAME=new]', 1)
    group = cloud.get(VmGroup, 0)
    assert (group.template.get("AFFINED"), group.template.get("NOTE")) == ("db,cache", "x")
    assert [role["NAME"] for role in group.roles.vectors("ROLE")] == ["front", "db", "cache"]
    assert "ROLE" not in group.template


def test_a_rule_that_cannot_be_is_refused_in_an_update_too(cloud: Cloud) -> None:
    assert sentence(cloud.fails(ANN, "one.vmgroup.update", 0, 'AFFINED="db,front"', 1)) == (
        Code.INTERNAL,
        "Cannot update template. Role front is in an AFFINED rule but the role policy is ANTI_AFFINED",
    )


def test_rules_stay_while_vms_are_in_the_group(cloud: Cloud) -> None:
    cloud.vm(in_role())
    assert sentence(cloud.fails(ANN, "one.vmgroup.update", 0, 'AFFINED="db,cache"', 1)) == (
        Code.INTERNAL,
        "Cannot update template. VM Group has 1 VMs",
    )


def test_a_group_with_vms_is_not_deleted(cloud: Cloud) -> None:
    vm = cloud.vm(in_role())
    assert sentence(cloud.fails(ANN, "one.vmgroup.delete", 0)) == (
        Code.ACTION,
        "Cannot delete vm group. VM Group has 1 VMs",
    )
    cloud.call(ANN, "one.vm.action", "terminate", vm)
    cloud.call(ANN, "one.vmgroup.delete", 0)
    assert not cloud.exists(VmGroup, 0)


def test_names_are_the_owners_own(cloud: Cloud) -> None:
    allocate(cloud, who=0)
    assert sentence(cloud.fails(0, "one.vmgroup.chown", 1, ANN, -1)) == (
        Code.INTERNAL,
        "user [2] already owns vm group [0] with NAME tier",
    )
    allocate(cloud, "NAME=other")
    assert sentence(cloud.fails(ANN, "one.vmgroup.rename", 2, "tier")) == (
        Code.ACTION,
        "vm group cannot be renamed to tier because it collides with vm group 0",
    )


# VMs


def test_a_vm_joins_the_role_that_it_names(cloud: Cloud) -> None:
    first, second = cloud.vm(in_role("db")), cloud.vm(in_role("db"))
    assert members(cloud) == {"front": "", "db": f"{first},{second}", "cache": ""}
    assert cloud.get(VM, first).template.vectors("VMGROUP") == [{"ROLE": "db", "VMGROUP_ID": "0"}]
    check(cloud)


def test_a_group_may_be_named_instead_of_numbered(cloud: Cloud) -> None:
    mine = cloud.vm(in_role("db", "VMGROUP_NAME=tier"))
    cloud.call(ANN, "one.vmgroup.chmod", 0, *USE_IT)
    bob = cloud.user("bob")
    plain = "CPU=1\nMEMORY=64\n"
    by_uid = cloud.vm(f"{plain}VMGROUP=[VMGROUP_NAME=tier,VMGROUP_UID={ANN},ROLE=front]", who=bob)
    by_name = cloud.vm(f"{plain}VMGROUP=[VMGROUP_NAME=tier,VMGROUP_UNAME=ann,ROLE=cache]", who=bob)
    assert members(cloud) == {"db": str(mine), "front": str(by_uid), "cache": str(by_name)}
    vector = cloud.get(VM, by_uid).template.vector("VMGROUP")
    assert vector is not None
    assert vector["VMGROUP_ID"] == "0"


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ("VMGROUP_ID=0", "Missing role name in VM Group definition"),
        ("VMGROUP_ID=9,ROLE=db", "Cannot find VM Group to associate the VM"),
        ("VMGROUP_NAME=none,ROLE=db", "Cannot find VM Group to associate the VM"),
        ("ROLE=db", "Cannot find VM Group to associate the VM"),
        ("VMGROUP_ID=0,ROLE=boss", "Role boss does not exist in VM Group 0"),
        (
            "VMGROUP_ID=0,ROLE=db]\nVMGROUP=[VMGROUP_ID=0,ROLE=db",
            "Only one VMGROUP attribute can be defined.",
        ),
    ],
)
def test_a_vm_whose_role_cannot_be_is_refused(cloud: Cloud, vector: str, words: str) -> None:
    error = cloud.fails(ANN, "one.vm.allocate", f"{TEMPLATE}VMGROUP=[{vector}]", False)
    assert sentence(error) == (Code.INTERNAL, words)


def test_a_role_is_for_who_may_use_the_group(cloud: Cloud) -> None:
    bob = cloud.user("bob")
    wanted = "CPU=1\nMEMORY=64\nVMGROUP=[VMGROUP_ID=0,ROLE=db]"
    assert sentence(cloud.fails(bob, "one.vm.allocate", wanted, False)) == (
        Code.AUTHORIZATION,
        "User [3] : Not authorized to perform USE VMGROUP [0].",
    )
    cloud.call(ANN, "one.vmgroup.chmod", 0, *USE_IT)
    assert members(cloud)["db"] == ""
    cloud.vm(wanted, who=bob)
    assert members(cloud)["db"] == "0"


@pytest.mark.parametrize(("level", "refused"), [(1, True), (4, False)])
def test_a_lock_for_use_keeps_new_vms_out(cloud: Cloud, level: int, refused: bool) -> None:
    cloud.call(ANN, "one.vmgroup.lock", 0, level)
    if refused:
        error = cloud.fails(ANN, "one.vm.allocate", in_role(), False)
        assert sentence(error) == (Code.AUTHORIZATION, "User [2] : VMGROUP is locked. [0].")
    else:
        cloud.vm(in_role())
        assert members(cloud)["db"] == "0"


def test_a_role_is_chosen_when_a_template_is_instantiated(cloud: Cloud) -> None:
    cloud.call(ANN, "one.template.allocate", f"NAME=t\n{TEMPLATE}")
    cloud.call(ANN, "one.template.instantiate", 0, "one", False, "VMGROUP=[VMGROUP_ID=0,ROLE=cache]")
    assert members(cloud)["cache"] == "0"


@pytest.mark.parametrize("how", ["terminate", "terminate-hard", "delete", "delete-db"])
def test_a_vm_that_ends_leaves_its_role(cloud: Cloud, how: str) -> None:
    cloud.vm(in_role())
    vm = cloud.running(in_role())
    assert members(cloud)["db"] == f"0,{vm}"
    if how.startswith("terminate"):
        cloud.call(ANN, "one.vm.action", how, vm)
        cloud.steps(2)
    else:
        cloud.call(0, "one.vm.recover", vm, {"delete": 3, "delete-db": 5}[how])
    assert cloud.phase(vm) is Phase.DONE
    assert members(cloud)["db"] == "0"
    check(cloud)


def test_a_vm_that_is_made_again_stays_in_its_role(cloud: Cloud) -> None:
    vm = cloud.running(in_role())
    cloud.call(0, "one.vm.recover", vm, 4)
    cloud.steps(1)
    assert cloud.phase(vm) is Phase.PENDING
    assert members(cloud)["db"] == str(vm)
    check(cloud)


# Checks


def test_a_role_that_does_not_list_its_vms_is_found_and_repaired(cloud: Cloud) -> None:
    vm = cloud.vm(in_role())
    tx = cloud.transaction(cloud.caller(0))
    role = tx.edit(VmGroup, 0).roles.vectors("ROLE")
    role[0]["VMS"], role[1]["VMS"] = "77", "78"
    cloud.commit(tx)
    [found] = list(check_groups.vm_groups(cloud.state))
    assert found.sentence == (
        "vm group 0: its roles list the VMs {'front': [77], 'db': [78]}, those that say so are {'db': [0]}"
    )
    assert found.repair is not None
    tx = cloud.transaction(cloud.caller(0))
    found.repair(tx)
    cloud.commit(tx)
    assert members(cloud) == {"front": "", "db": str(vm), "cache": ""}
    assert not list(check_groups.vm_groups(cloud.state))


def test_a_vm_of_a_group_that_is_gone_is_found(cloud: Cloud) -> None:
    vm = cloud.vm(in_role())
    tx = cloud.transaction(cloud.caller(0))
    tx.delete(tx.get(VmGroup, 0))
    cloud.commit(tx)
    [found] = list(check_groups.vm_groups(cloud.state))
    assert found.sentence == f"VM {vm}: VM group 0 has no role 'db', or is not there"
