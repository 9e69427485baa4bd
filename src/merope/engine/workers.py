"""Carrying jobs out in worker processes: a driver that hangs or crashes takes nothing with it.

A worker does one job at a time, asked on its standard input and answering on its standard output, one
line of JSON each. One that does not answer in time is killed with all that it started; one that dies or
babbles has failed its job. What is to be done on another machine is done by a worker there, over SSH.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.localhost import is_local
from merope.engine import remote, staging
from merope.engine.job import Answer, Job
from merope.engine.remote import Remote
from merope.engine.worker_process import SilenceError, Worker

#: Seconds that an idle worker is kept.
IDLE_SECONDS = 60.0
PREPARE_SECONDS = 300.0
_LINE_BROKE = 255
_AT_ONCE = 8
"""Hosts that are prepared at a time."""

Tell = Callable[[int], None]
Progress = Callable[[Job, int], None]
"""Hears how many bytes of a job's image are done."""


def _nobody(size: int) -> None:
    """Probes take no time that anybody would want to hear of."""


class _Task:
    """What `submit` gives back: cancelling it kills the worker that has the job."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self.task = task

    def cancel(self) -> None:
        self.task.cancel()


class _NoWorkerError(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer


@dataclass(slots=True)
class WorkerPool:
    """Workers for the cloud under `home`. Every process it starts ends with `close`, or with this one.

    Without `remote` every host is taken for this machine.
    """

    home: Path
    location: Path
    idle_seconds: float = IDLE_SECONDS
    progress: Progress | None = None
    remote: Remote | None = None
    _idle: dict[str, list[Worker]] = field(default_factory=dict)
    _busy: set[_Task] = field(default_factory=set)
    _live: dict[int, Worker] = field(default_factory=dict)
    _prepared: dict[str, str] = field(default_factory=dict)
    """The digest of the package on each host that a connection stands to."""
    _preparing: dict[str, "asyncio.Task[Answer]"] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _heart: asyncio.TimerHandle | None = None
    _closed: bool = False

    @property
    def pids(self) -> list[int]:
        """The processes that there are now."""
        return sorted(self._live)

    def submit(self, job: Job, seconds: float, done: Callable[[Answer], None]) -> _Task:
        def tell(size: int) -> None:
            if self.progress is not None:
                self.progress(job, size)

        async def ask(host: str, request: dict[str, Any]) -> Answer:
            if self.remote is not None and not host:
                request = {**request, "ssh": asdict(self.remote.settings)}
            return await self._answer(host, request, seconds, tell)

        return self._spawn(self._then(staging.carry_out(job, self.place, ask), done))

    def probe(self, request: dict[str, Any], seconds: float, done: Callable[[Answer], None]) -> _Task:
        """A question that changes nothing: "report" of a host, "stat" of a path, "monitor" of a datastore."""
        host = self.place(request.get("host", ""))
        if host and request.get("renew"):
            self._forget(host)
        return self._spawn(self._then(self._answer(host, request, seconds, _nobody), done))

    def place(self, host: str) -> str:
        """The machine of a host: empty for this one, else the host's name."""
        return "" if self.remote is None or is_local(host) else host

    def _forget(self, host: str) -> None:
        """Whatever is asked next of the host is asked of a new worker, after the host was prepared anew."""
        self._prepared.pop(host, None)
        for worker in self._idle.pop(host, []):
            worker.wake()
            self._spawn(self._dismiss(worker))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> _Task:
        handle = _Task(asyncio.get_running_loop().create_task(work))
        self._busy.add(handle)
        handle.task.add_done_callback(lambda _: self._busy.discard(handle))
        return handle

    async def _then(self, work: Coroutine[Any, Any, Answer], done: Callable[[Answer], None]) -> None:
        done(await work)

    async def _answer(self, host: str, request: dict[str, Any], seconds: float, tell: Tell) -> Answer:
        try:
            return await self._ask(host, request, seconds, tell)
        except _NoWorkerError as error:
            return error.answer
        except OSError as error:
            return Answer(False, f"a worker process could not be started: {error}", retry_safe=True)

    async def _ask(self, host: str, request: dict[str, Any], seconds: float, tell: Tell) -> Answer:
        worker = await self._take(host)
        used = worker.asked > 0
        try:
            answer = await asyncio.wait_for(worker.ask(request, tell), seconds)
        except TimeoutError:
            await self._kill(worker)
            return Answer(False, f"the operation did not end within {seconds:.0f} seconds and was stopped")
        except SilenceError:
            code = await self._kill(worker)
            self._prepared.pop(host, None)
            if used:
                # It may have ended while it was idle; operations may be done twice.
                return await self._ask(host, request, seconds, tell)
            return _ended(host, code)
        except asyncio.CancelledError:
            await self._kill(worker)
            raise
        self._give_back(worker)
        return answer

    async def _take(self, host: str) -> Worker:
        idle = self._idle.setdefault(host, [])
        while idle:
            worker = idle.pop()
            worker.wake()
            if not worker.has_ended:
                return worker
            self._live.pop(worker.process.pid, None)
        if host:
            return await self._start(host, await self._way_to(host))
        argv = [sys.executable, "-m", "merope.engine.worker", str(self.home), str(self.location)]
        return await self._start("", argv)

    async def _start(self, host: str, argv: list[str]) -> Worker:
        worker = await Worker.start(host, argv)
        self._live[worker.process.pid] = worker
        if host and self._heart is None:
            self._beat()
        return worker

    def _beat(self) -> None:
        """As long as there are workers on hosts, they hear of us."""
        far = [worker for worker in self._live.values() if worker.host]
        for worker in far:
            worker.beat()
        loop = asyncio.get_running_loop()
        self._heart = loop.call_later(remote.BEAT, self._beat) if far and not self._closed else None

    async def _way_to(self, host: str) -> list[str]:
        """The command that starts a worker on the host, once that has all it needs. Raises _NoWorkerError."""
        assert self.remote is not None
        if host not in self._prepared or not self.remote.ssh.is_connected(host):
            answer = await self._prepare(host)
            if not answer.ok:
                self._prepared.pop(host, None)
                raise _NoWorkerError(answer)
            self._prepared[host] = answer.data["package"]
        try:
            return self.remote.command(host, self._prepared[host])
        except DriverError as error:
            raise _NoWorkerError(Answer(False, str(error))) from error

    async def _prepare(self, host: str) -> Answer:
        """Whoever wants something of a host waits for one preparation, and who gives up does not end it."""
        task = self._preparing.get(host)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._prepared_by_worker(host))
            self._preparing[host] = task
            task.add_done_callback(lambda _: self._preparing.pop(host, None))
        return await asyncio.shield(task)

    async def _prepared_by_worker(self, host: str) -> Answer:
        assert self.remote is not None
        request = {"probe": "prepare", **self.remote.to_json(), "host": host}
        async with self._places:
            return await self._answer("", request, PREPARE_SECONDS, _nobody)

    def _give_back(self, worker: Worker) -> None:
        if self._closed:
            return
        worker.keep(self.idle_seconds, self._retire)
        self._idle.setdefault(worker.host, []).append(worker)

    def _retire(self, worker: Worker) -> None:
        idle = self._idle.get(worker.host, [])
        if worker in idle:
            idle.remove(worker)
            self._spawn(self._dismiss(worker))

    async def _dismiss(self, worker: Worker) -> None:
        await worker.dismiss()
        self._live.pop(worker.process.pid, None)

    async def _kill(self, worker: Worker) -> int:
        code = await worker.kill()
        self._live.pop(worker.process.pid, None)
        return code

    async def close(self) -> None:
        """Ends every worker. What they were doing is in the outbox still."""
        self._closed = True
        if self._heart is not None:
            self._heart.cancel()
        busy = [*(handle.task for handle in self._busy), *self._preparing.values()]
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        for workers in self._idle.values():
            for worker in workers:
                worker.wake()
        for worker in list(self._live.values()):
            await self._kill(worker)
        self._idle.clear()


def _ended(host: str, code: int) -> Answer:
    """What is said of a worker that ended while it worked. Operations may be done again."""
    if host and code == _LINE_BROKE:
        return Answer(False, f"the connection to host {host} broke", retry_safe=True, unreached=True)
    where = f" on host {host}" if host else ""
    return Answer(False, f"the driver's process{where} ended or answered nonsense (exit status {code})")
