"""A store in trouble is asked until it is well, and a healthy one is left alone."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.engine.bench import Bench

from merope.engine.cloud import NotDurable
from merope.engine.recovery import PROBE_SECONDS, Recovery
from merope.store.errors import StoreError


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
