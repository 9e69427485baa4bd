"""Quotas: every command that takes something of a user's or group's share asks here first.

What is taken is a `Usage` (model/quota.py), counted in the same transaction as the thing itself. uid 0 and
gid 0 have no quotas and are not counted (spec templates.yaml `quotas.check`).
"""

from functools import lru_cache
from typing import Literal

from merope.core import authorization
from merope.core.methods import Access, Type, method, text
from merope.core.transaction import ONEADMIN, ONEADMIN_GROUP, Transaction
from merope.model.errors import ApiError, Code
from merope.model.quota import QuotaError, Quotas, Usage
from merope.model.template import Template, TemplateError

Scope = Literal["user", "group"]

_EXEMPT: dict[Scope, int] = {"user": ONEADMIN, "group": ONEADMIN_GROUP}


def charge(tx: Transaction, uid: int, gid: int, usage: Usage) -> None:
    """Counts `usage` for the user and the group, or for neither when a limit of either forbids it.

    Raises ApiError AUTHORIZATION that names the limit. Amounts may be negative (the difference of a
    resize): what is not asked more of is not checked.
    """
    owners = _owners(uid, gid)
    for scope, oid in owners:
        fault = tx.quotas(scope, oid).check(usage, defaults(tx, scope))
        if fault is not None:
            raise authorization.denied(tx.caller, f"{scope} [{oid}] {fault}.")
    for scope, oid in owners:
        tx.quotas(scope, oid).add(usage)


def counts(uid: int, gid: int) -> bool:
    """Whether anything is counted for either of them."""
    return bool(_owners(uid, gid))


def refund(tx: Transaction, uid: int, gid: int, usage: Usage) -> None:
    """Gives back what `charge` took."""
    for scope, oid in _owners(uid, gid):
        tx.quotas(scope, oid).subtract(usage)


def restore(tx: Transaction, uid: int, gid: int, usage: Usage) -> None:
    """Counts without asking any limit: what was given back turned out to be still there."""
    for scope, oid in _owners(uid, gid):
        tx.quotas(scope, oid).add(usage)


def move(tx: Transaction, old: tuple[int, int], new: tuple[int, int], usage: Usage) -> None:
    """Takes what an object uses from its old (uid, gid) to its new ones; raises as `charge` does.

    Who stays the owner is neither checked nor counted again.
    """
    leaving, joining = _owners(*old), _owners(*new)
    for scope, oid in joining:
        if (scope, oid) not in leaving:
            fault = tx.quotas(scope, oid).check(usage, defaults(tx, scope))
            if fault is not None:
                raise authorization.denied(tx.caller, f"{scope} [{oid}] {fault}.")
    for scope, oid in joining:
        if (scope, oid) not in leaving:
            tx.quotas(scope, oid).add(usage)
    for scope, oid in leaving:
        if (scope, oid) not in joining:
            tx.quotas(scope, oid).subtract(usage)


def defaults(tx: Transaction, scope: Scope) -> Quotas:
    """The limits of those who have none of their own; shared, not to be changed."""
    name = default_name(scope)
    return _parsed_defaults(tx.state.attributes.get(name, ""))


def default_name(scope: Scope) -> str:
    """The system attribute that holds a scope's default quotas, which is also their document's root."""
    return f"DEFAULT_{scope.upper()}_QUOTAS"


def set_limits(tx: Transaction, scope: Scope, oid: int, source: str) -> None:
    """Takes the quota template of `one.user.quota` or `one.group.quota`; raises ApiError ACTION."""
    if oid == _EXEMPT[scope]:
        raise ApiError(Code.ACTION, f"Cannot set quotas for oneadmin {scope}", oid)
    _take(tx.quotas(scope, oid), source, oid)


def _owners(uid: int, gid: int) -> list[tuple[Scope, int]]:
    owners: list[tuple[Scope, int]] = [("user", uid), ("group", gid)]
    return [(scope, oid) for scope, oid in owners if oid >= 0 and oid != _EXEMPT[scope]]


@lru_cache(maxsize=16)
def _parsed_defaults(document: str) -> Quotas:
    return Quotas.from_xml(document, is_default=True) if document else Quotas(is_default=True)


def _take(quotas: Quotas, source: str, oid: int = -1) -> None:
    try:
        quotas.set_limits(Template.parse(source))
    except (TemplateError, QuotaError) as error:
        raise ApiError(Code.ACTION, str(error), oid) from error


def _info(tx: Transaction, scope: Scope) -> str:
    return defaults(tx, scope).to_document(default_name(scope))


def _update(tx: Transaction, scope: Scope, source: str) -> str:
    new = defaults(tx, scope).copy()
    _take(new, source)
    name = default_name(scope)
    document = new.to_document(name)
    tx.put_row("system_attributes", name, {"name": name, "body": document})
    return document


@method("one.userquota.info", returns=Type.STRING, read_only=True)
def user_defaults(tx: Transaction) -> str:
    """The default quotas of users."""
    return _info(tx, "user")


@method("one.groupquota.info", returns=Type.STRING, read_only=True)
def group_defaults(tx: Transaction) -> str:
    """The default quotas of groups."""
    return _info(tx, "group")


@method("one.userquota.update", text("quota"), returns=Type.STRING, access=Access.ADMIN_GROUP)
def update_user_defaults(tx: Transaction, source: str) -> str:
    """Sets default quotas of users; entries that the template does not name stay."""
    return _update(tx, "user", source)


@method("one.groupquota.update", text("quota"), returns=Type.STRING, access=Access.ADMIN_GROUP)
def update_group_defaults(tx: Transaction, source: str) -> str:
    """Sets default quotas of groups; entries that the template does not name stay."""
    return _update(tx, "group", source)
