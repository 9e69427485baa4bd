"""Going through the stages of a job, each on its machine."""

from collections.abc import Awaitable, Callable
from typing import Any

from merope.engine.job import Answer, Job
from merope.engine.plans import PLANS

Ask = Callable[[str, dict[str, Any]], Awaitable[Answer]]
"""Has a worker on a machine (empty: this one) carry a request out."""


async def carry_out(job: Job, place: Callable[[str], str], ask: Ask) -> Answer:
    """When a stage fails, those before it are undone. `place` tells the machine of a host, "" for this."""
    request = {"job": job.to_json(), "far": [host for host in job.hosts if place(host)]}
    stages = [(n, stage) for n, stage in enumerate(PLANS[job.effect.op]) if stage.when(job)]
    places = {number: place(stage.host(job)) for number, stage in stages}
    if len(set(places.values())) == 1:
        return await ask(places[stages[0][0]], request)
    found: dict[str, str] = {}
    done: list[int] = []
    for number, stage in stages:
        answer = await ask(places[number], {**request, "stage": number, "undo": False})
        if not answer.ok and not (answer.unreached and stage.forgives(job, stage.host(job))):
            for each in reversed(done):
                if PLANS[job.effect.op][each].undo is not None:
                    await ask(places[each], {**request, "stage": each, "undo": True})
            return answer
        found |= answer.data
        done.append(number)
    return Answer(True, data=found)
