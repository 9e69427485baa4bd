"""What holds for every plan, and that the fast planner decides as a slow and simple one does."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.scheduler.host_shares import host_share

from merope.model.expression import compile_rank, compile_requirements
from merope.model.host_parts import Given
from merope.model.pci import Wanted
from merope.model.pinning import Demand, Part
from merope.scheduler import order
from merope.scheduler.live import LiveHost
from merope.scheduler.parts import HostParts, LiveParts, Request
from merope.scheduler.plan import plan
from merope.scheduler.reasons import explain
from merope.scheduler.snapshot import (
    Access,
    DatastoreView,
    HostView,
    Limits,
    Placement,
    Policies,
    Snapshot,
    VmRequest,
)
from merope.scheduler.views import TableView

REQUIREMENTS = [
    "",
    "KIND = a",
    "KIND != a",
    "RUNNING_VMS < 3",
    "RUNNING_VMS > 2",
    "CURRENT_VMS = 7",
    "FREE_CPU > 150",
    "CURRENT_VMS != 1 & CURRENT_VMS != 2",
    "CURRENT_VMS = 0",
    "ID = 99",
]
#: What some VMs must have of their host for themselves, and what hosts have.
PARTS = [
    None,
    None,
    None,
    Request(Demand("CORE", (Part(1, 1024),))),
    Request(Demand("THREAD", (Part(1, 1024), Part(1, 1024)), threads=1)),
    Request(Demand("THREAD", (Part(2, 1024),)), (Wanted(None, None, 0x200),)),
    Request(None, (Wanted(0x8086, None, None),)),
]
SHARES = [host_share(), host_share(cores=1), host_share(cores=2), host_share(cores=2, nodes=2, devices=2)]
RANKS = ["", "RUNNING_VMS", "FREE_CPU", "SPEED", "FREE_MEMORY - 100 * RUNNING_VMS", "0"]
DS_RANKS = ["", "- FREE_MB", "SPEED"]


@st.composite
def hosts(draw: st.DrawFn, oid: int) -> HostView:
    cluster = draw(st.integers(0, 1))
    running = draw(st.integers(0, 3))
    cpu, memory = draw(st.integers(-10, 400)), draw(st.integers(-10, 400))
    attributes = TableView(
        {
            "ID": str(oid),
            "CLUSTER_ID": str(cluster),
            "KIND": draw(st.sampled_from("abc")),
            "SPEED": str(draw(st.integers(0, 2))),
            "RUNNING_VMS": str(running),
            "FREE_CPU": str(cpu + draw(st.integers(0, 50))),
            "FREE_MEMORY": str(memory),
        }
    )
    return HostView(
        oid,
        cluster,
        cpu,
        memory,
        attributes,
        running_vms=running,
        vm_ids=frozenset(range(100 * oid, 100 * oid + running)),
        public_cloud=draw(st.sampled_from([False, False, False, True])),
        free_disk=draw(st.integers(0, 300)),
        recent_cpu=draw(st.integers(0, 50)),
        parts=draw(st.sampled_from(SHARES)),
    )


@st.composite
def datastores(draw: st.DrawFn, oid: int) -> DatastoreView:
    free = draw(st.integers(0, 400))
    return DatastoreView(
        oid,
        frozenset(draw(st.sets(st.integers(0, 1), min_size=1))),
        free,
        TableView({"ID": str(oid), "FREE_MB": str(free), "SPEED": str(oid % 2)}),
        shared=draw(st.booleans()),
        monitored=draw(st.sampled_from([True, True, True, False])),
    )


@st.composite
def requests(draw: st.DrawFn, oid: int) -> VmRequest:
    kept = draw(st.sampled_from([None, None, None, 0, 1]))
    return VmRequest(
        id=oid,
        uid=draw(st.integers(0, 2)),
        gid=1,
        cpu=draw(st.sampled_from([0, 50, 100, 150])),
        memory=draw(st.sampled_from([0, 64, 128])),
        system_disk=draw(st.sampled_from([0, 40, 100])),
        image_space=draw(st.sampled_from([(), (), ((10, 50),)])),
        automatic_requirements=draw(st.sampled_from(["", "CLUSTER_ID = 0"])),
        requirements=draw(st.sampled_from(REQUIREMENTS)),
        rank=draw(st.sampled_from(RANKS)),
        ds_requirements=draw(st.sampled_from(["", "ID < 2"])),
        ds_rank=draw(st.sampled_from(DS_RANKS)),
        priority=draw(st.sampled_from([0.0, 0.0, 1.5])),
        resched=kept is not None and draw(st.booleans()),
        current_host=draw(st.integers(0, 3)),
        keep_datastore=kept,
        parts=draw(st.sampled_from(PARTS)),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    host_count = draw(st.integers(0, 6))
    kinds = draw(st.lists(requests(0), min_size=1, max_size=3))
    # Some differ in one thing only: they share what is worked out for the others.
    changes = st.fixed_dictionaries(
        {},
        optional={
            "cpu": st.sampled_from([10, 120]),
            "memory": st.sampled_from([1, 200]),
            "uid": st.integers(0, 2),
            "group_requirements": st.sampled_from([("KIND = b",), ("ID < 2", "CURRENT_VMS != 3")]),
            "system_disk": st.sampled_from([1, 80]),
            "parts": st.sampled_from(PARTS),
            "ds_rank": st.sampled_from(DS_RANKS),
        },
    )
    for _ in range(2):
        change: dict[str, Any] = draw(changes)
        kinds.append(replace(kinds[0], **change))
    count = draw(st.integers(0, 25))
    return Snapshot(
        hosts=tuple(draw(hosts(i)) for i in range(host_count)),
        datastores=tuple(draw(datastores(i)) for i in range(draw(st.integers(0, 3)))),
        vms=tuple(replace(draw(st.sampled_from(kinds)), id=i) for i in range(count)),
        image_datastores=(DatastoreView(10, frozenset(), draw(st.integers(0, 300)), TableView({})),),
        access={1: Access(None, None), 2: Access(frozenset({0, 2}), frozenset({0}))},
        limits=Limits(*(draw(st.sampled_from([0, 0, 3])) for _ in range(3))),
        policies=Policies(draw(st.sampled_from(["- RUNNING_VMS", "RUNNING_VMS"])), "FREE_MB"),
    )


class Ledger:
    """The simple planner's books: everything is added up again for every question."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.vms = {vm.id: vm for vm in snapshot.vms}
        self.placements: list[Placement] = []

    def on(self, host: HostView) -> list[VmRequest]:
        return [self.vms[p.vm_id] for p in self.placements if p.host_id == host.id]

    def live(self, host: HostView) -> LiveHost:
        live = LiveHost(0, host)
        for vm in self.on(host):
            live.take(vm, None)
        return live

    def free_shared(self, ds: DatastoreView) -> int:
        there = [self.vms[p.vm_id] for p in self.placements if p.datastore_id == ds.id]
        return ds.free - sum(vm.system_disk for vm in there if not vm.restarted)

    def free_local(self, host: HostView, ds: DatastoreView) -> int:
        there = [p for p in self.placements if p.host_id == host.id and p.datastore_id == ds.id]
        free = host.ds_free.get(ds.id, host.free_disk)
        return free - sum(self.vms[p.vm_id].system_disk for p in there)

    def free_image(self, ds: DatastoreView) -> int:
        local = [self.vms[p.vm_id] for p in self.placements if p.datastore_id >= 0]
        return ds.free - sum(dict(vm.image_space).get(ds.id, 0) for vm in local if not vm.restarted)


def suits(ledger: Ledger, vm: VmRequest, host: HostView) -> bool:
    snapshot, live = ledger.snapshot, ledger.live(host)
    access = Access(None, None) if vm.privileged else snapshot.access.get(vm.uid, Access())
    texts = (vm.automatic_requirements, vm.requirements, *vm.group_requirements)
    return (
        (access.hosts is None or host.id in access.hosts)
        and not (vm.resched and host.id == vm.current_host)
        and live.free_cpu >= vm.cpu
        and live.free_memory >= vm.memory
        and live.lacks(vm) is None
        and not (snapshot.limits.per_host and len(ledger.on(host)) >= snapshot.limits.per_host)
        and all(compile_requirements(text).matches(live.allocated) for text in texts)
    )


def best_datastore(ledger: Ledger, vm: VmRequest, host: HostView) -> DatastoreView | None:
    access = Access(None, None) if vm.privileged else ledger.snapshot.access.get(vm.uid, Access())
    rank = compile_rank(vm.ds_rank or ledger.snapshot.policies.datastore_rank)
    found = []
    for ds in ledger.snapshot.datastores:
        if host.cluster_id not in ds.cluster_ids:
            continue
        if vm.restarted:
            suitable = ds.id == vm.keep_datastore
        else:
            suitable = access.datastores is None or ds.id in access.datastores
            suitable = suitable and compile_requirements(vm.ds_requirements).matches(ds.attributes)
        if not suitable:
            continue
        free = ledger.free_shared(ds) if ds.shared else ledger.free_local(host, ds)
        if ds.shared and not (ds.monitored and (vm.restarted or vm.system_disk <= free)):
            continue
        if not ds.shared and vm.system_disk and vm.system_disk > free:
            continue
        table = {"ID": str(ds.id), "SPEED": str(ds.id % 2)}
        table["FREE_MB"] = str(free if ds.shared else ds.free)
        found.append((rank.value(TableView(table)), -ds.id, ds))
    return max(found, key=lambda item: item[:2])[2] if found else None


def place_slowly(snapshot: Snapshot) -> list[Placement]:
    ledger = Ledger(snapshot)
    limits = snapshot.limits
    vms = sorted(snapshot.vms, key=lambda vm: vm.id)[: limits.vms or None]
    for vm in sorted(vms, key=lambda vm: (-vm.priority, vm.id)):
        if limits.dispatch and len(ledger.placements) >= limits.dispatch:
            break
        images = {ds.id: ds for ds in snapshot.image_datastores}
        if not vm.restarted and any(ledger.free_image(images[i]) < space for i, space in vm.image_space):
            continue
        rank = compile_rank(vm.rank or snapshot.policies.host_rank)
        found = []
        for host in snapshot.hosts:
            ds = best_datastore(ledger, vm, host)
            if suits(ledger, vm, host) and (host.public_cloud or ds):
                where = -1 if host.public_cloud or ds is None else ds.id
                found.append((rank.value(ledger.live(host)), -host.id, where))
        if not any_datastore(snapshot, vm):
            continue
        if found:
            _, negative, where = max(found)
            ledger.placements.append(Placement(vm.id, -negative, where, vm.resched))
    return ledger.placements


def any_datastore(snapshot: Snapshot, vm: VmRequest) -> bool:
    """A VM that is not for public clouds needs a datastore that suited it when the round began."""
    access = Access(None, None) if vm.privileged else snapshot.access.get(vm.uid, Access())
    if vm.restarted:
        return any(ds.id == vm.keep_datastore for ds in snapshot.datastores)
    return any(
        (access.datastores is None or ds.id in access.datastores)
        and compile_requirements(vm.ds_requirements).matches(ds.attributes)
        and (vm.system_disk <= ds.free or not ds.shared or not ds.monitored)
        for ds in snapshot.datastores
    )


@pytest.mark.parametrize("block", [1, 2, order.BLOCK])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(snapshot=snapshots())
def test_the_fast_planner_decides_as_the_slow_one(
    monkeypatch: pytest.MonkeyPatch, block: int, snapshot: Snapshot
) -> None:
    monkeypatch.setattr(order, "BLOCK", block)
    assert list(plan(snapshot).placements) == place_slowly(snapshot)


@settings(deadline=None)
@given(snapshots())
def test_every_vm_is_placed_once_or_has_a_reason_that_can_be_read(snapshot: Snapshot) -> None:
    made = plan(snapshot)
    counts = Counter([p.vm_id for p in made.placements] + list(made.reasons))
    assert counts == Counter(vm.id for vm in snapshot.vms)
    for reasons in made.reasons.values():
        assert explain(reasons)


def check_parts(parts: HostParts, taken: list[VmRequest]) -> None:
    """What the VMs of a plan have of a host for themselves fits into it, one after the other."""
    live = LiveParts(parts)
    for vm in taken:
        if vm.parts is not None:
            assert isinstance(live.find(vm.parts), Given)
            live.take(vm.id, vm.parts)


@settings(deadline=None)
@given(snapshots())
def test_nothing_is_ever_overcommitted(snapshot: Snapshot) -> None:
    ledger = Ledger(snapshot)
    ledger.placements = list(plan(snapshot).placements)
    for host in snapshot.hosts:
        taken = ledger.on(host)
        assert not taken or sum(vm.cpu for vm in taken) <= host.free_cpu
        assert not taken or sum(vm.memory for vm in taken) <= host.free_memory
        for ds in snapshot.datastores:
            assert ds.shared or ledger.free_local(host, ds) >= 0
        check_parts(host.parts, taken)
    for ds in snapshot.datastores:
        assert not ds.shared or ledger.free_shared(ds) >= 0
    for ds in snapshot.image_datastores:
        assert ledger.free_image(ds) >= 0


@settings(deadline=None)
@given(snapshots())
def test_the_order_of_the_snapshot_does_not_matter(snapshot: Snapshot) -> None:
    mixed = replace(
        snapshot, hosts=snapshot.hosts[::-1], datastores=snapshot.datastores[::-1], vms=snapshot.vms[::-1]
    )
    assert plan(mixed) == plan(snapshot)


@given(snapshots(), snapshots())
def test_what_other_plans_left_with_the_hosts_does_not_matter(snapshot: Snapshot, other: Snapshot) -> None:
    unused = replace(snapshot, hosts=tuple(replace(host, answers={}, ranks={}) for host in snapshot.hosts))
    plan(replace(other, hosts=snapshot.hosts))
    plan(snapshot)
    assert plan(snapshot) == plan(unused)
