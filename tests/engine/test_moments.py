"""Which change was the last one at a moment that has passed."""

from hypothesis import given
from hypothesis import strategies as st

from merope.engine.moments import SECONDS, Moments


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 20), min_size=1, max_size=80), st.floats(-1, 1000))
def test_a_change_that_is_answered_had_been_made_by_then(steps: list[float], moment: float) -> None:
    clock = Clock()
    moments = Moments(clock, 1)
    made = {1: 0.0}
    for number, step in enumerate(steps, 2):
        clock.now += step
        made[number] = clock.now
        moments.note(number)
    found = moments.at(moment)
    assert found == 0 or made[found] <= moment


def test_of_changes_that_come_thick_and_fast_the_last_is_known_soon() -> None:
    clock = Clock()
    moments = Moments(clock, 1)
    for number in range(2, 1000):
        clock.now += 0.001
        moments.note(number)
    assert moments.at(clock.now) == 999
    assert moments.at(clock.now - 0.2) > 700


def test_what_is_long_ago_is_forgotten() -> None:
    clock = Clock()
    moments = Moments(clock, 1)
    for number in range(2, 5000):
        clock.now += 1
        moments.note(number)
    assert moments.at(clock.now - SECONDS) > 4000
    assert moments.at(1) == 0
