"""The server ends (kill -9) before or after any call that it makes: another goes on, once."""

import asyncio
import json

import pytest
from tests.flow.fake_core import Killed
from tests.flow.flow_world import FlowWorld, body, role

from merope.flow.requests import RequestError
from merope.flow.settings import FlowSettings
from merope.flow.states import State

SHOP = body(
    role("web", 2),
    role("db", 1, parents=["web"]),
    networks_values=[
        {"Own": {"template_id": "3"}},
        {"Part": {"reserve_from": "0", "extra": "NAME=part\nSIZE=5"}},
    ],
)


async def _survive(world: FlowWorld) -> None:
    """Until all is at rest; a server that was killed is followed by another."""
    for _ in range(400):
        tasks = [*world.manager._busy.values(), *filter(None, [world.manager._reading])]
        await asyncio.gather(*tasks, return_exceptions=True)
        if world.core.killed:
            world.core.killed = False
            world.restart()
            continue
        world.core.deliver()
        if not (world.manager._busy or world.manager._reading or world.core.events or world.core.step()):
            return
    raise AssertionError("the world does not come to rest")


async def _ask(world: FlowWorld, what: str, *arguments: object) -> None:
    """A client that gets no answer asks again, unless it sees that it was done."""
    killed = False
    while True:
        try:
            await getattr(world, what)(*arguments)
        except Killed:
            killed, world.core.killed = True, False
            world.restart()
            await _survive(world)
        except RequestError:
            assert killed
            return
        else:
            return


async def _story(world: FlowWorld) -> None:
    world.core.add_document("shop", json.dumps(SHOP))
    world.manager.read_all()
    await _survive(world)
    assert len(world.core.alive) == 3
    for cardinality in (3, 1):
        await _ask(world, "scale", "web", cardinality)
        await _survive(world)
        assert world.states()[0] in (State.COOLDOWN, State.RUNNING)
        assert len(world.core.alive) == cardinality + 1
        world.now += 10
        world.manager.wake(0)
        await _survive(world)
    assert sorted(world.service().vm_ids) == [vm.id for vm in world.core.alive]
    await _ask(world, "undeploy")
    await _survive(world)
    assert world.states()[0] is State.DONE


async def _count() -> int:
    world = FlowWorld(settings=FlowSettings(default_cooldown=10))
    await _story(world)
    assert len(world.core.vms) == 4
    return len(world.core.calls)


CALLS = 60


async def test_the_story_has_as_many_calls_as_are_tried() -> None:
    assert await _count() <= CALLS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(CALLS))
async def test_a_server_that_is_killed_at_a_call_is_followed_by_one_that_goes_on(
    call: int, after: bool
) -> None:
    world = FlowWorld(settings=FlowSettings(default_cooldown=10))
    world.core.kill_at, world.core.kill_after = call, after
    await _story(world)
    assert len(world.core.vms) == 4, "a VM was made twice"
    assert world.core.made_networks == 2
    assert world.core.networks == {0: "public"}
    assert world.core.alive == []
