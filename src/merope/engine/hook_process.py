"""The executor of hooks, seen from the core: started with the first hook, and again when it dies."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict

from merope.engine.companion import Companion, Said
from merope.engine.hook_executor import LINE_LIMIT, Places, Request
from merope.model.hook import Execution

log = logging.getLogger("merope.hooks")

Done = Callable[[Execution], None]


class HookProcess:
    """`submit` answers each request once, unless this is closed before. What was under way in a process that
    died is given to its successor: hooks are run at least once."""

    def __init__(self, places: Places) -> None:
        self._asked: dict[int, tuple[Request, Done]] = {}
        self._companion = Companion(
            "the process that runs hooks",
            "merope.engine.hook_executor",
            log,
            greet=self._due,
            hear=self._answered,
            limit=LINE_LIMIT,
            arguments=(json.dumps(asdict(places)), str(os.getpid())),
        )

    @property
    def pid(self) -> int | None:
        return self._companion.pid

    def submit(self, request: Request, done: Done) -> None:
        self._asked[request.id] = (request, done)
        self._companion.start()
        self._companion.tell(request.to_json())

    def _due(self) -> Iterator[Said]:
        for request, _ in self._asked.values():
            yield request.to_json()

    def _answered(self, told: Said) -> bool:
        asked = self._asked.pop(told["id"], None)
        if asked is None:
            return True
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
        return True

    async def close(self) -> None:
        """Ends the process with all that it runs: that is due still, and is run when a core starts again."""
        await self._companion.kill()
