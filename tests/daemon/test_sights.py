"""Which VMs the scheduler looks at again, after which changes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.api.dispatch_harness import VM as TEMPLATE
from tests.api.dispatch_harness import Sandbox

from merope.core.transaction import Transaction
from merope.daemon.sights import Sights
from merope.engine.cloud import Inputs
from merope.model.change import Change
from merope.model.datastore import Datastore
from merope.model.host import Host
from merope.model.settings import SchedulerSettings
from merope.model.states import HostState
from merope.model.topology import Core, Node
from merope.scheduler.snapshot import Limits

BIG = 'CPU=9\nMEMORY=1\nSCHED_REQUIREMENTS="{0}"\n'


class Watched:
    """A cloud with a host, and what a scheduler would look at after each change."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.sights = Sights(sandbox.cloud, SchedulerSettings(), Limits())
        sandbox.cloud.subscribe(self._changed)

    def _changed(self, change: Change) -> None:
        self.sights.note(change)

    async def chosen(self, *, everything: bool = False) -> set[int]:
        await self.sandbox.cloud.durable(self.sandbox.state.index)
        assert self.sights.refresh(lambda: False)
        return self.sights.choose(everything=everything)

    async def vm(self, template: str = TEMPLATE) -> int:
        oid = await self.sandbox.value("one.vm.allocate", template, False)
        assert isinstance(oid, int)
        return oid

    def capacity(self, cpu: int, used: int = 0, vms: tuple[int, ...] = ()) -> None:
        def command(tx: Transaction) -> int:
            host = tx.edit(Host, 0)
            host.state = HostState.MONITORED
            host.host_share.max_cpu, host.host_share.cpu_usage = cpu, used
            host.host_share.max_mem = 1024**2
            host.vms.clear()
            host.vms.update(vms)
            return 0

        self.sandbox.cloud.execute(command, Inputs(internal=True))


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    sandbox = Sandbox(tmp_path)
    await sandbox.value("one.host.allocate", "node0", "dummy", "dummy", -1)
    made = Watched(sandbox)
    made.capacity(400)
    await made.chosen()
    yield made
    await sandbox.close()


async def test_a_new_vm_is_looked_at_and_those_that_found_no_host_are_not(watched: Watched) -> None:
    first = await watched.vm()
    assert await watched.chosen() == {first}
    second = await watched.vm()
    assert await watched.chosen() == {second}
    assert await watched.chosen() == set()


async def test_all_are_looked_at_when_it_is_time(watched: Watched) -> None:
    both = {await watched.vm(), await watched.vm()}
    await watched.chosen()
    assert await watched.chosen(everything=True) == both


async def test_a_vm_that_takes_room_opens_nothing_for_others(watched: Watched) -> None:
    await watched.vm()
    await watched.chosen()
    watched.capacity(400, used=100, vms=(7,))
    assert await watched.chosen() == set()


@pytest.mark.parametrize(
    ("capacity", "used", "vms"),
    [
        pytest.param(500, 100, (7,), id="the host has more"),
        pytest.param(400, 50, (7,), id="less of it is used"),
        pytest.param(400, 100, (), id="a VM has left it"),
    ],
)
async def test_room_that_comes_free_opens_it_for_all(
    watched: Watched, capacity: int, used: int, vms: tuple[int, ...]
) -> None:
    waiting = await watched.vm()
    watched.capacity(400, used=100, vms=(7,))
    await watched.chosen()
    watched.capacity(capacity, used, vms)
    assert await watched.chosen() == {waiting}


async def test_a_requirement_on_what_placements_change_is_asked_after_each(watched: Watched) -> None:
    await watched.vm()
    moving = await watched.vm(BIG.format("CURRENT_VMS = 7"))
    await watched.chosen()
    watched.capacity(400, used=100, vms=(7,))
    assert await watched.chosen() == {moving}


async def test_a_host_that_is_new_opens_it_for_all(watched: Watched) -> None:
    waiting = await watched.vm()
    await watched.chosen()
    host = await watched.sandbox.value("one.host.allocate", "node1", "dummy", "dummy", -1)

    def measured(tx: Transaction) -> int:
        tx.edit(Host, int(str(host))).state = HostState.MONITORED
        return 0

    watched.sandbox.cloud.execute(measured, Inputs(internal=True))
    assert await watched.chosen() == {waiting}


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("one.acl.addrule", ("0x400000000", "0x1000400000000", "0x2")),
        ("one.host.update", (0, "RACK=1", 1)),
        ("one.cluster.update", (0, "POWER=green", 1)),
        ("one.datastore.update", (0, "POWER=green", 1)),
    ],
)
async def test_rights_and_attributes_that_change_open_it_for_all(
    watched: Watched, method: str, arguments: tuple[int | str, ...]
) -> None:
    waiting = await watched.vm()
    await watched.chosen()
    await watched.sandbox.value(method, *arguments)
    assert await watched.chosen() == {waiting}


async def test_space_in_a_datastore_opens_it_for_all(watched: Watched) -> None:
    def free(megabytes: int) -> None:
        def command(tx: Transaction) -> int:
            tx.edit(Datastore, 0).free_mb = megabytes
            return 0

        watched.sandbox.cloud.execute(command, Inputs(internal=True))

    free(1000)
    waiting = await watched.vm()
    await watched.chosen()
    free(900)
    assert await watched.chosen() == set()
    free(1000)
    assert await watched.chosen() == {waiting}


async def test_members_of_a_group_are_looked_at_together(watched: Watched) -> None:
    await watched.sandbox.value("one.vmgroup.allocate", "NAME=g\nROLE=[NAME=r,POLICY=ANTI_AFFINED]")
    member = TEMPLATE + "VMGROUP=[VMGROUP_ID=0,ROLE=r]\n"
    first = await watched.vm(member)
    other = await watched.vm()
    await watched.chosen()
    second = await watched.vm(member)
    assert await watched.chosen() == {first, second}
    assert other not in {first, second}


async def test_a_vm_whose_owner_changes_its_requirements_is_looked_at(watched: Watched) -> None:
    waiting, _ = await watched.vm(), await watched.vm()
    await watched.chosen()
    await watched.sandbox.value("one.vm.update", waiting, 'NOTE="of no concern"', 1)
    assert await watched.chosen() == set()
    await watched.sandbox.value("one.vm.update", waiting, 'SCHED_REQUIREMENTS="ID = 1"', 1)
    assert await watched.chosen() == {waiting}


async def test_who_may_be_placed_next_time_is_looked_at_again(watched: Watched) -> None:
    waiting = await watched.vm()
    await watched.chosen()
    watched.sights.again([waiting, 4711])
    assert await watched.chosen() == {waiting}


async def test_a_change_without_a_notice_is_found(watched: Watched) -> None:
    waiting = await watched.vm()
    await watched.chosen()
    entries = watched.sandbox.state.pools["vm_pool"].entries
    watched.sandbox.state.pools["vm_pool"].by_state[1].discard(waiting)
    del entries[waiting]
    watched.sights.recheck()
    assert await watched.chosen(everything=True) == set()


async def test_a_refresh_that_is_late_goes_on_the_next_time(watched: Watched) -> None:
    await watched.vm()
    await watched.vm()
    await watched.sandbox.cloud.durable(watched.sandbox.state.index)
    assert not watched.sights.refresh(lambda: True)
    assert watched.sights.refresh(lambda: False)
    assert len(watched.sights.waiting) == 2


async def test_cpus_that_a_migration_has_left_open_it_for_all(watched: Watched) -> None:
    """They are returned when it has arrived, and the VM left the host's list before."""

    def command(tx: Transaction) -> int:
        core.cpus[0] = [] if core.cpus[0] else [9]
        core.recount(1)
        tx.edit(Host, 0).host_share.numa_nodes = [Node(0, [core])]
        return 0

    core = Core(0, {0: []})
    waiting = await watched.vm(BIG)
    await watched.chosen()
    watched.sandbox.cloud.execute(command, Inputs(internal=True))
    assert await watched.chosen() == set()
    watched.sandbox.cloud.execute(command, Inputs(internal=True))
    assert await watched.chosen() == {waiting}
