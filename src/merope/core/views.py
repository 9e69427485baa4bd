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

_NO_MONITORING = b"&lt;MONITORING/&gt;"
_HISTORY = b"&lt;HISTORY_RECORDS&gt;"
_SEQ = re.compile(rb"&lt;SEQ&gt;(\d+)&lt;/SEQ&gt;")


def wire(text: str) -> bytes:
    """A document as it stands inside a string value."""
    return escape(text).encode()


def info(tx: Transaction, kind: type[Document], oid: int) -> bytes:
    """The document of `one.*.info`; raises ApiError NO_EXISTS."""
    entry = tx.entry(kind, oid)
    if entry.info_wire is not None:
        return entry.info_wire
    table = BY_DOCUMENT[kind].table
    splice = _SPLICED.get(table)
    if splice is not None:
        return splice(tx.state, entry)
    render = _INFO.get(table)
    if render is None:
        return entry.wire
    entry.info_wire = wire(render(tx.state, entry))
    return entry.info_wire


def pool_item(tx: Transaction, kind: Kind, entry: Entry) -> bytes:
    """What a pool lists for an object."""
    render = _POOL.get(kind.table)
    if render is None:
        return entry.wire
    if entry.pool_wire is None:
        entry.pool_wire = wire(render(tx.state, entry))
    return entry.pool_wire


def short_vm(tx: Transaction, entry: Entry) -> bytes:
    """What `one.vmpool.info` lists for a VM."""
    return _monitored(tx.state, "vm_pool", entry.oid, entry.short_wire)


def extended_vm(tx: Transaction, entry: Entry) -> bytes:
    """What `one.vmpool.infoextended` lists for a VM: the whole body with its last history record."""
    return _monitored(tx.state, "vm_pool", entry.oid, entry.wire)


def _monitored(state: State, table: str, oid: int, document: bytes) -> bytes:
    latest = state.monitoring[table].get(oid)
    return document.replace(_NO_MONITORING, wire(latest), 1) if latest else document


def _vm_info(state: State, entry: Entry) -> bytes:
    document = _monitored(state, "vm_pool", entry.oid, entry.wire)
    closed = state.history.get(entry.oid)
    if not closed:
        return document
    # The last place that looks like it: what stands before it are texts of users, who may write the same.
    place = document.rfind(_HISTORY) + len(_HISTORY)
    current = _SEQ.search(document, place)
    if current is None or place < len(_HISTORY):
        return document
    records = "".join(closed[seq] for seq in sorted(closed) if seq < int(current[1]))
    return document[:place] + wire(records) + document[place:]


def _host_info(state: State, entry: Entry) -> bytes:
    return _monitored(state, "host_pool", entry.oid, entry.wire)


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
    return wire(_with_quotas(tx.state, uid, without_secrets(tx.get(User, uid)), "user"))


def user_item(tx: Transaction, entry: Entry) -> bytes:
    """What the pool of users lists for one of them, as the caller may see it."""
    if _sees_secrets(tx, entry.oid):
        return pool_item(tx, USER, entry)
    # A long list is made while others change what it shows: the user may be gone by now.
    user = tx.find(User, entry.oid) or User.from_xml(entry.body)
    return wire(_pool_quotas(tx.state, entry.oid, without_secrets(user)))


def _sees_secrets(tx: Transaction, uid: int) -> bool:
    """Who administers a group sees its users, but a login token, or what tokens are made from, would let
    one act as them; 5.12 shows both."""
    return tx.caller.is_admin or tx.caller.uid == uid


def without_secrets(user: User) -> str:
    """The document of a user without what would let a reader act as them."""
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


#: Documents that are made anew for each answer, of one that is held and what is put into it.
_SPLICED = {"vm_pool": _vm_info, "host_pool": _host_info}
_INFO = {"user_pool": _user_info, "group_pool": _group_info, "hook_pool": _hook_info}
_POOL = {"user_pool": _user_pool, "group_pool": _group_pool}
