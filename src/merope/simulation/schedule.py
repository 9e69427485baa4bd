"""A schedule: a seed and a list of numbered steps, each of which is drawn by itself from seed and number.

So a step that is left out leaves the chances of all others as they are, and a failing schedule can be cut.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from random import Random

from merope.drivers.simulated.faults import NO_FAULTS, Fault, FaultRates
from merope.simulation import genesis
from merope.simulation.database import real_database
from merope.simulation.deeds import SERVICES, SUBJECTS, events, requests, services
from merope.simulation.deeds.anything import take_turn
from merope.simulation.deeds.call import Call
from merope.simulation.draws import Draw
from merope.simulation.simulation import Base, Simulation, Violation, Weather

STEPS = 32
#: Steps at which a method of the API has its turn: so many schedules later each has had one.
_TURNS = (14, 27)

_EVERY = [fault for fault in Fault if fault is not Fault.NONE]
_CLIMATES: tuple[FaultRates, ...] = (
    NO_FAULTS,
    FaultRates(dict.fromkeys(_EVERY, 0.01), typical_delay=3.0),
    FaultRates(dict.fromkeys(_EVERY, 0.04), typical_delay=20.0),
    FaultRates({Fault.REFUSED: 0.15, Fault.FAILED_AFTER: 0.15}, typical_delay=1.0),
    FaultRates({Fault.LATE_ANSWER: 0.1, Fault.STALLED: 0.15, Fault.LOST: 0.1}, typical_delay=50.0),
)
_WEIGHTED = {subject: tuple(zip(*requests(subject), strict=True)) for subject in SUBJECTS}
_WORLDLY = {subject: events(subject) for subject in SUBJECTS}
_IN_TURN = tuple(SUBJECTS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a schedule went: `failure` is empty when nothing was wrong; `at` is the step that found it."""

    seed: int
    failure: str = ""
    at: int = -1
    events: int = 0
    seconds: float = 0.0
    trace: tuple[str, ...] = field(default=(), repr=False)
    calls: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    """How often each method was called, and how often it did what it was asked for."""

    @property
    def kind(self) -> str:
        """What failed, without the figures: two cuts of a schedule that fail alike have the same."""
        return "".join(char for char in self.failure[:60] if not char.isdigit())


@cache
def _base(shared_storage: bool) -> Base:
    return genesis.make(shared_storage=shared_storage)


def warm_up() -> None:
    """Makes the clouds that schedules begin with."""
    for shared_storage in (True, False):
        _base(shared_storage)


def run(
    seed: int,
    steps: Sequence[int] | None = None,
    *,
    traced: bool = False,
    sqlite: bool = False,
    subject: str = "",
) -> Outcome:
    """Runs the schedule of a seed, or those of its steps that are named; `sqlite`: with a real database.

    `subject` is what it dwells on, where it is not to be the seed's.
    """
    subject = subject or _IN_TURN[seed % len(_IN_TURN)]
    started = time.perf_counter()
    chance = Random(f"{seed}")  # noqa: S311 - reproducible is what it is to be
    base = _base(chance.random() < 0.6)
    simulation = Simulation(seed, base, Weather(chance.choice(_CLIMATES)), [] if traced else None)
    at, failure = -1, ""
    asyncio._set_running_loop(simulation.loop.as_asyncio)
    try:
        with real_database(simulation.disk) if sqlite else nullcontext():
            if subject == SERVICES:
                _begin_services(simulation)
            for at in range(STEPS) if steps is None else steps:
                _step(simulation, seed, at, subject)
            at = -1
            simulation.settle()
    except Violation as found:
        failure = str(found)
    except Exception as error:
        failure = _described(error)
    finally:
        simulation.close()
        asyncio._set_running_loop(None)
    seconds = time.perf_counter() - started
    return Outcome(
        seed, failure, at, simulation.loop.steps, seconds, tuple(simulation.trace or ()), simulation.calls
    )


def _begin_services(simulation: Simulation) -> None:
    for name, arguments in services.PREPARATIONS:
        simulation.request(name, arguments)
        simulation.step()
    simulation.begin_services()


def _described(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__} in {where}: {error}"


def _step(simulation: Simulation, seed: int, number: int, subject: str) -> None:
    chance = Random(f"{seed}/{number}")  # noqa: S311 - as above
    draw = Draw(simulation.process.state, chance, simulation.loop.now(), seed * len(_TURNS))
    simulation.note(f"step {number}")
    happenings, odds, share = _WORLDLY[subject]
    if number in _TURNS:
        draw.turn += _TURNS.index(number)
        _request(simulation, take_turn(draw))
    elif chance.random() < share:
        happening = chance.choices(happenings, odds)[0]
        simulation.note(happening(simulation, draw))
    else:
        deeds, weights = _WEIGHTED[subject]
        call = chance.choices(deeds, weights)[0](draw)
        if call is not None:
            _request(simulation, call)
    simulation.check()
    _pass_time(simulation, chance)


def _request(simulation: Simulation, call: Call) -> None:
    flow = simulation.oneflow
    if flow is None or not flow.is_beyond(call[0], call[1]):
        simulation.request(*call)


def _pass_time(simulation: Simulation, chance: Random) -> None:
    """Between two deeds there is nothing, a moment, or long enough for all to be done."""
    kind = chance.random()
    if kind < 0.2:
        return
    if kind < 0.6:
        events, until = chance.randrange(1, 8), float("inf")
    elif kind < 0.9:
        events, until = 60, simulation.loop.clock + 30.0
    else:
        events, until = 200, simulation.loop.clock + 3000.0
    for _ in range(events):
        before = simulation.process.state.index
        if not simulation.step(until):
            break
        if simulation.process.state.index != before:
            simulation.check()
