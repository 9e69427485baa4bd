"""Notices that the store works again, also when nobody writes."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from merope.engine.cloud import Cloud
from merope.engine.engine import Handle, Timer

log = logging.getLogger("merope.store")

PROBE_SECONDS = 2.0


class Recovery:
    """While the store is in trouble it is asked from time to time; `probe` blocks, and raises while it is."""

    def __init__(self, cloud: Cloud, probe: Callable[[], None], executor: Executor, after: Timer) -> None:
        self._cloud = cloud
        self._probe = probe
        self._executor = executor
        self._after = after
        self._awaited: Handle | None = None

    def start(self) -> None:
        self._awaited = self._after(PROBE_SECONDS, self._look)

    def stop(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None

    def _look(self) -> None:
        if not self._cloud.trouble:
            self.start()
            return
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._executor, self._probe).add_done_callback(self._looked)

    def _looked(self, future: "asyncio.Future[None]") -> None:
        error = future.exception()
        if error is not None:
            self._cloud.trouble = str(error)
        elif self._cloud.trouble:
            log.info("the database can be written again")
            self._cloud.trouble = ""
        if self._awaited is not None:
            self.start()
