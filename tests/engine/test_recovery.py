"""A store in trouble is asked until it is well, and a healthy one is left alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.engine.bench import Bench

from merope.engine.cloud import NotDurable
from merope.engine.recovery import PROBE_SECONDS, Recovery
from merope.store.errors import StoreError, SupersededError


class Probe:
    """Fails until it is `well`."""

    def __init__(self) -> None:
        self.calls = 0
        self.well = False

    def __call__(self) -> None:
        self.calls += 1
        if not self.well:
            raise StoreError("still full")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.threads.shutdown()


async def ring(bench: Bench, expected: str) -> None:
    assert bench.clock.ring() == PROBE_SECONDS
    async with asyncio.timeout(10):
        while bench.cloud.trouble != expected or not bench.clock.alarms:  # noqa: ASYNC110 - a thread answers
            await asyncio.sleep(0)


async def test_trouble_ends_when_the_store_works_again_although_nobody_writes(bench: Bench) -> None:
    probe = Probe()
    Recovery(bench.cloud, probe, bench.threads, bench.clock).start()
    bench.store.failures = 1
    with pytest.raises(NotDurable):
        await bench.call("one.host.rename", 0, "other")
    assert bench.cloud.trouble == "the disk is full"
    await ring(bench, "still full")
    probe.well = True
    await ring(bench, "")
    assert probe.calls == 2


async def test_a_healthy_store_is_not_asked(bench: Bench) -> None:
    probe = Probe()
    recovery = Recovery(bench.cloud, probe, bench.threads, bench.clock)
    recovery.start()
    await ring(bench, "")
    assert probe.calls == 0
    recovery.stop()
    assert [alarm.cancelled for alarm in bench.clock.alarms] == [True]


async def in_doubt(bench: Bench) -> None:
    bench.store.doubts = 1
    with pytest.raises(NotDurable) as caught:
        await bench.call("one.host.rename", 0, "other")
    assert caught.value.in_doubt
    assert bench.cloud.in_doubt == bench.cloud.state.index + 1


def name_of_host(bench: Bench) -> str:
    return bench.cloud.state.pools["host_pool"].entries[0].name


@pytest.mark.parametrize("stored", [True, False])
async def test_a_change_in_doubt_is_made_again_when_it_turns_out_to_be_stored(
    bench: Bench, stored: bool
) -> None:
    before = name_of_host(bench)
    told: list[int] = []
    bench.cloud.subscribe(lambda change: told.append(change.index))
    answers: list[Exception | bool] = [StoreError("still away"), stored]

    def settle(index: int) -> bool:
        assert index == bench.cloud.in_doubt
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    Recovery(bench.cloud, Probe(), bench.threads, bench.clock, settle=settle).start()
    await in_doubt(bench)
    assert name_of_host(bench) == before
    await ring(bench, "still away")
    await ring(bench, "")
    assert bench.cloud.in_doubt is None
    assert name_of_host(bench) == ("other" if stored else before)
    assert told == ([bench.cloud.state.index] if stored else [])
    await bench.call("one.host.rename", 0, "third")
    assert name_of_host(bench) == "third"


async def test_nothing_is_written_after_what_is_in_doubt(bench: Bench) -> None:
    await in_doubt(bench)
    with pytest.raises(NotDurable, match="the connection was lost") as caught:
        await bench.call("one.host.rename", 0, "third")
    assert not caught.value.in_doubt
    assert bench.cloud.settle(True)
    assert name_of_host(bench) == "other"


async def test_a_process_whose_database_another_has_written_to_ends(bench: Bench) -> None:
    ended: list[bool] = []

    def settle(_: int) -> bool:
        raise SupersededError("another")

    recovery = Recovery(
        bench.cloud, Probe(), bench.threads, bench.clock, settle=settle, superseded=lambda: ended.append(True)
    )
    recovery.start()
    await in_doubt(bench)
    await ring(bench, "another")
    assert ended == [True]
