"""What is made on behalf of somebody else belongs to them."""

import pytest
from tests.core.conftest import Core, sentence
from tests.core.test_image import ready

from merope.model.errors import Code
from merope.model.image import Image
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

SMALL = "CPU=0.1\nMEMORY=16\n"


def test_a_vm_that_an_administrator_makes_for_a_user_is_the_users(core: Core) -> None:
    ann = core.user("ann")
    oid = core.call(0, "one.vm.allocate", f"{SMALL}AS_UID={ann}\nAS_GID=1", True)
    vm = core.get(VM, oid)
    assert (vm.uid, vm.gid, vm.uname, vm.gname) == (ann, 1, "ann", "users")
    assert "AS_UID" not in vm.user_template
    assert core.state.user_quotas[ann].to_xml(ann).count("<VMS_USED><![CDATA[1]]>") == 1


def test_the_user_and_the_group_are_chosen_apart(core: Core) -> None:
    ann = core.user("ann")
    vm = core.get(VM, core.call(0, "one.vm.allocate", f"{SMALL}AS_UID={ann}\nAS_GID=-1", True))
    assert (vm.uid, vm.gid) == (ann, 0)
    vm = core.get(VM, core.call(0, "one.vm.allocate", f"{SMALL}AS_GID=1", True))
    assert (vm.uid, vm.gid) == (0, 1)


def test_a_template_may_say_for_whom_its_vms_are(core: Core) -> None:
    ann = core.user("ann")
    template = core.call(0, "one.template.allocate", f"NAME=t\n{SMALL}AS_UID={ann}")
    assert core.get(VM, core.call(0, "one.template.instantiate", template, "", True)).uid == ann
    other = core.user("bob")
    oid = core.call(0, "one.template.instantiate", template, "", True, f"AS_UID={other}")
    assert core.get(VM, oid).uid == other


def test_names_of_images_are_the_owners(core: Core) -> None:
    ann = core.user("ann")
    image = ready(core, "NAME=mine\nTYPE=DATABLOCK\nSIZE=64", ann)
    oid = core.call(0, "one.vm.allocate", f'{SMALL}AS_UID={ann}\nDISK=[IMAGE="mine"]', True)
    assert core.get(Image, image).vms == {oid}


def test_only_who_may_manage_a_user_makes_things_for_them(core: Core) -> None:
    ann, bob = core.user("ann"), core.user("bob")
    for stated in (f"AS_UID={bob}", "AS_UID=0", "AS_GID=0"):
        error = core.fails(ann, "one.vm.allocate", f"{SMALL}{stated}", True)
        assert error.code is Code.AUTHORIZATION
    assert core.get(VM, core.call(ann, "one.vm.allocate", f"{SMALL}AS_UID={ann}", True)).uid == ann


@pytest.mark.parametrize(
    ("stated", "code", "words"),
    [
        ("AS_UID=77", Code.NO_EXISTS, "Error getting user [77]."),
        ("AS_GID=77", Code.NO_EXISTS, "Error getting group [77]."),
        ("AS_UID=me", Code.INTERNAL, "AS_UID must be an id, not 'me'."),
    ],
)
def test_somebody_who_is_not_there_gets_nothing(core: Core, stated: str, code: Code, words: str) -> None:
    assert sentence(core.fails(0, "one.vm.allocate", f"{SMALL}{stated}", True)) == (code, words)


def test_a_network_of_a_template_is_made_for_a_user(core: Core) -> None:
    ann = core.user("ann")
    template = core.call(0, "one.vntemplate.allocate", "NAME=t\nVN_MAD=bridge")
    oid = core.call(0, "one.vntemplate.instantiate", template, "net", f"AS_UID={ann}\nAS_GID=1")
    network = core.get(VirtualNetwork, oid)
    assert (network.uid, network.gname) == (ann, "users")
    assert "AS_UID" not in network.template
