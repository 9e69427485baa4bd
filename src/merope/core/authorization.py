"""Who may do what: permission bits, ACL rules and locks (spec xmlrpc.yaml `auth`).

A check names its targets; all of them must be granted, and the refusal lists all that were not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from merope.core.transaction import Caller, Transaction
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.host import Host
from merope.model.kinds import BY_DOCUMENT, Kind
from merope.model.owned import Lock, Owned
from merope.model.permissions import ObjectType, Op, Permissions
from merope.model.state import Entry
from merope.model.user import User
from merope.model.vnet import VirtualNetwork

_OWN = Permissions.from_octal("600")
_MEMBERS = Permissions.from_octal("040")
_NONE = Permissions()


@dataclass(frozen=True, slots=True)
class Target:
    """What an operation is asked on. `oid` is -1 for the kind itself (CREATE)."""

    op: Op
    type: ObjectType
    oid: int = -1
    uid: int = -1
    gid: int = -1
    permissions: Permissions = _NONE
    clusters: frozenset[int] = frozenset()
    lock: Lock | None = None
    reservation: bool = False
    """Rules on ALL and on clusters do not reach network reservations."""


def create(kind: type[Document]) -> Target:
    return Target(Op.CREATE, BY_DOCUMENT[kind].type)


def on(op: Op, value: Document, *, lock: bool = True) -> Target:
    """`op` on an object. With `lock` False a lock does not refuse it."""
    kind = BY_DOCUMENT[type(value)].type
    held: Lock | None = getattr(value, "lock", None) if lock else None
    if isinstance(value, Owned):
        clusters = (
            frozenset(value.clusters) if isinstance(value, Datastore | VirtualNetwork) else frozenset[int]()
        )
        reserved = isinstance(value, VirtualNetwork) and value.parent_network_id >= 0
        return Target(op, kind, value.id, value.uid, value.gid, value.permissions, clusters, held, reserved)
    if isinstance(value, User):
        return Target(op, kind, value.id, value.id, value.gid, _OWN)
    if isinstance(value, Group):
        return Target(op, kind, value.id, -1, value.id, _MEMBERS)
    if isinstance(value, Host):
        return Target(op, kind, value.id, clusters=frozenset({value.cluster_id}))
    if isinstance(value, Cluster):
        return Target(op, kind, value.id, clusters=frozenset({value.id}))
    return Target(op, kind, value.id, lock=held)


def require(tx: Transaction, *targets: Target) -> None:
    """Raises ApiError AUTHORIZATION that names every target that is locked or not granted."""
    refused = [text for target in targets if (text := refusal(tx, target))]
    if refused:
        raise denied(tx.caller, "; ".join(refused))


def refusal(tx: Transaction, target: Target) -> str:
    """Why the caller may not do it, empty when it may."""
    name = target.type.name or ""
    suffix = f" [{target.oid}]" if target.oid >= 0 else ""
    if target.lock is not None and 0 < target.lock.level <= target.op:
        return f"{name} is locked.{suffix}"
    if tx.caller.is_admin or granted(tx, target):
        return ""
    return f"Not authorized to perform {target.op.name} {name}{suffix}"


def granted(tx: Transaction, target: Target) -> bool:
    caller = tx.caller
    if target.oid >= 0 and target.permissions.allows(
        target.op, is_owner=target.uid == caller.uid, in_group=target.gid in caller.groups
    ):
        return True
    return tx.state.rules.allows(
        caller.uid,
        caller.groups,
        target.type,
        target.op,
        oid=target.oid,
        gid=target.gid if target.oid >= 0 else caller.gid,
        cids=target.clusters,
        zone_id=tx.settings.zone_id,
        reservation=target.reservation,
    )


def denied(caller: Caller, detail: str) -> ApiError:
    """A refusal that names what was refused."""
    return ApiError(Code.AUTHORIZATION, f"User [{caller.uid}] : {detail}.")


def not_allowed(caller: Caller, label: str) -> ApiError:
    """A refusal of a method as a whole; `label` is what it is about."""
    return ApiError(Code.AUTHORIZATION, f"User [{caller.uid}] not authorized to perform action on {label}.")


def visible(tx: Transaction, kind: Kind, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Those of the entries that the caller may USE, for a listing; the rules are looked at once for all."""
    if tx.caller.is_admin:
        return iter(entries)
    seen = tx.state.rules.visible(tx.caller.uid, tx.caller.groups, kind.type, Op.USE, tx.settings.zone_id)
    if seen.all and kind.type is not ObjectType.NET:
        return iter(entries)
    uid, groups = tx.caller.uid, tx.caller.groups
    clustered = kind.type in (ObjectType.NET, ObjectType.DATASTORE, ObjectType.HOST)

    def shown(entry: Entry) -> bool:
        if kind.type in (ObjectType.USER, ObjectType.GROUP):
            if kind.type is ObjectType.GROUP:
                return entry.oid in groups or seen.covers(entry.oid, -1)
            # A user's row does not tell the group.
            user = tx.find(User, entry.oid) if seen.gids else None
            return uid == entry.oid or seen.covers(entry.oid, -1 if user is None else user.gid)
        if issubclass(kind.document, Owned) and (
            entry.other_u or (entry.uid == uid and entry.owner_u) or (entry.gid in groups and entry.group_u)
        ):
            return True
        clusters = _clusters(tx, kind, entry) if clustered and seen.cids else ()
        reserved = kind.type is ObjectType.NET and entry.parent >= 0
        return seen.covers(entry.oid, entry.gid, clusters, reservation=reserved)

    return filter(shown, entries)


def _clusters(tx: Transaction, kind: Kind, entry: Entry) -> Iterable[int]:
    # Gone by now, where a long list is made while others change the cloud.
    value = tx.find(kind.document, entry.oid)
    if isinstance(value, Host):
        return (value.cluster_id,)
    return value.clusters if isinstance(value, Datastore | VirtualNetwork) else ()
