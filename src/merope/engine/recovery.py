"""Notices that the store works again, also when nobody writes; settles what was left in doubt."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from merope.engine.cloud import Cloud
from merope.engine.engine import Handle, Timer
from merope.store.errors import SupersededError

log = logging.getLogger("merope.store")

PROBE_SECONDS = 2.0


class Recovery:
    """While the store is in trouble it is asked from time to time; `probe` blocks, and raises while it is.

    `settle` tells, when it can be known, whether the change of a number is stored. `superseded` is called
    when another process has written to the database: this one must end.
    """

    def __init__(
        self,
        cloud: Cloud,
        probe: Callable[[], None],
        executor: Executor,
        after: Timer,
        *,
        settle: Callable[[int], bool] = lambda _: False,
        superseded: Callable[[], None] = lambda: None,
    ) -> None:
        self._cloud = cloud
        self._probe = probe
        self._settle = settle
        self._superseded = superseded
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
        if self._cloud.superseded:
            self._superseded()
            return
        loop = asyncio.get_running_loop()
        doubt = self._cloud.in_doubt
        ask = self._probe if doubt is None else partial(self._settle, doubt)
        loop.run_in_executor(self._executor, ask).add_done_callback(self._looked)

    def _looked(self, future: "asyncio.Future[bool | None]") -> None:
        error = future.exception()
        if isinstance(error, SupersededError):
            self._superseded()
        if error is not None:
            self._cloud.trouble = str(error)
        elif self._cloud.in_doubt is not None:
            self._cloud.settle(bool(future.result()))
        elif self._cloud.trouble:
            log.info("the database can be written again")
            self._cloud.trouble = ""
        if self._awaited is not None:
            self.start()
