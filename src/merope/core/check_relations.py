"""Relations looked at from both sides: memberships, operations under way, history, names, ids."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import pairwise

from merope.core import lifecycle, vm_flight, vm_requests, vm_save_steps
from merope.core.check import Finding, every, finding, setting
from merope.core.transaction import Transaction
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document, Ids
from merope.model.effect import TABLE as EFFECTS
from merope.model.effect import Effect
from merope.model.group import Group
from merope.model.host import Host
from merope.model.image import Image
from merope.model.kinds import BY_DOCUMENT
from merope.model.state import State
from merope.model.states import ImageState
from merope.model.user import User
from merope.model.vm import VM, History
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter

#: What makes way for whatever comes after it; what a VM asks for in passing, in whatever phase it is; what
#: outlives the object that it is about.
OVERTAKEN = frozenset({"vm.reboot", "vm.reset"})
IN_PASSING = OVERTAKEN | {"vm.update_sg"}
OUTLIVING = frozenset({"vm.delete", "image.remove", "secgroup.spread", "ipam.free", "ipam.unregister"}) | {
    "marketapp.delete",
    "marketapp.import",
}
_MADE_BY = frozenset({"image.copy", "image.make", "image.clone"})
_IMAGE_WAITS = {
    ImageState.LOCKED: _MADE_BY
    | {"image.snapshot_delete", "image.snapshot_revert", "image.snapshot_flatten"},
    ImageState.LOCKED_USED: _MADE_BY,
    ImageState.LOCKED_USED_PERS: _MADE_BY,
    ImageState.DELETE: frozenset({"image.remove"}),
}
Pairs = Iterable[tuple[int, int]]


def memberships(state: State) -> Iterator[Finding]:
    """Who lists members lists exactly those that say they belong to it; what the members say counts."""
    stores = list(every(state, Datastore))
    networks = list(every(state, VirtualNetwork))
    users = list(every(state, User))
    sides: tuple[tuple[type[Document], str, Pairs], ...] = (
        (Cluster, "hosts", ((host.cluster_id, host.id) for host in every(state, Host))),
        (Cluster, "datastores", ((cid, store.id) for store in stores for cid in store.clusters)),
        (Cluster, "vnets", ((cid, network.id) for network in networks for cid in network.clusters)),
        (Group, "users", ((gid, user.id) for user in users for gid in user.groups)),
        (Datastore, "images", ((image.datastore_id, image.id) for image in every(state, Image))),
        (VirtualRouter, "vms", _vms_of_routers(state)),
        (VirtualNetwork, "vrouters", _routers_of_networks(state)),
    )
    for kind, field, pairs in sides:
        yield from agree(state, kind, field, pairs)
    for user in users:
        if user.gid not in user.groups:
            repair = setting(User, user.id, groups=Ids({*user.groups, user.gid}))
            yield finding(user, f"its group {user.gid} is not among {sorted(user.groups)}", repair)
    for group in every(state, Group):
        strangers = group.admins - group.users
        if strangers:
            repair = setting(Group, group.id, admins=Ids(group.admins & group.users))
            yield finding(group, f"its administrators {sorted(strangers)} are not its users", repair)


def _vms_of_routers(state: State) -> Pairs:
    stated = ((vm_requests.whole(vm.template.get("VROUTER_ID")), vm.id) for vm in every(state, VM))
    # The router may be gone while its VMs are still on their way out.
    there = state.pools[BY_DOCUMENT[VirtualRouter].table].entries
    return [(router, vm_id) for router, vm_id in stated if router is not None and router in there]


def _routers_of_networks(state: State) -> Pairs:
    """A network in which a router has no address of its own may be deleted, and the NIC stays."""
    networks = state.pools["network_pool"].entries
    for router in every(state, VirtualRouter):
        for nic in router.template.vectors("NIC"):
            if int(nic["NETWORK_ID"]) in networks:
                yield int(nic["NETWORK_ID"]), router.id


def agree(state: State, kind: type[Document], field: str, pairs: Pairs) -> Iterator[Finding]:
    """Findings where a set of ids is not that of the members (holder, member)."""
    counted: dict[int, set[int]] = {}
    for holder, member in pairs:
        counted.setdefault(holder, set()).add(member)
    for value in every(state, kind):
        stated: set[int] = getattr(value, field)
        found = counted.pop(value.id, set())
        if stated != found:
            sentence = f"{field} {sorted(stated)} are stored, {sorted(found)} belong to it"
            yield finding(value, sentence, setting(kind, value.id, **{field: Ids(found)}))
    label = BY_DOCUMENT[kind].label
    for holder, members in counted.items():
        sentence = f"{label} {holder} is not there, but has the {field} {sorted(members)}"
        yield Finding(BY_DOCUMENT[kind].table, holder, sentence)


def effects(state: State) -> Iterator[Finding]:
    """Who waits for an answer has exactly one effect, and every effect has somebody who waits for it."""
    by_object: dict[tuple[str, int], list[Effect]] = {}
    for effect in state.effects.values():
        by_object.setdefault((effect.op.partition(".")[0], effect.oid), []).append(effect)
    saved = {each.arguments.get("image") for each in state.effects.values() if each.op == "vm.save_as"}
    for vm in every(state, VM):
        under_way = by_object.pop(("vm", vm.id), [])
        ops = [effect.op for effect in under_way if effect.op not in IN_PASSING]
        if not (vm.phase in lifecycle.SAVING and not ops and vm_save_steps.image_under_way(state, vm)):
            yield from _vm_waits(vm, ops)
    for image in every(state, Image):
        ops = [effect.op for effect in by_object.pop(("image", image.id), [])]
        if not ops and image.id in saved:
            continue
        awaited = _IMAGE_WAITS.get(ImageState(image.state), frozenset())
        if bool(awaited) != (len(ops) == 1) or not awaited.issuperset(ops):
            sentence = f"it is {ImageState(image.state).name}, and under way are {ops or 'no operations'}"
            yield finding(image, sentence)
    for (family, oid), rest in by_object.items():
        for effect in rest:
            if effect.op not in OUTLIVING | IN_PASSING:
                sentence = f"operation {effect.id} ({effect.op}) is for {family} {oid}, which is not there"
                yield Finding(EFFECTS, effect.id, sentence, partial(_complete, effect_id=effect.id))


def _vm_waits(vm: VM, ops: list[str]) -> Iterator[Finding]:
    due = lifecycle.EFFECTS.get(vm.phase)
    if due is None:
        if ops:
            yield finding(vm, f"it is {vm.phase.name} and waits for nothing, but under way are {ops}")
    elif not ops:
        yield finding(vm, f"it is {vm.phase.name} and waits for {due}, which is not under way", _asking(vm))
    elif len(ops) > 1 or ops[0] not in lifecycle.awaited(vm.phase):
        yield finding(vm, f"it is {vm.phase.name} and waits for {due}, but under way are {ops}")


def _asking(vm: VM) -> partial[None] | None:
    return partial(ask_again, vm_id=vm.id) if vm.history is not None else None


def ask_again(tx: Transaction, *, vm_id: int) -> None:
    """What the VM's phase waits for is asked for; operations may be done twice."""
    vm_flight.ask_again(tx, tx.edit(VM, vm_id))


def _complete(tx: Transaction, *, effect_id: int) -> None:
    tx.complete_effect(effect_id)


def histories(state: State) -> Iterator[Finding]:
    """The records of a live VM are numbered from 0 without a gap, and their times run forward."""
    for vm in every(state, VM):
        stored = state.history.get(vm.id, {})
        closed = [History.from_xml(stored[seq]) for seq in sorted(stored)]
        current = vm.history
        if current is None:
            if closed:
                yield finding(vm, "it has closed history records and no current one")
            continue
        yield from (
            finding(vm, fault)
            for fault in chain_faults([*(item for item in closed if item.seq != current.seq), current])
        )


def chain_faults(records: list[History]) -> Iterator[str]:
    """What is wrong with the records of a VM, the current one last."""
    numbers = [record.seq for record in records]
    if numbers != list(range(len(records))):
        yield f"its history records are numbered {numbers}"
    for before, record in pairwise(records):
        if record.stime < before.stime:
            yield f"history record {record.seq} begins before record {before.seq}"
    for record in records:
        spans = (
            ("", record.stime, record.etime),
            ("prolog of ", record.pstime, record.petime),
            ("running time of ", record.rstime, record.retime),
            ("epilog of ", record.estime, record.eetime),
        )
        for what, start, end in spans:
            if end and (end < start or not start):
                yield f"the {what}history record {record.seq} goes from {start} to {end}"


def names(state: State) -> Iterator[Finding]:
    """Names are unique where their kind wants that: in all, or for each owner."""
    for pool in state.pools.values():
        seen: dict[tuple[int, str], int] = {}
        if pool.kind.unique == "none":
            continue
        for oid, entry in pool.entries.items():
            key = (entry.uid if pool.kind.unique == "owner" else 0, entry.name)
            if key in seen:
                label = pool.kind.label
                sentence = f"{label} {oid}: its name {entry.name!r} is also that of {label} {seen[key]}"
                yield Finding(pool.kind.table, oid, sentence)
            seen[key] = oid


def last_ids(state: State, highest: Mapping[str, int]) -> Iterator[Finding]:
    """Ids are not used again: the last one given is not below any that is there (`highest`, by table)."""
    for table, oid in highest.items():
        last = state.last_oids.get(table, -1)
        if last < oid:
            sentence = f"the last id of {table} is stored as {last}, but there is {oid}"
            yield Finding("pool_control", oid, sentence, partial(_put_last, table=table, last=oid))


def _put_last(tx: Transaction, *, table: str, last: int) -> None:
    tx.put_row("pool_control", table, {"tablename": table, "last_oid": last})


CHECKS = (memberships, effects, histories, names)
