"""The engine: starts what changes ask for, brings the answers back, and goes on after a crash.

What is in flight is what the outbox holds: an effect starts when the change that asks for it is durable,
and again when the process starts and finds it there. Its answer is one more command, whose change takes
the effect out of the outbox; an answer to an effect that is not there any more is ignored.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from merope.core.results import take_result
from merope.core.transaction import Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.engine.job import Answer, Job
from merope.engine.jobs import Finished, MissingObject, build
from merope.model.change import Change, Delete, Put
from merope.model.effect import TABLE, Effect

log = logging.getLogger("merope.engine")

#: Seconds after which an answer that could not be stored, or an attempt that may be repeated, comes again.
RETRY_SECONDS = (1.0, 5.0, 15.0)

#: What takes away the rest of something that is gone: nobody else will, so it is tried until it succeeds,
#: later and later, as long as its host is there. Doing it twice is doing it once.
CLEANING = frozenset({"vm.delete"})
CLEANING_SECONDS = (*RETRY_SECONDS, 60.0, 300.0, 900.0)

#: What may have been done although it failed, and says so when it is asked again: where the domain is after
#: a migration that was cut off decides which host the VM is on.
ASKED_AGAIN = frozenset({"vm.migrate"})

#: Seconds that an operation may take; then it has failed. Those not named have DEFAULT_TIMEOUT.
TIMEOUTS: dict[str, float] = {
    "vm.shutdown": 900.0,
    "vm.migrate": 7200.0,
    "vm.save": 3600.0,
    "vm.restore": 3600.0,
    "vm.prolog": 7200.0,
    "vm.prolog_migrate": 7200.0,
    "vm.prolog_resume": 7200.0,
    "vm.epilog": 7200.0,
    "vm.epilog_stop": 7200.0,
    "image.copy": 86400.0,
    "image.clone": 86400.0,
    "image.make": 3600.0,
}
DEFAULT_TIMEOUT = 600.0


class Handle(Protocol):
    """An operation or a timer that was started."""

    def cancel(self) -> None: ...


class Executor(Protocol):
    """Where jobs are carried out. `done` is called once, in the engine's thread, unless it was cancelled."""

    def submit(self, job: Job, timeout: float, done: Callable[[Answer], None]) -> Handle: ...


class Timer(Protocol):
    """The clock, as far as the engine needs it: real, or the simulation's."""

    def __call__(self, seconds: float, callback: Callable[[], None], /) -> Handle: ...


@dataclass(slots=True)
class _Running:
    effect: Effect
    handle: Handle | None = None
    attempts: int = 0
    paused: bool = False
    """Waits for its next attempt, and takes no place of its lane meanwhile."""


@dataclass(slots=True)
class _Lane:
    """The operations of one host (-1: the front-end): so many at a time, the rest in order."""

    waiting: deque[Effect] = field(default_factory=deque)
    running: int = 0


class Engine:
    """One per leader. `limit` operations run at a time on each host."""

    def __init__(
        self,
        cloud: Cloud,
        executor: Executor,
        after: Timer,
        *,
        limit: int = 15,
        finished: Finished | None = None,
    ) -> None:
        self._cloud = cloud
        self._executor = executor
        self._after = after
        self._limit = limit
        self._finished_vms = finished
        self._lanes: dict[int, _Lane] = {}
        self._running: dict[int, _Running] = {}
        self._stopped = False
        cloud.subscribe(self._changed)

    def resume(self) -> None:
        """Starts everything that the outbox holds, oldest first."""
        for effect_id in sorted(self._cloud.state.effects):
            self._enqueue(self._cloud.state.effects[effect_id])

    def stop(self) -> None:
        """Starts nothing more and waits for nothing: what is unfinished is found in the outbox."""
        self._stopped = True
        for running in self._running.values():
            if running.handle is not None:
                running.handle.cancel()
        self._running.clear()

    @property
    def in_flight(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def _changed(self, change: Change) -> None:
        for operation in change.operations:
            if operation.table != TABLE or not isinstance(operation.key, int):
                continue
            if isinstance(operation, Put):
                body = str(operation.row["body"])
                self._enqueue(Effect.from_json(operation.key, body))
            elif isinstance(operation, Delete):
                self._call_off(operation.key)

    def _enqueue(self, effect: Effect) -> None:
        if self._stopped or effect.id in self._running:
            return
        lane = self._lanes.setdefault(effect.host, _Lane())
        if lane.running < self._limit:
            self._start(effect, lane)
        else:
            lane.waiting.append(effect)

    def _call_off(self, effect_id: int) -> None:
        running = self._running.get(effect_id)
        if running is None:
            return
        if running.handle is not None:
            running.handle.cancel()
        self._finished(running)

    def _start(self, effect: Effect, lane: _Lane) -> None:
        running = _Running(effect)
        self._running[effect.id] = running
        lane.running += 1
        self._attempt(running)

    def _attempt(self, running: _Running) -> None:
        effect = running.effect
        if self._stopped or effect.id not in self._cloud.state.effects:
            self._finished(running)
            return
        try:
            job = build(self._cloud.state, effect, self._finished_vms)
        except MissingObject as error:
            self._answered(running, Answer(False, str(error)))
            return
        running.attempts += 1
        timeout = TIMEOUTS.get(effect.op, DEFAULT_TIMEOUT)

        def done(answer: Answer) -> None:
            self._answered(running, answer)

        running.handle = self._executor.submit(job, timeout, done)

    def _answered(self, running: _Running, answer: Answer) -> None:
        effect = running.effect
        if self._running.get(effect.id) is not running:
            return
        if not answer.ok:
            log.warning("%s of %d failed: %s", effect.op, effect.oid, answer.message)
            delay = self._pause(running, answer)
            if delay is not None:
                self._rest(running, delay)
                return
        self._deliver(running, answer)

    def _rest(self, running: _Running, seconds: float) -> None:
        running.paused = True
        running.handle = self._after(seconds, lambda: self._again(running))
        self._leave(self._lanes[running.effect.host])

    def _again(self, running: _Running) -> None:
        lane = self._lanes[running.effect.host]
        if lane.running >= self._limit:
            running.handle = self._after(RETRY_SECONDS[0], lambda: self._again(running))
            return
        running.paused = False
        lane.running += 1
        self._attempt(running)

    def _pause(self, running: _Running, answer: Answer) -> float | None:
        """Seconds until the next attempt after one that failed; None when there is none."""
        effect, failed = running.effect, running.attempts
        if effect.op in CLEANING and effect.host in self._cloud.state.pools["host_pool"].entries:
            return CLEANING_SECONDS[min(failed, len(CLEANING_SECONDS)) - 1]
        if effect.op in ASKED_AGAIN and failed == 1:
            return RETRY_SECONDS[0]
        return RETRY_SECONDS[failed - 1] if answer.retry_safe and failed <= len(RETRY_SECONDS) else None

    def _deliver(self, running: _Running, answer: Answer) -> None:
        effect = running.effect

        def take(tx: Transaction) -> int:
            take_result(tx, effect.id, answer.ok, answer.message, answer.data)
            return effect.id

        def forget(tx: Transaction) -> int:
            tx.complete_effect(effect.id)
            return effect.id

        try:
            _, index = self._cloud.execute(take, Inputs(internal=True))
        except Exception:
            # A bug of ours: the object stays as it is, for recover to mend, and the outbox goes on.
            log.exception("the answer to %s of %d could not be taken", effect.op, effect.oid)
            _, index = self._cloud.execute(forget, Inputs(internal=True))
        self._finished(running)
        self._cloud.when_durable(index, lambda stored: self._stored(stored, running, answer))

    def _stored(self, stored: bool, running: _Running, answer: Answer) -> None:
        """An answer that could not be stored was taken back, and with it the effect is open again."""
        if stored or self._stopped or running.effect.id not in self._cloud.state.effects:
            return
        self._running[running.effect.id] = running
        self._lanes.setdefault(running.effect.host, _Lane()).running += 1
        running.handle = self._after(RETRY_SECONDS[0], lambda: self._deliver(running, answer))

    def _finished(self, running: _Running) -> None:
        if self._running.pop(running.effect.id, None) is None:
            return
        if not running.paused:
            self._leave(self._lanes[running.effect.host])

    def _leave(self, lane: _Lane) -> None:
        """A place of the lane is free: whoever waits for it starts."""
        lane.running -= 1
        while lane.waiting and lane.running < self._limit:
            following = lane.waiting.popleft()
            if following.id in self._cloud.state.effects and following.id not in self._running:
                self._start(following, lane)
