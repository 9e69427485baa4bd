"""Address managers in worker processes: questions and returns reach the ledger of the cloud's home."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from merope.engine.job import Answer, Job
from merope.engine.workers import WorkerPool
from merope.model.addressing import ALLOCATE, GET, REGISTER, attributes_text
from merope.model.effect import Effect
from merope.model.settings import Settings

RANGE = {"TYPE": "IP4", "IP": "10.9.0.1", "MAC": "02:00:0a:09:00:01", "SIZE": "4", "IPAM_MAD": "ledger"}


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    (tmp_path / "home" / "datastores").mkdir(parents=True)
    made = WorkerPool(tmp_path / "home", tmp_path / "home" / "datastores")
    yield made
    await made.close()


async def ask(pool: WorkerPool, action: str, **more: Any) -> Answer:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    request = {"probe": "ipam", "action": action, "attributes": RANGE, "index": -1, "size": 1, "request": 7}
    pool.probe({**request, **more}, 30, future.set_result)
    return await future


async def do(pool: WorkerPool, op: str, **arguments: str | int) -> Answer:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    effect = Effect(1, op, 0, -1, {"range": attributes_text(RANGE, Settings()), **arguments})
    pool.submit(Job(effect), 30, future.set_result)
    return await future


async def test_addresses_are_asked_for_and_returned_in_worker_processes(
    pool: WorkerPool, tmp_path: Path
) -> None:
    assert (await ask(pool, REGISTER)).data == RANGE
    assert (await ask(pool, GET, size=2)).data == {"IP": "10.9.0.1", "MAC": "02:00:0a:09:00:01"}
    assert (await ask(pool, ALLOCATE, index=3)).ok
    refused = await ask(pool, ALLOCATE, index=3)
    assert (refused.ok, refused.message) == (
        False,
        "the ledger has given the addresses to others, or has none left",
    )
    assert (await do(pool, "ipam.free", index=0, size=2)).ok
    assert (await ask(pool, GET)).data["IP"] == "10.9.0.1"
    assert (await do(pool, "ipam.free", index=0, size=4)).ok
    assert (await do(pool, "ipam.unregister")).ok
    assert list((tmp_path / "home" / "ipam" / "ledger").glob("*.json")) == []


async def test_a_name_that_is_no_driver_is_an_answer(pool: WorkerPool) -> None:
    answer = await ask(pool, GET, attributes={**RANGE, "IPAM_MAD": "other"})
    assert (answer.ok, answer.message) == (False, "there is no ipam driver 'other'; there are dummy, ledger")
