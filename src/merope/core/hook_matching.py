"""Which hooks an event is due to, and the messages of changes of state.

Source: spec drivers.yaml `hm`, xml.yaml `HOOK_MESSAGE`, templates.yaml `hook`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from merope.model.document import Document, escape
from merope.model.event import Event
from merope.model.hook import Hook
from merope.model.hook_run import TABLE, HookRun
from merope.model.host import Host
from merope.model.states import HostState, LcmState, VmState
from merope.model.vm import VM

if TYPE_CHECKING:
    from merope.core.transaction import Transaction
    from merope.model.state import State

_HISTORY = "<HISTORY_RECORDS>"
RETRY = "RETRY"
API_WORD, TEMPLATE_WORD = "$API", "$TEMPLATE"


def api_key(call: str, *, success: bool) -> str:
    return f"EVENT API {call} {int(success)}"


def hooks_on_call(state: State, call: str) -> list[Hook]:
    return [hook for hook in _hooks(state) if hook.type == "api" and hook.template.get("CALL") == call]


def _hooks(state: State) -> list[Hook]:
    pool = state.pools["hook_pool"]
    return [hook for oid in pool.entries if isinstance(hook := pool.parsed(oid), Hook)]


def state_changed(tx: Transaction, value: Document, body: str) -> None:
    """Notes that a VM or a host (`body` is its new document) is in another state than it was."""
    if isinstance(value, VM):
        _vm_changed(tx, value, body)
    elif isinstance(value, Host):
        _host_changed(tx, value, body)


def _vm_changed(tx: Transaction, vm: VM, body: str) -> None:
    before = tx.state.pools["vm_pool"].entries.get(vm.id)
    if before is not None and (before.state, before.lcm_state) == (vm.state, vm.lcm_state):
        return
    state, lcm_state = VmState(vm.state).name, LcmState(vm.lcm_state).name
    service = vm.user_template.get("SERVICE_ID")
    keys = (
        f"EVENT VM {vm.id}/{state}/{lcm_state} ",
        f"EVENT STATE VM/{state}/{lcm_state}/{vm.id} ",
        *((f"EVENT SERVICE {service} ",) if service else ()),
    )
    due = _due(tx, "VM", state, lcm_state)
    heard = any(map(tx.context.heard, keys))
    if not due and not heard:
        return
    document = _with_history(tx, vm, body)
    host = "" if vm.history is None else vm.history.hostname
    for hook in due:
        run_hook(tx, hook, TEMPLATE_WORD, document, host)
    if heard:
        more = _element("SERVICE_ID", service) if service else ""
        tx.tell(
            keys,
            f"<HOOK_MESSAGE><HOOK_TYPE>STATE</HOOK_TYPE><HOOK_OBJECT>VM</HOOK_OBJECT><STATE>{state}</STATE>"
            f"<LCM_STATE>{lcm_state}</LCM_STATE><RESOURCE_ID>{vm.id}</RESOURCE_ID>{more}"
            f"{_element('REMOTE_HOST', host)}{document}</HOOK_MESSAGE>",
        )


def _host_changed(tx: Transaction, host: Host, body: str) -> None:
    before = tx.state.pools["host_pool"].entries.get(host.id)
    if before is not None and before.state == host.state:
        return
    state = HostState(host.state).name
    keys = (f"EVENT HOST {host.id}/{state}/ ", f"EVENT STATE HOST/{state}//{host.id} ")
    for hook in _due(tx, "HOST", state):
        run_hook(tx, hook, TEMPLATE_WORD, body, host.name)
    if any(map(tx.context.heard, keys)):
        tx.tell(
            keys,
            f"<HOOK_MESSAGE><HOOK_TYPE>STATE</HOOK_TYPE><HOOK_OBJECT>HOST</HOOK_OBJECT><STATE>{state}</STATE>"
            f"{_element('REMOTE_HOST', host.name)}<RESOURCE_ID>{host.id}</RESOURCE_ID>{body}</HOOK_MESSAGE>",
        )


def _due(tx: Transaction, resource: str, state: str, lcm_state: str = "") -> list[Hook]:
    if not tx.state.pools["hook_pool"].entries:
        return []
    wanted = (resource, state, lcm_state)
    return [hook for hook in _hooks(tx.state) if hook.type == "state" and _condition(hook) == wanted]


def _condition(hook: Hook) -> tuple[str, str, str]:
    resource = hook.template.get("RESOURCE")
    lcm_state = hook.template.get("LCM_STATE") if resource == "VM" else ""
    return (resource, hook.template.get("STATE"), lcm_state)


def run_hook(tx: Transaction, hook: Hook, word: str, document: str, remote_host: str = "") -> None:
    """Makes a hook due: `document` is what `word` stands for in its ARGUMENTS, the other word for nothing."""
    words = []
    for given in hook.template.get("ARGUMENTS").split():
        if given == word:
            words.append(b64encode(document.encode()).decode())
        elif given not in (API_WORD, TEMPLATE_WORD):
            words.append(given)
    add_run(tx, hook.id, " ".join(words), remote_host)


def add_run(tx: Transaction, oid: int, arguments: str, remote_host: str = "", *, retry: bool = False) -> None:
    run = HookRun(tx.next_number(TABLE), oid, arguments, remote_host, retry)
    tx.put_row(TABLE, run.id, {"oid": run.id, "body": run.to_json()})


def tell_retry(tx: Transaction, oid: int, arguments: str, remote_host: str) -> None:
    """The event that asks executors outside to run a hook again."""
    if tx.context.heard(RETRY):
        more = _element("REMOTE_HOST", remote_host) if remote_host else ""
        coded = b64encode(arguments.encode()).decode()
        body = f"<ARGUMENTS>{coded}</ARGUMENTS><HOOK_ID>{oid}</HOOK_ID>{more}"
        tx.tell((RETRY,), f"<HOOK_MESSAGE>{body}</HOOK_MESSAGE>")


def _with_history(tx: Transaction, vm: VM, body: str) -> str:
    """The document with all its records: the closed ones are rows of their own, some of this very change."""
    current = vm.history
    closed = dict(tx.state.history.get(vm.id, {}))
    if current is None or not (closed or current.seq):
        return body
    records = []
    for seq in range(current.seq):
        row = tx.row("history", (vm.id, seq))
        # A record's row has the whole VM in it, for accounting.
        text = closed.get(seq, "") if row is None else str(row["body"])
        records.append(text if "<VM>" not in text else f"{text[: text.find('<VM>')]}</HISTORY>")
    place = body.rfind(_HISTORY) + len(_HISTORY)
    return body[:place] + "".join(records) + body[place:]


def _element(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>" if text else f"<{tag}/>"


def as_base64(event: Event) -> bytes:
    """The message as subscribers get it."""
    return b64encode(event.message.encode())
