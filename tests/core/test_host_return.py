"""A host that is heard again: what it still has of others, and when it is good."""

import pytest
from tests.core.host_failure_world import NODE0, NODE1, OWN_STORAGE, FailingCloud
from tests.core.vm_world import check

from merope.core import host_monitor
from merope.core.host_monitor import Found, Measured
from merope.core.transaction import SYSTEM
from merope.model.host import Host
from merope.model.host_failure import Stage
from merope.model.phase import Phase
from merope.model.states import HostState
from merope.model.vm import VM


@pytest.fixture
def cloud() -> FailingCloud:
    return FailingCloud()


def moved(cloud: FailingCloud) -> None:
    """VM 0 runs on host 1 since host 0 was switched off."""
    cloud.switched_off(NODE0)
    cloud.call(0, "one.vm.migrate", 0, NODE1, False)
    cloud.steps(2)


def state(cloud: FailingCloud, host: int) -> HostState:
    return HostState(cloud.get(Host, host).state)


# Back in time


@pytest.mark.parametrize("ordered", [True, False])
def test_a_host_that_comes_back_in_time_keeps_its_vms(cloud: FailingCloud, ordered: bool) -> None:
    cloud.lose(NODE0)
    if ordered:
        cloud.order(NODE0)
    cloud.hear(NODE0, {0: "RUNNING"})
    cloud.wait(100_000)
    assert (cloud.phase(0), cloud.placed(0), state(cloud, NODE0)) == (
        Phase.RUNNING,
        NODE0,
        HostState.MONITORED,
    )
    assert (cloud.stage(NODE0), cloud.effects()) == (Stage.GOOD, [])


def test_what_is_heard_while_the_host_is_being_switched_off_says_nothing(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert (cloud.phase(0), cloud.stage(NODE0)) == (Phase.UNKNOWN, Stage.FENCING)


def test_a_host_that_is_heard_after_fencing_failed_is_back(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    cloud.fenced(False, "no route")
    cloud.hear(NODE0, {0: "RUNNING"})
    assert (cloud.phase(0), cloud.stage(NODE0)) == (Phase.RUNNING, Stage.GOOD)


def test_a_look_that_began_before_the_host_was_off_says_nothing(cloud: FailingCloud) -> None:
    before = cloud.state.index
    cloud.switched_off(NODE0)
    cloud.hear(NODE0, {0: "RUNNING"}, since=before)
    assert (cloud.phase(0), cloud.stage(NODE0)) == (Phase.UNKNOWN, Stage.RECOVERING)
    cloud.hear(NODE0, {}, since=cloud.state.index)
    assert cloud.stage(NODE0) is Stage.GOOD


def test_a_vm_that_found_no_other_host_starts_where_it_was(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0)
    cloud.hear(NODE0)
    assert (cloud.phase(0), cloud.get(VM, 0).resched) == (Phase.BOOT_UNKNOWN, 0)
    cloud.steps(1)
    assert (cloud.phase(0), cloud.placed(0)) == (Phase.RUNNING, NODE0)
    check(cloud)


# Cleared


def test_a_host_without_a_trace_of_its_former_vms_is_good_at_once(cloud: FailingCloud) -> None:
    moved(cloud)
    cloud.hear(NODE0)
    assert (state(cloud, NODE0), cloud.stage(NODE0), cloud.effects()) == (HostState.MONITORED, Stage.GOOD, [])


def test_a_domain_of_a_vm_that_moved_is_removed_before_the_host_is_used(cloud: FailingCloud) -> None:
    moved(cloud)
    cloud.hear(NODE0, {0: "RUNNING"})
    [asked] = cloud.effects("host.clear")
    order = asked.arguments
    assert (asked.host, order["vm"], order["home"], order["files"]) == (NODE0, 0, "node1", 0)
    assert (state(cloud, NODE0), cloud.placed(0)) == (HostState.ERROR, NODE1)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert len(cloud.effects("host.clear")) == 1
    cloud.answer(op="host")
    cloud.hear(NODE0)
    assert state(cloud, NODE0) is HostState.MONITORED


def test_what_cannot_be_removed_is_said_and_tried_again(cloud: FailingCloud) -> None:
    moved(cloud)
    cloud.hear(NODE0, {0: "RUNNING"})
    cloud.answer(False, "VM 0: it is not on node1", op="host")
    assert "it is not on node1" in cloud.shown(NODE0)["MESSAGE"]
    cloud.hear(NODE0, {0: "RUNNING"})
    assert not cloud.effects("host")
    cloud.now += 60
    cloud.hear(NODE0, {0: "RUNNING"})
    assert cloud.effects("host.clear")


def test_it_is_removed_only_when_nothing_is_under_way_for_the_vm(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0)
    cloud.call(0, "one.vm.migrate", 0, NODE1, False)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert not cloud.effects("host")
    cloud.steps(2)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert cloud.effects("host.clear")


def test_a_vm_that_runs_nowhere_else_is_left_alone(cloud: FailingCloud) -> None:
    moved(cloud)
    cloud.lose(NODE1)
    cloud.hear(NODE0, {0: "FAILURE"})
    assert not cloud.effects("host")
    assert state(cloud, NODE0) is HostState.ERROR


def test_what_a_deleted_vm_left_is_removed(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0, "delete")
    cloud.answer(op="vm.delete")
    cloud.hear(NODE0, {0: "RUNNING"})
    order = cloud.effects("host.clear")[0].arguments
    assert (order["vm"], order["home"]) == (0, "")


def test_a_vm_deleted_from_the_database_only_stays_on_its_host(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0)
    cloud.call(0, "one.vm.recover", 0, 5)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert (cloud.effects("host"), state(cloud, NODE0)) == ([], HostState.MONITORED)


def test_files_on_storage_of_the_host_alone_go_with_the_domain() -> None:
    cloud = FailingCloud(**OWN_STORAGE)
    cloud.switched_off(NODE0, "recreate")
    cloud.steps(1)
    cloud.hear(NODE0)
    order = cloud.effects("host.clear")[0].arguments
    assert (order["vm"], order["files"]) == (0, 1)


def test_an_administrator_may_want_to_see_to_it_himself() -> None:
    cloud = FailingCloud(failure_strays="report")
    moved(cloud)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert not cloud.effects("host")
    assert "VMs 0 are somewhere else now" in cloud.shown(NODE0)["MESSAGE"]
    assert state(cloud, NODE0) is HostState.ERROR
    cloud.hear(NODE0)
    assert state(cloud, NODE0) is HostState.MONITORED


def test_a_second_domain_on_a_good_host_is_removed_too(cloud: FailingCloud) -> None:
    cloud.hear(NODE1, {0: "RUNNING"})
    [asked] = cloud.effects("host.clear")
    order = asked.arguments
    assert (asked.host, order["home"], order["files"]) == (NODE1, "node0", 0)


def test_nothing_is_placed_on_a_host_that_is_being_cleared(cloud: FailingCloud) -> None:
    moved(cloud)
    cloud.hear(NODE0, {0: "RUNNING"})
    error = cloud.fails(0, "one.vm.migrate", 0, NODE0, True)
    assert "may still have VMs that were recovered elsewhere" in error.message


def test_what_a_host_measures_of_itself_does_not_make_it_good(cloud: FailingCloud) -> None:
    moved(cloud)
    tx = cloud.transaction(SYSTEM)
    host_monitor.take(tx, NODE0, Measured(800, 4 << 20, {}, (1, 0, 1)))
    cloud.commit(tx)
    assert (state(cloud, NODE0), cloud.stage(NODE0)) == (HostState.ERROR, Stage.RECOVERING)


def test_an_agent_says_that_the_host_is_back_by_what_its_vms_do(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    tx = cloud.transaction(SYSTEM)
    host_monitor.take_states(tx, NODE0, Found({0: "RUNNING"}))
    cloud.commit(tx)
    assert (state(cloud, NODE0), cloud.phase(0)) == (HostState.MONITORED, Phase.RUNNING)


def test_a_host_that_has_not_told_all_is_not_good_while_a_vm_may_be_left(
    cloud: FailingCloud,
) -> None:
    moved(cloud)
    cloud.hear(NODE0, complete=False)
    assert (state(cloud, NODE0), cloud.effects()) == (HostState.ERROR, [])
    cloud.hear(NODE0)
    assert state(cloud, NODE0) is HostState.MONITORED


# Flapping


def flap(cloud: FailingCloud, times: int) -> None:
    for _ in range(times):
        cloud.now += 60
        cloud.lose(NODE0)
        cloud.now += 60
        cloud.hear(NODE0, {0: "RUNNING"})


def test_a_host_that_fails_again_and_again_must_be_heard_for_a_while(cloud: FailingCloud) -> None:
    flap(cloud, 2)
    assert state(cloud, NODE0) is HostState.MONITORED
    flap(cloud, 1)
    assert state(cloud, NODE0) is HostState.ERROR
    assert "failed 3 times within 3600 seconds" in cloud.shown(NODE0)["MESSAGE"]
    cloud.now += 599
    cloud.hear(NODE0, {0: "RUNNING"})
    assert state(cloud, NODE0) is HostState.ERROR
    cloud.now += 1
    cloud.hear(NODE0, {0: "RUNNING"})
    assert state(cloud, NODE0) is HostState.MONITORED


def test_its_vms_are_as_it_says_meanwhile(cloud: FailingCloud) -> None:
    flap(cloud, 3)
    assert cloud.phase(0) is Phase.RUNNING
    cloud.hear(NODE0)
    assert cloud.phase(0) is Phase.POWEROFF


def test_one_that_fails_while_it_is_watched_begins_anew(cloud: FailingCloud) -> None:
    flap(cloud, 3)
    cloud.now += 590
    cloud.lose(NODE0)
    assert (cloud.stage(NODE0), cloud.phase(0)) == (Stage.NOTED, Phase.UNKNOWN)
    cloud.now += 20
    cloud.hear(NODE0, {0: "RUNNING"})
    assert state(cloud, NODE0) is HostState.ERROR


def test_what_was_ordered_holds_for_the_next_failure_of_a_watched_host(cloud: FailingCloud) -> None:
    flap(cloud, 2)
    cloud.now += 60
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert cloud.stage(NODE0) is Stage.RETURNED
    cloud.lose(NODE0)
    assert cloud.stage(NODE0) is Stage.WAITING
    cloud.wait(30)
    assert cloud.effects("host.fence")


def test_enabling_it_is_an_administrator_s_word_that_it_is_good(cloud: FailingCloud) -> None:
    flap(cloud, 3)
    cloud.call(0, "one.host.status", NODE0, 0)
    cloud.hear(NODE0, {0: "RUNNING"})
    assert state(cloud, NODE0) is HostState.MONITORED


def test_failures_of_long_ago_do_not_count(cloud: FailingCloud) -> None:
    flap(cloud, 2)
    cloud.now += 3600
    flap(cloud, 1)
    assert state(cloud, NODE0) is HostState.MONITORED


def test_without_a_limit_a_host_is_good_when_it_is_heard() -> None:
    cloud = FailingCloud(failure_flapping=0)
    flap(cloud, 10)
    assert state(cloud, NODE0) is HostState.MONITORED
