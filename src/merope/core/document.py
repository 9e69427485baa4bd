"""Documents: commands. What is in one is its application's matter; types are listed apart.

Source: spec xmlrpc.yaml `one.document.*`, recorded document.xml.
"""

from merope.core import acl, generic, pools, views
from merope.core.methods import Listing, Need, Type, integer, method, text
from merope.core.transaction import Transaction
from merope.model.kinds import DOCUMENT
from merope.model.permissions import ObjectType, Op
from merope.model.state import Entry
from merope.model.stored_document import StoredDocument
from merope.model.template import Template

_CREATE = Need(Op.CREATE, StoredDocument)


@method("one.document.allocate", text("template"), integer("type"), needs=(_CREATE,))
def allocate(tx: Transaction, source: str, kind: int) -> int:
    """Stores a document of an application's type; without a NAME it is called after its id."""
    template = generic.parse_template(source)
    name = template.get("NAME")
    template.remove("NAME")
    return _add(tx, name, kind, template)


@method(
    "one.document.clone",
    integer("id"),
    text("name"),
    needs=(_CREATE, Need(Op.USE, StoredDocument, "id")),
)
def clone(tx: Transaction, oid: int, name: str) -> int:
    """Copies a document, of the same type."""
    original = tx.get(StoredDocument, oid)
    return _add(tx, name, original.type, original.template.copy())


def _add(tx: Transaction, name: str, kind: int, template: Template) -> int:
    oid = tx.new_id(StoredDocument)
    chosen = name or f"document-{oid}"
    generic.check_new_name(tx, StoredDocument, chosen)
    new = StoredDocument(
        id=oid,
        name=chosen,
        type=kind,
        **generic.owned_by_caller(tx),
        template=template,
    )
    tx.add(new)
    return oid


@method("one.document.delete", integer("id"), needs=(Need(Op.MANAGE, StoredDocument, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a document."""
    acl.drop_rules_about(tx, ObjectType.DOCUMENT, oid)
    tx.delete(tx.get(StoredDocument, oid))
    return oid


@method(
    "one.documentpool.info",
    *generic.FILTERS,
    integer("type"),
    returns=Type.STRING,
    read_only=True,
    also=generic.ROWS,
)
def pool_info(tx: Transaction, flag: int, start: int, end: int, kind: int) -> Listing:
    """The documents of one type."""
    chosen = pools.select(tx, DOCUMENT, flag, start, end, keep=lambda entry: entry.type == kind)

    def render(tx: Transaction, entry: Entry) -> bytes:
        return views.pool_item(tx, DOCUMENT, entry)

    return pools.listing(tx, DOCUMENT, chosen, render)
