"""Marketplaces: commands. What is in them is read by their drivers, see marketplace_app."""

from merope.core import acl, generic, marketplace_app
from merope.core.methods import Need, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template


@method("one.market.allocate", text("template"), needs=(Need(Op.CREATE, Marketplace),))
def allocate(tx: Transaction, source: str) -> int:
    """Registers a marketplace of this zone."""
    template = generic.parse_template(source)
    name = generic.take_name(tx, Marketplace, template)
    fault = _fault(tx, template)
    if fault:
        raise generic.allocate_error(fault)
    market = Marketplace(
        id=tx.new_id(Marketplace),
        name=name,
        **generic.owned_by_caller(tx),
        market_mad=template.get("MARKET_MAD"),
        zone_id=str(tx.settings.zone_id),
        template=template,
    )
    tx.add(market)
    return market.id


def _fault(tx: Transaction, template: Template) -> str:
    """Why a template makes no marketplace, empty when it does."""
    driver = template.get("MARKET_MAD")
    if not driver:
        return "No MARKET_MAD in template."
    conf = tx.settings.market_mad_conf.get(driver)
    if conf is None:
        return f'MARKET_MAD named "{driver[:64]}" is not defined in oned.conf'
    for name in conf.get("REQUIRED_ATTRS", "").replace(",", " ").split():
        if not template.get(name):
            return f'MarketPlace template is missing the "{name}" attribute or it\'s empty.'
    return ""


@method("one.market.delete", integer("id"), needs=(Need(Op.MANAGE, Marketplace, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a marketplace; one that is ours to fill must be empty, a public one goes with its apps."""
    market = tx.get(Marketplace, oid)
    public = tx.settings.market_mad_conf.get(market.market_mad, {}).get("PUBLIC", "NO").upper() == "YES"
    if market.marketplaceapps and not public:
        raise generic.delete_error(market, f"marketplace  {oid} is not empty.")
    for app_id in sorted(market.marketplaceapps):
        app = tx.find(MarketplaceApp, app_id)
        if app is not None:
            marketplace_app.drop(tx, app)
    acl.drop_rules_about(tx, ObjectType.MARKETPLACE, oid)
    tx.delete(tx.get(Marketplace, oid))
    return oid


@generic.checks_updates(Marketplace)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """The driver stays where the new template names none."""
    assert isinstance(value, Marketplace)
    if not new.get("MARKET_MAD"):
        new.set("MARKET_MAD", value.market_mad)
    fault = _fault(tx, new)
    if fault:
        raise generic.update_error(str(fault), value.id)
    tx.edit(Marketplace, value.id).market_mad = new.get("MARKET_MAD")
    return new


def _follow_rename(tx: Transaction, value: Document) -> None:
    assert isinstance(value, Marketplace)
    for app_id in value.marketplaceapps:
        if tx.find(MarketplaceApp, app_id) is not None:
            tx.edit(MarketplaceApp, app_id).marketplace = value.name


generic.follows_rename(Marketplace, _follow_rename)
