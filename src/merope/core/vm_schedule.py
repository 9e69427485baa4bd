"""Scheduled actions of VMs: SCHED_ACTION in the user template, checked and numbered when it is written.

Source: spec scheduler.yaml `scheduled_actions`, recorded vm-running.xml.
"""

from merope.core import vm_requests
from merope.model.template import Template, Vector

#: REPEAT → the range of its DAYS, and how a number outside of it is told.
_DAYS = {
    0: (6, "Days in a week have to be in [0,6] range"),
    1: (31, "Days in a month have to be in [1,31] range"),
    2: (365, "Days in a year have to be in [0,365] range"),
    3: (168, "Hours have to be in [0,168] range"),
}
_FIRST = {1: 1}
_END_TYPES = range(3)
_NEVER = 0


class ScheduleError(ValueError):
    """An action that cannot be scheduled; the text is a sentence."""


def take_actions(template: Template) -> None:
    """Gives every SCHED_ACTION its ID where it has none of its own; raises ScheduleError."""
    used: set[int] = set()
    unnumbered = []
    for action in template.vectors("SCHED_ACTION"):
        _check(action)
        number = vm_requests.whole(action.get("ID", ""))
        if number is None or number in used:
            unnumbered.append(action)
        else:
            used.add(number)
    for number, action in enumerate(unnumbered, start=1 + max(used, default=-1)):
        action["ID"] = str(number)


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
    if end and int(end) != _NEVER and vm_requests.whole(value) is None:
        raise ScheduleError("Missing END_VALUE")


def _check_days(text: str, repeat: int) -> None:
    last, told = _DAYS[repeat]
    for word in filter(None, text.split(",")):
        day = vm_requests.whole(word.strip())
        if day is None:
            raise ScheduleError("Wrong format of DAYS attribute")
        if not _FIRST.get(repeat, 0) <= day <= last:
            raise ScheduleError(told)
