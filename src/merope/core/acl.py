"""Access rules: commands on them, and their removal with what they are about.

Rules are rows of the table `acl`; the state keeps them indexed (model/acl.py). Their ids come from
`pool_control` as everybody's do. Source: spec drivers.yaml `acl`.
"""

from collections.abc import Iterator

from merope.core import authorization
from merope.core.methods import Type, integer, method, text
from merope.core.transaction import Transaction
from merope.model.acl import ALL, AclError, Rule, from_signed, individual, rule_from_hex, to_signed
from merope.model.change import number
from merope.model.errors import ApiError, Code
from merope.model.permissions import ObjectType, Op

TABLE = "acl"

_OF_ALL_ZONES = (
    ObjectType.USER,
    ObjectType.GROUP,
    ObjectType.ZONE,
    ObjectType.VDC,
    ObjectType.MARKETPLACE,
    ObjectType.MARKETPLACEAPP,
)
_MANAGE = "MANAGE on ACL as a whole"
_COLUMNS = ("userset", "resource", "rights", "zone")


def add(tx: Transaction, rule: Rule) -> int:
    """Stores a rule (its own id does not count) and answers its id; that of the same rule if there is one."""
    known = _find(tx, rule)
    if known is not None:
        return known
    last = _last_id(tx) + 1
    tx.put_row("pool_control", TABLE, {"tablename": TABLE, "last_oid": last})
    components = (to_signed(part) for part in rule.key)
    tx.put_row(TABLE, last, {"oid": last, **dict(zip(_COLUMNS, components, strict=True))})
    return last


def remove(tx: Transaction, rule: Rule) -> None:
    """Removes the stored rule that says the same; that there is none is no error."""
    known = _find(tx, rule)
    if known is not None:
        tx.put_row(TABLE, known, None)


def drop_rules_about(tx: Transaction, kind: ObjectType, oid: int) -> None:
    """Removes the rules for and about an object that is deleted in this transaction.

    Rules for another zone are about another object, unless all zones have the kind in common.
    """
    here = (ALL, individual(tx.settings.zone_id))
    for rule in tx.state.rules.rules_about(kind, oid):
        if kind in _OF_ALL_ZONES or rule.zone in here:
            tx.put_row(TABLE, rule.id, None)


def _find(tx: Transaction, rule: Rule) -> int | None:
    stored = tx.state.rules.find(rule)
    if stored is not None:
        return stored.id
    return next((new.id for new in _added(tx) if new.key == rule.key), None)


def _added(tx: Transaction) -> Iterator[Rule]:
    for rule_id in range(tx.state.last_oids.get(TABLE, -1) + 1, _last_id(tx) + 1):
        row = tx.row(TABLE, rule_id)
        if row is not None:
            yield Rule(rule_id, *(from_signed(number(row, column)) for column in _COLUMNS))


def _last_id(tx: Transaction) -> int:
    row = tx.row("pool_control", TABLE)
    return tx.state.last_oids.get(TABLE, -1) if row is None else number(row, "last_oid")


def _require(tx: Transaction) -> None:
    authorization.require(tx, authorization.Target(Op.MANAGE, ObjectType.ACL))


@method("one.acl.addrule", text("user"), text("resource"), text("rights"), text("zone", ""), also=_MANAGE)
def addrule(tx: Transaction, user: str, resource: str, rights: str, zone: str) -> int:
    """Adds a rule given as hexadecimal components; without a zone it is for this one."""
    _require(tx)
    try:
        rule = rule_from_hex(user, resource, rights, zone or f"{individual(tx.settings.zone_id):x}")
        tx.state.rules.check_new(rule)
    except AclError as error:
        raise ApiError(Code.INTERNAL, str(error)) from error
    return add(tx, rule)


@method("one.acl.delrule", integer("id"), also=_MANAGE)
def delrule(tx: Transaction, rule_id: int) -> int:
    """Removes a rule."""
    _require(tx)
    if tx.state.rules.get(rule_id) is None:
        raise ApiError(Code.INTERNAL, f"Rule {rule_id} does not exist", rule_id)
    tx.put_row(TABLE, rule_id, None)
    return rule_id


@method("one.acl.info", returns=Type.STRING, read_only=True, also=_MANAGE)
def info(tx: Transaction) -> str:
    """Every rule, in order of ids."""
    _require(tx)
    return tx.state.rules.to_xml()
