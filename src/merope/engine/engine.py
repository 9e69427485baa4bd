"""The engine: starts what changes ask for, brings the answers back, and goes on after a crash.

What is in flight is what the outbox holds: an effect starts when the change that asks for it is durable,
and again when the process starts and finds it there. Its answer is one more command, whose change takes
the effect out of the outbox; an answer to an effect that is not there any more is ignored.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from merope.core import lifecycle
from merope.core.check_relations import IN_PASSING, OVERTAKEN, ask_again
from merope.core.results import take_result
from merope.core.transaction import Transaction
from merope.core.vm_save_steps import image_under_way
from merope.drivers.errors import DriverError
from merope.engine import policy
from merope.engine.cloud import Cloud, Inputs
from merope.engine.job import Answer, Job
from merope.engine.jobs import Finished, MissingObject, build
from merope.engine.opening import opened
from merope.model.change import Change, Delete, Put
from merope.model.effect import TABLE, Effect
from merope.model.phase import phase_of
from merope.model.states import VmState
from merope.model.vm import VM

log = logging.getLogger("merope.engine")


class Handle(Protocol):
    """An operation or a timer that was started."""

    def cancel(self) -> None: ...


class Executor(Protocol):
    """Where jobs are carried out. `done` is called once, in the engine's thread, unless it was cancelled."""

    def submit(self, job: Job, seconds: float, done: Callable[[Answer], None], /) -> Handle: ...


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


_Object = tuple[str, int]
"""The family of an effect ("vm", "image") and the id: what has one operation at a time."""


def _object_of(effect: Effect) -> _Object:
    return (effect.op.partition(".")[0], effect.oid)


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
        self._current: dict[_Object, _Running] = {}
        self._behind: dict[_Object, deque[Effect]] = {}
        self._stopped = False
        cloud.subscribe(self._changed)

    def resume(self) -> None:
        """Starts everything that the outbox holds, oldest first, and what should be in it and is not."""
        for effect_id in sorted(self._cloud.state.effects):
            self._enqueue(self._cloud.state.effects[effect_id])
        self._adopt()

    def _adopt(self) -> None:
        """Asks anew for what VMs wait for in a database that another program wrote."""
        state = self._cloud.state
        pool = state.pools["vm_pool"]
        for oid in sorted(pool.by_state.get(VmState.ACTIVE, ())):
            phase = phase_of(pool.entries[oid].state, pool.entries[oid].lcm_state)
            under_way = (state.effects[number].op for number in state.effects_of.get(("vm", oid), ()))
            if phase not in lifecycle.EFFECTS or any(op not in IN_PASSING for op in under_way):
                continue
            vm = pool.parsed(oid) if phase in lifecycle.SAVING else None
            if isinstance(vm, VM) and image_under_way(state, vm):
                continue
            log.warning("virtual machine %d is %s and nothing is under way: asking anew", oid, phase.name)
            try:
                self._cloud.execute(partial(_ask, vm_id=oid), Inputs(internal=True))
            except Exception:
                log.exception("nothing could be asked for virtual machine %d", oid)

    def stop(self) -> None:
        """Starts nothing more and waits for nothing: what is unfinished is found in the outbox."""
        self._stopped = True
        for running in self._running.values():
            if running.handle is not None:
                running.handle.cancel()
        self._running.clear()
        self._current.clear()

    @property
    def in_flight(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        lanes = sum(len(lane.waiting) for lane in self._lanes.values())
        return lanes + sum(map(len, self._behind.values()))

    @property
    def retrying(self) -> int:
        """Operations that failed and are tried again later."""
        return sum(running.paused for running in self._running.values())

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
        current = self._current.get(_object_of(effect))
        if current is not None:
            self._behind.setdefault(_object_of(effect), deque()).append(effect)
            if current.effect.op in OVERTAKEN:
                self._overtake(current, effect)
            return
        lane = self._lanes.setdefault(effect.host, _Lane())
        if lane.running < self._limit:
            self._start(effect, lane)
        else:
            lane.waiting.append(effect)

    def _overtake(self, current: _Running, following: Effect) -> None:
        """Nobody waits for what is done in passing: it makes way for what comes after it."""
        if current.handle is not None:
            current.handle.cancel()
        self._deliver(current, Answer(False, f"it was called off: {following.op} came after it"))

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
        self._current[_object_of(effect)] = running
        lane.running += 1
        self._attempt(running)

    def _attempt(self, running: _Running) -> None:
        effect = running.effect
        if self._stopped or effect.id not in self._cloud.state.effects:
            self._finished(running)
            self._if_taken_back(effect)
            return
        running.attempts += 1
        try:
            job = opened(build(self._cloud.state, effect, self._finished_vms), self._cloud.settings)
        except (MissingObject, DriverError) as error:
            log.warning("%s of %d: %s", effect.op, effect.oid, error)
            self._deliver(running, Answer(False, str(error)))
            return
        except Exception as error:
            log.exception("%s of %d could not be prepared", effect.op, effect.oid)
            self._deliver(running, Answer(False, f"it could not be prepared: {error}"))
            return

        def done(answer: Answer) -> None:
            self._answered(running, answer)

        running.handle = self._executor.submit(job, policy.seconds_for(effect), done)

    def _if_taken_back(self, effect: Effect) -> None:
        """Nobody wants the effect any more, unless the change that said so cannot be stored."""

        def tell(stored: bool) -> None:
            if not stored and effect.id in self._cloud.state.effects:
                self._enqueue(effect)

        self._cloud.when_durable(self._cloud.state.index, tell)

    def _answered(self, running: _Running, answer: Answer) -> None:
        effect = running.effect
        if self._running.get(effect.id) is not running:
            return
        if not answer.ok:
            log.warning("%s of %d failed: %s", effect.op, effect.oid, answer.message)
            hosts = self._cloud.state.pools["host_pool"].entries
            delay = policy.pause(
                effect,
                running.attempts,
                retry_safe=answer.retry_safe,
                host_is_there=effect.host in hosts,
            )
            if delay is not None:
                log.info("%s of %d is tried again in %.0f seconds", effect.op, effect.oid, delay)
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
            running.handle = self._after(policy.RETRY_SECONDS[0], lambda: self._again(running))
            return
        running.paused = False
        lane.running += 1
        self._attempt(running)

    def _deliver(self, running: _Running, answer: Answer) -> None:
        index = self._take(running.effect, answer)
        self._finished(running)
        self._cloud.when_durable(index, lambda stored: self._stored(stored, running, answer))

    def _take(self, effect: Effect, answer: Answer) -> int:
        """Runs the command that takes the answer; answers the number of its change."""
        failed = Answer(False, f"{answer.message or effect.op} (its answer could not be taken)")
        for told in (answer, failed):
            try:
                return self._cloud.execute(partial(_take, effect=effect, answer=told), Inputs(internal=True))[
                    1
                ]
            except Exception:
                # A bug of ours. What has failed leads to a state that people and `recover` can mend.
                log.exception("the answer to %s of %d could not be taken", effect.op, effect.oid)
        return self._cloud.execute(partial(_forget, effect=effect), Inputs(internal=True))[1]

    def _stored(self, stored: bool, running: _Running, answer: Answer) -> None:
        """An answer that could not be stored was taken back, and with it the effect is open again."""
        if stored or self._stopped or running.effect.id not in self._cloud.state.effects:
            return
        self._running[running.effect.id] = running
        self._current[_object_of(running.effect)] = running
        self._lanes.setdefault(running.effect.host, _Lane()).running += 1
        running.handle = self._after(policy.RETRY_SECONDS[0], lambda: self._deliver(running, answer))

    def _finished(self, running: _Running) -> None:
        if self._running.pop(running.effect.id, None) is None:
            return
        key = _object_of(running.effect)
        if self._current.get(key) is running:
            del self._current[key]
        if not running.paused:
            self._leave(self._lanes[running.effect.host])
        following = self._behind.pop(key, deque())
        while following:
            self._enqueue(following.popleft())

    def _leave(self, lane: _Lane) -> None:
        """A place of the lane is free: whoever waits for it starts."""
        lane.running -= 1
        while lane.waiting and lane.running < self._limit:
            following = lane.waiting.popleft()
            if following.id not in self._cloud.state.effects:
                self._if_taken_back(following)
            elif _object_of(following) in self._current:
                self._behind.setdefault(_object_of(following), deque()).append(following)
            else:
                self._start(following, lane)


def _take(tx: Transaction, *, effect: Effect, answer: Answer) -> int:
    take_result(tx, effect.id, answer.ok, answer.message, answer.data)
    return effect.id


def _forget(tx: Transaction, *, effect: Effect) -> int:
    tx.complete_effect(effect.id)
    return effect.id


def _ask(tx: Transaction, *, vm_id: int) -> int:
    ask_again(tx, vm_id=vm_id)
    return vm_id
