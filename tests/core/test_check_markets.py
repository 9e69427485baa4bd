"""What is wrong with marketplaces and apps is found, and put right where that is certain."""

from collections.abc import Callable

import pytest
from tests.core.conftest import Core
from tests.core.test_image import ready
from tests.core.test_marketplace import SHELF, imported, offer

from merope.core import check_counts, check_markets, check_relations
from merope.core.check import Finding
from merope.core.transaction import SYSTEM, Transaction
from merope.model.document import Ids
from merope.model.image import Image
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.states import AppState

CHECKS = (*check_markets.CHECKS, check_counts.images, check_relations.effects)


def findings(core: Core) -> list[Finding]:
    return [found for check in CHECKS for found in check(core.state)]


def damage(core: Core, change: Callable[[Transaction], object]) -> list[Finding]:
    tx = core.transaction(SYSTEM)
    change(tx)
    core.commit(tx)
    return findings(core)


def repair(core: Core, found: list[Finding]) -> list[Finding]:
    tx = core.transaction(SYSTEM)
    for item in found:
        assert item.repair is not None, item.sentence
        item.repair(tx)
    core.commit(tx)
    return findings(core)


@pytest.fixture
def core() -> Core:
    """App 0 is in marketplace 100, app 1 is being made of image 1."""
    made = Core()
    made.call(0, "one.market.allocate", SHELF)
    offer(made, 100, ready(made))
    imported(made)
    second = ready(made, "NAME=other\nTYPE=DATABLOCK\nSIZE=64\nPERSISTENT=YES")
    made.call(0, "one.marketapp.allocate", f"NAME=second\nORIGIN_ID={second}", 100)
    return made


def test_a_cloud_with_apps_has_nothing_wrong(core: Core) -> None:
    assert findings(core) == []
    core.call(0, "one.marketapp.delete", 0)
    assert findings(core) == []


def test_a_marketplace_lists_its_apps(core: Core) -> None:
    found = damage(core, lambda tx: tx.edit(Marketplace, 100).marketplaceapps.discard(1))
    assert [item.sentence for item in found] == [
        "marketplace 100: marketplaceapps [0] are stored, [0, 1] belong to it"
    ]
    assert repair(core, found) == []


def test_an_image_counts_the_apps_that_are_made_of_it(core: Core) -> None:
    def forget(tx: Transaction) -> None:
        own = tx.edit(Image, 1)
        own.app_clones, own.cloning_ops = Ids(), 0

    found = damage(core, forget)
    assert len(found) == 1
    assert "and the apps [1]" in found[0].sentence
    assert repair(core, found) == []


def test_an_app_that_waits_for_nothing_is_in_error(core: Core) -> None:
    found = damage(core, lambda tx: tx.drop_effects("marketapp", 1))
    assert [item.sentence for item in found] == [
        "marketplaceapp 1: it is LOCKED and waits for marketapp.import, which is not under way"
    ]
    again = repair(core, found)
    assert core.get(MarketplaceApp, 1).state == AppState.ERROR
    # Its image is no longer cloned then.
    assert repair(core, again) == []
