"""VM groups: rules between VMs and with hosts, one by one, and against every possible plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from merope.scheduler.affinity import Relations
from merope.scheduler.plan import plan
from merope.scheduler.reasons import Code, explain
from merope.scheduler.snapshot import (
    DatastoreView,
    GroupView,
    HostView,
    Limits,
    Plan,
    RoleView,
    Snapshot,
    VmRequest,
)
from merope.scheduler.views import TableView

STORE = DatastoreView(0, frozenset({0}), 10_000, TableView({"ID": "0", "FREE_MB": "10000"}))


def host(oid: int, cpu: int = 400, **attributes: str) -> HostView:
    table = TableView({"ID": str(oid), "CLUSTER_ID": "0", "RUNNING_VMS": "0", **attributes})
    return HostView(oid, 0, cpu, 1000, table)


def vm(oid: int, cpu: int = 100, **fields: object) -> VmRequest:
    return replace(VmRequest(oid, 0, 0, cpu, 10), **fields)  # type: ignore[arg-type]


def role(name: str, policy: str, *vms: int, on: Sequence[int] = (), off: Sequence[int] = ()) -> RoleView:
    return RoleView(name, policy, frozenset(vms), frozenset(on), frozenset(off))


def group(
    *roles: RoleView, affined: Sequence[str] = (), anti_affined: Sequence[str] = (), oid: int = 0
) -> GroupView:
    """Rules are letters: "ab" is the roles a and b."""
    return GroupView(oid, roles, tuple(map(frozenset, affined)), tuple(map(frozenset, anti_affined)))


def planned(
    hosts: Sequence[HostView],
    vms: Sequence[VmRequest],
    *groups: GroupView,
    located: Mapping[int, int] | None = None,
    limits: Limits = Limits(),  # noqa: B008 - a value that nothing changes
) -> Plan:
    return plan(
        Snapshot(tuple(hosts), (STORE,), tuple(vms), groups=groups, located=located or {}, limits=limits)
    )


def where(made: Plan) -> dict[int, int]:
    return {placement.vm_id: placement.host_id for placement in made.placements}


def why(made: Plan, oid: int) -> str:
    return explain(made.reasons[oid])


def test_vms_of_an_affined_role_share_a_host() -> None:
    made = planned([host(0), host(1)], [vm(0), vm(1), vm(2)], group(role("a", "AFFINED", 0, 1, 2)))
    assert len(set(where(made).values())) == 1
    assert len(where(made)) == 3


def test_vms_of_an_anti_affined_role_share_none() -> None:
    made = planned([host(0), host(1)], [vm(0), vm(1)], group(role("a", "ANTI_AFFINED", 0, 1)))
    assert sorted(where(made).values()) == [0, 1]


def test_a_role_without_policy_goes_where_rank_says() -> None:
    fast = [vm(i, rank="SPEED") for i in range(3)]
    made = planned([host(0), host(1, SPEED="9")], fast, group(role("a", "NONE", 0, 1, 2)))
    assert where(made) == {0: 1, 1: 1, 2: 1}


def test_an_affined_rule_brings_roles_together() -> None:
    rules = group(role("a", "NONE", 0), role("b", "NONE", 1), role("c", "NONE", 2), affined=["ab", "bc"])
    made = planned([host(0), host(1)], [vm(0), vm(1), vm(2)], rules)
    assert len(set(where(made).values())) == 1


def test_an_anti_affined_rule_keeps_roles_apart_but_not_the_vms_of_one() -> None:
    rules = group(role("a", "NONE", 0, 1), role("b", "NONE", 2), anti_affined=["ab"])
    made = planned([host(0), host(1)], [vm(0), vm(1), vm(2, requirements="ID = 1")], rules)
    assert where(made) == {0: 0, 1: 0, 2: 1}


def test_vms_follow_those_that_have_a_host() -> None:
    rules = group(role("a", "AFFINED", 0, 1, 2))
    assert where(planned([host(0), host(1)], [vm(1), vm(2)], rules, located={0: 1})) == {1: 1, 2: 1}


def test_vms_avoid_those_that_have_a_host() -> None:
    rules = group(role("a", "ANTI_AFFINED", 0, 1))
    assert where(planned([host(0), host(1)], [vm(1)], rules, located={0: 0})) == {1: 1}


def test_a_host_affined_role_stays_on_its_hosts() -> None:
    rules = group(role("a", "NONE", 0, 1, on=[2, 3]))
    made = planned([host(i) for i in range(4)], [vm(0), vm(1)], rules)
    assert set(where(made).values()) <= {2, 3}


def test_a_host_anti_affined_role_avoids_its_hosts() -> None:
    rules = group(role("a", "NONE", 0, 1, off=[0, 1]))
    made = planned([host(i) for i in range(3)], [vm(0), vm(1)], rules)
    assert where(made) == {0: 2, 1: 2}


def test_affined_vms_are_placed_together_or_not_at_all() -> None:
    made = planned([host(0, 200), host(1, 200)], [vm(0), vm(1), vm(2)], group(role("a", "AFFINED", 0, 1, 2)))
    assert where(made) == {}
    assert why(made, 0).startswith("No host has room for the 3 VMs of the VM group that must share one")
    assert "2 hosts lack CPU (the nearest 1 CPU)" in why(made, 2)


def test_an_earlier_vm_gives_way_to_one_that_has_no_other_host() -> None:
    rules = group(role("a", "ANTI_AFFINED", 0, 1))
    made = planned([host(0), host(1, 0)], [vm(0, 0), vm(1, 100)], rules)
    assert where(made) == {0: 1, 1: 0}


def test_the_rules_that_conflict_are_told_and_no_others() -> None:
    rules = group(role("a", "AFFINED", 0, 1, off=[0]), role("b", "NONE", 5), anti_affined=["ab"])
    made = planned([host(0), host(1), host(2)], [vm(1)], rules, located={0: 0, 5: 1})
    assert made.reasons[1][0].code is Code.GROUP_CONFLICT
    assert "AFFINED a (VM 0 is on host 0); HOST_ANTI_AFFINED 0 of a" in why(made, 1)
    assert "ANTI_AFFINED a, b" not in why(made, 1)


def test_too_many_for_their_hosts_are_told_who_is_in_the_way() -> None:
    made = planned([host(0), host(1)], [vm(i) for i in range(3)], group(role("a", "ANTI_AFFINED", 0, 1, 2)))
    assert sorted(where(made)) == [0, 1]
    assert "ANTI_AFFINED role a (VM 0 is on host 0, VM 1 is on host 1)" in why(made, 2)
    assert "2 hosts are against the rules of the VM group" in why(made, 2)


def test_a_vm_that_must_leave_its_host_may_not_leave_its_mates() -> None:
    moved = vm(1, resched=True, current_host=0, keep_datastore=0)
    made = planned([host(0), host(1)], [moved], group(role("a", "AFFINED", 0, 1)), located={0: 0, 1: 0})
    assert "AFFINED a (VM 0 is on host 0)" in why(made, 1)


def test_mates_wait_for_one_that_can_go_nowhere() -> None:
    bad = vm(0, requirements="ID = 7 &")
    made = planned([host(0)], [bad, vm(1)], group(role("a", "AFFINED", 0, 1)))
    assert why(made, 0).startswith("Error in SCHED_REQUIREMENTS")
    assert why(made, 1) == "Waits for VM 0, with which it must share a host"


def test_the_limit_of_a_host_does_not_tear_vms_apart() -> None:
    rules = [group(role("a", "AFFINED", 0, 1)), group(role("a", "AFFINED", 2, 3), oid=1)]
    made = planned([host(0)], [vm(i) for i in range(4)], *rules, limits=Limits(per_host=1))
    assert where(made) == {0: 0, 1: 0}
    assert "got MAX_HOST VMs" in why(made, 2)


def test_the_limit_of_a_round_ends_after_a_bundle() -> None:
    rules = group(role("a", "AFFINED", 0, 1), role("b", "AFFINED", 2, 3))
    made = planned([host(0)], [vm(i) for i in range(4)], rules, limits=Limits(dispatch=1))
    assert where(made) == {0: 0, 1: 0}
    assert made.reasons[2][0].code is Code.DISPATCH_LIMIT


def test_a_large_group_without_a_solution_is_given_up_in_time() -> None:
    rules = group(role("a", "ANTI_AFFINED", *range(60)))
    made = planned([host(i) for i in range(40)], [vm(i) for i in range(60)], rules)
    assert len(where(made)) == 40
    assert len(set(where(made).values())) == 40


def test_a_role_without_rules_leaves_room_for_one_with_rules() -> None:
    rules = group(role("a", "AFFINED", 1, 2), role("b", "NONE", 0))
    made = planned([host(0, 200), host(1, 100)], [vm(i) for i in range(3)], rules)
    assert where(made) == {0: 1, 1: 0, 2: 0}


# Against every possible plan


@st.composite
def clouds(draw: st.DrawFn) -> Snapshot:
    hosts = tuple(host(i, draw(st.integers(0, 4)) * 100) for i in range(draw(st.integers(1, 4))))
    places = st.sets(st.integers(0, len(hosts) - 1), max_size=2)
    policies = st.sampled_from(["NONE", "NONE", "AFFINED", "ANTI_AFFINED"])
    count = draw(st.integers(1, 5))
    roles = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    views = [
        RoleView(
            name,
            draw(policies),
            frozenset(i for i in range(count) if roles[i] == number),
            frozenset(draw(st.one_of(st.just(set()), places))),
            frozenset(draw(st.one_of(st.just(set()), places))),
        )
        for number, name in enumerate("abc")
    ]
    pairs = draw(st.lists(st.sampled_from(["ab", "bc", "ac"]), max_size=2, unique=True))
    split = draw(st.integers(0, len(pairs)))
    located = draw(st.dictionaries(st.integers(0, count - 1), st.integers(0, len(hosts) - 1), max_size=2))
    waiting = [
        vm(
            i,
            draw(st.sampled_from([0, 100, 200])),
            requirements=draw(st.sampled_from(["", "", "ID = 0", "ID > 0"])),
            priority=draw(st.sampled_from([0.0, 1.0])),
        )
        for i in range(count)
        if i not in located
    ]
    together, apart = pairs[:split], pairs[split:]
    views = [
        replace(view, policy="NONE")
        if view.policy == "ANTI_AFFINED" and any(view.name in rule for rule in together)
        else view
        for view in views
    ]
    if len(together) == 2:
        apart = []  # all three roles are one then, which the core refuses to keep apart
    rules = GroupView(0, tuple(views), tuple(map(frozenset, together)), tuple(map(frozenset, apart)))
    return Snapshot(hosts, (STORE,), tuple(waiting), groups=(rules,), located=located)


def allowed(snapshot: Snapshot, chosen: Mapping[int, int]) -> bool:
    """Whether all rules hold, between any two VMs, for those of `chosen` and those that are located."""
    places = {**snapshot.located, **chosen}
    rules = snapshot.groups[0]
    role_of = {vm_id: view for view in rules.roles for vm_id in view.vm_ids}
    together = [set(rule) for rule in rules.affined]
    if len(together) > 1:
        together = [set("abc")]  # any two of the rules have a role in common, which makes them one
    for one in chosen:
        mine = role_of[one]
        if mine.host_affined and places[one] not in mine.host_affined:
            return False
        if places[one] in mine.host_anti_affined:
            return False
        for other in places:
            if other == one:
                continue
            theirs = role_of[other]
            same = places[one] == places[other]
            if mine is theirs and mine.policy == "ANTI_AFFINED" and same:
                return False
            if (
                any({mine.name, theirs.name} <= rule for rule in rules.anti_affined)
                and mine is not theirs
                and same
            ):
                return False
            if not same and (
                (mine is theirs and mine.policy == "AFFINED")
                or any({mine.name, theirs.name} <= r for r in together)
            ):
                return False
    return True


@settings(max_examples=300, deadline=None)
@given(clouds())
def test_no_plan_breaks_a_rule_or_a_host(snapshot: Snapshot) -> None:
    chosen = where(plan(snapshot))
    assert allowed_with_scattered_mates(snapshot, chosen)
    if not snapshot.located:
        assert allowed(snapshot, chosen)
    for view in snapshot.hosts:
        assert sum(one.cpu for one in snapshot.vms if chosen.get(one.id) == view.id) <= max(view.free_cpu, 0)


def allowed_with_scattered_mates(snapshot: Snapshot, chosen: Mapping[int, int]) -> bool:
    """`allowed`, but that mates which stand on several hosts already cannot all be joined."""
    rules = replace(snapshot.groups[0], affined=())
    views = tuple(replace(v, policy="NONE") if v.policy == "AFFINED" else v for v in rules.roles)
    return allowed(replace(snapshot, groups=(replace(rules, roles=views),)), chosen)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(clouds())
def test_a_group_is_placed_whole_when_any_plan_places_it_whole(snapshot: Snapshot) -> None:
    ids = [one.id for one in snapshot.vms]
    needs = {one.id: one for one in snapshot.vms}
    # Without any rule they are placed like others: the first ones first, whatever becomes of the last.
    assume(any(bundle.bound for bundle in Relations(snapshot.groups[0]).bundles(snapshot.vms)))
    # Who was put against the rules by hand may leave no host to those that come later.
    assume(allowed(snapshot, snapshot.located))
    made = plan(snapshot)
    for places in product(range(len(snapshot.hosts)), repeat=len(ids)):
        chosen = dict(zip(ids, places, strict=True))
        fits = all(
            sum(needs[i].cpu for i in ids if chosen[i] == view.id) <= view.free_cpu for view in snapshot.hosts
        )
        wanted = all(
            {"": True, "ID = 0": chosen[i] == 0, "ID > 0": chosen[i] > 0}[needs[i].requirements] for i in ids
        )
        if fits and wanted and allowed(snapshot, chosen):
            assert len(made.placements) == len(ids), made.reasons
            return
    for reasons in made.reasons.values():
        assert explain(reasons)
