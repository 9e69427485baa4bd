"""When scheduled actions are due, and when they come again."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from merope.model.schedule import End, Repeat, Schedule, read, write
from merope.model.template import Vector

MADRID = ZoneInfo("Europe/Madrid")
ZONES = st.sampled_from([UTC, MADRID, ZoneInfo("America/Caracas"), ZoneInfo("Australia/Lord_Howe")])
TIMES = st.integers(min_value=0, max_value=4_000_000_000)
DAYS = {Repeat.WEEKLY: (0, 6), Repeat.MONTHLY: (1, 31), Repeat.YEARLY: (0, 365)}
HOUR, DAY = 3600, 86400


def at(text: str, zone: ZoneInfo | None = None) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp())


def planned(**attributes: str) -> Schedule:
    found = read(Vector(attributes), 1000)
    assert found is not None
    return found


@st.composite
def repeating(draw: st.DrawFn) -> Schedule:
    repeat = draw(st.sampled_from(sorted(DAYS)))
    low, high = DAYS[repeat]
    days = draw(st.sets(st.integers(low, high), min_size=1, max_size=5))
    return Schedule(draw(TIMES), repeat=repeat, days=tuple(sorted(days)))


def number(repeat: Repeat | None, moment: datetime) -> int:
    if repeat is Repeat.WEEKLY:
        return int(moment.strftime("%w"))
    return moment.day if repeat is Repeat.MONTHLY else int(moment.strftime("%j")) - 1


def test_an_action_without_repetition_is_due_once() -> None:
    once = planned(TIME="5000")
    assert once.due == 5000
    assert once.after(6000, UTC).due is None


def test_relative_times_count_from_when_the_vm_was_created() -> None:
    assert planned(TIME="+60").due == 1060


def test_an_action_that_gets_a_later_time_is_due_again() -> None:
    assert planned(TIME="5000", DONE="4000").due == 5000
    assert planned(TIME="5000", DONE="5000").due is None


@pytest.mark.parametrize("time", ["", "soon", "+", "-5", "1e9", "99999999999999", "+-1", "٣"])
def test_a_time_that_is_none_is_never_due(time: str) -> None:
    assert read(Vector(TIME=time), 0) is None


@pytest.mark.parametrize(
    ("repeat", "days", "now", "coming"),
    [
        ("0", "1,5", "2026-11-21T12:00", "2026-11-23T10:30"),
        ("0", "6", "2026-11-28T10:00", "2026-11-28T10:30"),
        ("0", "6", "2026-11-21T10:30", "2026-11-28T10:30"),
        ("1", "31", "2026-11-21T12:00", "2026-12-31T10:30"),
        ("1", "31", "2027-02-01T00:00", "2027-03-31T10:30"),
        ("2", "0", "2026-11-21T12:00", "2027-01-01T10:30"),
        ("2", "365", "2026-11-21T12:00", "2028-12-31T10:30"),
        ("3", "5", "2026-11-21T12:00", "2026-11-21T15:30"),
        ("3", "168", "2026-11-21T12:00", "2026-11-28T10:30"),
    ],
)
def test_what_repeats_comes_again_at_the_same_time_of_day(
    repeat: str, days: str, now: str, coming: str
) -> None:
    action = planned(TIME=str(at("2026-11-21T10:30")), REPEAT=repeat, DAYS=days)
    assert action.after(at(now), UTC).due == at(coming)


def test_the_time_of_day_stays_when_the_clocks_change() -> None:
    action = planned(TIME=str(at("2026-10-24T09:00", MADRID)), REPEAT="0", DAYS="0,1,2,3,4,5,6")
    due = action.after(action.time, MADRID).due
    assert due == at("2026-10-25T09:00", MADRID)
    assert due - action.time == 25 * HOUR


@given(repeating(), TIMES, ZONES)
def test_the_next_time_is_after_now_on_a_day_that_is_named(
    schedule: Schedule, now: int, zone: ZoneInfo
) -> None:
    coming = schedule.next(now, zone)
    assume(coming < 32_000_000_000)
    assert coming > now
    moment, first = datetime.fromtimestamp(coming, zone), datetime.fromtimestamp(schedule.time, zone)
    # Where the clocks jump over a time of day it is an hour or less away from it.
    shift = abs((moment.hour * 60 + moment.minute) - (first.hour * 60 + first.minute))
    assert min(shift, 1440 - shift) <= 60
    assert number(schedule.repeat, moment) in schedule.days or shift


@given(repeating(), TIMES)
def test_no_time_that_is_named_is_left_out(schedule: Schedule, now: int) -> None:
    coming = schedule.next(now, UTC)
    first = schedule.time % DAY
    day = (now - first) // DAY * DAY + first
    while day <= now:
        day += DAY
    for moment in range(day, min(coming, day + 800 * DAY), DAY):
        assert number(schedule.repeat, datetime.fromtimestamp(moment, UTC)) not in schedule.days


@given(TIMES, st.integers(1, 168), st.integers(0, 10_000_000))
def test_hours_are_counted_from_the_time_before(time: int, hours: int, late: int) -> None:
    schedule = Schedule(time, repeat=Repeat.HOURLY, days=(hours,))
    coming = schedule.after(time + late, UTC).time
    assert coming > time + late
    assert coming - time - late <= hours * HOUR
    assert (coming - time) % (hours * HOUR) == 0


@given(st.integers(1, 6), st.integers(0, 5 * DAY))
def test_what_ends_after_a_number_of_times_is_done_so_often(times: int, late: int) -> None:
    schedule = Schedule(1000, repeat=Repeat.HOURLY, days=(1,), end=End.TIMES, end_value=times)
    done = 0
    while schedule.due is not None:
        done += 1
        schedule = schedule.after(schedule.due + late, UTC)
        assert done <= times
    assert done == times


def test_nothing_is_due_after_the_date_on_which_it_ends() -> None:
    end = at("2026-11-23T00:00")
    action = planned(
        TIME=str(at("2026-11-21T10:30")), REPEAT="0", DAYS="0,1,2,3,4,5,6", END_TYPE="2", END_VALUE=str(end)
    )
    second = action.after(action.time, UTC)
    assert second.due == at("2026-11-22T10:30")
    assert second.after(second.time, UTC).due is None


def test_a_repetition_without_days_is_done_once() -> None:
    assert planned(TIME="5000", REPEAT="0").after(5000, UTC).due is None


@given(repeating(), TIMES)
def test_what_is_written_is_read_back(schedule: Schedule, now: int) -> None:
    action = Vector(
        TIME=str(schedule.time),
        REPEAT=str(int(schedule.repeat or 0)),
        DAYS=",".join(map(str, schedule.days)),
        END_TYPE="1",
        END_VALUE="9",
    )
    begun = read(action, 0)
    assert begun is not None
    after = begun.after(now, UTC)
    write(after, action)
    assert read(action, 0) == after


def test_a_relative_time_that_repeats_becomes_a_time() -> None:
    action = Vector(TIME="+60", REPEAT="3", DAYS="2")
    begun = read(action, 1000)
    assert begun is not None
    write(begun.after(1060, UTC), action)
    assert action["TIME"] == str(1060 + 2 * HOUR)
