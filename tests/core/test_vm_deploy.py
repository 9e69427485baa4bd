"""Placing VMs on hosts and moving them: what is asked of a host, and what every failure leaves."""

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, NODE0, NODE1, TEMPLATE, Cloud, check, console, stand

from merope.model.errors import Code
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.states import HistoryAction
from merope.model.vm import VM


def answered(cloud: Cloud, oid: int, *phases: Phase) -> None:
    for phase in phases:
        cloud.steps(1)
        assert cloud.phase(oid) is phase
        check(cloud)


def test_a_deployment_says_where_and_by_whom() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    assert cloud.call(0, "one.vm.deploy", oid, NODE1, False, 0) == oid
    [record] = cloud.records(oid)
    assert (record.hid, record.hostname, record.cid, record.ds_id) == (NODE1, "node1", 0, 0)
    assert (record.vm_mad, record.tm_mad) == ("dummy", "dummy")
    assert (record.uid, record.gid, record.action) == (0, 0, HistoryAction.NONE)
    vm = cloud.get(VM, oid)
    assert vm.template.get("TM_MAD_SYSTEM") == "dummy"
    volatile = vm.template.vectors("DISK")[1]
    assert (volatile["DATASTORE_ID"], volatile["TM_MAD"], volatile["DISK_TYPE"]) == ("0", "dummy", "FILE")


@pytest.mark.parametrize("failed", [Phase.PROLOG, Phase.BOOT])
def test_a_deployment_that_fails_waits_for_somebody_and_keeps_its_place(failed: Phase) -> None:
    cloud = Cloud()
    oid = cloud.vm()
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    if failed is Phase.BOOT:
        cloud.steps(1)
    cloud.steps(1, ok=False, message="out of luck")
    assert cloud.phase(oid) is Phase[f"{failed.name}_FAILURE"]
    assert cloud.get(VM, oid).user_template.get("ERROR").endswith("out of luck")
    check(cloud)
    cloud.call(0, "one.vm.recover", oid, 2)
    assert cloud.phase(oid) is failed
    while cloud.phase(oid) is not Phase.RUNNING:
        cloud.steps(1)
    check(cloud)


def test_a_host_that_is_too_small_is_refused_where_that_is_asked() -> None:
    cloud = Cloud()
    small = cloud.host("small", cpu=40, memory=1 << 30)
    narrow = cloud.host("narrow", cpu=4000, memory=1024)
    oid = cloud.vm()
    error = cloud.fails(0, "one.vm.deploy", oid, small, True)
    assert sentence(error) == (
        Code.ACTION,
        f"virtual machine [{oid}] does not fit in host [{small}]. Not enough CPU capacity: 50/40",
    )
    error = cloud.fails(0, "one.vm.deploy", oid, narrow, True)
    assert error.message.endswith("Not enough memory: 262144/1024")
    cloud.call(0, "one.vm.deploy", oid, small, False)
    check(cloud)


def test_an_offline_host_is_refused() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    cloud.call(0, "one.host.status", NODE0, 2)
    error = cloud.fails(0, "one.vm.deploy", oid, NODE0)
    assert sentence(error) == (Code.ACTION, "Host is offline, cannot use it to deploy VM")
    running = stand(cloud, Phase.RUNNING)
    cloud.call(0, "one.host.status", NODE1, 2)
    assert cloud.fails(0, "one.vm.migrate", running, NODE1, True).code is Code.ACTION


def test_only_system_datastores_of_the_hosts_cluster_take_vms() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    error = cloud.fails(0, "one.vm.deploy", oid, NODE0, False, 1)
    assert "Trying to deploy VM in a non-SYSTEM Datastore" in error.message
    far = cloud.call(0, "one.cluster.allocate", "far")
    cloud.call(0, "one.cluster.addhost", far, NODE1)
    error = cloud.fails(0, "one.vm.deploy", oid, NODE1, False, 0)
    assert error.message == f"Datastore [0] is not in cluster [{far}] of host [{NODE1}]."
    error = cloud.fails(0, "one.vm.deploy", oid, NODE1)
    assert error.message == f"There is no system datastore in cluster [{far}] of host [{NODE1}]."


@pytest.mark.parametrize("oid", [99, -1, -2, 2**31 - 1, -(2**31)])
def test_ids_that_are_of_nothing_are_named(oid: int) -> None:
    cloud = Cloud()
    vm = cloud.running()
    waiting = cloud.vm()
    for error in (
        cloud.fails(0, "one.vm.deploy", waiting, oid),
        cloud.fails(0, "one.vm.migrate", vm, oid, True),
    ):
        assert sentence(error) == (Code.NO_EXISTS, f"Error getting host [{oid}].")
    assert cloud.fails(0, "one.vm.deploy", oid, NODE0).code is Code.NO_EXISTS
    if oid >= 0:
        error = cloud.fails(0, "one.vm.deploy", waiting, NODE0, False, oid)
        assert sentence(error) == (Code.NO_EXISTS, f"Error getting datastore [{oid}].")


def test_every_console_of_a_cluster_has_a_port_of_its_own() -> None:
    cloud = Cloud()
    first, second = cloud.running(), cloud.running()
    assert [console(cloud.get(VM, oid)) for oid in (first, second)] == ["5900", "5901"]
    cloud.call(ANN, "one.vm.action", "terminate", first)
    cloud.steps(2)
    third = cloud.running()
    assert console(cloud.get(VM, third)) == "5902"


def test_a_port_that_is_taken_or_reserved_is_passed_over() -> None:
    cloud = Cloud(vnc_ports_reserved=((5901, 5901),))
    cloud.running(TEMPLATE.replace("TYPE = VNC", "TYPE = VNC, PORT = 5902"))
    oid = cloud.running()
    assert console(cloud.get(VM, oid)) == "5903"


# Migrations


def test_a_live_migration_ends_on_the_other_host() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.now += 100
    cloud.call(0, "one.vm.migrate", oid, NODE1, True)
    assert cloud.phase(oid) is Phase.MIGRATE
    check(cloud)
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.host) == ("vm.migrate", NODE0)
    answered(cloud, oid, Phase.RUNNING)
    first, second = cloud.records(oid)
    assert (first.hid, second.hid) == (NODE0, NODE1)
    assert first.action == HistoryAction.LIVE_MIGRATE
    assert first.etime == first.retime == cloud.now
    assert second.rstime == second.stime == cloud.now - 10
    assert (second.pstime, second.action, second.uid) == (0, HistoryAction.NONE, 0)


def test_a_live_migration_that_fails_leaves_the_vm_where_it_was() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.vm.migrate", oid, NODE1, True)
    cloud.steps(1, ok=False, message="CPU not alike")
    assert cloud.phase(oid) is Phase.RUNNING
    check(cloud)
    assert [record.hid for record in cloud.records(oid)] == [NODE0, NODE1, NODE0]
    last = cloud.records(oid)[-1]
    assert (last.etime, last.retime, last.rstime) == (0, 0, cloud.now)
    assert cloud.get(Host, NODE1).vms == set()


COLD = [
    (0, "vm.save", "vm.restore", Phase.BOOT_MIGRATE, HistoryAction.MIGRATE),
    (1, "vm.shutdown", "vm.deploy", Phase.BOOT, HistoryAction.POWEROFF_MIGRATE),
    (2, "vm.cancel", "vm.deploy", Phase.BOOT, HistoryAction.POWEROFF_HARD_MIGRATE),
]


@pytest.mark.parametrize(("kind", "leave", "arrive", "boot", "action"), COLD)
def test_a_cold_migration_saves_or_stops_moves_and_starts_the_vm(
    kind: int, leave: str, arrive: str, boot: Phase, action: HistoryAction
) -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.vm.migrate", oid, NODE1, False, False, -1, kind)
    assert cloud.phase(oid) is Phase.SAVE_MIGRATE
    check(cloud)
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.host) == (leave, NODE0)
    answered(cloud, oid, Phase.PROLOG_MIGRATE)
    assert cloud.get(Host, NODE0).vms == set()
    answered(cloud, oid, boot)
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.host) == (arrive, NODE1)
    answered(cloud, oid, Phase.RUNNING)
    first, second = cloud.records(oid)
    assert first.action == action
    assert first.etime == second.pstime
    assert second.petime == second.rstime


@pytest.mark.parametrize(("kind", "leave", "arrive", "boot", "action"), COLD)
def test_every_failure_of_a_cold_migration_can_be_left_either_way(
    kind: int, leave: str, arrive: str, boot: Phase, action: HistoryAction
) -> None:
    def at(step: int) -> tuple[Cloud, int]:
        cloud = Cloud()
        oid = cloud.running()
        cloud.call(0, "one.vm.migrate", oid, NODE1, False, False, -1, kind)
        if step:
            cloud.steps(step)
        cloud.steps(1, ok=False, message="no")
        check(cloud)
        return cloud, oid

    cloud, oid = at(0)
    assert cloud.phase(oid) is Phase.RUNNING
    assert [record.hid for record in cloud.records(oid)] == [NODE0, NODE1, NODE0]
    assert cloud.get(Host, NODE1).vms == set()
    # The move failed: on to the target, or back to the source, where it starts as it would have.
    cloud, oid = at(1)
    assert cloud.phase(oid) is Phase.PROLOG_MIGRATE_FAILURE
    cloud.call(0, "one.vm.recover", oid, 0)
    assert cloud.phase(oid) is boot
    assert cloud.records(oid)[-1].hid == NODE0
    assert [effect.op for effect in cloud.effects("vm")] == [arrive]
    answered(cloud, oid, Phase.RUNNING)
    cloud, oid = at(1)
    cloud.call(0, "one.vm.recover", oid, 1)
    assert cloud.phase(oid) is boot
    answered(cloud, oid, Phase.RUNNING)
    cloud, oid = at(1)
    cloud.call(0, "one.vm.recover", oid, 2)
    answered(cloud, oid, boot, Phase.RUNNING)
    # The start failed on the target.
    cloud, oid = at(2)
    assert cloud.phase(oid) is Phase[f"{boot.name}_FAILURE"]
    cloud.call(0, "one.vm.recover", oid, 2)
    answered(cloud, oid, Phase.RUNNING)


@pytest.mark.parametrize(
    ("rest", "moving"),
    [
        (Phase.POWEROFF, Phase.PROLOG_MIGRATE_POWEROFF),
        (Phase.SUSPENDED, Phase.PROLOG_MIGRATE_SUSPEND),
        (Phase.UNKNOWN, Phase.PROLOG_MIGRATE_UNKNOWN),
    ],
)
def test_a_vm_at_rest_is_moved_without_being_started(rest: Phase, moving: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, rest)
    # A live migration of what does not run is a cold one.
    cloud.call(0, "one.vm.migrate", oid, NODE1, True)
    assert cloud.phase(oid) is moving
    assert cloud.get(Host, NODE0).vms == set()
    check(cloud)
    cloud.steps(1)
    assert cloud.phase(oid) is (Phase.BOOT if rest is Phase.UNKNOWN else rest)
    check(cloud)
    last = cloud.records(oid)[-1]
    assert bool(last.rstime) is (rest is Phase.UNKNOWN)
    cloud = Cloud()
    oid = stand(cloud, rest)
    cloud.call(0, "one.vm.migrate", oid, NODE1, False)
    cloud.steps(1, ok=False, message="no")
    assert cloud.phase(oid) is Phase[f"{moving.name}_FAILURE"]
    check(cloud)
    cloud.call(0, "one.vm.recover", oid, 0)
    check(cloud)
    assert cloud.phase(oid) is (Phase.BOOT if rest is Phase.UNKNOWN else rest)
    assert cloud.records(oid)[-1].hid == NODE0
    assert bool(cloud.records(oid)[-1].rstime) is (rest is Phase.UNKNOWN)


def test_a_vm_moved_while_it_was_off_runs_there_when_it_is_resumed() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.POWEROFF)
    cloud.call(0, "one.vm.migrate", oid, NODE1, False)
    cloud.steps(1)
    cloud.call(ANN, "one.vm.action", "resume", oid)
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.host) == ("vm.deploy", NODE1)
    answered(cloud, oid, Phase.RUNNING)


def test_a_migration_to_where_the_vm_is_is_refused() -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(0, "one.vm.migrate", oid, NODE0, False)
    assert error.message == f"virtual machine [{oid}] is already on host [0] with datastore [0]"
    assert cloud.fails(0, "one.vm.migrate", oid, NODE1, False, False, -1, 7).code is Code.ACTION


def test_a_migration_into_a_cluster_without_what_the_vm_uses_is_refused() -> None:
    cloud = Cloud()
    oid = cloud.running()
    far = cloud.call(0, "one.cluster.allocate", "far")
    cloud.call(0, "one.cluster.addhost", far, NODE1)
    cloud.call(0, "one.cluster.adddatastore", far, 0)
    error = cloud.fails(0, "one.vm.migrate", oid, NODE1, True)
    assert error.code is Code.ACTION
    assert "VM requires to be placed on cluster [0]" in error.message


def test_a_wish_to_be_moved_is_fulfilled_by_a_migration() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.vm.action", "resched", oid)
    assert cloud.get(VM, oid).resched == 1
    cloud.call(0, "one.vm.migrate", oid, NODE1, True)
    assert cloud.get(VM, oid).resched == 0
    check(cloud)


def test_both_hosts_are_full_during_a_migration_and_one_after_it() -> None:
    cloud = Cloud()
    tight = cloud.host("tight", cpu=50, memory=262144)
    first, second = cloud.running(), cloud.running()
    cloud.call(0, "one.vm.migrate", first, tight, True, True)
    error = cloud.fails(0, "one.vm.migrate", second, tight, True, True)
    assert "does not fit" in error.message
    cloud.steps(1, ok=False, message="no")
    cloud.call(0, "one.vm.migrate", second, tight, True, True)
    answered(cloud, second, Phase.RUNNING)
    assert cloud.get(Host, tight).vms == {second}


def test_a_host_that_runs_vms_is_not_deleted() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.POWEROFF)
    error = cloud.fails(0, "one.host.delete", NODE0)
    assert sentence(error) == (Code.ACTION, "Cannot delete host. Can not remove a host with running VMs")
    cloud.call(0, "one.vm.migrate", oid, NODE1, False)
    assert cloud.fails(0, "one.host.delete", NODE1).code is Code.ACTION


def test_a_vm_that_was_put_away_outlives_its_host() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.UNDEPLOYED)
    cloud.call(0, "one.host.delete", NODE0)
    cloud.call(ANN, "one.vm.action", "resume", oid)
    cloud.call(0, "one.vm.deploy", oid, NODE1)
    answered(cloud, oid, Phase.BOOT_UNDEPLOY, Phase.RUNNING)
