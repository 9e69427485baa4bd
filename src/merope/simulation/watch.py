"""Counts how often each scheduled action is carried out: once, over crashes and writes that fail."""

from collections import Counter
from collections.abc import Callable, Iterator

from merope.core import vm_scheduled
from merope.daemon.timetable import Timetable
from merope.model import schedule
from merope.model.state import State
from merope.model.vm import VM

#: Seconds that an action may be late: the timetable looks at the clock, and tries again, once in a while.
LATENESS = 100

Action = tuple[int, str, str]
"""VM, NOTE and TIME: no two of the actions that the simulation writes are alike, nor are two times of one."""


class Watched(Timetable):
    """A timetable that says what it has carried out, when that is stored."""

    done: Callable[[Action], None]

    def _carry_out(self, oid: int, number: str) -> bool:
        action = _action(self._cloud.state, oid, number)
        done = super()._carry_out(oid, number)
        if done and action is not None and action[1]:
            self._cloud.when_durable(self._cloud.state.index, lambda stored: self._tell(stored, action))
        return done

    def _tell(self, stored: bool, action: Action) -> None:
        if stored:
            self.done(action)


def _action(state: State, oid: int, number: str) -> Action | None:
    vm = state.pools["vm_pool"].parsed(oid)
    vectors = vm.user_template.vectors("SCHED_ACTION") if isinstance(vm, VM) else []
    found = next((vector for vector in vectors if vector.get("ID") == number), None)
    return None if found is None else (oid, found.get("NOTE", ""), found.get("TIME", ""))


class Actions:
    """What was carried out in one schedule, by all the processes that there were."""

    def __init__(self) -> None:
        self.done: Counter[Action] = Counter()
        self.twice: list[Action] = []

    def note(self, action: Action) -> None:
        self.done[action] += 1
        if self.done[action] > 1:
            self.twice.append(action)


def overdue(state: State, now: int) -> Iterator[str]:
    """Actions that should have been carried out, and of which nobody says why they were not."""
    pool = state.pools["vm_pool"]
    for oid in list(pool.entries):
        vm = pool.parsed(oid)
        if not isinstance(vm, VM):
            continue
        for number in vm_scheduled.due_actions(vm, now - LATENESS):
            vectors = vm.user_template.vectors("SCHED_ACTION")
            found = next(vector for vector in vectors if vector.get("ID", "") == number)
            if not found.get("MESSAGE") and schedule.read(found, vm.stime) is not None:
                yield f"VM {oid}: {found.get('ACTION')} was due at {found.get('TIME')} and was not done"
