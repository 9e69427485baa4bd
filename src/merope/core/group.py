"""Groups: commands, and what makes a member an administrator of a group."""

from merope.core import acl, authorization, generic, pools, quota, vdc, views
from merope.core.methods import Listing, Need, Type, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.acl import ALL, Rule, individual
from merope.model.acl import group as of_group
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.group import Group
from merope.model.kinds import GROUP
from merope.model.permissions import ObjectType, Op
from merope.model.state import Entry
from merope.model.template import Template
from merope.model.user import User

#: Groups below are the cloud's own and stay.
FIRST_ORDINARY = 100

_ADMIN = (Need(Op.ADMIN, Group, "id"),)
_ADMIN_OF_BOTH = (*_ADMIN, Need(Op.ADMIN, User, "user"))

_MANAGED = (
    ObjectType.VM
    | ObjectType.NET
    | ObjectType.IMAGE
    | ObjectType.TEMPLATE
    | ObjectType.DOCUMENT
    | ObjectType.SECGROUP
    | ObjectType.VROUTER
    | ObjectType.VMGROUP
)


@method("one.group.allocate", text("name"), needs=(Need(Op.CREATE, Group),))
def allocate(tx: Transaction, name: str) -> int:
    """Makes a group; it works with the default virtual data centre."""
    generic.check_new_name(tx, Group, name)
    group = Group(id=tx.new_id(Group), name=name)
    tx.add(group)
    vdc.join_default(tx, group.id)
    return group.id


@method("one.group.delete", integer("id"), needs=_ADMIN)
def delete(tx: Transaction, oid: int) -> int:
    """Removes a group without users."""
    group = tx.get(Group, oid)
    if oid < FIRST_ORDINARY:
        raise generic.delete_error(group, "System Groups (ID < 100) cannot be deleted.")
    if group.users:
        raise generic.delete_error(group, f"Group {oid} is not empty.")
    vdc.forget_group(tx, oid)
    acl.drop_rules_about(tx, ObjectType.GROUP, oid)
    tx.put_row("group_quotas", oid, None)
    tx.delete(group)
    return oid


def _admin_rules(gid: int, uid: int) -> tuple[Rule, Rule]:
    """What an administrator of a group may do (spec templates.yaml `group.admin_rules`)."""
    every = Op.USE | Op.MANAGE | Op.ADMIN | Op.CREATE
    user, members = individual(uid), of_group(gid)
    return (
        Rule(-1, user, ObjectType.USER | members, every, ALL),
        Rule(-1, user, _MANAGED | members, Op.USE | Op.MANAGE, ALL),
    )


@method("one.group.addadmin", integer("id"), integer("user"), needs=_ADMIN_OF_BOTH)
def addadmin(tx: Transaction, oid: int, uid: int) -> int:
    """Makes a member an administrator of the group."""
    group = tx.get(Group, oid)
    if uid not in group.users:
        raise _edit_error(oid, f"User {uid} is not part of Group {oid}.")
    if uid in group.admins:
        raise _edit_error(oid, f"User {uid} is already an administrator of Group {oid}.")
    appoint(tx, oid, uid)
    return oid


def appoint(tx: Transaction, gid: int, uid: int) -> None:
    """A member who is no administrator of the group becomes one."""
    tx.edit(Group, gid).admins.add(uid)
    for rule in _admin_rules(gid, uid):
        acl.add(tx, rule)


@method("one.group.deladmin", integer("id"), integer("user"), needs=_ADMIN_OF_BOTH)
def deladmin(tx: Transaction, oid: int, uid: int) -> int:
    """Makes an administrator of the group an ordinary member."""
    if uid not in tx.get(Group, oid).admins:
        raise _edit_error(oid, f"User {uid} is not an administrator of Group {oid}.")
    resign(tx, oid, uid)
    return oid


def leave_group(tx: Transaction, gid: int, uid: int) -> None:
    """A user is no longer in the group, nor its administrator; the user's own document is the caller's."""
    group = tx.edit(Group, gid)
    group.users.discard(uid)
    if uid in group.admins:
        resign(tx, gid, uid)


def resign(tx: Transaction, gid: int, uid: int) -> None:
    """An administrator of the group becomes an ordinary member."""
    tx.edit(Group, gid).admins.discard(uid)
    for rule in _admin_rules(gid, uid):
        acl.remove(tx, rule)


def _edit_error(oid: int, detail: str) -> ApiError:
    return ApiError(Code.INTERNAL, f"Cannot edit group. {detail}", oid)


@method("one.group.quota", integer("id"), text("quota"), needs=_ADMIN)
def set_quota(tx: Transaction, oid: int, source: str) -> int:
    """Sets the group's limits; entries that the template does not name stay."""
    quota.set_limits(tx, "group", oid, source)
    return oid


@generic.checks_updates(Group)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    assert isinstance(value, Group)
    return generic.check_restricted(tx, tx.settings.group_restricted_attr, new, value.template, value.id)


@method(
    "one.group.info",
    integer("id"),
    boolean("decrypt", False),
    returns=Type.STRING,
    read_only=True,
    also="USE on the group; -1 is the caller's",
)
def info(tx: Transaction, oid: int, decrypt: bool) -> bytes:
    """The group with quotas and the default quotas."""
    gid = tx.caller.gid if oid == -1 else oid
    if gid not in tx.caller.groups and not tx.caller.is_admin:
        authorization.require(tx, authorization.on(Op.USE, tx.get(Group, gid)))
    return views.info(tx, Group, gid)


@method("one.grouppool.info", returns=Type.STRING, read_only=True, also="USE on each group that is listed")
def pool_info(tx: Transaction) -> Listing:
    """Every group that the caller may see, each followed by its quotas, then the default quotas."""

    def render(tx: Transaction, entry: Entry) -> bytes:
        return views.pool_item(tx, GROUP, entry)

    entries = authorization.visible(tx, GROUP, pools.ordered(tx, GROUP))
    return pools.listing(tx, GROUP, entries, render, views.wire(views.default_quotas(tx.state, "group")))
