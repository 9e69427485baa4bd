"""The receiver of monitoring, seen from the core: started again when it dies, and told all it has to know."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from merope.engine.processes import kill_session
from merope.monitor.receiver import Wanted

log = logging.getLogger("merope.monitor")

_LONGEST_WAIT = 10.0
_LINE_LIMIT = 64 * 1024 * 1024
_WRITTEN_SECONDS = 2.0
_FAREWELL_SECONDS = 5.0

Said = dict[str, Any]


class ReceiverProcess:
    """`hear` gets what it says, `greet` is what each new one is to be told first."""

    def __init__(
        self, wanted: Callable[[], Wanted], hear: Callable[[Said], None], greet: Callable[[], Iterable[Said]]
    ) -> None:
        self._wanted = wanted
        self._hear = hear
        self._greet = greet
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked = 0
        self._writing: dict[int, asyncio.Future[None]] = {}

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Returns at once; does nothing where it was started before."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_running())

    def tell(self, what: Said) -> None:
        """What is told while there is none is in the next one's greeting."""
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(ConnectionError):
                process.stdin.write(json.dumps(what).encode() + b"\n")

    def restart(self) -> None:
        """It is configured differently now."""
        if self._process is not None:
            self._process.kill()

    async def written(self) -> None:
        """Returns when it has written what it had measured until now, or does not say so in time."""
        if self._process is None:
            return
        self._asked += 1
        future = self._writing[self._asked] = asyncio.get_running_loop().create_future()
        self.tell({"write": self._asked})
        with suppress(TimeoutError):
            await asyncio.wait_for(future, _WRITTEN_SECONDS)
        self._writing.pop(self._asked, None)

    async def close(self) -> None:
        """Lets it write what it has, and ends it."""
        task, self._task = self._task, None
        if task is None:
            return
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _FAREWELL_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _keep_running(self) -> None:
        wait = 0.1
        while True:
            try:
                if await self._live():
                    wait = 0.1
            except OSError as error:
                log.error("the receiver of monitoring cannot be started: %s", error)
            if self._task is None:
                return
            log.warning("the receiver of monitoring ended; it is started again in %.1f seconds", wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _live(self) -> bool:
        """One life of the process; whether it came to listen."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "merope.monitor.receiver",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
            start_new_session=True,
        )
        self._process, listened = process, False
        try:
            self.tell(asdict(self._wanted()))
            for word in self._greet():
                self.tell(word)
            assert process.stdout is not None
            while line := await process.stdout.readline():
                said = json.loads(line)
                listened = listened or "listening" in said
                self._take(said)
                # Lines come in bursts, and those who wait for the loop have their turn in between.
                await asyncio.sleep(0)
        except ValueError:
            log.exception("the receiver of monitoring said nonsense")
        finally:
            self._process = None
            kill_session(process.pid)
            await process.wait()
        return listened

    def _take(self, said: Said) -> None:
        if "written" in said:
            future = self._writing.pop(said["written"], None)
            if future is not None and not future.done():
                future.set_result(None)
            return
        try:
            self._hear(said)
        except Exception:
            log.exception("what was measured could not be taken in")
