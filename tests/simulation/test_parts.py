"""The parts of the simulation: the loop, the database, the cutting of schedules, the comparison of states."""

import asyncio

import pytest

from merope.model.change import Change, Delete, Put
from merope.model.state import State
from merope.simulation.disk import Broken, Disk
from merope.simulation.loop import START, SimulatedLoop
from merope.simulation.portrait import difference, portrait
from merope.simulation.shrink import shrink
from merope.store.errors import StoreError


def loop_of(delay: float = 0.5) -> SimulatedLoop:
    return SimulatedLoop(lambda: delay)


def test_callbacks_run_in_the_order_of_their_times_and_the_clock_follows() -> None:
    loop = loop_of()
    seen: list[object] = []
    loop.call_later(5.0, lambda: seen.append(("late", loop.time() - START)))
    loop.call_later(1.0, lambda: seen.append(("early", loop.time() - START)))
    loop.call_soon(lambda: seen.append(("now", loop.time() - START)))
    while loop.step():
        pass
    assert seen == [("now", 0.0), ("early", 1.0), ("late", 5.0)]


def test_a_step_does_not_go_beyond_its_limit() -> None:
    loop = loop_of()
    loop.call_later(5.0, lambda: None)
    assert not loop.step(until=START + 4.0)
    assert loop.time() == START
    assert loop.step(until=START + 5.0)


def test_a_cancelled_callback_does_not_run() -> None:
    loop = loop_of()
    seen: list[object] = []
    loop.call_later(1.0, seen.append, 1).cancel()
    assert not loop.step()
    assert seen == []


def test_work_for_a_thread_is_done_in_one_step_and_known_in_another() -> None:
    loop = loop_of(0.5)
    done: list[int] = []
    future = loop.run_in_executor(None, done.append, 1)
    assert not future.done()
    assert loop.step()
    assert done == [1]
    assert not future.done()
    assert loop.step()
    assert future.done()


def test_a_crash_ends_what_the_process_would_have_done_and_nothing_else() -> None:
    loop = loop_of()
    seen: list[object] = []
    loop.call_later(1.0, seen.append, "process")
    loop.world_later(1.0, lambda: seen.append("world"))
    loop.crash()
    while loop.step():
        pass
    assert seen == ["world"]
    assert loop.lives == 2


def test_failed_work_fails_its_future() -> None:
    loop = loop_of()
    future: asyncio.Future[None] = loop.run_in_executor(None, _fail)
    while loop.step():
        pass
    assert isinstance(future.exception(), StoreError)


def _fail() -> None:
    raise StoreError("no")


ROW = {"name": "FLAG", "body": "1"}


def test_a_group_of_changes_is_stored_whole_or_not_at_all() -> None:
    disk = Disk()
    changes = [
        Change(1, 0, (Put("system_attributes", "FLAG", ROW),)),
        Change(
            2, 0, (Delete("system_attributes", "FLAG"), Put("system_attributes", "B", {**ROW, "name": "B"}))
        ),
    ]
    disk.fails = lambda: True
    with pytest.raises(StoreError):
        disk.commit(changes)
    assert disk.index == 0
    assert disk.rows["system_attributes"] == {}
    disk.fails = lambda: False
    disk.commit(changes)
    assert disk.index == 2
    assert list(disk.rows["system_attributes"]) == ["B"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(Change(2, 0, ()), id="out of order"),
        pytest.param(
            Change(1, 0, (Put("system_attributes", "OTHER", ROW),)), id="a key that is not the row's"
        ),
    ],
)
def test_a_change_that_cannot_be_is_noticed(change: Change) -> None:
    with pytest.raises(Broken):
        Disk().commit([change])


def test_rows_that_share_what_must_be_unique_are_noticed() -> None:
    disk = Disk()
    rows = [Put("user_pool", oid, {"oid": oid, "name": "ann", "body": "", "uid": 0}) for oid in (1, 2)]
    disk.commit([Change(1, 0, tuple(rows))])
    with pytest.raises(Broken, match="user_pool"):
        disk.check_constraints()


@pytest.mark.parametrize("needed", [{7}, {0, 31}, {3, 4, 5}, set()])
def test_a_schedule_is_cut_to_the_steps_that_it_takes(needed: set[int]) -> None:
    cut = shrink(range(32), lambda steps: needed <= set(steps), budget=60.0)
    assert set(cut) == needed


def test_cutting_stops_when_its_time_is_up() -> None:
    now = iter(range(1000))
    cut = shrink(range(32), lambda steps: 31 in steps, budget=3.0, clock=lambda: float(next(now)))
    assert 31 in cut
    assert len(cut) > 1


def test_two_states_that_differ_in_one_row_are_told_apart() -> None:
    one, other = State(), State()
    assert difference(portrait(one), portrait(other)) == ""
    other.load("system_attributes", "FLAG", ROW)
    assert "attributes/FLAG" in difference(portrait(one), portrait(other))
