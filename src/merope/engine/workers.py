"""Carrying jobs out in worker processes: a driver that hangs or crashes takes nothing with it.

A worker does one job at a time, asked on its standard input and answering on its standard output, one
line of JSON each. One that does not answer in time is killed with all that it started; one that dies or
babbles has failed its job.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from merope.engine.job import Answer, Job
from merope.engine.processes import kill_session

log = logging.getLogger("merope.engine")

#: Seconds that an idle worker is kept, and bytes that an answer may have.
IDLE_SECONDS = 60.0
LINE_LIMIT = 16 * 1024 * 1024
_FAREWELL_SECONDS = 5.0


def _nobody(size: int) -> None:
    """Probes take no time that anybody would want to hear of."""


class _Task:
    """What `submit` gives back: cancelling it kills the worker that has the job."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self.task = task

    def cancel(self) -> None:
        self.task.cancel()


Progress = Callable[[Job, int], None]
"""Hears how many bytes of a job's image are done."""


class _Silence(Exception):  # noqa: N818 - it is caught here, and may be no error
    """The worker ended, or what it wrote is no answer to what it was asked."""


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    asked: int = 0
    retirement: asyncio.TimerHandle | None = None

    async def ask(self, request: dict[str, Any], progress: Callable[[int], None]) -> Answer:
        """Raises _Silence."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        self.asked += 1
        try:
            process.stdin.write(json.dumps({"n": self.asked, **request}).encode() + b"\n")
            await process.stdin.drain()
            while True:
                number, answer = json.loads(await process.stdout.readline())
                if number != self.asked:
                    raise _Silence
                if not isinstance(answer, dict):
                    return Answer.from_json(answer)
                progress(int(answer["done"]))
        except (ConnectionError, KeyError, ValueError, TypeError) as error:
            raise _Silence from error


@dataclass(slots=True)
class WorkerPool:
    """Workers for the cloud under `home`. Every process it starts ends with `close`, or with this one."""

    home: Path
    location: Path
    idle_seconds: float = IDLE_SECONDS
    progress: Progress | None = None
    _idle: list[_Worker] = field(default_factory=list)
    _busy: set[_Task] = field(default_factory=set)
    _live: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    _closed: bool = False

    @property
    def pids(self) -> list[int]:
        """The processes that there are now."""
        return sorted(self._live)

    def submit(self, job: Job, seconds: float, done: Callable[[Answer], None]) -> _Task:
        def tell(size: int) -> None:
            if self.progress is not None:
                self.progress(job, size)

        return self._spawn(self._ask_and_tell({"job": job.to_json()}, seconds, done, tell))

    def probe(self, request: dict[str, Any], seconds: float, done: Callable[[Answer], None]) -> _Task:
        """A question that changes nothing: "report" of a host, "stat" of a path, "monitor" of a datastore."""
        return self._spawn(self._ask_and_tell(request, seconds, done, _nobody))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> _Task:
        handle = _Task(asyncio.get_running_loop().create_task(work))
        self._busy.add(handle)
        handle.task.add_done_callback(lambda _: self._busy.discard(handle))
        return handle

    async def _ask_and_tell(
        self,
        request: dict[str, Any],
        seconds: float,
        done: Callable[[Answer], None],
        progress: Callable[[int], None],
    ) -> None:
        try:
            answer = await self._ask(request, seconds, progress)
        except OSError as error:
            answer = Answer(False, f"a worker process could not be started: {error}", retry_safe=True)
        done(answer)

    async def _ask(self, request: dict[str, Any], seconds: float, progress: Callable[[int], None]) -> Answer:
        worker = await self._take()
        used = worker.asked > 0
        try:
            answer = await asyncio.wait_for(worker.ask(request, progress), seconds)
        except TimeoutError:
            await self._kill(worker.process)
            return Answer(False, f"the operation did not end within {seconds:.0f} seconds and was stopped")
        except _Silence:
            code = await self._kill(worker.process)
            if used:
                # It may have ended while it was idle; operations may be done twice.
                return await self._ask(request, seconds, progress)
            return Answer(False, f"the driver's process ended or answered nonsense (exit status {code})")
        except asyncio.CancelledError:
            await self._kill(worker.process)
            raise
        self._give_back(worker)
        return answer

    async def _take(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.retirement is not None:
                worker.retirement.cancel()
            if worker.process.returncode is None:
                return worker
            self._live.pop(worker.process.pid, None)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "merope.engine.worker",
            str(self.home),
            str(self.location),
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        self._live[process.pid] = process
        return _Worker(process)

    def _give_back(self, worker: _Worker) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        worker.retirement = loop.call_later(self.idle_seconds, self._retire, worker)
        self._idle.append(worker)

    def _retire(self, worker: _Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            self._spawn(self._end(worker.process))

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Lets an idle worker go: it ends when its input does."""
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _FAREWELL_SECONDS)
        except TimeoutError:
            log.debug("worker %d did not end by itself", process.pid)
        await self._kill(process)

    async def _kill(self, process: asyncio.subprocess.Process) -> int:
        """Ends a worker and what it has started, which is in its session."""
        kill_session(process.pid)
        code = await process.wait()
        self._live.pop(process.pid, None)
        return code

    async def close(self) -> None:
        """Ends every worker. What they were doing is in the outbox still."""
        self._closed = True
        busy = list(self._busy)
        for handle in busy:
            handle.cancel()
        await asyncio.gather(*(handle.task for handle in busy), return_exceptions=True)
        for worker in self._idle:
            if worker.retirement is not None:
                worker.retirement.cancel()
        for process in list(self._live.values()):
            await self._kill(process)
        self._idle.clear()
