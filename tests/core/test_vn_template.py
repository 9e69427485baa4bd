"""Virtual network templates: registered, copied, and made into networks."""

from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema
from tests.core.test_vm_allocate import without

from merope.model.cluster import Cluster
from merope.model.errors import Code
from merope.model.vn_template import VnTemplate
from merope.model.vnet import VirtualNetwork

ANN, BOB = 2, 3
PLAIN = "NAME=vlan\nVN_MAD=dummy\nBRIDGE=b0\nNOTE=x"
USE_IT = (-1, -1, -1, 1, -1, -1, -1, -1, -1)


@pytest.fixture
def core() -> Core:
    """Ann's template 0; her group may make network templates, and choose their drivers."""
    made = Core(vnet_restricted_attr=("PHYDEV", "VLAN_ID"))
    assert (made.user("ann"), made.user("bob")) == (ANN, BOB)
    made.call(0, "one.acl.addrule", "0x200000001", "0x40000400000000", "0x8", "0x100000000")
    assert made.call(ANN, "one.vntemplate.allocate", PLAIN) == 0
    return made


def network(core: Core, oid: int = 0) -> VirtualNetwork:
    return core.get(VirtualNetwork, oid)


def test_a_template_is_the_recorded_one() -> None:
    core = Core()
    core.call(0, "one.vntemplate.allocate", "NAME=vlan\nVN_MAD=dummy\nBRIDGE=b0")
    ours = ElementTree.fromstring(core.call(0, "one.vntemplate.info", 0))
    assert flat(without(ours, "REGTIME")) == flat(without(example("vntemplate.xml"), "REGTIME"))
    assert core.get(VnTemplate, 0).regtime == core.now


def test_documents_are_valid(core: Core) -> None:
    core.call(ANN, "one.vntemplate.lock", 0, 1)
    check_schema(core.call(ANN, "one.vntemplate.info", 0), "vntemplate")
    check_schema(core.call(ANN, "one.vntemplatepool.info", -2, -1, -1), "vntemplate_pool")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("VN_MAD=dummy", "Invalid NAME, it cannot be empty"),
        (PLAIN, "NAME is already taken by VN TEMPLATE 0."),
        ("NAME=x", "No VN_MAD in template for Virtual Network Template."),
        ("NAME=x\nVN_MAD=magic", 'VN_MAD named "magic" is not defined in oned.conf'),
    ],
)
def test_what_makes_no_template_is_refused(core: Core, template: str, words: str) -> None:
    assert sentence(core.fails(ANN, "one.vntemplate.allocate", template)) == (Code.INTERNAL, words)


def test_what_is_for_administrators_only_is_refused_to_others(core: Core) -> None:
    text = "NAME=phys\nVN_MAD=dummy\nPHYDEV=eth0"
    assert sentence(core.fails(ANN, "one.vntemplate.allocate", text)) == (
        Code.AUTHORIZATION,
        "User [2] : Template includes a restricted attribute PHYDEV.",
    )
    assert core.call(0, "one.vntemplate.allocate", text) == 1
    assert sentence(core.fails(ANN, "one.vntemplate.update", 0, "PHYDEV=eth0", 1)) == (
        Code.INTERNAL,
        "Cannot update template. Tried to change restricted attribute: PHYDEV",
    )


def test_drivers_are_chosen_by_administrators_unless_configured_otherwise() -> None:
    core = Core()
    ann = core.user("ann")
    core.call(0, "one.acl.addrule", "0x200000001", "0x40000400000000", "0x8", "0x100000000")
    assert sentence(core.fails(ann, "one.vntemplate.allocate", PLAIN)) == (
        Code.AUTHORIZATION,
        "User [2] : Template includes a restricted attribute VN_MAD.",
    )


def test_a_template_keeps_a_driver(core: Core) -> None:
    assert sentence(core.fails(ANN, "one.vntemplate.update", 0, "NOTE=y", 0)) == (
        Code.INTERNAL,
        "Cannot update template. No VN_MAD in template for Virtual Network Template.",
    )
    core.call(ANN, "one.vntemplate.update", 0, "NOTE=y", 1)
    assert core.get(VnTemplate, 0).template.get("NOTE") == "y"


def test_a_copy_is_the_callers(core: Core) -> None:
    core.call(ANN, "one.vntemplate.chmod", 0, *USE_IT)
    copy = core.get(VnTemplate, core.call(BOB, "one.vntemplate.clone", 0, "vlan"))
    assert (copy.name, copy.uid, copy.template.get("BRIDGE")) == ("vlan", BOB, "b0")


def test_a_copy_needs_another_name_and_the_right_to_use(core: Core) -> None:
    assert sentence(core.fails(ANN, "one.vntemplate.clone", 0, "vlan")) == (
        Code.ALLOCATE,
        "Error allocating a new virtual network template. NAME is already taken by VN TEMPLATE 0.",
    )
    assert core.fails(BOB, "one.vntemplate.clone", 0, "mine").code is Code.AUTHORIZATION


def test_a_deleted_template_leaves_its_networks(core: Core) -> None:
    core.call(ANN, "one.vntemplate.instantiate", 0, "one", "")
    core.call(ANN, "one.vntemplate.delete", 0)
    assert not core.exists(VnTemplate, 0)
    assert network(core).name == "one"
    assert core.fails(ANN, "one.vntemplate.delete", 0).code is Code.NO_EXISTS


def test_a_network_is_made_of_a_template_by_who_may_use_it(core: Core) -> None:
    core.call(ANN, "one.vntemplate.chmod", 0, *USE_IT)
    oid = core.call(BOB, "one.vntemplate.instantiate", 0, "mine", "")
    made = network(core, oid)
    assert (made.name, made.uid, made.bridge, made.vn_mad) == ("mine", BOB, "b0", "dummy")
    assert (made.template.get("TEMPLATE_ID"), made.template.get("TEMPLATE_NAME")) == ("0", "vlan")
    assert made.clusters == {0}
    assert core.get(Cluster, 0).vnets == {oid}
    check_schema(core.call(BOB, "one.vn.info", oid), "vnet")


def test_what_is_given_besides_is_merged_over_the_template(core: Core) -> None:
    core.call(ANN, "one.vntemplate.instantiate", 0, "one", 'NOTE=z\nAR=[TYPE=IP4,IP="10.0.0.1",SIZE=5]')
    made = network(core)
    assert made.template.get("NOTE") == "z"
    assert [ranged.size for ranged in made.ar_pool] == [5]


def test_what_is_given_besides_may_not_be_restricted(core: Core) -> None:
    assert sentence(core.fails(ANN, "one.vntemplate.instantiate", 0, "one", "VLAN_ID=7")) == (
        Code.AUTHORIZATION,
        "User [2] : User Template includes a restricted attribute VLAN_ID.",
    )


def test_a_network_without_a_name_is_refused(core: Core) -> None:
    assert sentence(core.fails(ANN, "one.vntemplate.instantiate", 0, "", "")) == (
        Code.ALLOCATE,
        "Error allocating a new virtual network template. No NAME in template for Virtual Network.",
    )


def test_a_network_is_in_the_clusters_that_its_template_lists_and_that_are_there(core: Core) -> None:
    assert core.call(0, "one.cluster.allocate", "east") == 100
    core.call(ANN, "one.vntemplate.update", 0, 'CLUSTER_IDS="100, 7,0"', 1)
    core.call(ANN, "one.vntemplate.instantiate", 0, "one", "")
    assert network(core).clusters == {0, 100}


def test_a_lock_for_use_refuses_instances(core: Core) -> None:
    core.call(ANN, "one.vntemplate.lock", 0, 1)
    assert sentence(core.fails(ANN, "one.vntemplate.instantiate", 0, "one", "")) == (
        Code.AUTHORIZATION,
        "User [2] : VNTEMPLATE is locked. [0].",
    )
    core.call(ANN, "one.vntemplate.unlock", 0)
    core.call(ANN, "one.vntemplate.instantiate", 0, "one", "")


def test_names_are_the_owners_own(core: Core) -> None:
    core.call(BOB, "one.vntemplate.allocate", PLAIN)
    assert sentence(core.fails(0, "one.vntemplate.chown", 1, ANN, -1)) == (
        Code.INTERNAL,
        "user [2] already owns virtual network template [0] with NAME vlan",
    )
    core.call(ANN, "one.vntemplate.allocate", "NAME=other\nVN_MAD=dummy")
    assert sentence(core.fails(ANN, "one.vntemplate.rename", 2, "vlan")) == (
        Code.ACTION,
        "virtual network template cannot be renamed to vlan because it collides with "
        "virtual network template 0",
    )
