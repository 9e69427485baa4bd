"""Runs the hooks that are due, so many at a time, and logs what became of them.

What is due is what the table of runs holds: a run is begun when its change is durable, and again when the
core starts and finds it there. So a hook is run at least once for an event; twice when the core, or the
process that runs hooks, dies in the midst of it.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from merope.core import hook_log
from merope.core.transaction import Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Timer
from merope.engine.hook_executor import Request
from merope.model.change import Change, Put
from merope.model.hook import Execution, Hook
from merope.model.hook_run import TABLE, HookRun

log = logging.getLogger("merope.hooks")

_RETRY_SECONDS = 5.0


class Hands(Protocol):
    """Who runs a hook; `done` is called once, in the caller's thread."""

    def submit(self, request: Request, done: Callable[[Execution], None], /) -> None: ...


class Hooks:
    """`most` runs are given to `hands` at a time; `seconds` is the limit of a hook without a TIMEOUT."""

    def __init__(self, cloud: Cloud, hands: Hands, after: Timer, *, most: int, seconds: int) -> None:
        self._cloud = cloud
        self._hands = hands
        self._after = after
        self._most = most
        self._seconds = seconds
        self._waiting: deque[HookRun] = deque()
        self._running: set[int] = set()
        self._stopped = False
        cloud.subscribe(self._changed)

    def resume(self) -> None:
        """Begins everything that is due, oldest first."""
        self._waiting.extend(run for _, run in sorted(self._cloud.state.hook_runs.items()))
        self._go_on()

    def stop(self) -> None:
        self._stopped = True

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _changed(self, change: Change) -> None:
        for operation in change.operations:
            if operation.table == TABLE and isinstance(operation, Put) and isinstance(operation.key, int):
                self._waiting.append(HookRun.from_json(operation.key, str(operation.row["body"])))
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < self._most and not self._stopped:
            self._begin(self._waiting.popleft())

    def _begin(self, run: HookRun) -> None:
        hook = self._cloud.state.pools["hook_pool"].parsed(run.hook)
        if run.id in self._running:
            return
        if run.id not in self._cloud.state.hook_runs:
            self._if_taken_back(run)
            return
        if not isinstance(hook, Hook):
            log.warning("hook %d is gone, and was not run", run.hook)
            self._take(run, Execution("", run.arguments, code=-1))
            return
        self._running.add(run.id)
        self._hands.submit(self._request(hook, run), partial(self._ended, run))

    def _if_taken_back(self, run: HookRun) -> None:
        """The run is due no more, unless the change that said so cannot be stored."""

        def tell(stored: bool) -> None:
            if not stored and run.id in self._cloud.state.hook_runs:
                self._waiting.append(run)
                self._go_on()

        self._cloud.when_durable(self._cloud.state.index, tell)

    def _request(self, hook: Hook, run: HookRun) -> Request:
        given = hook.template.get("TIMEOUT")
        return Request(
            id=run.id,
            command=hook.template.get("COMMAND"),
            arguments=run.arguments,
            on_stdin=hook.template.get_bool("ARGUMENTS_STDIN"),
            remote=hook.template.get_bool("REMOTE"),
            host=run.remote_host,
            seconds=int(given) if given.isdecimal() else self._seconds,
        )

    def _ended(self, run: HookRun, execution: Execution) -> None:
        if self._stopped:
            return
        if execution.code:
            log.warning("hook %d failed with status %d (run %d)", run.hook, execution.code, run.id)
        self._take(run, replace(execution, retry=run.retry))

    def _take(self, run: HookRun, execution: Execution) -> None:
        _, index = self._cloud.execute(
            partial(_take, run_id=run.id, execution=execution), Inputs(internal=True)
        )
        self._cloud.when_durable(index, lambda stored: self._stored(stored, run, execution))

    def _stored(self, stored: bool, run: HookRun, execution: Execution) -> None:
        """A result that could not be stored is kept until it can."""
        if not stored and not self._stopped and run.id in self._cloud.state.hook_runs:
            self._after(_RETRY_SECONDS, lambda: self._take(run, execution))
            return
        self._running.discard(run.id)
        self._go_on()


def _take(tx: Transaction, *, run_id: int, execution: Execution) -> int:
    return hook_log.take(tx, run_id, execution)
