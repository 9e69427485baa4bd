"""Scheduled actions are carried out: the action and the mark that it was done are one change.

So a crash at any point leaves it done and marked, or neither. Source: spec scheduler.yaml
`scheduled_actions`; who may schedule an action is checked when it is written (vm_schedule).
"""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from merope.core import vm_requests
from merope.core.execute import execute
from merope.core.methods import METHODS
from merope.core.transaction import Transaction
from merope.model import schedule
from merope.model.errors import ApiError, Code
from merope.model.template import Vector
from merope.model.vm import VM

_ALIASES = {"shutdown": "terminate", "shutdown-hard": "terminate-hard", "delete": "terminate-hard"}
_PLAIN = frozenset(
    (
        "terminate terminate-hard undeploy undeploy-hard hold release stop suspend resume reboot reboot-hard "
        "poweroff poweroff-hard"
    ).split()
)


def _number(text: str) -> int | str:
    number = vm_requests.whole(text)
    if number is None:
        raise ApiError(Code.ACTION, f"ARGS has {vm_requests.shown(text)} where a number is expected")
    return number


def _text(text: str) -> int | str:
    return text


#: Action → the method that does it, and how the words of ARGS are read.
_METHODS: dict[str, tuple[str, tuple[Callable[[str], int | str], ...]]] = {
    "snapshot-create": ("one.vm.snapshotcreate", (_text,)),
    "snapshot-revert": ("one.vm.snapshotrevert", (_number,)),
    "snapshot-delete": ("one.vm.snapshotdelete", (_number,)),
    "disk-snapshot-create": ("one.vm.disksnapshotcreate", (_number, _text)),
    "disk-snapshot-revert": ("one.vm.disksnapshotrevert", (_number, _number)),
    "disk-snapshot-delete": ("one.vm.disksnapshotdelete", (_number, _number)),
}


def next_due(vm: VM) -> int | None:
    """When the first of a VM's actions is to be done, None when none is."""
    times = (schedule.read(action, vm.stime) for action in vm.user_template.vectors("SCHED_ACTION"))
    return min((due for found in times if found is not None and (due := found.due) is not None), default=None)


def due_actions(vm: VM, now: int) -> list[str]:
    """The IDs of the actions that are to be done now, in the order of their times."""
    found = []
    for action in vm.user_template.vectors("SCHED_ACTION"):
        read = schedule.read(action, vm.stime)
        if read is not None and read.due is not None and read.due <= now:
            found.append((read.due, action.get("ID", "")))
    return [number for _, number in sorted(found)]


def carry_out(tx: Transaction, vm_id: int, number: str, zone: tzinfo) -> bool:
    """Does an action if it is due, and writes that it is done; False when it is not due any more.

    Raises ApiError when it cannot be done, and then nothing has changed.
    """
    vm = tx.get(VM, vm_id)
    action = _find(vm, number)
    planned = None if action is None else schedule.read(action, vm.stime)
    if action is None or planned is None or planned.due is None or planned.due > tx.now:
        return False
    _do(tx, vm_id, action)
    own = _find(tx.edit(VM, vm_id), number)
    if own is not None:
        own.pop("MESSAGE", None)
        schedule.write(planned.after(tx.now, zone), own)
    return True


def _find(vm: VM, number: str) -> Vector | None:
    actions = vm.user_template.vectors("SCHED_ACTION")
    return next((action for action in actions if action.get("ID", "") == number), None)


def _do(tx: Transaction, vm_id: int, action: Vector) -> None:
    stated = action.get("ACTION", "").lower()
    wanted = _ALIASES.get(stated, stated)
    if wanted in _PLAIN:
        execute(tx, METHODS["one.vm.action"], (wanted, vm_id))
        return
    if wanted not in _METHODS:
        raise ApiError(Code.ACTION, f"The action {vm_requests.shown(stated)} cannot be scheduled", vm_id)
    name, readers = _METHODS[wanted]
    words = [word.strip() for word in action.get("ARGS", "").split(",", len(readers) - 1)]
    if len(words) != len(readers):
        raise ApiError(Code.ACTION, f"{wanted} takes {len(readers)} ARGS, not {len(words)}", vm_id)
    execute(tx, METHODS[name], (vm_id, *(read(word) for read, word in zip(readers, words, strict=True))))


def say(tx: Transaction, vm_id: int, number: str, reason: str) -> bool:
    """MESSAGE of an action that could not be done: "<date> : <reason>", written when the reason is new."""
    found = tx.find(VM, vm_id)
    known = None if found is None else _find(found, number)
    if known is None or known.get("MESSAGE", "").partition(" : ")[2] == reason:
        return False
    own = _find(tx.edit(VM, vm_id), number)
    assert own is not None
    when = datetime.fromtimestamp(tx.now, UTC).strftime("%a %b %d %H:%M:%S %Y")
    own["MESSAGE"] = f"{when} : {reason}"
    return True
