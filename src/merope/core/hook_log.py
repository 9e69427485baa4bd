"""What hooks have run: the last LOG_RETENTION executions of each.

Source: spec xmlrpc.yaml `one.hooklog.info`, `one.hook.retry`, xml.yaml `HOOK_EXECUTION_RECORD`, db.yaml
`hook_log`.
"""

from merope.core import views
from merope.core.methods import Access, Need, Type, integer, method
from merope.core.transaction import Transaction
from merope.model.change import Row
from merope.model.errors import ApiError, Code
from merope.model.hook import Execution, Hook
from merope.model.permissions import Op

_TABLE = "hook_log"


def note(tx: Transaction, hook_id: int, execution: Execution) -> int:
    """Writes an execution into the log of its hook, whose oldest one may go; answers its number."""
    known = tx.state.hook_log.get(hook_id, {})
    number = max(known, default=-1) + 1
    body = execution.to_xml(hook_id, number, tx.now)
    row: Row = {
        "hkid": hook_id,
        "exeid": number,
        "timestamp": tx.now,
        "rc": execution.code,
        "body": body,
    }
    tx.put_row(_TABLE, (hook_id, number), row)
    for old in known:
        if old <= number - tx.settings.hook_log_retention:
            tx.put_row(_TABLE, (hook_id, old), None)
    return number


def forget(tx: Transaction, hook_id: int) -> None:
    """Removes the log of a hook."""
    for number in tx.state.hook_log.get(hook_id, {}):
        tx.put_row(_TABLE, (hook_id, number), None)


@method(
    "one.hooklog.info",
    integer("min_ts"),
    integer("max_ts"),
    integer("hook"),
    integer("rc"),
    returns=Type.STRING,
    access=Access.ADMIN_GROUP,
    read_only=True,
)
def info(tx: Transaction, first: int, last: int, hook_id: int, outcome: int) -> bytes:
    """Executions between two times (epochs, both excluded), of a hook; negative numbers set no bound.

    `outcome`: -1 those that failed, 1 those that succeeded, else both.
    """
    found = []
    for oid in sorted(tx.state.hook_log, reverse=True):
        if hook_id >= 0 and oid != hook_id:
            continue
        for _, run in sorted(tx.state.hook_log[oid].items()):
            in_time = (first < 0 or run.timestamp > first) and (last < 0 or run.timestamp < last)
            wanted = outcome not in (-1, 1) or (run.code == 0) == (outcome == 1)
            if in_time and wanted:
                found.append(run)
    return views.wire(views.hook_log_xml(found))


@method("one.hook.retry", integer("id"), integer("exec"), needs=(Need(Op.MANAGE, Hook, "id"),))
def retry(tx: Transaction, oid: int, number: int) -> int:
    """Runs an execution of a hook again, with the arguments that it had."""
    if number not in tx.state.hook_log.get(oid, {}):
        raise ApiError(Code.INTERNAL, "Invalid HookLog body. Arguments not found.", oid)
    raise ApiError(Code.ACTION, f"Hook {oid} cannot be run: this release has no hook manager.", oid)
