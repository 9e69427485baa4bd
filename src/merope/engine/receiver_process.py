"""The receiver of monitoring, seen from the core: told all that it has to know whenever it starts."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict

from merope.engine.companion import Companion, Said
from merope.monitor.receiver import Wanted

log = logging.getLogger("merope.monitor")

_LINE_LIMIT = 64 * 1024 * 1024
_WRITTEN_SECONDS = 2.0


class ReceiverProcess:
    """`hear` gets what it says, `greet` is what each new one is to be told first."""

    def __init__(
        self, wanted: Callable[[], Wanted], hear: Callable[[Said], None], greet: Callable[[], Iterable[Said]]
    ) -> None:
        self._wanted = wanted
        self._hear = hear
        self._greet = greet
        self._companion = Companion(
            "the receiver of monitoring",
            "merope.monitor.receiver",
            log,
            greet=self._greeting,
            hear=self._take,
            limit=_LINE_LIMIT,
        )
        self._asked = 0
        self._writing: dict[int, asyncio.Future[None]] = {}

    @property
    def pid(self) -> int | None:
        return self._companion.pid

    def start(self) -> None:
        """Returns at once; does nothing where it was started before."""
        self._companion.start()

    def tell(self, what: Said) -> None:
        """What is told while there is none is in the next one's greeting."""
        self._companion.tell(what)

    def restart(self) -> None:
        """It is configured differently now."""
        self._companion.restart()

    async def written(self) -> None:
        """Returns when it has written what it had measured until now, or does not say so in time."""
        if self.pid is None:
            return
        self._asked += 1
        future = self._writing[self._asked] = asyncio.get_running_loop().create_future()
        self.tell({"write": self._asked})
        with suppress(TimeoutError):
            await asyncio.wait_for(future, _WRITTEN_SECONDS)
        self._writing.pop(self._asked, None)

    async def close(self) -> None:
        """Lets it write what it has, and ends it."""
        await self._companion.end()

    def _greeting(self) -> Iterator[Said]:
        yield asdict(self._wanted())
        yield from self._greet()

    def _take(self, said: Said) -> bool:
        if "written" in said:
            future = self._writing.pop(said["written"], None)
            if future is not None and not future.done():
                future.set_result(None)
            return False
        try:
            self._hear(said)
        except Exception:
            log.exception("what was measured could not be taken in")
        return "listening" in said
