"""Takes the recovery of hosts that failed further when its time has come, and counts what becomes of it.

When it comes is in their records (core/host_recovery.py), so nothing is lost when the process ends.
"""

import logging
from collections.abc import Callable
from functools import partial

from merope.core import host_recovery
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Handle, Timer
from merope.model.change import Change, Put
from merope.model.host_failure import TABLE, TIMED, HostFailure, Stage

log = logging.getLogger("merope.hosts")

#: Seconds until a step is tried again that could not be stored.
_RETRY_SECONDS = 5.0
#: A stage that follows another → what became of an attempt to switch the host off.
_OUTCOMES = {
    (Stage.FENCING, Stage.RECOVERING): "confirmed",
    (Stage.FENCING, Stage.UNCONFIRMED): "failed",
    (Stage.FENCING, Stage.NOTED): "cancelled",
}
HELD = "held"
"""In place of such an outcome: too many hosts have failed, and nothing was done."""


def _nobody(_: str) -> None:
    """Nobody counts."""


class HostWatch:
    """One per leader. `count` is told what became of each attempt to switch a host off: confirmed, failed,
    cancelled, or HELD."""

    def __init__(self, cloud: Cloud, after: Timer, count: Callable[[str], None] = _nobody) -> None:
        self._cloud = cloud
        self._after = after
        self._timers: dict[int, Handle] = {}
        self._stages: dict[int, Stage] = {}
        self._stopped = False
        self._tell = count
        cloud.subscribe(self._changed)

    def start(self) -> None:
        for failure in list(self._cloud.state.host_failures.values()):
            self._stages[failure.id] = failure.stage
            self._wind(failure)

    def stop(self) -> None:
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def in_stage(self, stage: Stage) -> int:
        return sum(failure.stage is stage for failure in self._cloud.state.host_failures.values())

    def _changed(self, change: Change) -> None:
        for operation in change.operations:
            if operation.table != TABLE or not isinstance(operation.key, int):
                continue
            if isinstance(operation, Put):
                failure = HostFailure.from_json(operation.key, str(operation.row["body"]))
                self._count(failure)
                self._wind(failure)
            else:
                self._stages.pop(operation.key, None)
                self._unwind(operation.key)

    def _count(self, failure: HostFailure) -> None:
        before = self._stages.get(failure.id, Stage.GOOD)
        self._stages[failure.id] = failure.stage
        if failure.stage is before:
            return
        log.warning("host %d: %s. %s", failure.id, failure.stage.value, failure.message)
        outcome = HELD if failure.stage is Stage.HELD else _OUTCOMES.get((before, failure.stage))
        if outcome is not None:
            self._tell(outcome)

    def _wind(self, failure: HostFailure) -> None:
        self._unwind(failure.id)
        if self._stopped or failure.stage not in TIMED or not failure.due:
            return
        seconds = max(float(failure.due - self._cloud.now()), 0.0)
        self._timers[failure.id] = self._after(seconds, partial(self._proceed, failure.id))

    def _unwind(self, host_id: int) -> None:
        timer = self._timers.pop(host_id, None)
        if timer is not None:
            timer.cancel()

    def _proceed(self, host_id: int) -> None:
        self._timers.pop(host_id, None)
        if self._stopped:
            return
        command = partial(host_recovery.proceed, host_id=host_id)
        try:
            _, index = self._cloud.execute(command, Inputs(internal=True))
        except Exception:
            # A bug of ours, which must not end the recovery of other hosts.
            log.exception("the recovery of host %d could not be taken further", host_id)
            self._timers[host_id] = self._after(_RETRY_SECONDS, partial(self._proceed, host_id))
            return
        self._cloud.when_durable(index, partial(self._done, host_id))

    def _done(self, host_id: int, stored: bool) -> None:
        """A step that was not stored, or that was not due by the clock yet, comes again."""
        failure = self._cloud.state.host_failures.get(host_id)
        if failure is None or self._stopped or host_id in self._timers:
            return
        if not stored:
            self._timers[host_id] = self._after(_RETRY_SECONDS, partial(self._proceed, host_id))
        else:
            self._wind(failure)
