"""Requests that need the word of an address manager outside, from the door to the driver and back."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.api.dispatch_harness import Sandbox

from merope.daemon.addresses import AddressManagers
from merope.engine.job import Answer
from merope.model.addressing import GET, Answers, Question
from merope.model.vnet import VirtualNetwork

MANAGED = "NAME=managed\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.9.0.1,SIZE=600,IPAM_MAD=dummy]"
VM = "CPU=0.1\nMEMORY=16\n"
NIC = "NIC=[NETWORK_ID=0]\n"


def run(directory: Path, body: Callable[[Sandbox], Awaitable[None]]) -> None:
    async def main() -> None:
        sandbox = Sandbox(directory)
        sandbox.start_engine(asyncio.get_running_loop().call_later)
        try:
            assert await sandbox.value("one.vn.allocate", MANAGED, -1) == 0
            await body(sandbox)
        finally:
            await sandbox.close()

    asyncio.run(main())


def leased(sandbox: Sandbox) -> list[int]:
    network = sandbox.state.pools["network_pool"].parsed(0)
    assert isinstance(network, VirtualNetwork)
    return [index for index, _ in network.ar_pool[0].leases]


def given(sandbox: Sandbox) -> list[int]:
    return [index for taken in sandbox.addresses.taken.values() for index, _ in taken]


def test_a_vm_gets_what_the_manager_gives_and_returns_it(tmp_path: Path) -> None:
    async def body(sandbox: Sandbox) -> None:
        vm_id = await sandbox.value("one.vm.allocate", VM + NIC * 2, False)
        assert leased(sandbox) == given(sandbox) == [0, 1]
        await sandbox.value("one.vm.action", "terminate", vm_id)
        await sandbox.rest()
        assert leased(sandbox) == given(sandbox) == []

    run(tmp_path, body)


def test_many_questions_of_one_request_are_answered(tmp_path: Path) -> None:
    async def body(sandbox: Sandbox) -> None:
        await sandbox.value("one.vm.allocate", VM + NIC * 512, False)
        assert len(leased(sandbox)) == 512

    run(tmp_path, body)


def test_a_request_that_is_refused_returns_what_it_was_given(tmp_path: Path) -> None:
    async def body(sandbox: Sandbox) -> None:
        outcome = await sandbox.call("one.vm.allocate", VM + NIC * 3 + "NIC=[NETWORK_ID=0,IP=1.2.3.4]", False)
        assert outcome.code
        assert given(sandbox) == [0, 1, 2]
        await sandbox.rest()
        assert leased(sandbox) == given(sandbox) == []

    run(tmp_path, body)


def test_many_at_once_get_addresses_of_their_own(tmp_path: Path) -> None:
    async def body(sandbox: Sandbox) -> None:
        await asyncio.gather(*(sandbox.value("one.vm.allocate", VM + NIC, False) for _ in range(40)))
        await sandbox.rest()
        assert sorted(leased(sandbox)) == sorted(given(sandbox))
        assert len(leased(sandbox)) == 40

    run(tmp_path, body)


def test_a_manager_that_says_no_is_quoted(tmp_path: Path) -> None:
    async def body(sandbox: Sandbox) -> None:
        await sandbox.value("one.vn.hold", 0, "LEASES=[IP=10.9.0.1]")
        sandbox.addresses.taken.clear()
        outcome = await sandbox.call("one.vm.allocate", VM + NIC, False)
        assert "The address manager gave 10.9.0.1" in outcome.message

    run(tmp_path, body)


def test_what_is_given_after_who_asked_went_away_is_returned(tmp_path: Path) -> None:
    async def body(sandbox: Sandbox) -> None:
        waiting: list[Callable[[Answer], None]] = []

        class Slow:
            def probe(self, request: dict[str, Any], seconds: float, done: Callable[[Answer], None]) -> Any:
                waiting.append(done)

        managers = AddressManagers(sandbox.cloud, Slow())
        network = sandbox.state.pools["network_pool"].parsed(0)
        assert isinstance(network, VirtualNetwork)
        attributes = dict(network.ar_pool[0].attributes)
        sandbox.addresses.allocate(attributes, 5, 1)
        asking = asyncio.ensure_future(managers.ask(Question(GET, 0, attributes), 1))
        for _ in range(3):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        waiting[0](Answer(True, data={"IP": "10.9.0.6"}))
        await asyncio.sleep(0)
        await sandbox.rest()
        assert given(sandbox) == []
        managers.settle(Answers(), succeeded=True)

    run(tmp_path, body)
