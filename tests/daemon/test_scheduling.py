"""The scheduler in its cloud: what it sees, what it has carried out, and what it tells of VMs that wait."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.api.dispatch_harness import VM as TEMPLATE
from tests.api.dispatch_harness import Sandbox
from tests.daemon.test_timetable import Clock

from merope.core.transaction import Transaction
from merope.daemon import vm_groups
from merope.daemon.scheduling import Scheduling
from merope.engine.cloud import Inputs
from merope.model.datastore import Datastore
from merope.model.errors import ApiError
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.settings import SchedulerSettings
from merope.model.states import HistoryAction, HostState
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork
from merope.scheduler.snapshot import Limits

GB = 1024**2  # in KB


class World:
    """A sandbox with two measured hosts and a scheduler that plans when `round` is called."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.clock = Clock()
        self.seconds = 0.0
        self.scheduling = Scheduling(
            sandbox.cloud,
            replace(SchedulerSettings(), cold_migrate_mode=1),
            Limits(),
            self.clock,
            ThreadPoolExecutor(1),
            lambda callback: callback(),
            lambda: self.seconds,
        )

    async def furnish(self) -> None:
        for name in ("node0", "node1"):
            await self.sandbox.value("one.host.allocate", name, "dummy", "dummy", -1)
        self.change(_measure)
        template = "NAME=n{0}\nVN_MAD=dummy\nBRIDGE=b\nAR=[TYPE=IP4,IP=10.{0}.0.1,SIZE={0}]"
        for size in (1, 2):
            await self.sandbox.value("one.vn.allocate", template.format(size), 0)

    def change(self, command: object) -> None:
        self.sandbox.cloud.execute(command, Inputs(internal=True))  # type: ignore[arg-type]

    async def vm(self, more: str = "") -> int:
        oid = await self.sandbox.value("one.vm.allocate", TEMPLATE + more, False)
        assert isinstance(oid, int)
        return oid

    async def round(self) -> None:
        await self.sandbox.cloud.durable(self.sandbox.state.index)
        self.scheduling.wake()
        while self.clock.is_set and not self.clock.waits[-1]:
            self.clock.ring()

    def get(self, oid: int) -> VM:
        found = self.sandbox.state.pools["vm_pool"].parsed(oid)
        assert isinstance(found, VM)
        return found

    def host_of(self, oid: int) -> int | None:
        history = self.get(oid).history
        return None if history is None else history.hid


def _measure(tx: Transaction) -> int:
    for oid in (0, 1):
        host = tx.edit(Host, oid)
        host.state = HostState.MONITORED
        host.host_share.max_cpu, host.host_share.max_mem = 400, GB
    store = tx.edit(Datastore, 0)
    store.total_mb, store.free_mb, store.used_mb = 10_000, 9_000, 1_000
    return 0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(Sandbox(tmp_path))
    await made.furnish()
    yield made
    made.scheduling.stop()
    await made.sandbox.close()


GROUP = (
    "NAME=g\nROLE=[NAME=apart,POLICY=ANTI_AFFINED]\nROLE=[NAME=close,POLICY=AFFINED]\n"
    'ROLE=[NAME=fixed,HOST_AFFINED="1"]\nANTI_AFFINED="close,fixed"'
)


def member(role: str) -> str:
    return f"VMGROUP=[VMGROUP_ID=0,ROLE={role}]\n"


async def test_the_rules_of_a_group_are_obeyed(world: World) -> None:
    await world.sandbox.value("one.vmgroup.allocate", GROUP)
    close = [await world.vm(member("close")) for _ in range(2)]
    apart = [await world.vm(member("apart")) for _ in range(2)]
    fixed = await world.vm(member("fixed"))
    await world.round()
    assert {world.host_of(oid) for oid in close} == {0}
    assert {world.host_of(oid) for oid in apart} == {0, 1}
    assert world.host_of(fixed) == 1


async def test_a_vm_that_comes_later_follows_the_rules_too(world: World) -> None:
    await world.sandbox.value("one.vmgroup.allocate", GROUP)
    first = await world.vm(member("apart"))
    await world.round()
    second, third = await world.vm(member("apart")), await world.vm(member("apart"))
    await world.round()
    assert {world.host_of(first), world.host_of(second)} == {0, 1}
    assert world.host_of(third) is None
    told = world.get(third).user_template
    assert "ANTI_AFFINED role apart (VM 0 is on host" in told.get("SCHED_MESSAGE")
    assert told.vectors("SCHED_REASON")[0]["REASON"] == "GROUP_CONFLICT"


async def test_a_placement_that_broke_a_rule_meanwhile_is_refused(world: World) -> None:
    await world.sandbox.value("one.vmgroup.allocate", GROUP)
    first, second = await world.vm(member("apart")), await world.vm(member("apart"))
    await world.sandbox.value("one.vm.deploy", first, 0, False, -1, "")
    with pytest.raises(ApiError, match="ANTI_AFFINED role apart"):
        world.change(lambda tx: vm_groups.check(tx, second, 0))


async def test_automatic_nics_get_networks_with_free_leases(world: World) -> None:
    two = "NIC=[NETWORK_MODE=auto]\nNIC=[NETWORK_MODE=auto]\n"
    first, second = await world.vm(two), await world.vm("NIC=[NETWORK_MODE=auto]\n")
    await world.round()
    assert {nic["NETWORK"] for nic in world.get(first).template.vectors("NIC")} == {"n1", "n2"}
    assert world.get(second).template.vectors("NIC")[0]["NETWORK"] == "n2"


async def test_requirements_and_rank_of_a_nic_are_obeyed(world: World) -> None:
    asked = 'SCHED_REQUIREMENTS="NAME = \\"n*\\"",SCHED_RANK="- ID"'
    oid = await world.vm(f"NIC=[NETWORK_MODE=auto,{asked}]\n")
    none = await world.vm('NIC=[NETWORK_MODE=auto,SCHED_REQUIREMENTS="NAME = other"]\n')
    await world.round()
    assert world.get(oid).template.vectors("NIC")[0]["NETWORK"] == "n1"
    told = world.get(none).user_template
    assert "No network meet leases and SCHED_NIC_REQUIREMENTS: " in told.get("SCHED_MESSAGE")
    assert told.vectors("SCHED_REASON")[1]["TEXT"] == "2 networks do not meet the requirements"


async def test_a_lease_that_comes_free_wakes_who_waits_for_it(world: World) -> None:
    waiting = await world.vm('NIC=[NETWORK_MODE=auto,SCHED_REQUIREMENTS="ID = 0"]\n')
    await world.sandbox.value("one.vn.hold", 0, "LEASES=[IP=10.1.0.1]")
    await world.round()
    assert world.host_of(waiting) is None
    await world.sandbox.value("one.vn.release", 0, "LEASES=[IP=10.1.0.1]")
    await world.round()
    assert world.host_of(waiting) is not None
    network = world.sandbox.state.pools["network_pool"].parsed(0)
    assert isinstance(network, VirtualNetwork)
    assert network.used_leases == 1


async def test_what_kept_a_vm_waiting_is_told_in_numbers_and_forgotten_once_it_is_placed(
    world: World,
) -> None:
    big = await world.sandbox.value("one.vm.allocate", "CPU=1\nMEMORY=3072\n", False)
    await world.round()
    told = world.get(big).user_template
    nearest = told.vectors("SCHED_REASON")[1]
    assert (nearest["REASON"], nearest["COUNT"]) == ("HOST_MEMORY", "2")
    assert nearest["MISSING_MEMORY"] == str(2 * GB)

    def grow(tx: Transaction) -> int:
        tx.edit(Host, 1).host_share.max_mem = 8 * GB
        return 0

    world.change(grow)
    await world.round()
    assert world.host_of(big) == 1
    told = world.get(big).user_template
    assert (told.get("SCHED_MESSAGE"), told.vectors("SCHED_REASON")) == ("", [])


async def test_a_vm_that_is_to_leave_its_host_is_moved_as_the_settings_say(world: World) -> None:
    world.sandbox.start_engine(asyncio.get_running_loop().call_later)
    oid = await world.vm()
    await world.round()
    left = world.host_of(oid)
    await world.sandbox.rest()
    await world.sandbox.value("one.vm.action", "resched", oid)
    await world.round()
    assert world.get(oid).phase is not Phase.RUNNING
    assert {left, world.host_of(oid)} == {0, 1}
    assert world.get(oid).resched == 0
    await world.sandbox.rest()
    [record] = [found for found in await records(world, oid) if found.findtext("SEQ") == "0"]
    assert record.findtext("ACTION") == str(HistoryAction.POWEROFF_MIGRATE.value)


async def records(world: World, oid: int) -> list[ElementTree.Element]:
    document = await world.sandbox.value("one.vm.info", oid)
    return ElementTree.fromstring(document).findall("HISTORY_RECORDS/HISTORY")


async def test_after_a_round_that_took_long_the_scheduler_rests_as_long(world: World) -> None:
    ticks = iter(range(1_000_000))
    world.scheduling._clock = lambda: next(ticks) * 0.01
    await world.vm()
    await world.round()
    await world.vm()
    await world.sandbox.cloud.durable(world.sandbox.state.index)
    world.scheduling.wake()
    assert 0 < world.clock.waits[-1] <= 2


async def test_what_found_no_host_is_looked_at_again_in_time(world: World) -> None:
    waiting = await world.sandbox.value("one.vm.allocate", "CPU=90\nMEMORY=1\n", False)
    await world.round()
    assert world.host_of(waiting) is None
    assert world.clock.is_set
    assert world.clock.waits[-1] == SchedulerSettings().sched_interval
