"""Hooks: commands. When one is due: hook_matching.py; what was run: hook_log.py.

Source: spec xmlrpc.yaml `one.hook.*`, templates.yaml `hook`, recorded hook-api.xml and hook-state.xml.
"""

from merope.core import acl, generic, hook_log, vm_requests
from merope.core.methods import METHODS, Need, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.hook import QUIET, TYPES, Hook
from merope.model.permissions import ObjectType, Op
from merope.model.states import HostState, LcmState, VmState
from merope.model.template import Template

#: What ON says of a VM → its STATE and LCM_STATE.
ON = {
    "PROLOG": (VmState.ACTIVE, LcmState.PROLOG),
    "RUNNING": (VmState.ACTIVE, LcmState.RUNNING),
    "SHUTDOWN": (VmState.ACTIVE, LcmState.EPILOG),
    "STOP": (VmState.STOPPED, LcmState.LCM_INIT),
    "DONE": (VmState.DONE, LcmState.LCM_INIT),
    "UNKNOWN": (VmState.ACTIVE, LcmState.UNKNOWN),
}
_CUSTOM = "CUSTOM"


class HookError(ValueError):
    """A template that makes no hook; the text is a sentence."""


@method("one.hook.allocate", text("template"), needs=(Need(Op.CREATE, Hook),))
def allocate(tx: Transaction, source: str) -> int:
    """Registers a hook for a method (TYPE api) or for a state of VMs or hosts (TYPE state)."""
    template = generic.parse_template(source)
    if not template.get("NAME"):
        raise generic.allocate_error("No NAME in template for Hook.")
    name = generic.take_name(tx, Hook, template)
    try:
        kind = _take_type(template)
        _check(kind, template)
    except HookError as fault:
        raise generic.allocate_error(str(fault)) from fault
    new = Hook(id=tx.new_id(Hook), name=name, type=kind, template=template)
    tx.add(new)
    return new.id


def _take_type(template: Template) -> str:
    if not template.get("COMMAND"):
        raise HookError("No COMMAND in template for Hook.")
    kind = template.get("TYPE").lower()
    template.remove("TYPE")
    if kind not in TYPES:
        raise HookError("No TYPE or invalid one in template for Hook.")
    return kind


def _check(kind: str, template: Template) -> None:
    """Completes the template of a hook in the form in which it is stored; raises HookError."""
    template.set("REMOTE", "YES" if template.get_bool("REMOTE") else "NO")
    if "TIMEOUT" in template and vm_requests.whole(template.get("TIMEOUT")) is None:
        raise HookError("TIMEOUT must be a number of seconds.")
    if kind == "api":
        _check_call(template)
    else:
        _check_resource(template)


def _check_call(template: Template) -> None:
    call = template.get("CALL")
    if call not in METHODS or call.rpartition(".")[2] in QUIET:
        raise HookError(f"API call does not exist or is not supported: {call[:64]}")


def _check_resource(template: Template) -> None:
    resource = template.get("RESOURCE").upper()
    if not resource:
        raise HookError("RESOURCE attribute is required for STATE hooks.")
    if resource not in _STATES:
        raise HookError(f"Invalid resource type: {resource[:64]}")
    template.set("RESOURCE", resource)
    on = template.get("ON").upper()
    template.remove("ON")
    _STATES[resource](template, on)


def _check_vm(template: Template, on: str) -> None:
    """ON, or with CUSTOM the states themselves."""
    if on in ON:
        state, lcm_state = ON[on]
        template.set("STATE", state.name)
        template.set("LCM_STATE", lcm_state.name)
        return
    if on != _CUSTOM:
        raise HookError(f"Unknown state condition: {on[:64]}")
    for name, states in (("STATE", VmState), ("LCM_STATE", LcmState)):
        wanted = template.get(name).upper()
        if wanted not in states.__members__:
            raise HookError(f"Wrong {name}: {wanted[:64]}")
        template.set(name, wanted)


def _check_host(template: Template, on: str) -> None:
    wanted = template.get("STATE").upper()
    if wanted not in HostState.__members__:
        raise HookError(f"Invalid STATE: {wanted[:64]}")
    template.set("STATE", wanted)


_STATES = {"VM": _check_vm, "HOST": _check_host}


@method("one.hook.delete", integer("id"), needs=(Need(Op.MANAGE, Hook, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a hook, and what is known of its executions."""
    acl.drop_rules_about(tx, ObjectType.HOOK, oid)
    hook_log.forget(tx, oid)
    tx.delete(tx.get(Hook, oid))
    return oid


@generic.checks_updates(Hook)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """A hook keeps its type and the kind of objects that it is about."""
    assert isinstance(value, Hook)
    for name in ("NAME", "TYPE"):
        new.remove(name)
    for name in ("REMOTE", "RESOURCE"):
        if name not in new and name in value.template:
            new.set(name, value.template.get(name))
    if value.type == "state" and "ON" not in new:
        new.set("ON", _CUSTOM)
    try:
        if not new.get("COMMAND"):
            raise HookError("The COMMAND attribute is not defined.")
        _check(value.type, new)
    except HookError as fault:
        raise generic.update_error(str(fault), value.id) from fault
    return new
