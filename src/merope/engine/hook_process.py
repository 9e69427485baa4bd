"""The executor of hooks, seen from the core: started with the first hook, and again when it dies."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from merope.engine.hook_executor import LINE_LIMIT, Places, Request
from merope.engine.processes import kill_session
from merope.model.hook import Execution

log = logging.getLogger("merope.hooks")

_LONGEST_WAIT = 5.0
Done = Callable[[Execution], None]


class HookProcess:
    """`submit` answers each request once, unless this is closed before. What was under way in a process that
    died is given to its successor: hooks are run at least once."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._asked: dict[int, tuple[Request, Done]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def submit(self, request: Request, done: Done) -> None:
        self._asked[request.id] = (request, done)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_running())
        elif self._process is not None:
            self._send(self._process, request)

    async def _keep_running(self) -> None:
        wait = 0.05
        while True:
            try:
                if await self._live():
                    wait = 0.05
            except OSError as error:
                log.error("the process that runs hooks cannot be started: %s", error)
            log.warning("the process that runs hooks ended; it is started again in %.2f seconds", wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _live(self) -> bool:
        """One life of the process; whether it did any work."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "merope.engine.hook_executor",
            json.dumps(asdict(self._places)),
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        self._process, worked = process, False
        try:
            for request, _ in self._asked.values():
                self._send(process, request)
            assert process.stdout is not None
            while line := await process.stdout.readline():
                self._answered(line)
                worked = True
        except ValueError:
            log.exception("the process that runs hooks answered nonsense")
        finally:
            self._process = None
            kill_session(process.pid)
            await process.wait()
        return worked

    def _send(self, process: asyncio.subprocess.Process, request: Request) -> None:
        assert process.stdin is not None
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(request.to_json()).encode() + b"\n")

    def _answered(self, line: bytes) -> None:
        told = json.loads(line)
        asked = self._asked.pop(told["id"], None)
        if asked is None:
            return
        request, done = asked
        done(
            Execution(
                command=told["command"],
                arguments=request.arguments,
                stdout=told["stdout"],
                stderr=told["stderr"],
                code=told["code"],
                remote_host=request.host if request.remote else "",
            )
        )

    async def close(self) -> None:
        """Ends the process with all that it runs: that is due still, and is run when a core starts again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
