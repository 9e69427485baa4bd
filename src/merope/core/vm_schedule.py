"""Scheduled actions of VMs: SCHED_ACTION in the user template, checked and numbered when it is written.

Source: spec scheduler.yaml `scheduled_actions`, recorded vm-running.xml.
"""

from merope.core import vm_requests, vm_rights
from merope.core.transaction import Transaction
from merope.model.schedule import End, Repeat
from merope.model.template import Template, Vector
from merope.model.vm import VM

#: REPEAT → the range of its DAYS, and how a number outside of it is told.
_DAYS: dict[int, tuple[int, str]] = {
    Repeat.WEEKLY: (6, "Days in a week have to be in [0,6] range"),
    Repeat.MONTHLY: (31, "Days in a month have to be in [1,31] range"),
    Repeat.YEARLY: (365, "Days in a year have to be in [0,365] range"),
    Repeat.HOURLY: (168, "Hours have to be in [0,168] range"),
}
_FIRST: dict[int, int] = {Repeat.MONTHLY: 1, Repeat.HOURLY: 1}
_END_TYPES = frozenset(End)
#: What becomes of an action when it is done; a new VM's have none yet.
_DONE = ("DONE", "MESSAGE")
#: Actions that take the right of another name (spec xmlrpc.yaml `vm_action_groups`).
_RIGHTS = (("disk-snapshot-", "disk-snapshot"), ("snapshot-", "snapshot"), ("shutdown", "terminate"))


class ScheduleError(ValueError):
    """An action that cannot be scheduled; the text is a sentence."""


def take_actions(template: Template, *, fresh: bool = False) -> None:
    """Gives every SCHED_ACTION its ID where it has none of its own; raises ScheduleError.

    `fresh`: of a new VM, whose actions have not been done whatever they say.
    """
    used: set[int] = set()
    unnumbered = []
    for action in template.vectors("SCHED_ACTION"):
        _check(action)
        for name in _DONE if fresh else ():
            action.pop(name, None)
        number = vm_requests.whole(action.get("ID", ""))
        if number is None or number in used:
            unnumbered.append(action)
        else:
            used.add(number)
    for number, action in enumerate(unnumbered, start=1 + max(used, default=-1)):
        action["ID"] = str(number)


def require_rights(tx: Transaction, vm: VM, new: Template) -> None:
    """Who schedules an action needs the right to do it: it will be done in the name of the cloud.

    5.12 does not ask. Raises ApiError AUTHORIZATION; actions that were there already are not asked about.
    """
    known = vm.user_template.vectors("SCHED_ACTION")
    for action in new.vectors("SCHED_ACTION"):
        if action not in known:
            vm_rights.require(tx, vm, _right_of(action.get("ACTION", "").lower()))


def _right_of(action: str) -> str:
    return next((right for prefix, right in _RIGHTS if action.startswith(prefix)), action)


def _check(action: Vector) -> None:
    if action.get("REPEAT"):
        repeat = vm_requests.whole(action["REPEAT"])
        if repeat not in _DAYS:
            raise ScheduleError("Error parsing REPEAT attribute")
        _check_days(action.get("DAYS", ""), repeat)
    end, value = action.get("END_TYPE", ""), action.get("END_VALUE", "")
    if end and vm_requests.whole(end) not in _END_TYPES:
        raise ScheduleError("Error parsing END_TYPE attribute")
    if not end and value:
        raise ScheduleError("Error END_VALUE defined but not valid END_TYPE found")
    if end and int(end) != End.NEVER and vm_requests.whole(value) is None:
        raise ScheduleError("Missing END_VALUE")
    if end and int(end) == End.TIMES and int(value) == 0 and not action.get("DONE"):
        raise ScheduleError("Error parsing END_VALUE, times has to be greater than 0")


def _check_days(text: str, repeat: int) -> None:
    last, told = _DAYS[repeat]
    words = [word for word in text.split(",") if word.strip()]
    if repeat == Repeat.HOURLY and len(words) > 1:
        raise ScheduleError(told)
    for word in words:
        day = vm_requests.whole(word.strip())
        if day is None:
            raise ScheduleError("Wrong format of DAYS attribute")
        if not _FIRST.get(repeat, 0) <= day <= last:
            raise ScheduleError(told)
