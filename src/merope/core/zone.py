"""Zones: commands. A stand-alone cloud is zone 0 and stays the only one until it leads a federation.

What front ends and zones ask each other when they replicate their databases is answered as a stand-alone 5.12
answers it: it has no log, so nobody's can follow on it (spec xmlrpc.yaml `one.zone.*`).
"""

from merope.core import acl, authorization, generic, vdc, vm_requests
from merope.core.methods import Access, Need, Param, Type, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template, Vector
from merope.model.zone import Zone

DEFAULT_ZONE = 0

_MASTER = "MASTER"
_SERVER = "SERVER"
#: The term and the log of a front end that has never had a peer.
_TERM = 0
_ADMIN = (Need(Op.ADMIN, Zone, "id"),)


@method("one.zone.allocate", text("template"), needs=(Need(Op.CREATE, Zone),))
def allocate(tx: Transaction, source: str) -> int:
    """Registers another zone of the federation that this one leads."""
    if tx.settings.federation_mode != _MASTER:
        raise generic.allocate_error("New zones can only be registered at the master of a federation.")
    template = generic.parse_template(source)
    name = generic.take_name(tx, Zone, template)
    if not template.get("ENDPOINT"):
        raise generic.allocate_error("No ENDPOINT in template.")
    template.remove(_SERVER)
    zone = Zone(id=tx.new_id(Zone), name=name, template=template)
    tx.add(zone)
    return zone.id


@method("one.zone.delete", integer("id"), needs=(Need(Op.ADMIN, Zone, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes another zone and the rules about it."""
    zone = tx.get(Zone, oid)
    if oid in (DEFAULT_ZONE, tx.settings.zone_id):
        raise generic.delete_error(zone, f"The local zone (ID {oid}) cannot be deleted.")
    vdc.forget_zone(tx, oid)
    acl.drop_rules_about(tx, ObjectType.ZONE, oid)
    tx.delete(zone)
    return oid


@generic.checks_updates(Zone)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """A zone keeps its ENDPOINT where the new template has none: without it nobody would reach it."""
    assert isinstance(value, Zone)
    if not new.get("ENDPOINT"):
        new.set("ENDPOINT", value.template.get("ENDPOINT"))
    new.remove(_SERVER)
    return new


# Front ends of the zone.


@method("one.zone.addserver", integer("id"), text("server"), needs=_ADMIN)
def add_server(tx: Transaction, oid: int, source: str) -> int:
    """Adds a front end to this zone: SERVER with its NAME and ENDPOINT."""
    _require_own(tx, oid)
    server = generic.parse_template(source, Code.ACTION).vector(_SERVER)
    if server is None:
        raise ApiError(Code.ACTION, "No SERVER in template.", oid)
    for name in ("NAME", "ENDPOINT"):
        if not server.get(name):
            raise ApiError(Code.ACTION, f"SERVER is missing the {name} attribute or it's empty.", oid)
    pool = tx.edit(Zone, oid).server_pool
    known = pool.vectors(_SERVER)
    if any(other["NAME"] == server["NAME"] for other in known):
        raise ApiError(Code.ACTION, f"There is a SERVER with NAME {server['NAME']} already", oid)
    server["ID"] = str(1 + max((_server_id(other) for other in known), default=-1))
    pool.add(_SERVER, server)
    return oid


@method("one.zone.delserver", integer("id"), integer("server"), needs=_ADMIN)
def delete_server(tx: Transaction, oid: int, server_id: int) -> int:
    """Removes a front end from this zone."""
    _require_server(tx, oid, server_id)
    pool = tx.edit(Zone, oid).server_pool
    for server in pool.remove(_SERVER):
        assert isinstance(server, Vector)
        if _server_id(server) != server_id:
            pool.add(_SERVER, server)
    return oid


@method("one.zone.resetserver", integer("id"), integer("server"), needs=_ADMIN)
def reset_server(tx: Transaction, oid: int, server_id: int) -> int:
    """Has a front end's log sent again from its beginning; one without peers sends none."""
    _require_server(tx, oid, server_id)
    return oid


def _require_own(tx: Transaction, oid: int) -> None:
    if oid != tx.settings.zone_id:
        raise ApiError(Code.ACTION, f"Servers have to be managed through the target zone {oid}", oid)


def _require_server(tx: Transaction, oid: int, server_id: int) -> None:
    _require_own(tx, oid)
    if server_id not in map(_server_id, tx.get(Zone, oid).server_pool.vectors(_SERVER)):
        raise ApiError(Code.ACTION, "SERVER not found in zone", oid)


def _server_id(server: Vector) -> int:
    number = vm_requests.whole(server.get("ID", ""))
    return -1 if number is None else number


@method("one.zone.raftstatus", returns=Type.STRING, read_only=True, also="ADMIN on this zone")
def raftstatus(tx: Transaction) -> str:
    """What this front end knows of its peers: without any it is solo (state 0), as the only one listed it
    leads itself (state 3)."""
    zone = tx.get(Zone, tx.settings.zone_id)
    authorization.require(tx, authorization.on(Op.ADMIN, zone))
    own = tx.settings.server_id
    servers = set(map(_server_id, zone.server_pool.vectors(_SERVER)))
    if own != -1 and servers - {own}:
        raise ApiError(Code.INTERNAL, "The state of the peers is not known to the core", zone.id)
    alone = own == -1
    last = -1 if alone else tx.state.index
    values = {
        "SERVER_ID": own,
        "STATE": 0 if alone else 3,
        "TERM": _TERM if alone else _TERM + 1,
        "VOTEDFOR": own,
        "COMMIT": 0 if alone else last,
        "LOG_INDEX": last,
        "LOG_TERM": -1 if alone else _TERM + 1,
        "FEDLOG_INDEX": -1,
    }
    return f"<RAFT>{''.join(f'<{name}>{value}</{name}>' for name, value in values.items())}</RAFT>"


def _long(name: str) -> Param:
    return Param(name, Type.INTEGER8)


@method(
    "one.zone.replicate",
    integer("leader_id"),
    _long("leader_commit"),
    integer("leader_term"),
    _long("index"),
    integer("term"),
    _long("prev_index"),
    integer("prev_term"),
    _long("fed_index"),
    text("sql"),
    access=Access.ONEADMIN,
    read_only=True,
)
def replicate(tx: Transaction, *record: int | str) -> int:
    """A record of a leader's log. A front end without peers hears heartbeats, and takes no record."""
    _, _, leader_term, index, term, prev_index, prev_term, _, sql = record
    if int(leader_term) < _TERM:
        raise ApiError(Code.ACTION, f"Leader term ({leader_term}) is outdated ({_TERM})", _TERM)
    if any((index, term, prev_index, prev_term, sql)):
        raise ApiError(Code.ACTION, "Error loading previous log record", _TERM)
    return _TERM


@method(
    "one.zone.voterequest",
    integer("term"),
    integer("candidate"),
    _long("log_index"),
    integer("log_term"),
    access=Access.ONEADMIN,
    read_only=True,
)
def vote_request(tx: Transaction, term: int, candidate: int, log_index: int, log_term: int) -> int:
    """A candidate asks for the vote of a front end that leads itself, and does not get it."""
    if term < _TERM:
        raise ApiError(Code.ACTION, "Candidate's term is outdated", _TERM)
    raise ApiError(Code.ACTION, "Candidate's log is outdated", _TERM)


@method(
    "one.zone.fedreplicate",
    _long("index"),
    _long("prev"),
    text("sql"),
    returns=Type.INTEGER8,
    access=Access.ONEADMIN,
    read_only=True,
)
def federated_replicate(tx: Transaction, index: int, previous: int, sql: str) -> int:
    """A record of the federation's log, which only slaves take."""
    raise ApiError(Code.ACTION, "Cannot replicate federate log records, oned is not a federation slave", -1)
