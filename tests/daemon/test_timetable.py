"""The timetable: what is due is done, once, whatever happens to the process and to the database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from pathlib import Path

import pytest
from tests.api.dispatch_harness import START, VM, Sandbox

from merope.daemon.timetable import Timetable
from merope.model import vm as machines
from merope.model.phase import Phase
from merope.model.template import Vector


class Clock:
    """Timers that ring when a test says so; `waits` are the seconds that they were set for."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._ring: Callable[[], None] | None = None

    def __call__(self, seconds: float, callback: Callable[[], None], /) -> "Clock":
        assert self._ring is None
        self.waits.append(seconds)
        self._ring = callback
        return self

    def cancel(self) -> None:
        self._ring = None

    @property
    def is_set(self) -> bool:
        return self._ring is not None

    def ring(self) -> None:
        callback, self._ring = self._ring, None
        assert callback is not None
        callback()


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    made = Sandbox(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def timetable(sandbox: Sandbox, clock: Clock) -> Timetable:
    made = Timetable(sandbox.cloud, clock, UTC)
    made.start()
    return made


async def vm(sandbox: Sandbox, *actions: str) -> int:
    source = "\n".join([VM, *(f"SCHED_ACTION=[{action}]" for action in actions)])
    oid = await sandbox.value("one.vm.allocate", source, True)
    await sandbox.settle()
    assert isinstance(oid, int)
    return oid


def machine(sandbox: Sandbox, oid: int) -> machines.VM:
    found = sandbox.state.pools["vm_pool"].parsed(oid)
    assert isinstance(found, machines.VM)
    return found


def action(sandbox: Sandbox, oid: int) -> Vector:
    return machine(sandbox, oid).user_template.vectors("SCHED_ACTION")[0]


async def test_an_action_is_done_when_its_time_has_come(sandbox: Sandbox, clock: Clock) -> None:
    timetable(sandbox, clock)
    assert not clock.is_set
    oid = await vm(sandbox, 'ACTION="release",TIME="+20"')
    assert clock.waits == [20]
    clock.ring()
    assert machine(sandbox, oid).phase is Phase.HOLD
    sandbox.now = START + 20
    clock.ring()
    assert machine(sandbox, oid).phase is Phase.PENDING
    assert action(sandbox, oid)["DONE"] == str(START + 20)
    await sandbox.settle()
    assert not clock.is_set


async def test_a_far_time_is_looked_at_again_because_clocks_are_put_right(
    sandbox: Sandbox, clock: Clock
) -> None:
    timetable(sandbox, clock)
    await vm(sandbox, 'ACTION="release",TIME="+100000"')
    assert clock.waits == [30]
    clock.ring()
    assert clock.waits == [30, 30]


async def test_a_process_that_starts_does_what_it_missed_once(sandbox: Sandbox, clock: Clock) -> None:
    oid = await vm(sandbox, f'ACTION="release",TIME="{START}",REPEAT="3",DAYS="1"')
    sandbox.now = START + 10_000
    timetable(sandbox, clock)
    assert clock.waits == [0]
    clock.ring()
    assert machine(sandbox, oid).phase is Phase.PENDING
    assert action(sandbox, oid)["TIME"] == str(START + 3 * 3600)
    await sandbox.settle()
    assert clock.waits[-1] == 30


async def test_what_cannot_be_done_is_tried_again_and_says_why(sandbox: Sandbox, clock: Clock) -> None:
    timetable(sandbox, clock)
    oid = await vm(sandbox, 'ACTION="resume",TIME="+0"')
    clock.ring()
    assert "not available for state HOLD" in action(sandbox, oid)["MESSAGE"]
    await sandbox.settle()
    assert clock.waits[-1] == 30
    changes = sandbox.state.index
    sandbox.now += 30
    clock.ring()
    assert sandbox.state.index == changes
    assert clock.is_set


async def test_what_comes_after_the_end_of_its_vm_is_not_done(
    sandbox: Sandbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    timetable(sandbox, clock)
    oid = await vm(sandbox, 'ACTION="terminate",TIME="+1"', 'ACTION="release",TIME="+2"')
    sandbox.now = START + 10
    clock.ring()
    assert oid not in sandbox.state.pools["vm_pool"].entries
    await sandbox.settle()
    assert not clock.is_set
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_action_that_is_changed_meanwhile_counts_as_it_is_now(
    sandbox: Sandbox, clock: Clock
) -> None:
    timetable(sandbox, clock)
    oid = await vm(sandbox, 'ACTION="release",TIME="+20"')
    await sandbox.value("one.vm.update", oid, f'SCHED_ACTION=[ACTION="release",TIME="{START + 25}"]', 0)
    await sandbox.settle()
    sandbox.now = START + 20
    clock.ring()
    assert machine(sandbox, oid).phase is Phase.HOLD
    await sandbox.value("one.vm.update", oid, "", 0)
    await sandbox.settle()
    sandbox.now = START + 25
    clock.ring()
    assert machine(sandbox, oid).phase is Phase.HOLD
    assert not clock.is_set


async def test_one_that_fails_keeps_no_other_from_its_time(sandbox: Sandbox, clock: Clock) -> None:
    timetable(sandbox, clock)
    bad = await vm(sandbox, 'ACTION="resume",TIME="+1"', 'ACTION="release",TIME="+2"')
    good = await vm(sandbox, 'ACTION="release",TIME="+3"')
    sandbox.now = START + 5
    clock.ring()
    assert machine(sandbox, bad).phase is Phase.PENDING
    assert machine(sandbox, good).phase is Phase.PENDING
    await sandbox.settle()


async def test_a_vm_that_is_gone_has_no_schedule(sandbox: Sandbox, clock: Clock) -> None:
    timetable(sandbox, clock)
    oid = await vm(sandbox, 'ACTION="terminate",TIME="+5"', 'ACTION="hold",TIME="+9"')
    sandbox.now = START + 9
    clock.ring()
    await sandbox.settle()
    assert oid not in sandbox.state.pools["vm_pool"].entries
    assert not clock.is_set


async def test_what_could_not_be_stored_was_not_done_and_is_done_later(
    sandbox: Sandbox, clock: Clock
) -> None:
    timetable(sandbox, clock)
    oid = await vm(sandbox, 'ACTION="release",TIME="+0"')
    sandbox.store.failures = 1
    clock.ring()
    while not clock.is_set:  # noqa: ASYNC110 - each turn of the loop is a step
        await asyncio.sleep(0)
    assert machine(sandbox, oid).phase is Phase.HOLD
    assert "DONE" not in action(sandbox, oid)
    sandbox.now += 30
    clock.ring()
    await sandbox.settle()
    assert machine(sandbox, oid).phase is Phase.PENDING


async def test_one_that_was_stopped_does_nothing(sandbox: Sandbox, clock: Clock) -> None:
    made = timetable(sandbox, clock)
    await vm(sandbox, 'ACTION="release",TIME="+0"')
    made.stop()
    assert not clock.is_set
    await vm(sandbox, 'ACTION="release",TIME="+0"')
    assert not clock.is_set
