"""What the zones of a federation ask of their master: objects that all zones share, written as they are.

A stand-alone cloud answers as a master does. Source: spec xmlrpc.yaml (`*.allocatedb`, `updatedb`, `dropdb`).
"""

from collections.abc import Callable
from typing import TypeVar

from merope.core import generic, marketplace_app
from merope.core.methods import Access, Method, Type, integer, method, register, text
from merope.core.transaction import Transaction
from merope.model.document import Document, DocumentError
from merope.model.errors import ApiError, Code
from merope.model.kinds import BY_DOCUMENT
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.owned import Owned
from merope.model.zone import Zone

D = TypeVar("D", bound=Document)

_ID, _XML = integer("id"), text("xml")


def _read(kind: type[D], xml: str, oid: int = -1) -> D:
    label = BY_DOCUMENT[kind].label
    try:
        return kind.from_xml(xml)
    except (DocumentError, ValueError, IndexError) as error:
        raise ApiError(Code.INTERNAL, f"The XML is no document of a {label}.", oid) from error


def _check_name(tx: Transaction, value: Document) -> None:
    known = BY_DOCUMENT[type(value)]
    uid = value.uid if isinstance(value, Owned) and known.unique == "owner" else 0
    generic.check_name(value.name, oid=value.id)
    taken = tx.named(type(value), value.name, uid)
    if taken is not None and taken != value.id:
        raise ApiError(Code.INTERNAL, f"NAME is already taken by {known.word} {taken}.", value.id)


@method("one.market.allocatedb", _XML, access=Access.ONEADMIN)
def allocate_market(tx: Transaction, xml: str) -> int:
    """Registers a marketplace of another zone."""
    market = _read(Marketplace, xml)
    market.id = -1
    _check_name(tx, market)
    market.id = tx.new_id(Marketplace)
    tx.add(market)
    return market.id


@method("one.marketapp.allocatedb", _XML, access=Access.ONEADMIN)
def allocate_app(tx: Transaction, xml: str) -> int:
    """Registers an app that another zone put into one of its marketplaces."""
    app = _read(MarketplaceApp, xml)
    app.id = -1
    _check_name(tx, app)
    market = tx.edit(Marketplace, app.marketplace_id)
    app.id = tx.new_id(MarketplaceApp)
    market.marketplaceapps.add(app.id)
    tx.add(app)
    return app.id


@method("one.marketapp.dropdb", _ID, access=Access.ONEADMIN)
def drop_app(tx: Transaction, oid: int) -> int:
    """Removes an app whose content another zone has removed."""
    marketplace_app.drop(tx, tx.get(MarketplaceApp, oid))
    return oid


def _update(kind: type[Document]) -> Callable[[Transaction, int, str], int]:
    label = BY_DOCUMENT[kind].label

    def run(tx: Transaction, oid: int, xml: str) -> int:
        tx.get(kind, oid)
        value = _read(kind, xml, oid)
        if value.id != oid:
            raise ApiError(Code.INTERNAL, f"The document is of {label} {value.id}, not {oid}.", oid)
        _check_name(tx, value)
        # The object is taken for editing first: its parsed form must not outlive it.
        tx.edit(kind, oid)
        tx.add(value)
        return oid

    run.__doc__ = f"Replaces a {label} by the document that another zone has of it."
    return run


for _kind in (Marketplace, MarketplaceApp, Zone):
    _name = f"one.{BY_DOCUMENT[_kind].api}.updatedb"
    register(Method(_name, (_ID, _XML), Type.INTEGER, _update(_kind), access=Access.ONEADMIN))
