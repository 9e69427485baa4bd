"""Which changes are made durable together."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from merope.core.transaction import Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.model.change import Change
from merope.model.group import Group
from merope.model.settings import Settings
from merope.model.state import State


class CountingStore:
    """Notes how many changes each group has."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    def commit(self, changes: Sequence[Change]) -> None:
        self.groups.append(len(changes))


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


Scene = Callable[[Cloud], Coroutine[None, None, None]]


@pytest.fixture
def play(store: CountingStore) -> Iterator[Callable[[Scene], None]]:
    with ThreadPoolExecutor(1) as executor:

        async def scene(of: Scene) -> None:
            await of(
                Cloud(State(), store, Settings(), now=lambda: 1, random=bytes, executor=executor),
            )

        yield lambda of: asyncio.run(scene(of))


def change(cloud: Cloud) -> int:
    def command(tx: Transaction) -> int:
        oid = tx.new_id(Group)
        tx.add(Group(id=oid, name=f"group-{oid}"))
        return oid

    return cloud.execute(command, Inputs())[1]


async def client(cloud: Cloud, calls: int) -> None:
    """Sends its next call some turns of the loop after the last one was answered, as on a connection."""
    for _ in range(calls):
        await cloud.durable(change(cloud))
        await asyncio.sleep(0)


def test_a_change_with_no_others_is_written_in_the_turn_that_makes_it(
    store: CountingStore, play: Callable[[Scene], None]
) -> None:
    async def scene(cloud: Cloud) -> None:
        for _ in range(3):
            index = change(cloud)
            assert cloud._writing
            await cloud.durable(index)

    play(scene)
    assert store.groups == [1, 1, 1]


def test_changes_of_clients_that_go_on_when_they_are_answered_become_one_group(
    store: CountingStore, play: Callable[[Scene], None]
) -> None:
    async def scene(cloud: Cloud) -> None:
        await asyncio.gather(*[client(cloud, 20) for _ in range(8)])

    play(scene)
    assert sum(store.groups) == 160
    assert store.groups[:2] == [1, 7]
    assert set(store.groups[2:-1]) == {8}


def test_a_group_that_is_large_enough_waits_for_nobody(
    store: CountingStore, play: Callable[[Scene], None]
) -> None:
    async def scene(cloud: Cloud) -> None:
        change(cloud)
        await cloud.durable([change(cloud) for _ in range(2)][-1])
        for _ in range(40):
            index = change(cloud)
        await asyncio.sleep(0)
        assert cloud._writing
        await cloud.durable(index)

    play(scene)
    assert store.groups == [1, 2, 40]


def test_a_change_after_busy_ones_does_not_wait_for_ever(
    store: CountingStore, play: Callable[[Scene], None]
) -> None:
    async def scene(cloud: Cloud) -> None:
        await asyncio.gather(*[client(cloud, 2) for _ in range(3)])
        await cloud.durable(change(cloud))

    play(scene)
    assert store.groups[-1] == 1
