"""Carrying jobs out in worker processes: a driver that hangs or crashes takes nothing with it.

A worker does one job at a time, asked on its standard input and answering on its standard output, one
line of JSON each. One that does not answer in time is killed; one that dies or babbles has failed its job.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from merope.engine.job import Answer, Job

log = logging.getLogger("merope.engine")

#: Seconds that an idle worker is kept, and bytes that an answer may have.
IDLE_SECONDS = 60.0
LINE_LIMIT = 16 * 1024 * 1024


class _Task:
    """What `submit` gives back: cancelling it kills the worker that has the job."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self._task = task

    def cancel(self) -> None:
        self._task.cancel()


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    retirement: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class WorkerPool:
    """Workers for the cloud under `home`. Every process it starts ends with `close`."""

    home: Path
    location: Path
    _idle: list[_Worker] = field(default_factory=list)
    _busy: set[_Task] = field(default_factory=set)
    _live: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    def submit(self, job: Job, timeout: float, done: Callable[[Answer], None]) -> _Task:
        return self._spawn(self._job(job, timeout, done))

    def probe(self, request: dict[str, Any], timeout: float, done: Callable[[Answer], None]) -> _Task:
        """A question that changes nothing: "report" of a host, "stat" of a path, "monitor" of a datastore."""
        return self._spawn(self._ask_and_tell(json.dumps(request), timeout, done))

    def _spawn(self, work: Any) -> _Task:
        task = asyncio.get_running_loop().create_task(work)
        handle = _Task(task)
        self._busy.add(handle)
        task.add_done_callback(lambda _: self._busy.discard(handle))
        return handle

    async def _job(self, job: Job, timeout: float, done: Callable[[Answer], None]) -> None:
        await self._ask_and_tell(json.dumps({"job": job.to_json()}), timeout, done)

    async def _ask_and_tell(self, line: str, timeout: float, done: Callable[[Answer], None]) -> None:
        done(await self._ask(line, timeout))

    async def _ask(self, line: str, timeout: float) -> Answer:
        try:
            worker = await self._take()
        except OSError as error:
            return Answer(False, f"a worker process could not be started: {error}", retry_safe=True)
        process = worker.process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line.encode() + b"\n")
            await process.stdin.drain()
            reply = await asyncio.wait_for(process.stdout.readline(), timeout)
            answer = Answer.from_json(reply.decode())
        except TimeoutError:
            await self._kill(process)
            return Answer(False, f"the operation did not end within {timeout:.0f} seconds and was stopped")
        except (ConnectionError, ValueError, TypeError):
            code = await self._kill(process)
            return Answer(False, f"the driver's process ended or answered nonsense (exit status {code})")
        except asyncio.CancelledError:
            await self._kill(process)
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
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "merope.engine.worker",
            str(self.home),
            str(self.location),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        self._live[process.pid] = process
        return _Worker(process)

    def _give_back(self, worker: _Worker) -> None:
        loop = asyncio.get_running_loop()
        worker.retirement = loop.call_later(IDLE_SECONDS, self._retire, worker)
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
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            await self._kill(process)
        self._live.pop(process.pid, None)

    async def _kill(self, process: asyncio.subprocess.Process) -> int:
        """Kills a worker and what it has started, which is in its session."""
        if process.returncode is None:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                log.debug("worker %d was gone", process.pid)
        code = await process.wait()
        self._live.pop(process.pid, None)
        return code

    async def close(self) -> None:
        """Ends every worker. What they were doing is in the outbox still."""
        for handle in list(self._busy):
            handle.cancel()
        for process in list(self._live.values()):
            await self._kill(process)
        self._idle.clear()
