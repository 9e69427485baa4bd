"""The methods that kinds have alike, on every kind that has them: what they do, and what they refuse."""

from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, Cloud

from merope.core import generic
from merope.core.generic import Common
from merope.core.transaction import SYSTEM
from merope.model.document import Document
from merope.model.errors import Code
from merope.model.kinds import BY_DOCUMENT
from merope.model.marketplace_app import MarketplaceApp
from merope.model.permissions import Permissions
from merope.model.vrouter import VirtualRouter

SHELF = 'NAME="shelf"\nMARKET_MAD="http"\nBASE_URL="http://localhost/"\nPUBLIC_DIR="/tmp"'
NOWHERE = 9999
FIRST_BIT = (1, -1, -1, -1, -1, -1, -1, -1, -1)


@dataclass
class World:
    """A cloud with an object of every kind, those that have owners ann's; bob is a stranger."""

    cloud: Cloud = field(default_factory=Cloud)
    bob: int = -1
    ids: dict[type[Document], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        call = self.cloud.call
        self.bob = self.cloud.user("bob")
        made = {
            "vm": self.cloud.vm(),
            "host": 0,
            "cluster": call(0, "one.cluster.allocate", "east"),
            "datastore": 1,
            "image": 0,
            "vn": 0,
            "secgroup": call(0, "one.secgroup.allocate", "NAME=web\nRULE=[PROTOCOL=ALL,RULE_TYPE=inbound]"),
            "template": call(ANN, "one.template.allocate", "NAME=t\nCPU=1\nMEMORY=1"),
            "user": ANN,
            "group": call(0, "one.group.allocate", "team"),
            "zone": 0,
            "vdc": call(0, "one.vdc.allocate", "NAME=centre"),
            "market": call(0, "one.market.allocate", SHELF),
            "marketapp": 0,
            "vrouter": 0,
            "vmgroup": call(0, "one.vmgroup.allocate", "NAME=tier\nROLE=[NAME=db]"),
            "vntemplate": call(0, "one.vntemplate.allocate", "NAME=vlan\nVN_MAD=dummy"),
            "document": call(0, "one.document.allocate", "NAME=doc", 100),
            "hook": call(0, "one.hook.allocate", "NAME=h\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=x"),
        }
        self.ids = {common.kind: made[BY_DOCUMENT[common.kind].api] for common in generic.TABLE}
        tx = self.cloud.transaction(SYSTEM)
        owner = (0, 0, "oneadmin", "oneadmin")
        tx.add(MarketplaceApp(tx.new_id(MarketplaceApp), *owner, "app", Permissions()))
        tx.add(VirtualRouter(tx.new_id(VirtualRouter), *owner, "edge", Permissions()))
        self.cloud.commit(tx)
        for common in generic.TABLE:
            if common.owned:
                call(0, f"one.{api(common)}.chown", self.ids[common.kind], ANN, 1)

    def document(self, common: Common) -> Element:
        return ElementTree.fromstring(self.cloud.call(0, f"one.{api(common)}.info", self.ids[common.kind]))


def api(common: Common) -> str:
    return BY_DOCUMENT[common.kind].api


def label(common: Common) -> str:
    return BY_DOCUMENT[common.kind].label


def where(*, having: str = "") -> list[Common]:
    return [common for common in generic.TABLE if not having or getattr(common, having)]


def kinds(having: str = "") -> pytest.MarkDecorator:
    return pytest.mark.parametrize("common", where(having=having), ids=api)


@pytest.fixture
def world() -> World:
    return World()


@kinds()
def test_the_document_of_an_object_names_it(world: World, common: Common) -> None:
    found = world.document(common)
    assert found.findtext("ID") == str(world.ids[common.kind])
    assert found.findtext("NAME") == world.cloud.get(common.kind, world.ids[common.kind]).name


@kinds()
def test_what_is_not_there_is_named(world: World, common: Common) -> None:
    error = world.cloud.fails(0, f"one.{api(common)}.info", NOWHERE)
    assert sentence(error) == (Code.NO_EXISTS, f"Error getting {label(common)} [{NOWHERE}].")


@kinds("filtered")
def test_a_list_has_the_object_and_refuses_a_filter_that_is_none(world: World, common: Common) -> None:
    method = f"one.{api(common)}pool.info"
    more = {"vm": (-1,), "document": (100,)}.get(api(common), ())
    pool = ElementTree.fromstring(world.cloud.call(0, method, -2, -1, -1, *more))
    assert str(world.ids[common.kind]) in [found.findtext("ID") for found in pool]
    error = world.cloud.fails(0, method, -5, -1, -1, *more)
    assert error.code is Code.XML_RPC_API
    assert error.message.startswith("Incorrect filter_flag")


@pytest.mark.parametrize(
    "common", [common for common in generic.TABLE if not common.filtered], ids=lambda common: api(common)
)
def test_a_list_without_filters_has_the_object(world: World, common: Common) -> None:
    pool = ElementTree.fromstring(world.cloud.call(0, f"one.{api(common)}pool.info"))
    assert str(world.ids[common.kind]) in [found.findtext("ID") for found in pool]


@kinds("updated")
def test_an_update_merges_attributes_and_strangers_make_none(world: World, common: Common) -> None:
    method, oid = f"one.{api(common)}.update", world.ids[common.kind]
    before = world.document(common)
    assert world.cloud.call(0, method, oid, 'NOTE="new"', 1) == oid
    after = world.document(common)
    holder = "USER_TEMPLATE" if api(common) == "vm" else "TEMPLATE"
    assert after.findtext(f"{holder}/NOTE") == "new"
    kept = {found.tag for found in before.find(holder) or ()}
    assert kept <= {found.tag for found in after.find(holder) or ()}
    assert world.cloud.fails(world.bob, method, oid, 'NOTE="other"', 1).code is Code.AUTHORIZATION
    assert world.cloud.fails(0, method, NOWHERE, 'NOTE="other"', 1).code is Code.NO_EXISTS


@kinds("renamed")
def test_a_new_name_is_shown_and_strangers_give_none(world: World, common: Common) -> None:
    method, oid = f"one.{api(common)}.rename", world.ids[common.kind]
    assert world.cloud.call(0, method, oid, "new") == oid
    assert world.document(common).findtext("NAME") == "new"
    assert sentence(world.cloud.fails(0, method, oid, "a;b")) == (
        Code.ACTION,
        "Invalid NAME, char ';' is not allowed",
    )
    assert world.cloud.fails(world.bob, method, oid, "other").code is Code.AUTHORIZATION


@kinds("owned")
def test_an_object_changes_hands_and_is_not_taken(world: World, common: Common) -> None:
    method, oid = f"one.{api(common)}.chown", world.ids[common.kind]
    assert world.cloud.fails(world.bob, method, oid, world.bob, -1).code is Code.AUTHORIZATION
    assert world.cloud.call(0, method, oid, world.bob, 0) == oid
    found = world.document(common)
    owner = [found.findtext(tag) for tag in ("UID", "GID", "UNAME", "GNAME")]
    assert owner == [str(world.bob), "0", "bob", "oneadmin"]


@kinds("owned")
def test_bits_are_set_and_others_are_refused(world: World, common: Common) -> None:
    method, oid = f"one.{api(common)}.chmod", world.ids[common.kind]
    assert world.cloud.call(0, method, oid, *FIRST_BIT[:-1], 1) == oid
    permissions = world.document(common).find("PERMISSIONS")
    assert permissions is not None
    assert [permissions.findtext(tag) for tag in ("OWNER_U", "OTHER_A")] == ["1", "1"]
    assert sentence(world.cloud.fails(0, method, oid, *FIRST_BIT[:-1], 2)) == (
        Code.INTERNAL,
        "New permission values must be -1, 0 or 1",
    )
    assert world.cloud.fails(world.bob, method, oid, *FIRST_BIT).code is Code.AUTHORIZATION


@kinds("lockable")
def test_a_lock_refuses_from_its_level_on_until_it_is_taken_off(world: World, common: Common) -> None:
    oid, call = world.ids[common.kind], world.cloud.call
    kind, rename = BY_DOCUMENT[common.kind], f"one.{api(common)}.rename"
    assert world.cloud.fails(0, f"one.{api(common)}.lock", oid, 5).code is Code.ACTION
    for level, refused in ((1, True), (2, True), (3, False), (4, False)):
        assert call(0, f"one.{api(common)}.lock", oid, level) == oid
        assert world.document(common).findtext("LOCK/LOCKED") == str(level)
        if refused:
            error = world.cloud.fails(0, rename, oid, "other")
            assert sentence(error) == (
                Code.AUTHORIZATION,
                f"User [0] : {kind.type.name} is locked. [{oid}].",
            )
        else:
            call(0, rename, oid, f"name{level}")
        assert call(0, f"one.{api(common)}.unlock", oid) == oid
        assert world.document(common).find("LOCK") is None
    assert world.cloud.fails(world.bob, f"one.{api(common)}.unlock", oid).code is Code.AUTHORIZATION
