"""Zones: commands. A stand-alone cloud is zone 0 and stays the only one until it leads a federation."""

from merope.core import acl, authorization, generic
from merope.core.methods import Need, Type, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template
from merope.model.zone import Zone

DEFAULT_ZONE = 0

_MASTER = "MASTER"


@method("one.zone.allocate", text("template"), needs=(Need(Op.CREATE, Zone),))
def allocate(tx: Transaction, source: str) -> int:
    """Registers another zone of the federation that this one leads."""
    if tx.settings.federation_mode != _MASTER:
        raise generic.allocate_error("New zones can only be registered at the master of a federation.")
    template = generic.parse_template(source)
    name = generic.take_name(tx, Zone, template)
    if not template.get("ENDPOINT"):
        raise generic.allocate_error("No ENDPOINT in template.")
    zone = Zone(id=tx.new_id(Zone), name=name, template=template)
    tx.add(zone)
    return zone.id


@method("one.zone.delete", integer("id"), needs=(Need(Op.ADMIN, Zone, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes another zone and the rules about it."""
    zone = tx.get(Zone, oid)
    if oid in (DEFAULT_ZONE, tx.settings.zone_id):
        raise generic.delete_error(zone, f"The local zone (ID {oid}) cannot be deleted.")
    acl.drop_rules_about(tx, ObjectType.ZONE, oid)
    tx.delete(zone)
    return oid


@generic.checks_updates(Zone)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """A zone keeps its ENDPOINT where the new template has none: without it nobody would reach it."""
    assert isinstance(value, Zone)
    if not new.get("ENDPOINT"):
        new.set("ENDPOINT", value.template.get("ENDPOINT"))
    return new


@method("one.zone.raftstatus", returns=Type.STRING, read_only=True, also="ADMIN on this zone")
def raftstatus(tx: Transaction) -> str:
    """What this front end knows of its peers; one that has none is solo (state 0)."""
    zone = tx.get(Zone, tx.settings.zone_id)
    authorization.require(tx, authorization.on(Op.ADMIN, zone))
    if tx.settings.server_id != -1:
        raise ApiError(Code.INTERNAL, "The state of the peers is not known to the core", zone.id)
    values = {
        "SERVER_ID": -1,
        "STATE": 0,
        "TERM": 0,
        "VOTEDFOR": -1,
        "COMMIT": 0,
        "LOG_INDEX": -1,
        "LOG_TERM": -1,
        "FEDLOG_INDEX": -1,
    }
    return f"<RAFT>{''.join(f'<{name}>{value}</{name}>' for name, value in values.items())}</RAFT>"
