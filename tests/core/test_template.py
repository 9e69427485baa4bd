"""VM templates: registered, cloned, shown in full, and made into VMs."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema
from tests.core.test_vm_allocate import recorded_template, recorded_world, without
from tests.core.vm_world import ANN, PERSISTENT, Cloud, check

from merope.model.errors import Code
from merope.model.image import Image
from merope.model.permissions import ObjectType
from merope.model.phase import Phase
from merope.model.vm import VM
from merope.model.vm_template import VmTemplate

PLAIN = "NAME=plain\nCPU=1\nMEMORY=64\nDISK=[IMAGE_ID=0]\nNIC=[NETWORK_ID=0]\nNOTE=x"


def allocate(core: Core, text: str = PLAIN, who: int = ANN) -> int:
    oid = core.call(who, "one.template.allocate", text)
    assert isinstance(oid, int)
    return oid


def template(core: Core, oid: int = 0) -> VmTemplate:
    return core.get(VmTemplate, oid)


@pytest.fixture
def cloud() -> Cloud:
    """Ann's template 0."""
    made = Cloud()
    assert allocate(made) == 0
    return made


# Documents


def test_a_template_is_the_recorded_one() -> None:
    core = recorded_world()
    allocate(core, recorded_template(), 0)
    ours = ElementTree.fromstring(core.call(0, "one.template.info", 0))
    assert flat(without(ours, "REGTIME")) == flat(without(example("template.xml"), "REGTIME"))
    assert template(core).regtime == core.now
    listed = ElementTree.fromstring(core.call(0, "one.templatepool.info", -2, -1, -1))
    recorded = example("template-pool.xml")
    assert flat(without(listed, "*/REGTIME")) == flat(without(recorded, "*/REGTIME"))


def test_an_extended_template_is_the_recorded_one() -> None:
    core = recorded_world()
    allocate(core, recorded_template(), 0)
    core.call(0, "one.template.instantiate", 0, "web-1", True)
    ours = ElementTree.fromstring(core.call(0, "one.template.info", 0, True))
    assert flat(without(ours, "REGTIME")) == flat(without(example("template-extended.xml"), "REGTIME"))
    plain = ElementTree.fromstring(core.call(0, "one.template.info", 0))
    assert flat(without(plain, "REGTIME")) == flat(without(example("template.xml"), "REGTIME"))


def test_documents_are_valid(cloud: Cloud) -> None:
    cloud.call(ANN, "one.template.lock", 0, 1)
    check_schema(cloud.call(ANN, "one.template.info", 0), "vmtemplate")
    check_schema(cloud.call(ANN, "one.template.info", 0, True), "vmtemplate")
    check_schema(cloud.call(ANN, "one.templatepool.info", -2, -1, -1), "vmtemplate_pool")


def test_showing_a_template_in_full_takes_the_right_to_what_it_uses(cloud: Cloud) -> None:
    bob = cloud.user("bob")
    cloud.call(ANN, "one.template.chmod", 0, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    assert "<NOTE>" in cloud.call(bob, "one.template.info", 0)
    error = cloud.fails(bob, "one.template.info", 0, True)
    assert sentence(error) == (
        Code.AUTHORIZATION,
        f"User [{bob}] : Not authorized to perform USE IMAGE [0].",
    )


# Registering


def test_a_template_is_not_checked_before_a_vm_is_made_of_it() -> None:
    cloud = Cloud()
    oid = allocate(cloud, "NAME=t\nMEMORY=many\nDISK=[IMAGE_ID=99]\nFOO=bar")
    assert template(cloud, oid).template.get("MEMORY") == "many"
    assert "NAME" not in template(cloud, oid).template
    assert cloud.fails(ANN, "one.template.instantiate", oid, "").code is Code.ALLOCATE


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("CPU=1", "Invalid NAME, it cannot be empty"),
        ('NAME="a|b"', "Invalid NAME, char '|' is not allowed"),
        (f"NAME={'x' * 100_000}", "Invalid NAME, max length is 128 chars"),
        ("NAME=plain", "NAME is already taken by TEMPLATE 0."),
    ],
)
def test_names_are_checked(cloud: Cloud, text: str, detail: str) -> None:
    assert sentence(cloud.fails(ANN, "one.template.allocate", text)) == (Code.INTERNAL, detail)


def test_others_may_use_the_same_name(cloud: Cloud) -> None:
    assert allocate(cloud, PLAIN, 0) == 1


def test_attributes_for_administrators_are_refused_to_users(cloud: Cloud) -> None:
    error = cloud.fails(ANN, "one.template.allocate", "NAME=r\nRAW=[TYPE=kvm,DATA=x]")
    assert sentence(error) == (
        Code.AUTHORIZATION,
        f"User [{ANN}] : Template includes a restricted attribute RAW.",
    )
    error = cloud.fails(ANN, "one.template.update", 0, "EMULATOR=/bin/sh", 1)
    assert sentence(error) == (
        Code.INTERNAL,
        "Cannot update template. Tried to change restricted attribute: EMULATOR",
    )
    assert allocate(cloud, "NAME=r\nRAW=[TYPE=kvm,DATA=x]", 0) == 1


def test_what_an_administrator_put_in_stays_when_its_owner_updates() -> None:
    cloud = Cloud()
    oid = allocate(cloud, 'NAME=r\nRAW=[TYPE=kvm,DATA=x]\nNIC=[NETWORK_ID=0,MAC="02:00:0a:01:00:0c"]', 0)
    cloud.call(0, "one.template.chown", oid, ANN, 1)
    cloud.call(ANN, "one.template.update", oid, "NOTE=mine", 0)
    assert template(cloud, oid).template.vectors("RAW")[0]["DATA"] == "x"
    error = cloud.fails(ANN, "one.template.update", oid, "RAW=[TYPE=kvm,DATA=y]", 1)
    assert error.message.endswith("Tried to change restricted attribute: RAW")


def test_an_update_does_not_rename(cloud: Cloud) -> None:
    cloud.call(ANN, "one.template.update", 0, "NAME=other\nCPU=2", 0)
    assert template(cloud).name == "plain"
    assert template(cloud).template.names() == ["CPU"]


# Clones


def test_a_clone_is_the_callers_and_says_the_same(cloud: Cloud) -> None:
    cloud.call(ANN, "one.template.chmod", 0, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    bob = cloud.user("bob")
    oid = cloud.call(bob, "one.template.clone", 0, "copy")
    found = template(cloud, oid)
    assert (found.uid, found.name, found.regtime) == (bob, "copy", cloud.now)
    assert found.template == template(cloud).template
    for name, detail in (
        ("copy", "NAME is already taken by TEMPLATE 1."),
        ("", "Invalid NAME, it cannot be empty"),
    ):
        error = cloud.fails(bob, "one.template.clone", 0, name)
        assert sentence(error) == (
            Code.ALLOCATE,
            f"Error allocating a new virtual machine template. {detail}",
        )


def test_a_recursive_clone_has_persistent_images_of_its_own(cloud: Cloud) -> None:
    oid = allocate(
        cloud,
        "NAME=two\nCPU=1\nMEMORY=1\nDISK=[IMAGE=disk,IMAGE_UNAME=ann,SIZE=100,CACHE=none]\n"
        f"DISK=[TYPE=fs,SIZE=5]\nDISK=[IMAGE_ID={PERSISTENT}]",
    )
    clone = cloud.call(ANN, "one.template.clone", oid, "mine", True)
    disks = template(cloud, clone).template.vectors("DISK")
    assert [dict(disk) for disk in disks] == [
        {"IMAGE_ID": "2", "CACHE": "none"},
        {"TYPE": "fs", "SIZE": "5"},
        {"IMAGE_ID": "3"},
    ]
    copies = [cloud.get(Image, image_id) for image_id in (2, 3)]
    assert [(copy.name, copy.persistent, copy.cloning_id) for copy in copies] == [
        ("mine-disk-0", 1, 0),
        ("mine-disk-2", 1, 1),
    ]
    assert [effect.op for effect in cloud.effects("image")] == ["image.clone", "image.clone"]
    check(cloud)
    cloud.answer(op="image", source="/img/copy", format="raw")
    assert cloud.vm("CPU=1\nMEMORY=1\nDISK=[IMAGE_ID=2]") == 0


def test_a_recursive_clone_that_cannot_have_all_images_makes_nothing(cloud: Cloud) -> None:
    cloud.image("mine-disk-0")
    error = cloud.fails(ANN, "one.template.clone", 0, "mine", True)
    assert sentence(error) == (
        Code.ALLOCATE,
        "Error allocating a new virtual machine template. NAME is already taken by IMAGE 2.",
    )
    bob = cloud.user("bob")
    cloud.call(ANN, "one.template.chmod", 0, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    assert "USE IMAGE [0]" in cloud.fails(bob, "one.template.clone", 0, "his", True).message


# Removal


def test_a_template_is_deleted_with_its_rules(cloud: Cloud) -> None:
    resource = ObjectType.TEMPLATE | 1 << 32
    cloud.call(0, "one.acl.addrule", f"{0x1_0000_0001:x}", f"{resource:x}", "1", "100000000")
    assert cloud.call(ANN, "one.template.delete", 0) == 0
    assert not cloud.exists(VmTemplate, 0)
    assert not cloud.state.rules.rules_about(ObjectType.TEMPLATE, 0)
    assert cloud.exists(Image, 0)


def test_a_template_is_deleted_with_its_images_all_or_nothing() -> None:
    cloud = Cloud()
    text = f"NAME=two\nDISK=[IMAGE_ID=0]\nDISK=[IMAGE_ID={PERSISTENT}]\nDISK=[IMAGE_ID=99]\nDISK=[IMAGE_ID=0]"
    oid = allocate(cloud, text)
    vm_id = cloud.vm(f"CPU=1\nMEMORY=1\nDISK=[IMAGE_ID={PERSISTENT}]")
    error = cloud.fails(ANN, "one.template.delete", oid, True)
    assert "There are 1 VMs using it." in error.message
    cloud.call(ANN, "one.vm.action", "terminate", vm_id)
    cloud.call(ANN, "one.template.delete", oid, True)
    assert not cloud.exists(VmTemplate, oid)
    assert [effect.oid for effect in cloud.effects("image.remove")] == [0, PERSISTENT]
    check(cloud)


def test_images_of_others_stop_a_recursive_deletion() -> None:
    cloud = Cloud()
    cloud.image("secret", who=0)
    oid = allocate(cloud, "NAME=t\nDISK=[IMAGE_ID=2]")
    assert "MANAGE IMAGE [2]" in cloud.fails(ANN, "one.template.delete", oid, True).message


# Permissions


def test_permissions_are_given_to_template_and_images_together(cloud: Cloud) -> None:
    cloud.call(ANN, "one.template.chmod", 0, -1, -1, -1, 1, -1, -1, -1, -1, -1)
    assert template(cloud).permissions.to_octal() == "640"
    assert cloud.get(Image, 0).permissions.to_octal() == "600"
    cloud.call(ANN, "one.template.chmod", 0, -1, -1, -1, 1, -1, -1, 1, -1, -1, True)
    assert template(cloud).permissions.to_octal() == "644"
    assert cloud.get(Image, 0).permissions.to_octal() == "644"


def test_who_may_not_change_the_images_changes_nothing() -> None:
    cloud = Cloud()
    cloud.image("secret", who=0)
    oid = allocate(cloud, "NAME=t\nDISK=[IMAGE_ID=2]\nDISK=[IMAGE_ID=99]")
    bits = (-1, -1, -1, 1, -1, -1, -1, -1, -1)
    assert "MANAGE IMAGE [2]" in cloud.fails(ANN, "one.template.chmod", oid, *bits, True).message
    assert "ADMIN TEMPLATE" in cloud.fails(ANN, "one.template.chmod", oid, -1, -1, 1, *bits[3:]).message
    for wrong in (2, -2, 2**31 - 1):
        error = cloud.fails(ANN, "one.template.chmod", oid, wrong, *bits[1:])
        assert error.message == "New permission values must be -1, 0 or 1"


# Making VMs


def test_a_vm_remembers_its_template(cloud: Cloud) -> None:
    first = cloud.call(ANN, "one.template.instantiate", 0, "")
    second = cloud.call(ANN, "one.template.instantiate", 0, "web", True)
    vms = [cloud.get(VM, oid) for oid in (first, second)]
    assert [(vm.name, vm.phase, vm.uid) for vm in vms] == [
        ("plain-0", Phase.PENDING, ANN),
        ("web", Phase.HOLD, ANN),
    ]
    assert [vm.template.get("TEMPLATE_ID") for vm in vms] == ["0", "0"]
    assert all("TEMPLATE_NAME" not in vm.template for vm in vms)
    assert vms[0].user_template.get("NOTE") == "x"
    check(cloud)


def test_extra_attributes_take_the_place_of_those_of_the_template(cloud: Cloud) -> None:
    extra = "CPU=2\nDISK=[IMAGE_ID=0]\nDISK=[TYPE=fs,SIZE=5]\nNOTE=y\nNAME=extra"
    oid = cloud.call(ANN, "one.template.instantiate", 0, "", False, extra)
    vm = cloud.get(VM, oid)
    assert (vm.name, vm.template.get("CPU"), vm.template.get("MEMORY")) == ("extra", "2", "64")
    assert len(vm.template.vectors("DISK")) == 2
    assert vm.user_template.get("NOTE") == "y"
    assert template(cloud).template.get("CPU") == "1"
    named = cloud.call(ANN, "one.template.instantiate", 0, "given", False, extra)
    assert cloud.get(VM, named).name == "given"


def test_extra_attributes_take_the_right_to_make_templates() -> None:
    cloud = Cloud()
    oid = allocate(cloud, "NAME=t\nCPU=1\nMEMORY=1", 0)
    cloud.call(0, "one.template.chmod", oid, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    stranger = cloud.call(0, "one.user.allocate", "eve", "p", "", [cloud.call(0, "one.group.allocate", "g")])
    assert cloud.call(stranger, "one.template.instantiate", oid, "") == 0
    error = cloud.fails(stranger, "one.template.instantiate", oid, "", False, "CPU=2")
    assert sentence(error) == (
        Code.AUTHORIZATION,
        f"User [{stranger}] : Not authorized to perform CREATE TEMPLATE.",
    )


def test_restricted_attributes_are_those_of_the_template_or_none() -> None:
    cloud = Cloud()
    text = (
        "NAME=t\nCPU=1\nMEMORY=1\nRAW=[TYPE=kvm,DATA=x]\n"
        'NIC=[NETWORK_ID=0,MAC="02:00:0a:01:00:0c"]\nNIC=[NETWORK_ID=0]'
    )
    oid = allocate(cloud, text, 0)
    cloud.call(0, "one.template.chmod", oid, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    # What an administrator wrote into the template may be used.
    vm_id = cloud.call(ANN, "one.template.instantiate", oid, "", True)
    assert cloud.get(VM, vm_id).template.vectors("NIC")[0]["MAC"] == "02:00:0a:01:00:0c"
    cloud.call(ANN, "one.vm.action", "terminate", vm_id)
    for extra, name in (
        ("RAW=[TYPE=kvm,DATA=y]", "RAW"),
        ('NIC=[NETWORK_ID=0,MAC="02:00:0a:01:00:0d"]', "NIC/MAC"),
        ("NIC=[NETWORK_ID=0]", "NIC/MAC"),
        ("CPU_COST=0", "CPU_COST"),
    ):
        error = cloud.fails(ANN, "one.template.instantiate", oid, "", False, extra)
        assert sentence(error) == (
            Code.AUTHORIZATION,
            f"User [{ANN}] : User Template includes a restricted attribute {name}.",
        )
    same = 'NIC=[NETWORK_ID=0,MODEL=virtio]\nNIC=[NETWORK_ID=0,MAC="02:00:0a:01:00:0c"]'
    assert cloud.call(ANN, "one.template.instantiate", oid, "", False, same) == vm_id + 1


def test_a_template_of_somebody_else_uses_what_its_user_may_use(cloud: Cloud) -> None:
    bob = cloud.user("bob")
    assert "USE TEMPLATE [0]" in cloud.fails(bob, "one.template.instantiate", 0, "").message
    cloud.call(ANN, "one.template.chmod", 0, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    assert "USE IMAGE [0]" in cloud.fails(bob, "one.template.instantiate", 0, "").message
    cloud.call(ANN, "one.template.chmod", 0, -1, -1, -1, -1, -1, -1, 1, -1, -1, True)
    oid = cloud.call(bob, "one.template.instantiate", 0, "")
    assert cloud.get(VM, oid).uid == bob
    check(cloud)


def test_a_persistent_instance_has_a_template_and_images_of_its_own(cloud: Cloud) -> None:
    oid = cloud.call(ANN, "one.template.instantiate", 0, "mine", False, "", True)
    own = template(cloud, 1)
    assert (own.name, own.uid) == ("mine", ANN)
    vm = cloud.get(VM, oid)
    assert (vm.name, vm.phase) == ("mine", Phase.CLONING)
    assert (vm.template.get("TEMPLATE_ID"), vm.template.get("CLONING_TEMPLATE_ID")) == ("1", "0")
    [disk] = vm.template.vectors("DISK")
    assert (disk["IMAGE_ID"], disk["PERSISTENT"], disk["SAVE"]) == ("2", "YES", "YES")
    assert cloud.get(Image, 2).name == "mine-disk-0"
    check(cloud)
    cloud.answer(op="image", source="/img/mine", format="raw")
    assert cloud.phase(oid) is Phase.PENDING
    assert cloud.get(VM, oid).template.vectors("DISK")[0]["SOURCE"] == "/img/mine"
    check(cloud)
    unnamed = cloud.call(ANN, "one.template.instantiate", 0, "", False, "", True)
    assert template(cloud, 2).name == "plain-copy"
    assert cloud.get(VM, unnamed).name == f"plain-copy-{unnamed}"


def test_a_persistent_instance_that_cannot_be_leaves_nothing_behind(cloud: Cloud) -> None:
    cloud.call(0, "one.user.quota", ANN, "VM=[VMS=0]")
    error = cloud.fails(ANN, "one.template.instantiate", 0, "mine", False, "", True)
    assert "limit of 0 reached for VMS quota" in error.message


def test_templates_of_virtual_routers_make_no_vms(cloud: Cloud) -> None:
    cloud.call(ANN, "one.template.update", 0, "VROUTER=YES", 1)
    assert sentence(cloud.fails(ANN, "one.template.instantiate", 0, "")) == (
        Code.ACTION,
        "Virtual router templates cannot be instantiated",
    )


def test_a_locked_template_is_shown_and_not_used(cloud: Cloud) -> None:
    cloud.call(ANN, "one.template.lock", 0, 1)
    assert "TEMPLATE is locked." in cloud.fails(0, "one.template.instantiate", 0, "").message
    assert "TEMPLATE is locked." in cloud.fails(ANN, "one.template.delete", 0).message
    assert "<LOCK>" in cloud.call(ANN, "one.template.info", 0)


@pytest.mark.parametrize("extra", ["CPU=[", "<a", "\x00", "A=" * 100_000, "x" * 1_000_000])
def test_extra_text_that_is_no_template_is_refused_in_time(cloud: Cloud, extra: str) -> None:
    error = cloud.fails(ANN, "one.template.instantiate", 0, "", False, extra)
    assert error.code is Code.INTERNAL
    assert len(error.message) < 500


@pytest.mark.parametrize("name", ["a<b", "\x00", "x" * 129, "\ud800", "a\rb", "x" * 1_000_000])
def test_names_of_vms_are_checked(cloud: Cloud, name: str) -> None:
    error = cloud.fails(ANN, "one.template.instantiate", 0, name)
    assert error.code is Code.ALLOCATE
    assert "Invalid NAME" in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize("oid", [1, -1, 2**31 - 1, -(2**31)])
def test_ids_that_are_of_no_template_are_named(cloud: Cloud, oid: int) -> None:
    for name, *arguments in (
        ("one.template.info",),
        ("one.template.delete", True),
        ("one.template.clone", "x"),
        ("one.template.instantiate", "x"),
        ("one.template.update", "A=b"),
        ("one.template.chmod", *[-1] * 9),
        ("one.template.lock", 1),
    ):
        error = cloud.fails(0, str(name), oid, *arguments)
        assert sentence(error) == (Code.NO_EXISTS, f"Error getting virtual machine template [{oid}].")
