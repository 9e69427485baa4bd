"""One worker process, as the pool sees it: started here or over SSH, asked line by line, ended for sure."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from merope.engine.job import Answer
from merope.engine.processes import kill_session

log = logging.getLogger("merope.engine")

LINE_LIMIT = 16 * 1024 * 1024
"""Bytes that an answer may have."""
_FAREWELL_SECONDS = 5.0


class SilenceError(Exception):
    """The worker ended, or what it wrote is no answer to what it was asked."""


@dataclass(slots=True)
class Worker:
    """`host` is where it works, empty for this machine; then `process` is the worker, else the ssh to it."""

    host: str
    process: asyncio.subprocess.Process
    asked: int = 0
    retirement: asyncio.TimerHandle | None = None

    @classmethod
    async def start(cls, host: str, argv: Sequence[str]) -> "Worker":
        """Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,
        )
        return cls(host, process)

    @property
    def has_ended(self) -> bool:
        return self.process.returncode is not None

    async def ask(self, request: dict[str, Any], progress: Callable[[int], None]) -> Answer:
        """Raises SilenceError."""
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
                    raise SilenceError
                if not isinstance(answer, dict):
                    return Answer.from_json(answer)
                progress(int(answer["done"]))
        except (ConnectionError, KeyError, ValueError, TypeError) as error:
            raise SilenceError from error

    def beat(self) -> None:
        """Lets the worker know that the core is there."""
        assert self.process.stdin is not None
        with suppress(ConnectionError, RuntimeError):
            self.process.stdin.write(b"\n")

    def keep(self, seconds: float, retire: "Callable[[Worker], None]") -> None:
        self.retirement = asyncio.get_running_loop().call_later(seconds, retire, self)

    def wake(self) -> None:
        """It is idle no more."""
        if self.retirement is not None:
            self.retirement.cancel()

    async def dismiss(self) -> None:
        """Lets an idle worker go: it ends when its input does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), _FAREWELL_SECONDS)
        except TimeoutError:
            log.debug("worker %d did not end by itself", self.process.pid)
        await self.kill()

    async def kill(self) -> int:
        """Ends it and all of its session, in which is what it started; on a host it ends with its input."""
        kill_session(self.process.pid)
        return await self.process.wait()
