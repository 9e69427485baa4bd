"""Making something on behalf of somebody else: AS_UID and AS_GID of a template.

Source: spec templates.yaml `AS_UID`, xmlrpc.yaml `one.template.instantiate`. Who asks needs MANAGE on the
user and on the group, and every other right too; what is made is the user's and counts in their quotas.
"""

from dataclasses import dataclass

from merope.core import authorization, generic, vm_requests
from merope.core.transaction import Transaction
from merope.model.group import Group
from merope.model.permissions import Op
from merope.model.template import Template
from merope.model.user import User


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a new object is."""

    uid: int
    gid: int
    uname: str
    gname: str


def caller(tx: Transaction) -> Owner:
    """Who asks, as an owner."""
    own = tx.caller
    return Owner(own.uid, own.gid, own.name, own.group_name)


def take_owner(tx: Transaction, template: Template) -> Owner:
    """Takes AS_UID and AS_GID out of a template. The caller is the owner where they say nothing, or -1.

    Raises ApiError NO_EXISTS, AUTHORIZATION, or ALLOCATE for what is no id.
    """
    own = caller(tx)
    uid, gid = _take(template, "AS_UID"), _take(template, "AS_GID")
    user = None if uid is None else tx.get(User, uid)
    group = None if gid is None else tx.get(Group, gid)
    targets = [authorization.on(Op.MANAGE, found) for found in (user, group) if found is not None]
    if targets:
        authorization.require(tx, *targets)
    return Owner(
        own.uid if user is None else user.id,
        own.gid if group is None else group.id,
        own.uname if user is None else user.name,
        own.gname if group is None else group.name,
    )


def _take(template: Template, name: str) -> int | None:
    stated = template.get(name).strip()
    template.remove(name)
    if stated in ("", "-1"):
        return None
    number = vm_requests.whole(stated)
    if number is None:
        raise generic.allocate_error(f"{name} must be an id, not {vm_requests.shown(stated)}.")
    return number
