"""Documents as they go out: the stored body with what 5.12 adds to it, escaped, and kept on the entry."""

import re
from collections.abc import Iterable
from dataclasses import replace

from merope.core.transaction import Transaction
from merope.model.document import Document, escape
from merope.model.hook import Logged
from merope.model.kinds import BY_DOCUMENT, USER, Kind
from merope.model.quota import sections_xml
from merope.model.state import Entry, State
from merope.model.user import User

_NO_MONITORING = "<MONITORING/>"
_SEQ = re.compile(r"<SEQ>(\d+)</SEQ>")


def wire(text: str) -> bytes:
    """A document as it stands inside a string value."""
    return escape(text).encode()


def info(tx: Transaction, kind: type[Document], oid: int) -> bytes:
    """The document of `one.*.info`; raises ApiError NO_EXISTS."""
    entry = tx.entry(kind, oid)
    if entry.info_wire is None:
        render = _INFO.get(BY_DOCUMENT[kind].table)
        entry.info_wire = wire(entry.body if render is None else render(tx.state, entry))
    return entry.info_wire


def pool_item(tx: Transaction, kind: Kind, entry: Entry) -> bytes:
    """What a pool lists for an object."""
    if entry.pool_wire is None:
        render = _POOL.get(kind.table)
        entry.pool_wire = wire(entry.body if render is None else render(tx.state, entry))
    return entry.pool_wire


def extended_vm(tx: Transaction, entry: Entry) -> bytes:
    """What `one.vmpool.infoextended` lists for a VM: the whole body with its last history record."""
    if entry.extended_wire is None:
        entry.extended_wire = wire(_monitored(tx.state, "vm_pool", entry, entry.body))
    return entry.extended_wire


def _monitored(state: State, table: str, entry: Entry, body: str) -> str:
    latest = state.monitoring[table].get(entry.oid)
    return body.replace(_NO_MONITORING, latest, 1) if latest else body


def _vm_info(state: State, entry: Entry) -> str:
    body = _monitored(state, "vm_pool", entry, entry.body)
    closed = state.history.get(entry.oid)
    current = _SEQ.search(entry.short)
    if not closed or current is None:
        return body
    records = "".join(closed[seq] for seq in sorted(closed) if seq < int(current[1]))
    return body.replace("<HISTORY_RECORDS>", f"<HISTORY_RECORDS>{records}", 1)


def _vm_pool(state: State, entry: Entry) -> str:
    return _monitored(state, "vm_pool", entry, entry.short)


def _host_info(state: State, entry: Entry) -> str:
    return _monitored(state, "host_pool", entry, entry.body)


def _user_info(state: State, entry: Entry) -> str:
    return _with_quotas(state, entry.oid, entry.body, "user")


def _group_info(state: State, entry: Entry) -> str:
    return _with_quotas(state, entry.oid, entry.body, "group")


def _with_quotas(state: State, oid: int, body: str, scope: str) -> str:
    held = state.user_quotas if scope == "user" else state.group_quotas
    root = f"</{scope.upper()}>"
    default = default_quotas(state, scope)
    return body.removesuffix(root) + sections_xml(held.get(oid)) + default + root


def user_info(tx: Transaction, uid: int) -> bytes:
    """The document of `one.user.info`, as the caller may see it."""
    tx.entry(User, uid)
    if _sees_secrets(tx, uid):
        return info(tx, User, uid)
    return wire(_with_quotas(tx.state, uid, _without_secrets(tx.get(User, uid)), "user"))


def user_item(tx: Transaction, entry: Entry) -> bytes:
    """What the pool of users lists for one of them, as the caller may see it."""
    if _sees_secrets(tx, entry.oid):
        return pool_item(tx, USER, entry)
    return wire(_pool_quotas(tx.state, entry.oid, _without_secrets(tx.get(User, entry.oid))))


def _sees_secrets(tx: Transaction, uid: int) -> bool:
    """Who administers a group sees its users, but a login token, or what tokens are made from, would let
    one act as them; 5.12 shows both."""
    return tx.caller.is_admin or tx.caller.uid == uid


def _without_secrets(user: User) -> str:
    template = user.template.copy()
    template.remove("TOKEN_PASSWORD")
    return replace(user, password="", login_tokens=[], template=template).to_xml()


def default_quotas(state: State, scope: str) -> str:
    """DEFAULT_USER_QUOTAS or DEFAULT_GROUP_QUOTAS of the cloud."""
    name = f"DEFAULT_{scope.upper()}_QUOTAS"
    return state.attributes.get(name) or f"<{name}>{sections_xml(None)}</{name}>"


def _user_pool(state: State, entry: Entry) -> str:
    return _pool_quotas(state, entry.oid, entry.body)


def _pool_quotas(state: State, oid: int, body: str) -> str:
    return f"{body}<QUOTAS><ID>{oid}</ID>{sections_xml(state.user_quotas.get(oid))}</QUOTAS>"


def _group_pool(state: State, entry: Entry) -> str:
    quotas = sections_xml(state.group_quotas.get(entry.oid))
    return f"{entry.body}<QUOTAS><ID>{entry.oid}</ID>{quotas}</QUOTAS>"


def hook_log_xml(records: Iterable[Logged]) -> str:
    inner = "".join(record.body for record in records)
    return f"<HOOKLOG>{inner}</HOOKLOG>" if inner else "<HOOKLOG/>"


def _hook_info(state: State, entry: Entry) -> str:
    logged = state.hook_log.get(entry.oid, {})
    log = hook_log_xml(logged[number] for number in sorted(logged))
    return f"{entry.body.removesuffix('</HOOK>')}{log}</HOOK>"


_INFO = {
    "vm_pool": _vm_info,
    "host_pool": _host_info,
    "user_pool": _user_info,
    "group_pool": _group_info,
    "hook_pool": _hook_info,
}
_POOL = {
    "vm_pool": _vm_pool,
    "user_pool": _user_pool,
    "group_pool": _group_pool,
}
