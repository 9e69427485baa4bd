"""Objects that zones of a federation write at their master."""

import pytest
from tests.core.conftest import Core, sentence
from tests.core.test_marketplace import SHELF

from merope.model.errors import Code
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.zone import Zone

APP = MarketplaceApp(9, 0, 0, "oneadmin", "oneadmin", "far", zone_id="5", marketplace_id=100, marketplace="x")


@pytest.fixture
def market(core: Core) -> int:
    oid = core.call(0, "one.market.allocate", SHELF)
    assert isinstance(oid, int)
    return oid


def test_a_marketplace_of_another_zone_gets_an_id_of_ours(core: Core) -> None:
    far = Marketplace(3, 0, 0, "oneadmin", "oneadmin", "far", market_mad="http", zone_id="5")
    oid = core.call(0, "one.market.allocatedb", far.to_xml())
    assert (oid, core.get(Marketplace, oid).zone_id) == (100, "5")
    error = core.fails(0, "one.market.allocatedb", far.to_xml())
    assert sentence(error) == (Code.INTERNAL, "NAME is already taken by MARKETPLACE 100.")


def test_an_app_of_another_zone_comes_and_goes(core: Core, market: int) -> None:
    oid = core.call(0, "one.marketapp.allocatedb", APP.to_xml())
    assert core.get(MarketplaceApp, oid).zone_id == "5"
    assert core.get(Marketplace, market).marketplaceapps == {oid}
    assert core.call(0, "one.marketapp.dropdb", oid) == oid
    assert core.get(Marketplace, market).marketplaceapps == set()
    assert core.fails(0, "one.marketapp.dropdb", oid).code is Code.NO_EXISTS


@pytest.mark.parametrize(("kind", "api"), [(Zone, "zone"), (Marketplace, "market")])
def test_a_document_replaces_the_one_that_is_known(core: Core, kind: type, api: str) -> None:
    xml = core.call(0, f"one.{api}.info", 0).replace("<TEMPLATE>", "<TEMPLATE><NEW><![CDATA[1]]></NEW>")
    assert core.call(0, f"one.{api}.updatedb", 0, xml) == 0
    assert "<NEW><![CDATA[1]]></NEW>" in core.call(0, f"one.{api}.info", 0)
    assert core.get(kind, 0).template.get("NEW") == "1"


def test_an_app_is_updated_by_its_document(core: Core, market: int) -> None:
    oid = core.call(0, "one.marketapp.allocatedb", APP.to_xml())
    xml = core.call(0, "one.marketapp.info", oid)
    core.call(
        0, "one.marketapp.updatedb", oid, xml.replace("<VERSION><![CDATA[]]>", "<VERSION><![CDATA[2]]>")
    )
    assert core.get(MarketplaceApp, oid).version == "2"


@pytest.mark.parametrize("api", ["zone", "market"])
def test_what_is_no_such_document_changes_nothing(core: Core, api: str) -> None:
    own = core.call(0, f"one.{api}.info", 0)
    for xml in (
        "",
        "<",
        "<ZONE_POOL/>",
        "<ZONE/>",
        "<MARKETPLACE/>",
        own.replace("<ID>0</ID>", "<ID>7</ID>"),
    ):
        assert core.fails(0, f"one.{api}.updatedb", 0, xml).code is Code.INTERNAL
    assert core.fails(0, f"one.{api}.updatedb", 4711, own).code is Code.NO_EXISTS
    bad = own.replace(f"<NAME>{'OpenNebula' if api == 'zone' else 'OpenNebula Public'}<", "<NAME>a:b<")
    assert core.fails(0, f"one.{api}.updatedb", 0, bad).code is Code.INTERNAL


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("one.market.allocatedb", ("",)),
        ("one.market.updatedb", (0, "")),
        ("one.marketapp.allocatedb", ("",)),
        ("one.marketapp.updatedb", (0, "")),
        ("one.marketapp.dropdb", (0,)),
        ("one.zone.updatedb", (0, "")),
    ],
)
def test_only_oneadmin_may(core: Core, name: str, arguments: tuple[object, ...]) -> None:
    assert core.fails(core.user("ann", 0), name, *arguments).code is Code.AUTHORIZATION
