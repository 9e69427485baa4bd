"""A process beside the core that speaks lines of JSON: started again when it dies, later each time."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from merope.engine.processes import kill_session

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 10.0
_FAREWELL_SECONDS = 5.0

Said = dict[str, Any]


class Companion:
    """Runs `module` with `arguments`; `name` is what the log calls it.

    `greet`: what each new one is told first. `hear` gets what it says, and answers whether that shows that it
    does its work: one that died before it came to that is waited for longer each time. `limit`: bytes a line.
    """

    def __init__(
        self,
        name: str,
        module: str,
        log: logging.Logger,
        *,
        greet: Callable[[], Iterable[Said]],
        hear: Callable[[Said], bool],
        limit: int,
        arguments: Sequence[str] = (),
    ) -> None:
        self._name = name
        self._argv = (sys.executable, "-P", "-m", module, *arguments)
        self._log = log
        self._greet = greet
        self._hear = hear
        self._limit = limit
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Returns at once; does nothing where it was started before."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_running())

    def tell(self, what: Said) -> None:
        """Nothing where there is none just now: that is for the next one's greeting."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(ConnectionError):
                self._process.stdin.write(json.dumps(what).encode() + b"\n")

    def restart(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def end(self) -> None:
        """Closes its input, and gives it some seconds to end by itself."""
        if self._process is not None and self._process.stdin is not None:
            process = self._process
            self._process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _FAREWELL_SECONDS)
        await self.kill()

    async def kill(self) -> None:
        """Ends it with all that it has started."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_running(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                if await self._live():
                    wait = _FIRST_WAIT
            except OSError as error:
                self._log.error("%s cannot be started: %s", self._name, error)
            self._log.warning("%s ended; it is started again in %.1f seconds", self._name, wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _live(self) -> bool:
        """One life of the process; whether it came to do its work."""
        process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=self._limit,
            start_new_session=True,
        )
        self._process, worked = process, False
        try:
            for word in self._greet():
                self.tell(word)
            assert process.stdout is not None
            while line := await process.stdout.readline():
                worked = self._hear(json.loads(line)) or worked
                # Lines come in bursts, and those who wait for the loop have their turn in between.
                await asyncio.sleep(0)
        except Exception:
            # Nonsense, or what it said led to an error: its successor is told what is due.
            self._log.exception("%s said what could not be taken in", self._name)
        finally:
            self._process = None
            kill_session(process.pid)
            await process.wait()
        return worked
