"""Asks address managers outside for what a request needs, and returns what it did not use."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from merope.core import ipam
from merope.core.transaction import Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.engine.job import Answer
from merope.engine.polling import Prober
from merope.model.addressing import Answers, Question, Told, revealed

log = logging.getLogger("merope.ipam")

_SECONDS: Final = 90.0
#: Seconds that a question waits for what is being returned to the same manager.
_PATIENCE: Final = 10.0


class AddressManagers:
    """One per process."""

    def __init__(self, cloud: Cloud, prober: Prober) -> None:
        self._cloud = cloud
        self._prober = prober
        self._changed = asyncio.Event()
        cloud.subscribe(lambda _: self._changed.set())

    async def ask(self, question: Question, number: int) -> Told:
        await self._returned(question.network_id)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        request = {
            "probe": "ipam",
            "action": question.action,
            "attributes": revealed(question.attributes, self._cloud.settings),
            "index": question.index,
            "size": question.size,
            "request": number,
        }
        self._prober.probe(request, _SECONDS, done)
        try:
            answer = await asyncio.shield(future)
        except asyncio.CancelledError:
            # Who asked has gone away: what is given all the same is returned.
            future.add_done_callback(lambda late: self._return([(question, _told(late.result()))]))
            raise
        if not answer.ok:
            log.warning("%s for network %d: %s", question.action, question.network_id, answer.message)
        return _told(answer)

    async def _returned(self, network_id: int) -> None:
        """What is on its way back to a manager gets there before it is asked for more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while ("ipam", network_id) in self._cloud.state.effects_of:
                    self._changed.clear()
                    await self._changed.wait()

    def settle(self, answers: Answers, *, succeeded: bool) -> None:
        self._return(answers.unused() if succeeded else list(answers.asked.values()))

    def _return(self, pairs: list[tuple[Question, Told]]) -> None:
        given = [pair for pair in pairs if pair[1].ok]
        if not given:
            return

        def command(tx: Transaction) -> int:
            for question, told in given:
                ipam.give_up(tx, question, told)
            return 0

        try:
            self._cloud.execute(command, Inputs(internal=True))
        except Exception:
            networks = sorted({question.network_id for question, _ in given})
            log.exception("what was given in vain for networks %s could not be returned", networks)


def _told(answer: Answer) -> Told:
    return Told(answer.ok, answer.message, answer.data)
