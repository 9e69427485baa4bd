"""SQL of an administrator: `one.system.sqlquery` reads, `one.system.sql` writes.

The statement was run on a copy before the command runs (spec xmlrpc.yaml `one.system.sql`): the answer of a
query is in `prepared["answer"]` (rows_xml), the rows that a statement changes are in
`prepared["differences"]`. What it would write is written as any other change: documents must be documents,
and what depends on them follows.
"""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from merope.core.check import Finding
from merope.core.check_rows import attribute_faults, history_faults, object_faults, quota_faults
from merope.core.methods import Access, Type, boolean, method, text
from merope.core.transaction import Transaction, object_row
from merope.core.views import wire
from merope.model.change import Key, Row
from merope.model.document import cdata
from merope.model.errors import ApiError, Code
from merope.model.kinds import BY_TABLE
from merope.model.template_text import FORBIDDEN

OBJECTS = 500
"""Objects that one statement changes, at most: the cloud waits while their documents are read."""
#: Tables whose rows are taken as they are: figures and relations that no object is made of.
_PLAIN = frozenset({"vm_showback", "vm_monitoring", "host_monitoring", "vm_import", "hook_log"})
_CHECKS = {
    "history": history_faults,
    "user_quotas": lambda row: quota_faults("user", row),
    "group_quotas": lambda row: quota_faults("group", row),
    "system_attributes": attribute_faults,
}
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)


@method(
    "one.system.sqlquery",
    text("sql"),
    returns=Type.STRING,
    access=Access.ONEADMIN,
    read_only=True,
    prepare="system.sqlquery",
)
def query(tx: Transaction, sql: str) -> bytes:
    """The rows that a SELECT answers; cells that begin with < are in base64, in <column>64."""
    rows = _prepared(tx, "answer")
    result = f"<RESULT>{rows}</RESULT>" if rows else "<RESULT/>"
    shown = cdata(FORBIDDEN.sub("\ufffd", sql))
    return wire(f"<SQL_COMMAND><QUERY>{shown}</QUERY>{result}</SQL_COMMAND>")


def rows_xml(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The rows of an answer as the query's document has them; of a long answer this takes a thread."""
    tags = [name if _TAG.fullmatch(name) else "COLUMN" for name in names]
    return "".join(_row(tags, row) for row in rows)


def _row(names: Sequence[str], cells: Sequence[Any]) -> str:
    parts = []
    for name, cell in zip(names, cells, strict=True):
        shown = "" if cell is None else str(cell)
        if shown.startswith("<") or FORBIDDEN.search(shown):
            encoded = base64.b64encode(shown.encode()).decode()
            parts.append(f"<{name}64>{cdata(encoded)}</{name}64>")
        else:
            parts.append(f"<{name}>{cdata(shown)}</{name}>")
    return f"<ROW>{''.join(parts)}</ROW>"


@method(
    "one.system.sql",
    text("sql"),
    boolean("federate"),
    access=Access.ONEADMIN,
    prepare="system.sql",
)
def execute(tx: Transaction, sql: str, federate: bool) -> int:
    """Writes what an INSERT, UPDATE or DELETE changes, where the cloud can be made of it."""
    changes = json.loads(_prepared(tx, "differences") or "[]")
    objects = sum(item["table"] not in _PLAIN for item in changes)
    if objects > OBJECTS:
        raise ApiError(Code.ACTION, f"The statement changes {objects} objects; {OBJECTS} at most at once")
    for item in changes:
        table, before, after = item["table"], item["before"], item["after"]
        key: Key = tuple(item["key"]) if isinstance(item["key"], list) else item["key"]
        if table in BY_TABLE:
            after = _object(tx, table, key, before, after)
        elif table in _CHECKS and after is not None:
            _refuse_faults(table, key, list(_CHECKS[table](after)))
        elif table not in _PLAIN and table not in _CHECKS:
            raise ApiError(Code.ACTION, f"Table {table} cannot be written by SQL")
        tx.put_row(table, key, after)
    return 0


def _object(tx: Transaction, table: str, key: Key, before: Row | None, after: Row | None) -> Row:
    """The row of an object as its new document says that it is."""
    kind = BY_TABLE[table]
    what = f"{kind.label} {key}"
    if before is None or after is None:
        verb = "created" if before is None else "deleted"
        raise ApiError(Code.ACTION, f"{what} cannot be {verb} by SQL: use one.{kind.api}.*")
    entry = tx.state.pools[table].entries.get(int(str(key)))
    if entry is not None and entry.body != before["body"]:
        raise ApiError(Code.ACTION, f"{what} has been changed meanwhile; try again")
    faults = [found for found in object_faults(kind, after) if found.unreadable]
    _refuse_faults(table, key, faults)
    row = object_row(kind.document.from_xml(str(after["body"])))
    if after["body"] == before["body"]:
        wrong = [name for name, cell in row.items() if name in after and after[name] != cell]
        if set(wrong) - {"search_token"}:
            raise ApiError(
                Code.ACTION, f"{what}: its document says another {', '.join(wrong)}; change its body"
            )
    return row


def _refuse_faults(table: str, key: Key, faults: list[Finding]) -> None:
    if faults:
        raise ApiError(Code.ACTION, f"{table} {key}: {faults[0].sentence}")


def _prepared(tx: Transaction, name: str) -> str:
    """What was found out before; raises ApiError ACTION with what the statement was refused for."""
    error = tx.context.prepared.get("error")
    if error:
        raise ApiError(Code.ACTION, str(error))
    return str(tx.context.prepared.get(name, ""))
