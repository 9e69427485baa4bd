"""Lists of many objects: whole, as they were asked for, and nobody waits for them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.api.dispatch_harness import VM, Sandbox

from merope.api.gathering import SLICE_SECONDS, Gatherer
from merope.core.pools import AT_ONCE
from merope.model.errors import Code

MANY = AT_ONCE + 44


@pytest.fixture
async def sandbox(tmp_path: Path) -> Sandbox:
    made = Sandbox(tmp_path)
    await asyncio.gather(*(made.value("one.vm.allocate", VM, True) for _ in range(MANY)))
    return made


async def listed(sandbox: Sandbox, *arguments: int | str) -> list[int]:
    pool = ElementTree.fromstring(await sandbox.value("one.vmpool.info", *arguments))
    return [int(vm.findtext("ID") or -1) for vm in pool]


async def test_a_long_list_is_whole(sandbox: Sandbox) -> None:
    assert await listed(sandbox, -2, -1, -1, -1, "") == list(reversed(range(MANY)))


async def test_a_page_of_a_long_list_is_that_page(sandbox: Sandbox) -> None:
    assert await listed(sandbox, -2, 10, -5, -1, "") == list(reversed(range(MANY)))[10:15]


async def test_what_goes_while_a_list_is_made_is_listed_and_what_comes_is_not(sandbox: Sandbox) -> None:
    asked = asyncio.ensure_future(listed(sandbox, -2, -1, -1, -1, ""))
    await asyncio.sleep(0)
    await sandbox.value("one.vm.action", "terminate-hard", 0)
    await sandbox.value("one.vm.allocate", VM, True)
    assert await asked == list(reversed(range(MANY)))


async def test_a_list_that_shows_what_could_not_be_stored_is_refused(sandbox: Sandbox) -> None:
    sandbox.store.open.clear()
    renamed = asyncio.ensure_future(sandbox.call("one.vm.rename", 3, "lost"))
    await asyncio.sleep(0)
    asked = asyncio.ensure_future(sandbox.call("one.vmpool.info", -2, -1, -1, -1, ""))
    await asyncio.sleep(0.02)
    sandbox.store.failures = 1
    sandbox.store.open.set()
    assert [(await told).code for told in (renamed, asked)] == [Code.INTERNAL, Code.INTERNAL]


def slow(count: int) -> Iterator[bytes]:
    """Parts of which each takes a slice of its own."""
    loop = asyncio.get_running_loop()
    for number in range(count):
        until = loop.time() + SLICE_SECONDS
        while loop.time() < until:
            pass
        yield b"%d" % number


async def test_others_are_seen_to_between_the_slices_of_a_list() -> None:
    gatherer = Gatherer()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    made = await gatherer.gather(slow(5))
    task.cancel()
    assert made == [b"0", b"1", b"2", b"3", b"4"]
    assert turns >= 4


async def test_of_several_lists_one_is_worked_on_in_a_turn() -> None:
    gatherer = Gatherer()
    most = 0.0
    loop = asyncio.get_running_loop()

    async def other() -> None:
        nonlocal most
        while True:
            began = loop.time()
            await asyncio.sleep(0)
            most = max(most, loop.time() - began)

    task = asyncio.ensure_future(other())
    made = await asyncio.gather(*(gatherer.gather(slow(3)) for _ in range(20)))
    task.cancel()
    assert made == [[b"0", b"1", b"2"]] * 20
    assert most < 20 * SLICE_SECONDS
