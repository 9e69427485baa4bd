"""Apps of marketplaces: what is offered in them, how an image becomes one, what a marketplace says it has.

Source: spec templates.yaml `marketapp`, states.yaml `marketplaceapp`, drivers.yaml `market`.
"""

import base64
import binascii
import hashlib
import json

from merope.core import acl, authorization, generic, image_use, results, vm_requests
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.transaction import ONEADMIN, ONEADMIN_GROUP, Transaction
from merope.model import names
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.effect import Effect
from merope.model.image import Image
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.permissions import ObjectType, Op, Permissions
from merope.model.states import AppState, AppType
from merope.model.template import Template, TemplateError

#: What a driver finds out; what a template says of it is left out.
_FOUND = ("SOURCE", "SIZE", "MD5", "FORMAT", "REGTIME", "ZONE_ID", "IMPORTED")
_DESCRIBED = (("DESCRIPTION", "description"), ("APPTEMPLATE64", "apptemplate64"), ("VERSION", "version"))
_FIRST_VERSION = "0.0"
#: Who owns what a marketplace says it has, and who may use it.
_ADMIN_NAME = "oneadmin"
_PUBLIC = Permissions.from_octal("644")
_NOT_IMPORTED = "Error importing app into marketplace"


@method(
    "one.marketapp.allocate",
    text("template"),
    integer("market"),
    needs=(Need(Op.CREATE, MarketplaceApp),),
    also="USE on the marketplace and on the image that is offered",
)
def allocate(tx: Transaction, source: str, market_id: int) -> int:
    """Offers an image of this zone in a marketplace: it is copied there; templates are offered as such."""
    template = generic.parse_template(source)
    market = _own_market(tx, market_id)
    name = generic.take_name(tx, MarketplaceApp, template, tx.caller.uid)
    kind = _type(template)
    if "ORIGIN_ID" not in template:
        raise generic.allocate_error("Missing ORIGIN_ID for the MARKETPLACEAPP")
    origin = template.get("ORIGIN_ID")
    for found in (*_FOUND, "ORIGIN_ID"):
        template.remove(found)
    app = MarketplaceApp(
        id=tx.new_id(MarketplaceApp),
        name=name,
        **generic.owned_by_caller(tx),
        regtime=tx.now,
        zone_id=str(tx.settings.zone_id),
        origin_id=origin,
        marketplace_id=market.id,
        marketplace=market.name,
        state=AppState.LOCKED if kind is AppType.IMAGE else AppState.READY,
        type=kind,
        template=template,
    )
    _describe(app)
    app.version = app.version or _FIRST_VERSION
    if kind is AppType.IMAGE:
        _export(tx, app, market, origin)
    tx.edit(Marketplace, market.id).marketplaceapps.add(app.id)
    tx.add(app)
    return app.id


def _own_market(tx: Transaction, market_id: int) -> Marketplace:
    market = tx.find(Marketplace, market_id)
    if market is None:
        raise generic.allocate_error("Cannot find associated MARKETPLACE")
    authorization.require(tx, authorization.on(Op.USE, market))
    if not supports(tx, market, "create"):
        raise generic.allocate_error(f"Create disabled for market: {market.name}")
    if market.zone_id != str(tx.settings.zone_id):
        raise generic.allocate_error("Marketplace is not in this OpenNebula zone")
    return market


def supports(tx: Transaction, market: Marketplace, action: str) -> bool:
    """Whether the configuration says that the marketplace's driver does the action (APP_ACTIONS)."""
    conf = tx.settings.market_mad_conf.get(market.market_mad, {})
    return action in conf.get("APP_ACTIONS", "").lower().replace(",", " ").split()


def _type(template: Template) -> AppType:
    stated = template.get("TYPE") or AppType.IMAGE.name
    kind = AppType.__members__.get(stated.upper(), AppType.UNKNOWN)
    if kind is AppType.UNKNOWN:
        raise generic.allocate_error("Marketplace app type not supported.")
    return kind


def _describe(app: MarketplaceApp) -> None:
    """What the template says of an app stands in elements of its own too."""
    for attribute, field in _DESCRIBED:
        setattr(app, field, app.template.get(attribute))


def _export(tx: Transaction, app: MarketplaceApp, market: Marketplace, origin: str) -> None:
    """Has the image copied into the marketplace; it counts as cloned meanwhile."""
    image_id = vm_requests.whole(origin)
    image = None if image_id is None else tx.find(Image, image_id)
    if image is None:
        raise generic.allocate_error("Image does not exist.")
    authorization.require(tx, authorization.on(Op.USE, image))
    datastore = tx.get(Datastore, image.datastore_id)
    image_use.start_clone(tx, image.id, app.id, app=True)
    tx.effect(
        "marketapp.import",
        app.id,
        app=app.to_xml(),
        market=market.to_xml(),
        image=image.id,
        image_document=image.to_xml(),
        datastore=datastore.to_xml(),
    )


@results.on_result("marketapp.import")
def _imported(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    """The image is in the marketplace, or not. `data`: "source", "md5", "size" (MB), "format"."""
    image_use.end_clone(tx, int(effect.arguments["image"]), effect.oid, app=True)
    if tx.find(MarketplaceApp, effect.oid) is None:
        return
    own = tx.edit(MarketplaceApp, effect.oid)
    size = vm_requests.whole(data.get("size", ""), vm_requests.LARGEST_SIZE)
    known = [data.get(name, "") for name in ("source", "md5", "format")]
    if ok and all(known) and size is not None:
        own.source, own.md5, own.format = known
        own.size = size
        own.state = AppState.READY
        own.template.remove("ERROR")
        return
    own.state = AppState.ERROR
    detail = f"{_NOT_IMPORTED}: {message}" if not ok else f"{_NOT_IMPORTED}. Missing app attributes."
    results.note_error(tx, own.template, detail)


@method(
    "one.marketapp.enable",
    integer("id"),
    boolean("enable"),
    needs=(Need(Op.MANAGE, MarketplaceApp, "id"),),
)
def enable(tx: Transaction, oid: int, wanted: bool) -> int:
    """Lets a ready app be used, or not; in other states it changes nothing, as in 5.12."""
    if tx.get(MarketplaceApp, oid).state in (AppState.READY, AppState.DISABLED):
        tx.edit(MarketplaceApp, oid).state = AppState.READY if wanted else AppState.DISABLED
    return oid


@method("one.marketapp.delete", integer("id"), needs=(Need(Op.MANAGE, MarketplaceApp, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Takes an app out of its marketplace; its content goes after the answer."""
    app = tx.get(MarketplaceApp, oid)
    if app.zone_id != str(tx.settings.zone_id):
        raise generic.delete_error(app, f"Marketapp can only be deleted from zone {app.zone_id}")
    market = tx.find(Marketplace, app.marketplace_id)
    if market is None:
        raise generic.delete_error(app, "Cannot find associated MARKETPLACE")
    if not supports(tx, market, "delete"):
        raise generic.delete_error(app, f"Delete disabled for market: {market.name}")
    tx.drop_effects("marketapp", oid)
    image_id = vm_requests.whole(app.origin_id)
    if app.type == AppType.IMAGE and image_id is not None:
        image_use.end_clone(tx, image_id, oid, app=True)
    if app.type == AppType.IMAGE:
        # Content may be there already when nobody has been told where; the documents go with the effect.
        tx.effect("marketapp.delete", oid, app=app.to_xml(), market=market.to_xml())
    drop(tx, app)
    return oid


def drop(tx: Transaction, app: MarketplaceApp) -> None:
    """The app is no longer there, nor in its marketplace."""
    if tx.find(Marketplace, app.marketplace_id) is not None:
        tx.edit(Marketplace, app.marketplace_id).marketplaceapps.discard(app.id)
    acl.drop_rules_about(tx, ObjectType.MARKETPLACEAPP, app.id)
    tx.delete(app)


@results.on_result("marketapp.delete")
def _deleted(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    """The app was dropped when it was asked for; what could not be removed is in the engine's log."""


@generic.checks_updates(MarketplaceApp)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """Elements follow the template; what a driver found out stays as it is."""
    assert isinstance(value, MarketplaceApp)
    for found in (*_FOUND, "ORIGIN_ID"):
        new.remove(found)
    own = tx.edit(MarketplaceApp, value.id)
    for attribute, field in _DESCRIBED:
        setattr(own, field, new.get(attribute))
    return new


# Images that are made of apps.


def take_origin(tx: Transaction, template: Template, datastore: Datastore) -> int | None:
    """The size in MB of the app that FROM_APP of an image's template names, None when it names none.

    PATH and what is known of the content follow from the app. Raises ApiError.
    """
    stated = template.get("FROM_APP")
    if not stated:
        return None
    app_id = vm_requests.whole(stated)
    app = None if app_id is None else tx.find(MarketplaceApp, app_id)
    if app is None:
        raise generic.allocate_error(f"Cannot get app {stated[:32]}")
    authorization.require(tx, authorization.on(Op.USE, app))
    if app.type != AppType.IMAGE or app.state != AppState.READY:
        state, kind = AppState(app.state).name, AppType(app.type).name
        raise generic.allocate_error(f"App {app.id} ({kind}) in state {state} makes no image")
    for name, value in (
        ("FROM_APP_NAME", app.name),
        ("PATH", app.source),
        ("FORMAT", app.format),
        ("FROM_APP_MD5", app.md5),
    ):
        template.set(name, value)
    if datastore.template.get("DRIVER"):
        template.remove("DRIVER")
    return app.size


# What monitoring finds.


def monitored(tx: Transaction, market_id: int, total: int, used: int, free: int, offered: str) -> bool:
    """Takes a reading of a marketplace in (MB); `offered`: templates of its apps, base64, in a JSON list.

    Apps that are new are created, those that the marketplace no longer has are dropped; a reading that
    names none says nothing about them. Answers whether anything changed.
    """
    market = tx.find(Marketplace, market_id)
    if market is None:
        return False
    changed = False
    measured = (total, used, free)
    if (market.total_mb, market.used_mb, market.free_mb) != measured:
        own = tx.edit(Marketplace, market_id)
        own.total_mb, own.used_mb, own.free_mb = measured
        changed = True
    met = [_met(tx, market_id, item) for item in json.loads(offered)]
    seen = {oid for oid, _ in met}
    # Apps that users put there are theirs to remove.
    gone = [oid for oid in market.marketplaceapps - seen if _is_imported(tx, oid)] if met else []
    for oid in gone:
        drop(tx, tx.get(MarketplaceApp, oid))
    return changed or bool(gone) or any(new for _, new in met)


def _is_imported(tx: Transaction, oid: int) -> bool:
    app = tx.find(MarketplaceApp, oid)
    return app is not None and app.template.get_bool("IMPORTED")


def _met(tx: Transaction, market_id: int, encoded: str) -> tuple[int, bool]:
    """The id of the app that a marketplace offers, -1 for none, and whether it is new here."""
    template = _decoded(encoded)
    if template is None:
        return -1, False
    name = template.get("NAME")
    if names.name_fault(name):
        name = f"imported-{hashlib.md5(encoded.encode(), usedforsecurity=False).hexdigest()[:12]}"
    known = tx.named(MarketplaceApp, name, ONEADMIN)
    if known is not None:
        # Of another marketplace, perhaps: names are unique for their owner.
        return known, False
    market = tx.edit(Marketplace, market_id)
    app = _imported_app(tx, market, name, template)
    tx.add(app)
    market.marketplaceapps.add(app.id)
    return app.id, True


def _imported_app(tx: Transaction, market: Marketplace, name: str, template: Template) -> MarketplaceApp:
    kind = AppType.__members__.get(template.get("TYPE").upper() or AppType.IMAGE.name, AppType.UNKNOWN)
    values = {field: template.get(field) for field in ("SOURCE", "SIZE", "MD5", "FORMAT", "REGTIME")}
    for field in (*_FOUND, "NAME", "TYPE", "ORIGIN_ID"):
        template.remove(field)
    template.set("IMPORTED", "YES")
    app = MarketplaceApp(
        id=tx.new_id(MarketplaceApp),
        uid=ONEADMIN,
        gid=ONEADMIN_GROUP,
        uname=_ADMIN_NAME,
        gname=_ADMIN_NAME,
        name=name,
        permissions=_PUBLIC,
        regtime=vm_requests.whole(values["REGTIME"]) or tx.now,
        zone_id=market.zone_id,
        source=values["SOURCE"],
        md5=values["MD5"],
        size=vm_requests.whole(values["SIZE"], vm_requests.LARGEST_SIZE) or 0,
        format=values["FORMAT"],
        marketplace_id=market.id,
        marketplace=market.name,
        state=AppState.READY,
        type=kind,
        template=template,
    )
    _describe(app)
    return app


def _decoded(encoded: str) -> Template | None:
    try:
        return Template.parse(base64.b64decode(encoded, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError, TemplateError):
        return None
