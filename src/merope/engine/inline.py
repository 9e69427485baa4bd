"""Carrying jobs out in the engine's own process: for simulated drivers, which take microseconds."""

import asyncio
from collections.abc import Callable
from typing import Any

from merope.engine import plans
from merope.engine.job import Answer, Job
from merope.engine.plans import Drivers
from merope.engine.probes import answer


class InlineExecutor:
    """Runs each job in the next turn of the loop."""

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers

    def submit(self, job: Job, seconds: float, done: Callable[[Answer], None]) -> asyncio.Handle:  # noqa: ARG002 - it takes no time
        return asyncio.get_running_loop().call_soon(lambda: done(plans.run(self._drivers, job)))

    def probe(
        self,
        request: dict[str, Any],
        seconds: float,  # noqa: ARG002 - it takes no time
        done: Callable[[Answer], None],
    ) -> asyncio.Handle:
        return asyncio.get_running_loop().call_soon(lambda: done(answer(self._drivers, request)))
