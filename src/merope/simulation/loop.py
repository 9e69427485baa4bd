"""An event loop with a clock of its own: nothing waits, and every callback is one step that can be the last.

It is what asyncio's futures and tasks need of a loop, and no more. Events belong to a process, and die with
it, or to the world, and happen whatever becomes of the processes.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, cast

#: Seconds since the epoch at which every simulation begins: 2020-09-13 12:26:40 UTC.
START = 1_600_000_000.0


class Event:
    """A callback and its time. `lane` is the process that it belongs to, None for the world."""

    __slots__ = ("callback", "dead", "lane", "parameters")

    def __init__(
        self, callback: Callable[..., object], parameters: tuple[Any, ...], lane: "Lane | None"
    ) -> None:
        self.callback = callback
        self.parameters = parameters
        self.lane = lane
        self.dead = False

    def cancel(self) -> None:
        self.dead = True


class Trouble(Exception):  # noqa: N818 - reported by the schedule, never an error of its own
    """A callback of asyncio failed, or was used in a way that this loop does not know."""


class Lane:
    """One process's part of the loop: what futures, tasks and the cloud ask of a loop."""

    def __init__(self, timeline: "SimulatedLoop") -> None:
        self._timeline = timeline
        self._tasks: list[asyncio.Task[Any]] = []
        self.ended = False

    def time(self) -> float:
        return self._timeline.clock

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self.as_asyncio)

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.Task(coroutine, loop=self.as_asyncio)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)
        return task

    @property
    def as_asyncio(self) -> asyncio.AbstractEventLoop:
        """Itself: as much of asyncio's interface as futures, tasks and the cloud use."""
        return cast(asyncio.AbstractEventLoop, self)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Event:  # noqa: ARG002
        return self._timeline.add(0.0, callback, args, self)

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Any = None,  # noqa: ARG002 - there is one
    ) -> Event:
        return self._timeline.add(delay, callback, args, self)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "never retrieved" not in context.get("message", ""):
            raise Trouble(context.get("message", "")) from error

    def end(self) -> None:
        """The process is gone, and with it all that it was about to do."""
        self.ended = True
        self._timeline.drop(self)
        # Now, when they can do no more harm: not whenever they happen to be collected.
        for task in self._tasks:
            cast(Coroutine[Any, Any, Any], task.get_coro()).close()


class SimulatedLoop(Lane):
    """The clock, all events, and the core's own lane.

    `commit_delay` says how long the next group of changes takes to be stored, in seconds.
    """

    def __init__(self, commit_delay: Callable[[], float]) -> None:
        super().__init__(self)
        self.clock = START
        self.steps = 0
        self.lives = 1
        """How many processes of the core there have been; nobody hears what was meant for an earlier one."""
        self._commit_delay = commit_delay
        self._events: list[tuple[float, int, Event]] = []
        self._count = count()

    def now(self) -> int:
        return int(self.clock)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":  # noqa: ARG002
        """Two steps, so that a crash can come before, between and after: the work, and that it is known."""
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:
                self.call_soon(future.set_exception, error)
            else:
                self.call_soon(future.set_result, result)

        self.add(self._commit_delay(), work, (), self)
        return future

    # What the simulation does with it

    def world_later(self, delay: float, callback: Callable[[], object]) -> Event:
        return self.add(delay, callback, (), None)

    def add(
        self, delay: float, callback: Callable[..., object], args: tuple[Any, ...], lane: Lane | None
    ) -> Event:
        event = Event(callback, args, lane)
        if lane is not None and lane.ended:
            event.cancel()
        else:
            heapq.heappush(self._events, (self.clock + max(delay, 0.0), next(self._count), event))
        return event

    def step(self, until: float = float("inf")) -> bool:
        """Runs the next event, if there is one before `until`; raises what it raises."""
        events = self._events
        while events and events[0][2].dead:
            heapq.heappop(events)
        if not events or events[0][0] > until:
            return False
        when, _, event = heapq.heappop(events)
        self.clock = max(self.clock, when)
        self.steps += 1
        # Whoever asks for the running loop gets that of the process whose step it is.
        asyncio._set_running_loop((event.lane or self).as_asyncio)
        try:
            event.callback(*event.parameters)
        finally:
            asyncio._set_running_loop(self.as_asyncio)
        return True

    @property
    def world_is_busy(self) -> bool:
        """Whether anything is still to happen that nobody waits for any more."""
        return any(event.lane is None for _, _, event in self._events)

    def jump(self, seconds: float) -> None:
        """The clock is put forward: whatever was due comes at once, in order."""
        self.clock += seconds

    def crash(self) -> None:
        """The core is gone, and with it all that it was about to do."""
        self.drop(self)
        self.lives += 1

    def drop(self, lane: Lane) -> None:
        self._events = [entry for entry in self._events if entry[2].lane is not lane and not entry[2].dead]
        heapq.heapify(self._events)
