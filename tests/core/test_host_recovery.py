"""What happens when a host fails, step by step: docs/host-failure.md."""

import pytest
from tests.core.host_failure_world import NODE0, NODE1, OWN_STORAGE, FailingCloud
from tests.core.vm_world import TEMPLATE, check

from merope.core import results
from merope.core.transaction import SYSTEM
from merope.model.cluster import Cluster
from merope.model.errors import Code
from merope.model.host import Host
from merope.model.host_failure import Action as Recovery
from merope.model.host_failure import HostFailure, Left, Order, Stage
from merope.model.kinds import BY_DOCUMENT
from merope.model.phase import Phase
from merope.model.states import HostState
from merope.model.vm import VM


@pytest.fixture
def cloud() -> FailingCloud:
    return FailingCloud()


# Ordering


def test_a_host_that_fails_is_noted_and_nothing_is_done_unasked(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.wait(100_000)
    assert cloud.stage(NODE0) is Stage.NOTED
    assert cloud.phase(0) is Phase.UNKNOWN
    assert not cloud.effects()


def test_it_is_waited_for_as_many_cycles_as_were_ordered(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0, "migrate", False, 5)
    cloud.wait(299)
    assert (cloud.stage(NODE0), cloud.effects()) == (Stage.WAITING, [])
    cloud.wait(1)
    assert [effect.op for effect in cloud.effects()] == ["host.fence"]


def test_the_wait_counts_from_the_failure_not_from_the_order(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.now += 250
    cloud.order(NODE0, "migrate", False, 5)
    assert cloud.failure(NODE0).due == cloud.now + 50


def test_without_cycles_others_have_the_time_to_fail_with_it(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(29)
    assert not cloud.effects()
    cloud.wait(1)
    assert cloud.effects("host.fence")


@pytest.mark.parametrize("moment", ["waiting", "fencing", "recovering"])
def test_the_same_order_twice_is_one_order(cloud: FailingCloud, moment: str) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    if moment != "waiting":
        cloud.wait(30)
    if moment == "recovering":
        cloud.fenced()
    before = cloud.picture(), cloud.failure(NODE0)
    cloud.order(NODE0)
    assert (cloud.picture(), cloud.failure(NODE0)) == before


def test_another_order_takes_the_place_of_one_that_has_not_begun(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.order(NODE0, "delete", True)
    assert cloud.failure(NODE0).order == Order(Recovery.DELETE, force=True)


def test_another_order_is_refused_while_the_host_is_being_switched_off(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    error = cloud.fails(0, "one.host.recover", NODE0, "delete", False, 0, True)
    assert error.code is Code.ACTION
    assert "is being switched off" in error.message


def test_a_host_that_is_heard_has_nothing_to_recover_from(cloud: FailingCloud) -> None:
    error = cloud.fails(0, "one.host.recover", NODE0, "migrate")
    assert (error.code, error.message) == (
        Code.ACTION,
        "Host node0 (0) is heard: there is nothing to recover from.",
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("resurrect",), "migrate, recreate, delete, confirm, proceed, cancel"),
        (("migrate", False, -1), "cycles must not be negative, and is -1"),
        (("proceed",), "say what, migrate, recreate or delete"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cloud: FailingCloud, arguments: tuple[object, ...], sentence: str
) -> None:
    cloud.lose(NODE0)
    error = cloud.fails(0, "one.host.recover", NODE0, *arguments)
    assert error.code is Code.ACTION
    assert sentence in error.message


def test_who_does_not_administer_the_host_may_not_recover_it(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    assert cloud.fails(2, "one.host.recover", NODE0, "migrate").code is Code.AUTHORIZATION


# Fencing


def test_no_vm_leaves_before_its_host_is_confirmed_to_be_off(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    assert (cloud.stage(NODE0), cloud.get(VM, 0).resched) == (Stage.FENCING, 0)
    cloud.fenced()
    assert (cloud.stage(NODE0), cloud.get(VM, 0).resched) == (Stage.RECOVERING, 1)
    assert cloud.shown(NODE0)["MESSAGE"] == "It is off, as dummy reads back."


@pytest.mark.parametrize(
    ("ok", "data"),
    [(False, {}), (True, {"power": "on"}), (True, {"power": "unknown"}), (True, {"other": ""})],
)
def test_what_does_not_read_back_as_off_is_not_off(
    cloud: FailingCloud, ok: bool, data: dict[str, str]
) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    cloud.fenced(ok, "the controller is silent", **data)
    assert cloud.stage(NODE0) is Stage.UNCONFIRMED
    assert (cloud.phase(0), cloud.get(VM, 0).resched) == (Phase.UNKNOWN, 0)
    assert "not confirmed that it is off" in cloud.said(0)
    assert "the controller is silent" in cloud.shown(NODE0)["MESSAGE"]


def test_it_is_tried_again_later_and_later(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    pauses = []
    for _ in range(6):
        cloud.fenced(False, "no route")
        pauses.append(cloud.failure(NODE0).due - cloud.now)
        cloud.wait(pauses[-1])
        assert cloud.effects("host.fence")
    assert pauses == [60, 120, 300, 600, 600, 600]
    cloud.fenced()
    assert cloud.get(VM, 0).resched == 1


def test_a_host_without_a_controller_stays_and_says_what_to_do() -> None:
    cloud = FailingCloud(fencing=False)
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    assert cloud.stage(NODE0) is Stage.UNCONFIRMED
    assert "there is no FENCING" in cloud.shown(NODE0)["MESSAGE"]
    assert "onehost recover 0 --confirm" in cloud.said(0)
    cloud.order(NODE0, "confirm")
    assert (cloud.stage(NODE0), cloud.get(VM, 0).resched) == (Stage.RECOVERING, 1)


def test_the_controller_may_be_the_cluster_s() -> None:
    cloud = FailingCloud(fencing=False)
    cloud.call(0, "one.cluster.update", 0, 'FENCING=[DRIVER=dummy,ADDRESS="bmc-$NAME"]', 1)
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    assert cloud.stage(NODE0) is Stage.FENCING


def test_without_fencing_whoever_ordered_it_vouches_for_the_host() -> None:
    cloud = FailingCloud(fencing=False)
    cloud.lose(NODE0)
    cloud.order(NODE0, "migrate", False, 0, False)
    cloud.wait(30)
    assert (cloud.stage(NODE0), cloud.get(VM, 0).resched) == (Stage.RECOVERING, 1)
    assert "--no-fencing" in cloud.shown(NODE0)["MESSAGE"]


def test_an_answer_to_fencing_that_was_called_off_is_ignored(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.wait(30)
    [asked] = cloud.effects("host.fence")
    cloud.order(NODE0, "cancel")
    tx = cloud.transaction(SYSTEM)
    assert not results.take_result(tx, asked.id, True, "", {"power": "off"})
    assert (cloud.stage(NODE0), cloud.get(VM, 0).resched) == (Stage.NOTED, 0)


# The VMs


def test_migrate_leaves_the_choice_of_a_host_to_the_scheduler(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0)
    cloud.call(0, "one.vm.migrate", 0, NODE1, False)
    cloud.steps(2)
    assert (cloud.phase(0), cloud.placed(0)) == (Phase.RUNNING, NODE1)
    check(cloud)


def test_recreate_begins_anew_elsewhere(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0, "recreate")
    assert cloud.phase(0) is Phase.CLEANUP_RESUBMIT
    cloud.steps(1)
    assert cloud.phase(0) is Phase.PENDING
    check(cloud)


def test_a_host_is_cleared_of_a_vm_that_was_leaving_it_and_begins_anew(cloud: FailingCloud) -> None:
    cloud.call(0, "one.vm.migrate", 0, NODE1, False)
    cloud.call(0, "one.vm.recover", 0, 4)
    cloud.switched_off(NODE0)
    [cleanup] = cloud.effects("vm.cleanup")
    assert (cleanup.host, cleanup.arguments["source"]) == (NODE1, NODE0)
    assert [left.vm for left in cloud.failure(NODE0).left] == [0]
    check(cloud)


def test_delete_ends_them(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0, "delete")
    assert cloud.phase(0) is Phase.DONE
    check(cloud)


@pytest.mark.parametrize("what", ["migrate", "recreate", "delete"])
@pytest.mark.parametrize("rest", ["poweroff-hard", "suspend"])
def test_who_rests_stays_unless_forced(cloud: FailingCloud, what: str, rest: str) -> None:
    cloud.call(0, "one.vm.action", rest, 0)
    cloud.steps(1)
    resting = cloud.phase(0)
    cloud.switched_off(NODE0, what)
    assert (cloud.phase(0), cloud.get(VM, 0).resched) == (resting, 0)
    cloud.order(NODE0, what, True)
    cloud.wait(0)
    left = cloud.phase(0) is not resting or cloud.get(VM, 0).resched
    assert left
    check(cloud)


def test_disks_that_only_the_dead_host_has_are_not_moved_and_the_vm_says_so() -> None:
    away = FailingCloud(**OWN_STORAGE)
    away.switched_off(NODE0)
    assert (away.phase(0), away.get(VM, 0).resched) == (Phase.UNKNOWN, 0)
    assert "TM_MAD dummy is not shared" in away.said(0)


@pytest.mark.parametrize(("phase", "op"), [("shutdown", "terminate"), ("save", "suspend")])
def test_what_was_under_way_on_the_host_has_failed_and_the_vm_leaves(
    cloud: FailingCloud, phase: str, op: str
) -> None:
    cloud.call(0, "one.vm.action", op, 0)
    cloud.switched_off(NODE0)
    cloud.wait(0)
    assert (cloud.phase(0), cloud.get(VM, 0).resched) == (Phase.UNKNOWN, 1), phase
    assert not cloud.effects("vm")
    check(cloud)


def test_a_vm_that_was_starting_leaves_too(cloud: FailingCloud) -> None:
    booting = cloud.vm(TEMPLATE)
    cloud.call(0, "one.vm.deploy", booting, NODE0)
    cloud.steps(1)
    assert cloud.phase(booting) is Phase.BOOT
    cloud.switched_off(NODE0)
    cloud.wait(0)
    assert (cloud.phase(booting), cloud.get(VM, booting).resched) == (Phase.UNKNOWN, 1)
    check(cloud)


def test_a_vm_that_never_came_to_its_host_begins_anew(cloud: FailingCloud) -> None:
    arriving = cloud.vm(TEMPLATE)
    cloud.call(0, "one.vm.deploy", arriving, NODE0)
    cloud.switched_off(NODE0)
    cloud.wait(0)
    assert cloud.phase(arriving) is Phase.CLEANUP_RESUBMIT
    check(cloud)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_vm_that_was_leaving_live_is_looked_for_where_it_was_going(
    cloud: FailingCloud, arrived: bool
) -> None:
    cloud.call(0, "one.vm.migrate", 0, NODE1, True)
    cloud.switched_off(NODE0)
    [asked] = cloud.effects("vm.migrate")
    assert (asked.host, asked.arguments) == (NODE1, {"arrived": 1})
    cloud.answer(True, op="vm.migrate", **({} if arrived else {"arrived": "no"}))
    cloud.wait(0)
    vm = cloud.get(VM, 0)
    expected = (Phase.RUNNING, NODE1, 0) if arrived else (Phase.UNKNOWN, NODE0, 1)
    assert (vm.phase, cloud.placed(0), vm.resched) == expected
    check(cloud)


def test_a_vm_that_may_still_run_is_not_moved_by_hand_either(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    error = cloud.fails(0, "one.vm.migrate", 0, NODE1, False)
    assert error.code is Code.ACTION
    assert "may still run on host node0" in error.message
    cloud.order(NODE0, "confirm")
    cloud.call(0, "one.vm.migrate", 0, NODE1, False)


def test_nothing_is_placed_on_a_host_that_is_off(cloud: FailingCloud) -> None:
    cloud.switched_off(NODE0)
    error = cloud.fails(0, "one.vm.deploy", cloud.vm(TEMPLATE), NODE0)
    assert "has failed and is off" in error.message


# Cancelling


def test_what_was_ordered_can_be_called_off(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.order(NODE0, "cancel")
    cloud.wait(10_000)
    assert (cloud.stage(NODE0), cloud.failure(NODE0).order, cloud.effects()) == (Stage.NOTED, None, [])


def test_taking_a_host_offline_calls_it_off(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    cloud.call(0, "one.host.status", NODE0, 2)
    assert (cloud.stage(NODE0), cloud.failure(NODE0).order) == (Stage.NOTED, None)


def test_a_host_that_is_deleted_leaves_no_record(cloud: FailingCloud) -> None:
    cloud.lose(NODE1)
    cloud.order(NODE1)
    cloud.wait(30)
    cloud.call(0, "one.host.delete", NODE1)
    assert NODE1 not in cloud.state.host_failures
    assert not cloud.effects("host")


# Storms


def _hosts(cloud: FailingCloud, count: int) -> list[int]:
    made = [cloud.host(f"more{number}") for number in range(count - 2)]
    for host in made:
        cloud.call(0, "one.host.update", host, "FENCING=[DRIVER=dummy]", 1)
    return [NODE0, NODE1, *made]


def _fail(cloud: FailingCloud, hosts: list[int]) -> None:
    for host in hosts:
        cloud.lose(host)
        cloud.order(host)
    cloud.wait(30)


@pytest.mark.parametrize(("hosts", "fail", "held"), [(2, 1, 0), (2, 2, 2), (9, 3, 0), (9, 4, 4)])
def test_a_share_of_the_hosts_may_fail_at_a_time_and_one_always(hosts: int, fail: int, held: int) -> None:
    cloud = FailingCloud()
    _fail(cloud, _hosts(cloud, hosts)[:fail])
    stages = [cloud.stage(host) for host in list(cloud.state.host_failures)]
    assert stages.count(Stage.HELD) == held
    assert len(cloud.effects("host.fence")) == fail - held


def test_so_many_hosts_may_fail_whatever_their_share() -> None:
    cloud = FailingCloud(failure_max_hosts=2)
    _fail(cloud, _hosts(cloud, 12)[:3])
    assert not cloud.effects("host.fence")


def test_a_cluster_is_counted_by_itself() -> None:
    cloud = FailingCloud()
    hosts = _hosts(cloud, 12)
    small = cloud.call(0, "one.cluster.allocate", "small")
    for host in hosts[-3:]:
        cloud.call(0, "one.cluster.addhost", small, host)
    _fail(cloud, hosts[-2:])
    assert not cloud.effects("host.fence")
    assert "2 of 3 hosts of cluster" in cloud.shown(hosts[-1])["MESSAGE"]


def test_it_goes_on_when_fewer_have_failed(cloud: FailingCloud) -> None:
    _fail(cloud, [NODE0, NODE1])
    cloud.wait(100_000)
    assert cloud.stage(NODE0) is Stage.HELD
    cloud.hear(NODE1)
    cloud.wait(30, NODE0)
    assert cloud.stage(NODE0) is Stage.FENCING


def test_an_administrator_may_say_that_they_have_really_failed(cloud: FailingCloud) -> None:
    _fail(cloud, [NODE0, NODE1])
    cloud.order(NODE0, "proceed")
    cloud.wait(0)
    assert (cloud.stage(NODE0), cloud.stage(NODE1)) == (Stage.FENCING, Stage.HELD)


def test_hosts_that_failed_long_ago_and_are_dealt_with_do_not_count() -> None:
    cloud = FailingCloud()
    hosts = _hosts(cloud, 3)
    cloud.switched_off(hosts[1])
    cloud.now += 601
    _fail(cloud, hosts[:1])
    assert cloud.stage(hosts[0]) is Stage.FENCING


# What is stored


def test_a_record_reads_back_to_itself() -> None:
    record = HostFailure(
        7,
        Stage.HELD,
        (1, 2),
        down=3,
        due=4,
        attempts=5,
        allowed=True,
        confirmed=6,
        order=Order(Recovery.RECREATE, force=True, cycles=2, fencing=False),
        left=(Left(1, 0, "shared", "kvm", "one-1"),),
        message="why",
    )
    assert HostFailure.from_json(7, record.to_json()) == record


def test_the_host_s_document_says_what_is_going_on(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.order(NODE0)
    shown = cloud.shown(NODE0)
    assert (shown["STAGE"], shown["ACTION"], shown["FAILURES"]) == ("WAITING", "migrate", "1")
    cloud.hear(NODE0, {0: "RUNNING"})
    host = cloud.get(Host, NODE0)
    assert host.template.vector("FAILURE") is None
    assert (host.state, host.template.get("ERROR")) == (HostState.MONITORED, "")


# How a host is switched off


@pytest.mark.parametrize("text", ["FENCING=ipmi", "FENCING=[ADDRESS=bmc1]"])
@pytest.mark.parametrize("method", ["one.host.update", "one.cluster.update"])
def test_fencing_names_its_driver(cloud: FailingCloud, method: str, text: str) -> None:
    error = cloud.fails(0, method, 0, text, 1)
    assert "FENCING must name a driver" in error.message


def test_a_password_that_would_be_readable_is_not_taken(cloud: FailingCloud) -> None:
    error = cloud.fails(0, "one.host.update", NODE0, "FENCING=[DRIVER=ipmi,PASSWORD=secret]", 1)
    assert "would be kept for everybody to read" in error.message


def test_a_password_is_stored_encrypted() -> None:
    cloud = FailingCloud(fencing=False, one_key="k" * 32)
    for kind, method in ((Host, "one.host.update"), (Cluster, "one.cluster.update")):
        cloud.call(0, method, 0, "FENCING=[DRIVER=ipmi,ADDRESS=bmc,USER=u,PASSWORD=secret]", 1)
        stored = cloud.state.pool(BY_DOCUMENT[kind]).entries[0].body
        assert "secret" not in stored
        assert "bmc" in stored


def test_what_is_going_on_is_still_shown_after_an_update(cloud: FailingCloud) -> None:
    cloud.lose(NODE0)
    cloud.call(0, "one.host.update", NODE0, "NOTE=x\nFAILURE=[STAGE=GOOD]", 0)
    assert cloud.shown(NODE0)["STAGE"] == "NOTED"


def test_it_is_so_too_where_the_configuration_lists_what_is_encrypted() -> None:
    cloud = FailingCloud(fencing=False, one_key="k" * 32, host_encrypted_attr=("EC2_SECRET",))
    cloud.call(0, "one.host.update", 0, "FENCING=[DRIVER=ipmi,PASSWORD=secret]", 1)
    assert "secret" not in cloud.state.pool(BY_DOCUMENT[Host]).entries[0].body
