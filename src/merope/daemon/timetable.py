"""The timetable of scheduled actions: finds those that are due and has the core carry them out.

What is due follows from the VMs' documents, so nothing is lost when the process ends; an action that could
not be done is tried again, as in 5.12, as long as it is there.
"""

import heapq
import logging
from datetime import tzinfo

from merope.core import vm_scheduled
from merope.core.transaction import SYSTEM, Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Handle, Timer
from merope.model.change import Change, Delete, Put
from merope.model.errors import ApiError
from merope.model.vm import VM

log = logging.getLogger("merope.scheduler")

_MARK = "<SCHED_ACTION>"
#: VMs that are looked after in one turn of the loop; others are served between.
_AT_ONCE = 20


class Timetable:
    """One per leader. `period`: seconds between two attempts, and between two looks at the clock at most."""

    def __init__(self, cloud: Cloud, after: Timer, zone: tzinfo, period: float = 30.0) -> None:
        self._cloud = cloud
        self._after = after
        self._zone = zone
        self._period = period
        self._due: dict[int, float] = {}
        self._not_before: dict[int, float] = {}
        """VMs of which an action could not be done: when it is tried again."""
        self._queue: list[tuple[float, int]] = []
        self._timer: Handle | None = None
        self._stopped = False
        cloud.subscribe(self._changed)

    def start(self) -> None:
        """Looks at every VM that has actions, and begins."""
        for oid, entry in self._cloud.state.pools["vm_pool"].entries.items():
            if _MARK in entry.short:
                self._look(oid)
        self._wind()

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _changed(self, change: Change) -> None:
        for operation in change.operations:
            if operation.table != "vm_pool" or not isinstance(operation.key, int):
                continue
            if isinstance(operation, Delete) or _MARK not in str(operation.row.get("short_body") or ""):
                self._forget(operation.key)
            elif isinstance(operation, Put):
                self._look(operation.key)
        self._wind()

    def _forget(self, oid: int) -> None:
        self._due.pop(oid, None)
        self._not_before.pop(oid, None)

    def _look(self, oid: int) -> None:
        pool = self._cloud.state.pools["vm_pool"]
        vm = pool.parsed(oid) if oid in pool.entries else None
        due = vm_scheduled.next_due(vm) if isinstance(vm, VM) else None
        if due is None:
            self._forget(oid)
            return
        moment = max(float(due), self._not_before.get(oid, 0.0))
        if self._due.get(oid) != moment:
            self._due[oid] = moment
            heapq.heappush(self._queue, (moment, oid))

    def _wind(self) -> None:
        """Sets the clock for the first action; it is looked at once in a while, for it may be put right."""
        if self._stopped or self._timer is not None:
            return
        self._forget_old()
        if self._queue:
            wait = min(max(self._queue[0][0] - self._cloud.now(), 0.0), self._period)
            self._timer = self._after(wait, self._ring)

    def _forget_old(self) -> None:
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)

    def _ring(self) -> None:
        self._timer = None
        if self._stopped:
            return
        for _ in range(_AT_ONCE):
            self._forget_old()
            if not self._queue or self._queue[0][0] > self._cloud.now():
                break
            _, oid = heapq.heappop(self._queue)
            del self._due[oid]
            self._serve(oid)
        self._wind()

    def _serve(self, oid: int) -> None:
        """Does what is due for a VM, one action after the other."""
        pool = self._cloud.state.pools["vm_pool"]
        vm = pool.parsed(oid) if oid in pool.entries else None
        failed = False
        for number in vm_scheduled.due_actions(vm, self._cloud.now()) if isinstance(vm, VM) else []:
            # What was done first may have ended the VM.
            if oid in pool.entries:
                failed = not self._carry_out(oid, number) or failed
        self._wait(oid, failed)

    def _carry_out(self, oid: int, number: str) -> bool:
        def command(tx: Transaction) -> bool:
            return vm_scheduled.carry_out(tx, oid, number, self._zone)

        try:
            _, index = self._cloud.execute(command, Inputs(caller=SYSTEM))
        except ApiError as error:
            log.info("action %s of virtual machine %d could not be done: %s", number, oid, error.message)
            reason = error.message
            self._cloud.execute(lambda tx: vm_scheduled.say(tx, oid, number, reason), Inputs(internal=True))
            return False
        except Exception:
            log.exception("action %s of virtual machine %d failed", number, oid)
            return False
        # A change that cannot be stored is taken back, and the action is due again.
        self._cloud.when_durable(index, lambda stored: None if stored else self._again(oid))
        return True

    def _wait(self, oid: int, failed: bool) -> None:
        if failed:
            self._not_before[oid] = self._cloud.now() + self._period
        else:
            self._not_before.pop(oid, None)
        self._look(oid)

    def _again(self, oid: int) -> None:
        self._wait(oid, True)
        self._wind()
