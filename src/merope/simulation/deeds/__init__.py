"""What people and the world do: one deed is one step of a schedule, chosen by weight."""

from merope.simulation.deeds import (
    administration,
    anything,
    devices,
    hosts,
    images,
    life,
    networks,
    papers,
    people,
    pinned,
    services,
    timetable,
)
from merope.simulation.deeds.call import Deed
from merope.simulation.deeds.world import HAPPENINGS, Happening

Weighted = tuple[tuple[Deed, int], ...]

#: By subject. A schedule has one that it dwells on: what builds on what was done before is reached that way.
SUBJECTS: dict[str, Weighted] = {
    "life": life.DEEDS,
    "people": people.DEEDS,
    "papers": papers.DEEDS,
    "images": images.DEEDS,
    "networks": networks.DEEDS,
    "administration": administration.DEEDS,
    "devices": devices.DEEDS,
    "timetable": timetable.DEEDS,
    "pinned": pinned.DEEDS,
    "hosts": hosts.DEEDS,
    "anything": anything.DEEDS,
    "services": services.DEEDS,
}
SERVICES = "services"
#: The world's part of all steps, where it is not a fifth.
_SHARES = {"hosts": 0.5, SERVICES: 0.6}
#: A subject that is dwelt on has this part of what people do.
_DWELT_ON = 0.5


def requests(subject: str) -> Weighted:
    """All deeds with their weights, where a schedule dwells on a subject."""
    own = SUBJECTS[subject]
    others = [deed for name, deeds in SUBJECTS.items() if name not in (subject, SERVICES) for deed in deeds]
    rest, mine = sum(weight for _, weight in others), sum(weight for _, weight in own)
    factor = max(round(rest * _DWELT_ON / (1 - _DWELT_ON) / mine), 1)
    return (*others, *((deed, weight * factor) for deed, weight in own))


def events(subject: str) -> tuple[list[Happening], list[int], float]:
    """What the world does by itself, with weights, where a schedule dwells on a subject; and its part of all
    steps. Hosts fail in every schedule once in a while, and all the time in those that are about that.
    OneFlow, and what is asked of it, is where a schedule is about services."""
    dwelt_on = subject == "hosts"
    weighted = [
        *HAPPENINGS,
        *((event, weight * (5 if dwelt_on else 1)) for event, weight in hosts.HAPPENINGS),
        *(services.HAPPENINGS if subject == SERVICES else ()),
    ]
    return [event for event, _ in weighted], [weight for _, weight in weighted], _SHARES.get(subject, 0.2)


__all__ = ["SERVICES", "SUBJECTS", "events", "requests"]
