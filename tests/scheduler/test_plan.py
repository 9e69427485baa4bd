"""Placements: which VM goes where, one rule each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from merope.scheduler.plan import plan
from merope.scheduler.reasons import explain
from merope.scheduler.snapshot import (
    NO_DATASTORE,
    Access,
    DatastoreView,
    HostView,
    Limits,
    Plan,
    Policies,
    Snapshot,
    VmRequest,
)
from merope.scheduler.views import TableView

GB = 1024**2  # in KB


def host(oid: int, cpu: int = 800, memory: int = 16 * GB, cluster: int = 0, **given: Any) -> HostView:
    """A host; keywords in capitals are attributes that expressions see."""
    attributes = {k: v for k, v in given.items() if k.isupper()}
    fields = {k: v for k, v in given.items() if not k.isupper()}
    table = {
        "ID": str(oid),
        "CLUSTER_ID": str(cluster),
        "RUNNING_VMS": str(fields.get("running_vms", 0)),
        "CPU_USAGE": "0",
        "MEM_USAGE": "0",
        "FREE_CPU": str(cpu),
        "FREE_MEMORY": str(memory),
        **attributes,
    }
    return HostView(oid, cluster, cpu, memory, TableView(table), **fields)


def datastore(
    oid: int = 0, free: int = 10_000, clusters: Sequence[int] = (0,), **given: Any
) -> DatastoreView:
    attributes = {k: v for k, v in given.items() if k.isupper()}
    fields = {k: v for k, v in given.items() if not k.isupper()}
    table = {"ID": str(oid), "FREE_MB": str(free), "CLUSTERS/ID": [str(c) for c in clusters], **attributes}
    return DatastoreView(oid, frozenset(clusters), free, TableView(table), **fields)


def vm(oid: int, cpu: int = 100, memory: int = GB, **fields: Any) -> VmRequest:
    return VmRequest(oid, fields.pop("uid", 0), fields.pop("gid", 0), cpu, memory, **fields)


def planned(
    hosts: Sequence[HostView],
    vms: Sequence[VmRequest],
    datastores: Sequence[DatastoreView] | None = None,
    **fields: Any,
) -> Plan:
    system = (datastore(),) if datastores is None else tuple(datastores)
    return plan(Snapshot(tuple(hosts), system, tuple(vms), **fields))


def where(made: Plan) -> dict[int, int]:
    return {placement.vm_id: placement.host_id for placement in made.placements}


def why(made: Plan, oid: int) -> str:
    return explain(made.reasons[oid])


class TestPolicies:
    def test_striping_is_the_default_and_counts_the_placements_of_this_plan(self) -> None:
        made = planned([host(0, running_vms=2), host(1)], [vm(i) for i in range(6)])
        assert where(made) == {0: 1, 1: 1, 2: 0, 3: 1, 4: 0, 5: 1}

    def test_packing_fills_one_host_before_the_next(self) -> None:
        policies = Policies.numbered(0, None, 1, None)
        made = planned(
            [host(0), host(1, cpu=300, running_vms=1)], [vm(i) for i in range(5)], policies=policies
        )
        assert where(made) == {0: 1, 1: 1, 2: 1, 3: 0, 4: 0}

    def test_load_aware_takes_the_most_free_cpu(self) -> None:
        policies = Policies.numbered(2, None, 1, None)
        made = planned(
            [host(0, FREE_CPU="250"), host(1, FREE_CPU="420")], [vm(i) for i in range(4)], policies=policies
        )
        assert where(made) == {0: 1, 1: 1, 2: 0, 3: 1}

    def test_load_aware_counts_vms_that_came_after_the_last_measurement(self) -> None:
        policies = Policies.numbered(2, None, 1, None)
        busy = host(1, FREE_CPU="420", recent_cpu=300)
        assert where(planned([host(0, FREE_CPU="250"), busy], [vm(1)], policies=policies)) == {1: 0}

    def test_a_custom_policy_is_an_expression(self) -> None:
        policies = Policies.numbered(3, "SPEED * 2 - RUNNING_VMS", 1, None)
        made = planned([host(0, SPEED="1"), host(1, SPEED="2")], [vm(1)], policies=policies)
        assert where(made) == {1: 1}

    def test_fixed_takes_the_highest_priority(self) -> None:
        policies = Policies.numbered(4, None, 3, None)
        made = planned(
            [host(0, PRIORITY="1"), host(1, PRIORITY="5"), host(2)],
            [vm(1), vm(2)],
            [datastore(0, PRIORITY="3"), datastore(1, PRIORITY="4")],
            policies=policies,
        )
        assert [(p.host_id, p.datastore_id) for p in made.placements] == [(1, 1), (1, 1)]

    def test_the_vms_own_rank_comes_before_the_policy(self) -> None:
        made = planned([host(0, RACK="3"), host(1, RACK="7", running_vms=9)], [vm(1, rank="RACK")])
        assert where(made) == {1: 1}

    def test_equal_hosts_are_taken_by_id(self) -> None:
        assert where(planned([host(7), host(3), host(5)], [vm(1)])) == {1: 3}

    def test_a_rank_that_cannot_be_read_is_reported_and_the_policy_takes_its_place(self) -> None:
        made = planned([host(0, running_vms=3), host(1)], [vm(1, rank="RACK +")])
        assert where(made) == {1: 1}
        assert made.warnings[1].startswith(
            "Error in SCHED_RANK: 'RACK +', error: syntax error, unexpected end"
        )

    def test_a_policy_that_cannot_be_read_is_reported_and_ranks_all_alike(self) -> None:
        made = planned([host(0, running_vms=3), host(1)], [vm(1)], policies=Policies("?", "FREE_MB"))
        assert where(made) == {1: 0}
        assert "Error in SCHED_RANK: '?'" in made.warnings[1]


class TestOrder:
    def test_user_priority_comes_first_then_the_lower_id(self) -> None:
        vms = [vm(1), vm(2, priority=5.0), vm(3, priority=-1.0), vm(4, priority=5.0)]
        made = planned([host(0)], vms)
        assert [p.vm_id for p in made.placements] == [2, 4, 1, 3]

    def test_a_scarce_host_goes_to_the_vm_of_higher_priority(self) -> None:
        made = planned([host(0, cpu=100)], [vm(1), vm(2, priority=0.5)])
        assert where(made) == {2: 0}


class TestCapacity:
    def test_what_this_plan_took_is_gone(self) -> None:
        made = planned([host(0, cpu=250)], [vm(i) for i in range(3)])
        assert where(made) == {0: 0, 1: 0}
        assert why(made, 2) == (
            "Cannot dispatch VM to any Host. Possible reasons: Not enough capacity in Host or System DS, "
            "dispatch limit reached, or limit of free leases reached. 1 host lacks 0.5 CPU"
        )

    def test_a_host_is_filled_to_the_last_percent_and_kilobyte(self) -> None:
        assert where(planned([host(0, cpu=100, memory=GB)], [vm(1, 100, GB)])) == {1: 0}
        assert not where(planned([host(0, cpu=99, memory=GB)], [vm(1, 100, GB)]))
        assert not where(planned([host(0, cpu=100, memory=GB - 1)], [vm(1, 100, GB)]))

    def test_a_small_vm_still_fits_where_a_big_one_did_not(self) -> None:
        made = planned([host(0, cpu=150)], [vm(1), vm(2), vm(3, cpu=50)])
        assert where(made) == {1: 0, 3: 0}

    def test_hosts_too_full_for_one_vm_still_take_smaller_ones(self) -> None:
        hosts = [host(i, cpu=150, memory=3 * GB) for i in range(4)]
        vms = [vm(1, cpu=200), vm(2, memory=4 * GB), vm(3, cpu=150), vm(4, memory=3 * GB)]
        assert where(planned(hosts, [replace(v, rank="SPEED") for v in vms])) == {3: 0, 4: 1}

    def test_a_host_with_less_than_nothing_free_takes_not_even_an_empty_vm(self) -> None:
        assert not where(planned([host(0, cpu=-50)], [vm(1, cpu=0)]))

    def test_the_nearest_miss_is_told(self) -> None:
        hosts = [host(i, memory=(2 + i) * GB) for i in range(12)] + [host(20, cpu=50, memory=99 * GB)]
        assert why(planned(hosts, [vm(1, cpu=400, memory=15 * GB)]), 1) == (
            "No host with enough capacity to deploy the VM. "
            "12 hosts lack memory (the nearest 2 GB), 1 host lacks 3.5 CPU"
        )


class TestRequirements:
    def test_automatic_and_own_requirements_must_both_hold(self) -> None:
        hosts = [host(0, HYPERVISOR="kvm"), host(1, cluster=1, HYPERVISOR="kvm"), host(2, HYPERVISOR="lxd")]
        both = vm(1, automatic_requirements="CLUSTER_ID = 0", requirements="HYPERVISOR = kvm")
        assert where(planned(hosts, [both])) == {1: 0}

    def test_requirements_cannot_reach_out_of_their_parentheses(self) -> None:
        greedy = vm(1, automatic_requirements="CLUSTER_ID = 1", requirements="ID = 5) | (ID = 0")
        made = planned([host(0)], [greedy])
        assert not made.placements
        assert why(made, 1).startswith(
            "Error in SCHED_REQUIREMENTS: 'ID = 5) | (ID = 0', error: syntax error"
        )

    def test_no_match_names_the_expression_and_counts_hosts(self) -> None:
        hosts = [host(0), host(1, cluster=1), host(2, cluster=1), host(3, cpu=10)]
        wants = vm(1, automatic_requirements="CLUSTER_ID = 0", requirements='NAME = "x" | ID = 3')
        assert why(planned(hosts, [wants]), 1) == (
            'No host meets capacity and SCHED_REQUIREMENTS: CLUSTER_ID = 0 & ( NAME = "x" | ID = 3 ). '
            "2 hosts are not of the clusters or the kind that the VM needs, "
            "1 host does not meet SCHED_REQUIREMENTS, 1 host lacks 0.9 CPU"
        )

    def test_a_group_of_vms_may_add_requirements(self) -> None:
        made = planned([host(0), host(1)], [vm(1, group_requirements=("ID != 0", "ID < 9"))])
        assert where(made) == {1: 1}

    def test_current_vms_sees_what_this_plan_placed(self) -> None:
        apart = [
            vm(i, requirements=" & ".join(f"CURRENT_VMS != {j}" for j in range(4) if j != i))
            for i in range(4)
        ]
        hosts = [host(i, vm_ids=frozenset({9})) for i in range(3)]
        made = planned(hosts, apart)
        assert sorted(where(made).values()) == [0, 1, 2]
        assert why(made, 3).startswith("No host meets capacity and SCHED_REQUIREMENTS: CURRENT_VMS != 0")

    def test_a_vm_follows_the_one_it_must_be_with(self) -> None:
        vms = [vm(5), vm(6, requirements="CURRENT_VMS = 5"), vm(7, requirements="CURRENT_VMS = 9")]
        made = planned([host(0, vm_ids=frozenset({9})), host(1), host(2)], vms)
        assert where(made) == {5: 0, 6: 0, 7: 0}

    def test_a_host_that_did_not_meet_a_requirement_may_meet_it_later(self) -> None:
        vms = [vm(i, requirements="RUNNING_VMS > 0 | ID = 1") for i in (1, 2, 3, 9)]
        vms += [vm(5, requirements="ID = 0")]
        assert where(planned([host(0), host(1, cpu=200)], vms)) == {1: 1, 2: 1, 5: 0, 9: 0}

    def test_hosts_that_meet_a_requirement_later_are_ranked_too(self) -> None:
        waits = "RUNNING_VMS > 0"
        vms = [vm(1, priority=9.0, requirements=waits), vm(2, requirements="ID = 1", priority=8.0)]
        vms += [vm(i, requirements="ID = 0", priority=7.0) for i in (3, 4)]
        vms += [vm(i, requirements=waits) for i in (5, 6)]
        assert where(planned([host(0), host(1)], vms)) == {2: 1, 3: 0, 4: 0, 5: 1, 6: 0}

    def test_a_limit_on_running_vms_holds_within_the_plan(self) -> None:
        made = planned([host(0), host(1)], [vm(i, requirements="RUNNING_VMS < 2") for i in range(9)])
        assert sorted(where(made).values()) == [0, 0, 1, 1]

    def test_what_the_monitor_measured_does_not_change_within_the_plan(self) -> None:
        made = planned([host(0, FREE_CPU="150")], [vm(i, requirements="FREE_CPU > 100") for i in range(3)])
        assert len(made.placements) == 3


class TestAuthorization:
    def test_a_user_gets_only_hosts_and_datastores_with_the_right(self) -> None:
        access = {3: Access(frozenset({1}), frozenset({5}))}
        stores = [datastore(4, free=99_999), datastore(5)]
        made = planned([host(0), host(1)], [vm(1, uid=3, gid=7)], stores, access=access)
        assert [(p.host_id, p.datastore_id) for p in made.placements] == [(1, 5)]

    @pytest.mark.parametrize(("uid", "gid"), [(0, 7), (3, 0)])
    def test_the_user_and_the_group_oneadmin_are_not_asked(self, uid: int, gid: int) -> None:
        assert where(planned([host(0)], [vm(1, uid=uid, gid=gid)])) == {1: 0}

    def test_a_user_without_any_host_is_told(self) -> None:
        made = planned([host(0), host(1)], [vm(1, uid=3, gid=7)])
        assert why(made, 1) == "User is not authorized to use any host. 2 hosts are not for this user"

    def test_a_user_without_any_datastore_is_told(self) -> None:
        made = planned([host(0)], [vm(1, uid=3, gid=7)], access={3: Access(None, frozenset())})
        expected = "User is not authorized to use any system datastore. 1 datastore is not for this user"
        assert why(made, 1) == expected


class TestDatastores:
    def test_striping_takes_the_datastore_with_most_space_as_it_shrinks(self) -> None:
        made = planned(
            [host(0)], [vm(i, system_disk=100) for i in range(4)], [datastore(0, 300), datastore(1, 250)]
        )
        assert [p.datastore_id for p in made.placements] == [0, 1, 0, 1]

    def test_equal_datastores_are_taken_by_id(self) -> None:
        assert planned([host(0)], [vm(1)], [datastore(i) for i in (8, 6, 7)]).placements[0].datastore_id == 6

    def test_packing_takes_the_fullest(self) -> None:
        made = planned(
            [host(0)],
            [vm(i, system_disk=100) for i in range(3)],
            [datastore(0, 300), datastore(1, 250)],
            policies=Policies.numbered(1, None, 0, None),
        )
        assert [p.datastore_id for p in made.placements] == [1, 1, 0]

    def test_the_vms_own_datastore_rank_comes_first(self) -> None:
        made = planned(
            [host(0)], [vm(1, ds_rank="SPEED")], [datastore(0, 9_000), datastore(1, 10, SPEED="2")]
        )
        assert made.placements[0].datastore_id == 1

    def test_a_datastore_serves_the_hosts_of_its_clusters(self) -> None:
        made = planned([host(0), host(1, cluster=1)], [vm(1), vm(2)], [datastore(3, clusters=[1, 2])])
        assert where(made) == {1: 1, 2: 1}

    def test_requirements_choose_among_datastores(self) -> None:
        wants = vm(1, automatic_ds_requirements='"CLUSTERS/ID" @> 0', ds_requirements="ID = 2")
        stores = [datastore(i) for i in range(4)]
        assert planned([host(0)], [wants], stores).placements[0].datastore_id == 2

    def test_a_shared_datastore_is_not_overfilled(self) -> None:
        made = planned([host(0)], [vm(i, system_disk=600) for i in range(2)], [datastore(0, free=1000)])
        assert where(made) == {0: 0}
        assert why(made, 1).endswith("1 host has no system datastore with enough space")

    def test_the_last_megabyte_may_be_used(self) -> None:
        assert planned([host(0)], [vm(1, system_disk=1000)], [datastore(0, free=1000)]).placements

    def test_too_small_a_datastore_is_told_with_what_it_lacks(self) -> None:
        made = planned([host(0)], [vm(1, system_disk=3072)], [datastore(0, 1024), datastore(1, 2048)])
        expected = (
            "No system datastore with enough capacity for the VM. 2 datastores lack space (the nearest 1 GB)"
        )
        assert why(made, 1) == expected

    def test_requirements_that_no_datastore_meets_are_told(self) -> None:
        wants = vm(1, automatic_ds_requirements="ID < 9", ds_requirements="TM_MAD = ssh")
        expected = "No system datastore meets capacity and SCHED_DS_REQUIREMENTS: ID < 9 & ( TM_MAD = ssh ). "
        assert why(planned([host(0)], [wants]), 1).startswith(expected)

    def test_an_error_in_the_datastore_requirements_is_told(self) -> None:
        made = planned([host(0)], [vm(1, ds_requirements="ID =")])
        assert why(made, 1).startswith(
            "Error in SCHED_DS_REQUIREMENTS: 'ID =', error: syntax error, unexpected end"
        )

    def test_without_system_datastores_nothing_runs(self) -> None:
        assert why(planned([host(0)], [vm(1)], []), 1) == "No system datastores found to run VMs"

    def test_a_shared_datastore_must_have_been_monitored(self) -> None:
        made = planned([host(0)], [vm(1)], [datastore(0, free=0, monitored=False)])
        assert why(made, 1).endswith(
            "1 host has no system datastore with enough space, 1 datastore has not been monitored yet"
        )

    def test_disks_of_a_local_datastore_take_the_hosts_space(self) -> None:
        hosts = [host(0, ds_free={4: 250}), host(1, free_disk=150)]
        local = datastore(4, free=0, shared=False, monitored=False)
        made = planned(hosts, [vm(i, system_disk=100) for i in range(4)], [local])
        assert where(made) == {0: 0, 1: 1, 2: 0}

    def test_an_image_datastore_that_is_full_is_named(self) -> None:
        made = planned(
            [host(0)],
            [vm(i, image_space=((1, 60),)) for i in range(2)],
            image_datastores=(datastore(1, free=100),),
        )
        assert where(made) == {0: 0}
        assert why(made, 1) == "Cannot schedule VM. Image Datastore 1 does not have enough capacity"

    def test_an_image_datastore_that_was_too_small_from_the_start_is_named(self) -> None:
        made = planned([host(0)], [vm(1, image_space=((1, 60),))], image_datastores=(datastore(1, free=59),))
        assert why(made, 1) == "Cannot schedule VM. Image Datastore 1 does not have enough capacity"


class TestVmsThatRanBefore:
    def test_a_resumed_vm_stays_in_its_datastore_and_takes_no_space(self) -> None:
        resumed = vm(1, system_disk=5000, keep_datastore=2, ds_requirements="ID = 1")
        made = planned(
            [host(0), host(1, cluster=1)], [resumed], [datastore(1), datastore(2, free=3, clusters=[1])]
        )
        assert [(p.host_id, p.datastore_id) for p in made.placements] == [(1, 2)]

    def test_a_vm_that_is_rescheduled_leaves_its_host_for_another(self) -> None:
        moving = vm(1, resched=True, current_host=0, keep_datastore=0)
        made = planned([host(0), host(1, running_vms=5)], [moving])
        assert [(p.host_id, p.migrate) for p in made.placements] == [(1, True)]

    def test_a_vm_that_is_rescheduled_stays_where_there_is_no_other_host(self) -> None:
        made = planned([host(0)], [vm(1, resched=True, current_host=0, keep_datastore=0)])
        assert why(made, 1) == "No other host to move the VM to. 1 host is where the VM is now"

    def test_a_datastore_that_is_gone_keeps_the_vm_waiting(self) -> None:
        assert (
            why(planned([host(0)], [vm(1, keep_datastore=8)]), 1) == "No system datastores found to run VMs"
        )


class TestPublicCloud:
    def test_a_public_host_needs_no_datastore(self) -> None:
        made = planned([host(0, public_cloud=True)], [vm(1, public_cloud=True)], [])
        assert [(p.host_id, p.datastore_id) for p in made.placements] == [(0, NO_DATASTORE)]

    def test_without_a_datastore_only_public_hosts_will_do(self) -> None:
        made = planned([host(0), host(1, public_cloud=True, running_vms=9)], [vm(1, public_cloud=True)], [])
        assert where(made) == {1: 1}

    def test_without_a_datastore_or_a_public_host_the_datastore_is_the_reason(self) -> None:
        made = planned([host(0)], [vm(1, public_cloud=True)], [])
        assert why(made, 1) == "No system datastores found to run VMs"

    def test_a_full_image_datastore_does_not_matter_in_a_public_cloud(self) -> None:
        hybrid = vm(1, public_cloud=True, image_space=((1, 60),))
        hosts = [host(0), host(1, public_cloud=True, running_vms=9)]
        assert where(planned(hosts, [hybrid], image_datastores=(datastore(1, free=5),))) == {1: 1}


class TestLimits:
    def test_max_host_limits_the_vms_of_one_round(self) -> None:
        made = planned([host(0), host(1)], [vm(i) for i in range(5)], limits=Limits(per_host=2))
        assert sorted(where(made).values()) == [0, 0, 1, 1]
        assert why(made, 4).endswith("2 hosts got MAX_HOST VMs in this round")

    def test_max_dispatch_limits_the_round(self) -> None:
        made = planned([host(0)], [vm(i) for i in range(5)], limits=Limits(dispatch=3))
        assert len(made.placements) == 3
        assert why(made, 4) == "Waiting for the next round: MAX_DISPATCH of 3 reached"

    def test_max_vm_takes_the_lowest_ids(self) -> None:
        made = planned([host(0)], [vm(1), vm(2), vm(3, priority=9.0)], limits=Limits(vms=2))
        assert set(where(made)) == {1, 2}
        assert why(made, 3) == "Waiting for a later round: MAX_VM of 2 VMs reached"

    def test_no_limits_by_default(self) -> None:
        assert len(planned([host(0, cpu=10**6, memory=10**9)], [vm(i) for i in range(400)]).placements) == 400


def test_without_hosts_nothing_runs() -> None:
    assert why(planned([], [vm(1)]), 1) == "No hosts enabled to run VMs"


def test_without_vms_there_is_nothing_to_do() -> None:
    assert planned([host(0)], []) == Plan((), {}, {})


def test_vms_of_few_share_one_order_with_others() -> None:
    hosts = [host(i) for i in range(100)]
    made = planned(hosts, [vm(i, cpu=10 + i) for i in range(250)])
    per_host = [list(where(made).values()).count(i) for i in range(100)]
    assert set(per_host) == {2, 3}
