"""Marketplaces and their apps: who lists them, whose images they are made of, what they wait for."""

from collections.abc import Iterator

from merope.core import vm_requests
from merope.core.check import Finding, every, finding, setting
from merope.core.check_relations import agree
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.state import State
from merope.model.states import AppState, AppType

IMPORT = "marketapp.import"


def clones(state: State) -> dict[int, set[int]]:
    """Image → the apps that are being made of it."""
    found: dict[int, set[int]] = {}
    for app in every(state, MarketplaceApp):
        image_id = vm_requests.whole(app.origin_id)
        if app.state == AppState.LOCKED and app.type == AppType.IMAGE and image_id is not None:
            found.setdefault(image_id, set()).add(app.id)
    return found


def memberships(state: State) -> Iterator[Finding]:
    """A marketplace lists exactly the apps that say they are in it."""
    pairs = ((app.marketplace_id, app.id) for app in every(state, MarketplaceApp))
    yield from agree(state, Marketplace, "marketplaceapps", pairs)


def imports(state: State) -> Iterator[Finding]:
    """An app that waits for its content has an operation that brings it, and no other app has one."""
    under_way = {effect.oid for effect in state.effects.values() if effect.op == IMPORT}
    for app in every(state, MarketplaceApp):
        if app.state == AppState.LOCKED and app.id not in under_way:
            repair = setting(MarketplaceApp, app.id, state=AppState.ERROR)
            yield finding(app, f"it is LOCKED and waits for {IMPORT}, which is not under way", repair)
        elif app.state != AppState.LOCKED and app.id in under_way:
            yield finding(app, f"it is {AppState(app.state).name}, but {IMPORT} is under way")


CHECKS = (memberships, imports)
