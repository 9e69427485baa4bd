"""Marketplaces and their apps: images offered, apps found by monitoring, images made of apps."""

import base64
import json
from xml.etree import ElementTree

import pytest
from tests.core.conftest import Core, example, flat, sentence
from tests.core.schemas import check_schema
from tests.core.test_image import ready, state

from merope.core import marketplace_app, results
from merope.core.transaction import SYSTEM
from merope.model.errors import Code
from merope.model.image import Image
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.states import AppState, AppType, ImageState

SHELF = 'NAME="shelf"\nMARKET_MAD="http"\nBASE_URL="http://localhost/"\nPUBLIC_DIR="/tmp"'
FOUND = {"source": "http://localhost/abc", "md5": "0" * 32, "size": "64", "format": "raw"}


@pytest.fixture
def market(core: Core) -> int:
    oid = core.call(0, "one.market.allocate", SHELF)
    assert isinstance(oid, int)
    return oid


def offer(core: Core, market: int, image: int, more: str = "", who: int = 0) -> int:
    oid = core.call(who, "one.marketapp.allocate", f"NAME=app\nORIGIN_ID={image}\n{more}", market)
    assert isinstance(oid, int)
    return oid


def imported(core: Core, data: dict[str, str] = FOUND) -> None:
    for effect in core.effects("marketapp.import"):
        tx = core.transaction(SYSTEM)
        results.take_result(tx, effect.id, True, "", data)
        core.commit(tx)


def offered(core: Core, market: int, image: int, more: str = "") -> int:
    oid = offer(core, market, image, more)
    imported(core)
    return oid


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def monitor(core: Core, market: int, *apps: str) -> bool:
    tx = core.transaction(SYSTEM)
    changed = marketplace_app.monitored(tx, market, 100, 40, 60, json.dumps([encoded(app) for app in apps]))
    core.commit(tx)
    return changed


def test_the_document_of_a_marketplace_is_the_recorded_one(core: Core, market: int) -> None:
    document = core.call(0, "one.market.info", market)
    assert flat(ElementTree.fromstring(document)) == flat(example("market.xml"))
    check_schema(document, "marketplace")


def test_an_image_is_locked_in_as_an_app_until_it_is_in_the_marketplace(core: Core, market: int) -> None:
    image = ready(core)
    app = offer(core, market, image, 'DESCRIPTION="small"\nVERSION="1.2"\nSIZE=7\nAPPTEMPLATE64="QQ=="')
    locked = core.get(MarketplaceApp, app)
    assert (locked.state, locked.type, locked.size) == (AppState.LOCKED, AppType.IMAGE, 0)
    assert (locked.description, locked.version, locked.apptemplate64) == ("small", "1.2", "QQ==")
    assert "ORIGIN_ID" not in locked.template
    assert core.get(Image, image).app_clones == {app}
    assert state(core, image) is ImageState.USED
    imported(core)
    done = core.get(MarketplaceApp, app)
    assert (done.state, done.source, done.md5, done.size, done.format) == (
        AppState.READY,
        FOUND["source"],
        FOUND["md5"],
        64,
        "raw",
    )
    assert core.get(Image, image).app_clones == set()
    assert state(core, image) is ImageState.READY
    assert core.get(Marketplace, market).marketplaceapps == {app}
    check_schema(core.call(0, "one.marketapp.info", app), "marketplaceapp")
    check_schema(core.call(0, "one.marketapppool.info", -2, -1, -1), "marketplaceapp_pool")


def test_a_persistent_image_that_is_offered_is_cloned_meanwhile(core: Core, market: int) -> None:
    image = ready(core, "NAME=disk\nTYPE=DATABLOCK\nSIZE=64\nPERSISTENT=YES")
    offer(core, market, image)
    assert state(core, image) is ImageState.CLONE
    assert core.fails(0, "one.image.delete", image).code is Code.ACTION


@pytest.mark.parametrize("data", [{}, {**FOUND, "md5": ""}, {**FOUND, "size": "x"}])
def test_an_app_whose_driver_does_not_say_all_is_in_error(
    core: Core, market: int, data: dict[str, str]
) -> None:
    app = offer(core, market, ready(core))
    imported(core, data)
    assert core.get(MarketplaceApp, app).state == AppState.ERROR
    assert "Missing app attributes." in core.get(MarketplaceApp, app).template.get("ERROR")


def test_an_app_that_could_not_be_imported_says_why_and_frees_its_image(core: Core, market: int) -> None:
    image = ready(core)
    app = offer(core, market, image)
    core.answer(ok=False, message="no room", op="marketapp.import")
    said = core.get(MarketplaceApp, app)
    assert said.state == AppState.ERROR
    assert said.template.get("ERROR").endswith("Error importing app into marketplace: no room")
    assert state(core, image) is ImageState.READY


def test_templates_are_offered_without_a_driver(core: Core, market: int) -> None:
    for number, word in enumerate(("VMTEMPLATE", "service_template")):
        source = f"NAME=t{number}\nTYPE={word}\nORIGIN_ID=-1"
        app = core.get(MarketplaceApp, core.call(0, "one.marketapp.allocate", source, market))
        assert (app.state, app.type) == (AppState.READY, AppType.VMTEMPLATE + number)
    assert core.effects("marketapp") == []


@pytest.mark.parametrize(
    ("source", "market_id", "words"),
    [
        ("NAME=a\nORIGIN_ID=0", 4711, "Cannot find associated MARKETPLACE"),
        ("NAME=a\nORIGIN_ID=0", 0, "Create disabled for market: OpenNebula Public"),
        ("NAME=a", 100, "Missing ORIGIN_ID for the MARKETPLACEAPP"),
        ("NAME=a\nORIGIN_ID=9", 100, "Image does not exist."),
        ("NAME=a\nORIGIN_ID=x", 100, "Image does not exist."),
        ("NAME=a\nORIGIN_ID=0\nTYPE=movie", 100, "Marketplace app type not supported."),
        ("ORIGIN_ID=0", 100, "Invalid NAME, it cannot be empty"),
    ],
)
def test_what_cannot_be_offered(core: Core, market: int, source: str, market_id: int, words: str) -> None:
    ready(core)
    error = core.fails(0, "one.marketapp.allocate", source, market_id)
    assert sentence(error) == (Code.INTERNAL, words)


def test_a_name_is_an_owners_only_once(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    error = core.fails(0, "one.marketapp.allocate", "NAME=app\nORIGIN_ID=0", market)
    assert sentence(error) == (Code.INTERNAL, f"NAME is already taken by MARKETPLACEAPP {app}.")


def test_a_user_offers_only_images_that_the_user_may_use_and_with_the_right_to(
    core: Core, market: int
) -> None:
    image, ann = ready(core), core.user("ann")
    source = f"NAME=mine\nORIGIN_ID={image}"
    assert core.fails(ann, "one.marketapp.allocate", source, market).code is Code.AUTHORIZATION
    core.call(0, "one.acl.addrule", hex(0x100000000 | ann), hex(0x10000400000000), "0x8", "0x400000000")
    assert core.fails(ann, "one.marketapp.allocate", source, market).code is Code.AUTHORIZATION
    core.call(0, "one.image.chmod", image, *(-1,) * 6, 1, -1, -1)
    assert core.get(MarketplaceApp, core.call(ann, "one.marketapp.allocate", source, market)).uname == "ann"


def test_enabling_and_disabling_is_for_ready_apps(core: Core, market: int) -> None:
    app = offer(core, market, ready(core))
    assert core.call(0, "one.marketapp.enable", app, False) == app
    assert core.get(MarketplaceApp, app).state == AppState.LOCKED
    imported(core)
    core.call(0, "one.marketapp.enable", app, False)
    assert core.get(MarketplaceApp, app).state == AppState.DISABLED
    core.call(0, "one.marketapp.enable", app, True)
    assert core.get(MarketplaceApp, app).state == AppState.READY


def test_what_a_driver_found_out_cannot_be_updated(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    core.call(0, "one.marketapp.update", app, 'SOURCE="evil"\nMD5=x\nVERSION=2\nDESCRIPTION="new"\nA=b', 0)
    own = core.get(MarketplaceApp, app)
    assert (own.source, own.md5, own.version, own.description) == (
        FOUND["source"],
        FOUND["md5"],
        "2",
        "new",
    )
    assert own.template.names() == ["A", "DESCRIPTION", "VERSION"]


def test_a_deleted_app_leaves_its_marketplace_and_its_content_is_removed(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    assert core.call(0, "one.marketapp.delete", app) == app
    assert not core.exists(MarketplaceApp, app)
    assert core.get(Marketplace, market).marketplaceapps == set()
    [effect] = core.effects("marketapp.delete")
    assert FOUND["source"] in str(effect.arguments["app"])
    core.answer(op="marketapp.delete")
    assert core.effects() == []


def test_an_app_that_is_deleted_while_it_is_imported_frees_its_image(core: Core, market: int) -> None:
    image = ready(core)
    app = offer(core, market, image)
    core.call(0, "one.marketapp.delete", app)
    assert state(core, image) is ImageState.READY
    assert [effect.op for effect in core.effects()] == ["marketapp.delete"]


def test_an_app_of_a_public_marketplace_or_of_another_zone_stays(core: Core) -> None:
    monitor(core, 0, 'NAME="tty"\nSOURCE="http://x/y"\nSIZE=40')
    error = core.fails(0, "one.marketapp.delete", 0)
    assert sentence(error) == (
        Code.ACTION,
        "Cannot delete marketplaceapp. Delete disabled for market: OpenNebula Public",
    )
    tx = core.transaction(SYSTEM)
    tx.edit(MarketplaceApp, 0).zone_id = "7"
    core.commit(tx)
    error = core.fails(0, "one.marketapp.delete", 0)
    assert error.message == "Cannot delete marketplaceapp. Marketapp can only be deleted from zone 7"


def test_a_marketplace_with_apps_stays_but_a_public_one_goes_with_them(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    error = core.fails(0, "one.market.delete", market)
    assert error.message == f"Cannot delete marketplace. marketplace  {market} is not empty."
    monitor(core, 0, 'NAME="tty"\nSOURCE="http://x/y"\nSIZE=40')
    core.call(0, "one.market.delete", 0)
    assert list(core.state.pools["marketplaceapp_pool"].entries) == [app]


def test_apps_show_the_new_name_of_their_marketplace(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    core.call(0, "one.market.rename", market, "board")
    assert core.get(MarketplaceApp, app).marketplace == "board"


def test_monitoring_creates_the_apps_that_a_marketplace_names(core: Core) -> None:
    tty = (
        'NAME="tty"\nSOURCE="http://x/y"\nMD5="ab"\nSIZE="40"\nFORMAT="raw"\nREGTIME="1465417039"\nZONE_ID="9"\n'
        'ORIGIN_ID="5"\nVERSION="1.0"\nDESCRIPTION="tiny"\nPUBLISHER="somebody"\nTYPE="IMAGE"'
    )
    assert monitor(core, 0, tty)
    market = core.get(Marketplace, 0)
    assert (market.total_mb, market.used_mb, market.free_mb) == (100, 40, 60)
    [oid] = market.marketplaceapps
    app = core.get(MarketplaceApp, oid)
    assert (app.name, app.source, app.size, app.regtime) == ("tty", "http://x/y", 40, 1465417039)
    assert (app.zone_id, app.origin_id, app.version, app.state) == ("0", "-1", "1.0", AppState.READY)
    assert app.template.names() == ["DESCRIPTION", "IMPORTED", "PUBLISHER", "VERSION"]
    assert app.permissions.to_octal() == "644"
    check_schema(core.call(core.user("ann"), "one.marketapp.info", oid), "marketplaceapp")


def test_monitoring_again_changes_nothing_and_what_is_gone_is_dropped(core: Core) -> None:
    one, two = 'NAME="one"\nSIZE=1', 'NAME="two"\nSIZE=1'
    monitor(core, 0, one, two)
    before = core.picture()
    assert not monitor(core, 0, one, two)
    assert core.picture() == before
    assert not monitor(core, 0)
    assert core.picture() == before
    assert monitor(core, 0, two)
    assert [app.name for app in map(core.state.pools["marketplaceapp_pool"].parsed, [1]) if app] == ["two"]
    assert core.get(Marketplace, 0).marketplaceapps == {1}


def test_a_reading_drops_no_app_that_a_user_put_there(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    monitor(core, market, 'NAME="found"\nSIZE=1')
    assert core.get(Marketplace, market).marketplaceapps == {app, app + 1}


def test_what_is_no_template_or_has_no_name_spoils_nothing(core: Core) -> None:
    tx = core.transaction(SYSTEM)
    bad = json.dumps(["%%%", encoded("NAME=\nSIZE=1"), encoded('NAME="a&b|c"\nSIZE=x'), encoded("[")])
    assert marketplace_app.monitored(tx, 0, 1, 1, 0, bad)
    core.commit(tx)
    names = [entry.name for entry in core.state.pools["marketplaceapp_pool"].entries.values()]
    assert len(names) == 2
    assert all(name.startswith("imported-") for name in names)


# Images of apps.


def image_of(core: Core, app: int, more: str = "", who: int = 0) -> Image:
    source = f"NAME=copy\nTYPE=OS\nFROM_APP={app}\n{more}"
    return core.get(Image, core.call(who, "one.image.allocate", source, 1))


def test_an_image_of_an_app_is_downloaded_from_where_the_app_is(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    image = image_of(core, app, 'PATH="/etc/passwd"', core.user("ann"))
    assert (image.path, image.size, image.state) == (FOUND["source"], 64, ImageState.LOCKED)
    facts = {name: image.template.get(name) for name in image.template.names() if "APP" in name}
    assert facts == {"FROM_APP": str(app), "FROM_APP_NAME": "app", "FROM_APP_MD5": FOUND["md5"]}
    assert image.template.get("FORMAT") == "raw"


def test_the_datastores_driver_counts_for_images_of_apps(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    assert image_of(core, app, "DRIVER=vmdk").template.get("DRIVER") == "vmdk"
    core.call(0, "one.image.delete", 1)
    core.call(0, "one.datastore.update", 1, "DRIVER=qcow2", 1)
    assert image_of(core, app, "DRIVER=vmdk").template.get("DRIVER") == ""


def test_no_image_is_made_of_an_app_that_is_not_ready_or_not_there_or_not_to_be_used(
    core: Core, market: int
) -> None:
    app = offered(core, market, ready(core))
    for source in ("NAME=x\nFROM_APP=77", "NAME=x\nFROM_APP=a"):
        assert core.fails(0, "one.image.allocate", source, 1).message.startswith("Cannot get app")
    core.call(0, "one.marketapp.enable", app, False)
    error = core.fails(0, "one.image.allocate", f"NAME=x\nFROM_APP={app}", 1)
    assert error.message == f"App {app} (IMAGE) in state DISABLED makes no image"
    core.call(0, "one.marketapp.enable", app, True)
    core.call(0, "one.marketapp.lock", app, 1, False)
    error = core.fails(0, "one.image.allocate", f"NAME=x\nFROM_APP={app}", 1)
    assert error.code is Code.AUTHORIZATION


def test_a_marketplace_has_its_driver_and_what_the_driver_needs(core: Core) -> None:
    oid = core.call(0, "one.market.allocate", SHELF)
    assert core.get(Marketplace, oid).market_mad == "http"
    for text, words in (
        ("NAME=x", "No MARKET_MAD in template."),
        ("NAME=x\nMARKET_MAD=magic", 'MARKET_MAD named "magic" is not defined in oned.conf'),
        (
            "NAME=x\nMARKET_MAD=http\nPUBLIC_DIR=/tmp",
            'MarketPlace template is missing the "BASE_URL" attribute or it\'s empty.',
        ),
        (SHELF, f"NAME is already taken by MARKETPLACE {oid}."),
    ):
        assert sentence(core.fails(0, "one.market.allocate", text)) == (Code.INTERNAL, words)


def test_apps_are_switched_by_who_manages_them(core: Core, market: int) -> None:
    app = offered(core, market, ready(core))
    assert core.fails(core.user("ann"), "one.marketapp.enable", app, False).code is Code.AUTHORIZATION
    assert core.fails(0, "one.marketapp.enable", 99, False).code is Code.NO_EXISTS
