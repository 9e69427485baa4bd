"""What hooks have run: the last LOG_RETENTION executions of each.

Source: spec xmlrpc.yaml `one.hooklog.info`, `one.hook.retry`, xml.yaml `HOOK_EXECUTION_RECORD`, db.yaml
`hook_log`.
"""

from xml.etree import ElementTree

from merope.core import hook_matching, views
from merope.core.methods import Access, Need, Type, integer, method
from merope.core.transaction import Transaction
from merope.model.change import Row
from merope.model.errors import ApiError, Code
from merope.model.hook import Execution, Hook
from merope.model.hook_run import TABLE as RUNS
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


def take(tx: Transaction, run_id: int, execution: Execution) -> int:
    """Takes the result of a run that was due. What is due no more is ignored: it was answered, or its hook is
    gone."""
    run = tx.state.hook_runs.get(run_id)
    if run is not None:
        tx.put_row(RUNS, run_id, None)
        if run.hook in tx.state.pools["hook_pool"].entries:
            note(tx, run.hook, execution)
    return run_id


def forget(tx: Transaction, hook_id: int) -> None:
    """Removes the log of a hook, and what is due of it."""
    for run in tx.state.hook_runs.values():
        if run.hook == hook_id:
            tx.put_row(RUNS, run.id, None)
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
    logged = tx.state.hook_log.get(oid, {}).get(number)
    record = None if logged is None else ElementTree.fromstring(logged.body)  # noqa: S314 - ours
    if record is None or record.find("ARGUMENTS") is None:
        raise ApiError(Code.INTERNAL, "Invalid HookLog body. Arguments not found.", oid)
    arguments, host = record.findtext("ARGUMENTS", ""), record.findtext("REMOTE_HOST", "")
    hook_matching.add_run(tx, oid, arguments, host, retry=True)
    hook_matching.tell_retry(tx, oid, arguments, host)
    return oid
