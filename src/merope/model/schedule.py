"""When a scheduled action is due, and when it comes again. Pure: the clock and the zone come from outside.

Source: spec scheduler.yaml `scheduled_actions`. Times are epochs in seconds. Where 5.12 runs what repeats
once more than END_VALUE says, or again and again after its end, this does what END_VALUE says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import IntEnum

from merope.model.template import Vector

_DAY = timedelta(days=1)
_HOUR = 3600
_LATEST = 32_503_680_000
"""The year 3000: no time after it is meant."""
#: The 29th of February, and day 365 of a leap year, come again after eight years at most.
_SEARCHED_DAYS = 8 * 366 + 1
_NUMBER = re.compile(r"-?\d{1,12}", re.ASCII)


class Repeat(IntEnum):
    """REPEAT: what DAYS are days of; HOURLY has one number, of hours."""

    WEEKLY = 0
    MONTHLY = 1
    YEARLY = 2
    HOURLY = 3


class End(IntEnum):
    """END_TYPE: END_VALUE is a number of times or an epoch."""

    NEVER = 0
    TIMES = 1
    DATE = 2


@dataclass(frozen=True, slots=True)
class Schedule:
    """One action: `time` when it is to be done, `done` when it was done last (-1: never)."""

    time: int
    done: int = -1
    repeat: Repeat | None = None
    days: tuple[int, ...] = ()
    end: End = End.NEVER
    end_value: int = 0

    @property
    def due(self) -> int | None:
        """When it is to be done next, None when it will not be done any more."""
        return None if self.done >= self.time else self.time

    def after(self, now: int, zone: tzinfo) -> Schedule:
        """What is left of the schedule when it has been done at `now`."""
        past = Schedule(self.time, max(now, self.time), self.repeat, self.days, self.end, self.end_value)
        if self.repeat is None or not self.days:
            return past
        left = self.end_value - 1 if self.end is End.TIMES else self.end_value
        coming = self.next(max(now, self.time), zone)
        if (self.end is End.TIMES and left <= 0) or (self.end is End.DATE and coming > left):
            return Schedule(self.time, past.done, self.repeat, self.days, self.end, left)
        return Schedule(coming, past.done, self.repeat, self.days, self.end, left)

    def next(self, now: int, zone: tzinfo) -> int:
        """The first time after `now` that the repetition names: at the same time of day in `zone`."""
        if self.repeat is Repeat.HOURLY:
            step = self.days[0] * _HOUR
            return self.time + step * max(1, (now - self.time) // step + 1)
        clock = datetime.fromtimestamp(self.time, zone).time()
        first = datetime.fromtimestamp(now, zone).date()
        for day in _days_from(first):
            if _number(self.repeat, day) in self.days:
                moment = int(datetime.combine(day, clock, zone).timestamp())
                if moment > now:
                    return moment
        return _LATEST


def _days_from(first: date) -> Iterator[date]:
    return (first + _DAY * offset for offset in range(_SEARCHED_DAYS))


def _number(repeat: Repeat | None, day: date) -> int:
    """The number of a day as DAYS count: of the week from Sunday (0), of the month (1), of the year (0)."""
    if repeat is Repeat.WEEKLY:
        return day.isoweekday() % 7
    if repeat is Repeat.MONTHLY:
        return day.day
    return day.timetuple().tm_yday - 1


def read(action: Vector, begin: int) -> Schedule | None:
    """The schedule of a SCHED_ACTION; `begin` is when its VM was created, from which +seconds count.

    None for a TIME that is none: such an action is never done, as in 5.12.
    """
    stated = action.get("TIME", "").strip()
    relative = stated.startswith("+")
    time = _integer(stated.removeprefix("+"))
    if time is None or time < 0:
        return None
    time += begin if relative else 0
    if time > _LATEST:
        return None
    repeat, end = _integer(action.get("REPEAT", "")), _integer(action.get("END_TYPE", ""))
    done = _integer(action.get("DONE", ""))
    return Schedule(
        time,
        -1 if done is None else done,
        Repeat(repeat) if repeat in tuple(Repeat) else None,
        _days(action.get("DAYS", "")),
        End(end) if end in tuple(End) else End.NEVER,
        _integer(action.get("END_VALUE", "")) or 0,
    )


def write(schedule: Schedule, action: Vector) -> None:
    """Puts what has changed of a schedule into its SCHED_ACTION."""
    action["DONE"] = str(schedule.done)
    if schedule.repeat is not None:
        action["TIME"] = str(schedule.time)
        if schedule.end is End.TIMES:
            action["END_VALUE"] = str(max(schedule.end_value, 0))


def _integer(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text.strip()) else None


def _days(text: str) -> tuple[int, ...]:
    found = (_integer(word) for word in text.split(",") if word.strip())
    return tuple(sorted({day for day in found if day is not None and day >= 0}))
