"""What must be true after every step, counted anew from the documents.

Each check yields a sentence for everything that is wrong. A check runs again when one of its tables changed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

from merope.core import (
    check_counts,
    check_markets,
    lifecycle,
    vm_disk_steps,
    vm_save_steps,
    vm_steps,
)
from merope.model import disk_snapshots
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.effect import TABLE as EFFECTS
from merope.model.effect import Effect
from merope.model.group import Group
from merope.model.host import Host
from merope.model.image import Image
from merope.model.kinds import BY_DOCUMENT, BY_TABLE
from merope.model.leases import owner_parts
from merope.model.permissions import ObjectType
from merope.model.phase import Phase
from merope.model.quota import Quotas, Usage
from merope.model.security_group import SecurityGroup
from merope.model.state import State
from merope.model.states import ImageState
from merope.model.template import Vector
from merope.model.user import User
from merope.model.vm import VM, History
from merope.model.vm_group import VmGroup
from merope.model.vnet import VirtualNetwork

D = TypeVar("D", bound=Document)
Check = Callable[[State], Iterator[str]]

_AT_REST_ON_HOST = (Phase.SUSPENDED, Phase.POWEROFF)
_IN_PASSING = frozenset({"vm.reboot", "vm.reset", "vm.update_sg"})
_IMAGE_WAITS = {
    ImageState.LOCKED: (
        "image.copy",
        "image.make",
        "image.clone",
        "image.snapshot_delete",
        "image.snapshot_revert",
        "image.snapshot_flatten",
    ),
    ImageState.LOCKED_USED: ("image.copy", "image.make", "image.clone"),
    ImageState.LOCKED_USED_PERS: ("image.copy", "image.make", "image.clone"),
    ImageState.DELETE: ("image.remove",),
}


def every(state: State, kind: type[D]) -> Iterator[D]:
    """The live objects of a kind, shared with the state."""
    pool = state.pools[BY_DOCUMENT[kind].table]
    for oid in pool.entries:
        value = pool.parsed(oid)
        assert isinstance(value, kind)
        yield value


def nics(vm: VM) -> list[Vector]:
    """All that has a lease of a network."""
    template = vm.template
    passed_through = [device for device in template.vectors("PCI") if device.get("TYPE") == "NIC"]
    return template.vectors("NIC") + template.vectors("NIC_ALIAS") + passed_through


def leases(state: State) -> Iterator[str]:
    """A lease has one owner, and the owner knows of it; a NIC's address is leased to its VM."""
    networks = {network.id: network for network in every(state, VirtualNetwork)}
    wanted: dict[tuple[int, int, int], int] = {}
    for vm in every(state, VM):
        for nic in nics(vm):
            if not nic.get("NETWORK_ID") or "AR_ID" not in nic:
                continue
            network = networks.get(int(nic["NETWORK_ID"]))
            ranged = None if network is None else network.address_range(int(nic["AR_ID"]))
            index = None if ranged is None else ranged.index_of_mac(nic.get("MAC", ""))
            if network is None or ranged is None or index is None:
                yield f"VM {vm.id}: NIC {nic['NIC_ID']} has no range in network {nic['NETWORK_ID']}"
                continue
            key = (network.id, ranged.ar_id, index)
            if key in wanted:
                yield f"lease {key} is held by VM {wanted[key]} and VM {vm.id}"
            wanted[key] = vm.id
            if nic.get("IP") and ranged.lease(index).get("IP") != nic["IP"]:
                yield f"VM {vm.id}: {nic['IP']} is not address {index} of network {network.id}"
    for network in networks.values():
        for ranged in network.ar_pool:
            for index, owner in ranged.leases:
                kind, oid = owner_parts(owner)
                key = (network.id, ranged.ar_id, index)
                if kind == ObjectType.VM and oid >= 0 and wanted.pop(key, None) != oid:
                    yield f"lease {key} is given to VM {oid}, which does not have it"
                if kind == ObjectType.NET and oid not in networks:
                    yield f"lease {key} is given to network {oid}, which is not there"
        if network.used_leases != sum(ranged.used for ranged in network.ar_pool):
            yield f"network {network.id}: USED_LEASES is {network.used_leases}"
    for key, vm_id in wanted.items():
        yield f"VM {vm_id} has address {key}, which is not leased to it"


def quotas(state: State) -> Iterator[str]:
    """What users and groups have in use is what their objects take."""
    counted = check_counts.usage(state)
    yield from _compare(state, "user", state.user_quotas, counted["user"])
    yield from _compare(state, "group", state.group_quotas, counted["group"])


def _compare(state: State, scope: str, stored: dict[int, Quotas], counted: dict[int, Usage]) -> Iterator[str]:
    for oid in state.pools[f"{scope}_pool"].entries:
        used = stored[oid].usage() if oid in stored else Usage()
        expected = counted.get(oid, Usage()) if oid else Usage()
        if used != expected:
            yield f"quotas of {scope} {oid} say {used}, its objects take {expected}"


def holds(vm: VM) -> bool:
    """Whether the VM takes its host's capacity."""
    phase = vm.phase
    if phase in (Phase.CLEANUP_RESUBMIT, *lifecycle.WITHOUT_CAPACITY):
        return False
    return phase.active or phase in _AT_REST_ON_HOST


def source_of(state: State, vm: VM) -> int:
    current = vm.history
    assert current is not None
    return History.from_xml(state.history[vm.id][current.seq - 1]).hid


def hosts(state: State) -> Iterator[str]:
    """A host's VMs and usage are those of the VMs that are there, or on their way."""
    there: dict[int, set[int]] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for vm in every(state, VM):
        if not holds(vm):
            continue
        if vm.history is None:
            yield f"VM {vm.id} is {vm.phase.name} and has no history record"
            continue
        sizes[vm.id] = vm_steps.capacity(vm)
        there.setdefault(vm.history.hid, set()).add(vm.id)
        if vm.phase in (Phase.MIGRATE, Phase.SAVE_MIGRATE):
            there.setdefault(source_of(state, vm), set()).add(vm.id)
    for host in every(state, Host):
        vms = there.pop(host.id, set())
        share = host.host_share
        if host.vms != vms:
            yield f"host {host.id}: VMS is {host.vms}, there are {vms}"
        expected = (
            sum(sizes[oid][0] for oid in vms),
            sum(sizes[oid][1] for oid in vms),
            len(vms),
        )
        if (share.cpu_usage, share.mem_usage, share.running_vms) != expected:
            usage = (share.cpu_usage, share.mem_usage, share.running_vms)
            yield f"host {host.id}: usage is {usage}, its VMs take {expected}"
    for host_id, vms in there.items():
        yield f"VMs {vms} are on host {host_id}, which is not there"


def images(state: State) -> Iterator[str]:
    """Counters and state of an image are those of the VMs and clones that use it."""
    disks: dict[int, Counter[int]] = {}
    clones: dict[int, set[int]] = {}
    pool = {image.id: image for image in every(state, Image)}
    offered = check_markets.clones(state)
    for vm in every(state, VM):
        for disk in vm.template.vectors("DISK"):
            if disk.get("IMAGE_ID"):
                disks.setdefault(int(disk["IMAGE_ID"]), Counter())[vm.id] += 1
                yield from _source(vm, disk["DISK_ID"], disk, pool.get(int(disk["IMAGE_ID"])))
    for image in pool.values():
        if image.cloning_id >= 0 and image.state in _IMAGE_WAITS:
            clones.setdefault(image.cloning_id, set()).add(image.id)
    for image in pool.values():
        users = disks.pop(image.id, Counter())
        made = clones.get(image.id, set())
        apps = offered.get(image.id, set())
        if image.vms != set(users) or image.running_vms != users.total():
            yield f"image {image.id}: {image.running_vms} by {image.vms}, its users are {dict(users)}"
        if (image.clones, image.app_clones) != (made, apps) or image.cloning_ops != len(made) + len(apps):
            stored = f"{image.cloning_ops} clones {image.clones} and apps {image.app_clones}"
            yield f"image {image.id}: {stored}, there are {made} and {apps}"
        yield from _image_state(image, used=bool(users), cloned=bool(made or apps))
    for image_id, users in disks.items():
        yield f"VMs {set(users)} use image {image_id}, which is not there"


def _source(vm: VM, number: str, disk: dict[str, str], image: Image | None) -> Iterator[str]:
    settled = vm.phase not in (Phase.CLONING, Phase.CLONING_FAILURE)
    if image is not None and settled and image.state != ImageState.ERROR and image.source != disk["SOURCE"]:
        yield f"VM {vm.id}: disk {number} is of {disk['SOURCE']!r}, image {image.id} is at {image.source!r}"


def _image_state(image: Image, *, used: bool, cloned: bool) -> Iterator[str]:
    state = ImageState(image.state)
    wrong = False
    if state is ImageState.READY:
        wrong = used or cloned
    elif state is ImageState.USED:
        wrong = bool(image.persistent) or not (used or cloned)
    elif state is ImageState.CLONE:
        wrong = not image.persistent or not cloned or used
    elif state in (ImageState.USED_PERS, ImageState.LOCKED_USED_PERS):
        wrong = not image.persistent or image.running_vms < 1 or len(image.vms) != 1
    elif state is ImageState.LOCKED_USED:
        wrong = bool(image.persistent) or not used
    elif state in (ImageState.DISABLED, ImageState.DELETE, ImageState.LOCKED):
        wrong = used
    if wrong:
        yield f"image {image.id} is {state.name}: persistent {image.persistent}, used {used}, cloned {cloned}"


def effects(state: State) -> Iterator[str]:
    """Who waits for an answer has exactly one effect, and every effect has somebody who waits for it."""
    by_vm: dict[int, list[Effect]] = {}
    by_image: dict[int, list[Effect]] = {}
    families = {"vm": by_vm, "image": by_image}
    for effect in state.effects.values():
        family = families.get(effect.op.partition(".")[0])
        if family is not None:
            family.setdefault(effect.oid, []).append(effect)
    saved = {each.arguments.get("image") for each in state.effects.values() if each.op == "vm.save_as"}
    for vm in every(state, VM):
        ops = [effect.op for effect in by_vm.pop(vm.id, ()) if effect.op not in _IN_PASSING]
        due = lifecycle.EFFECTS.get(vm.phase)
        allowed = lifecycle.awaited(vm.phase)
        if due is None and ops:
            yield f"VM {vm.id} is {vm.phase.name} and waits for nothing, but there are {ops}"
        if vm.phase in lifecycle.SAVING and not ops and vm_save_steps.image_under_way(state, vm):
            continue
        if due is not None and (len(ops) != 1 or ops[0] not in allowed):
            yield f"VM {vm.id} is {vm.phase.name} and waits for {due}, but there are {ops}"
    for vm_id, rest in by_vm.items():
        if any(effect.op not in ("vm.delete", *_IN_PASSING) for effect in rest):
            yield f"nobody waits for {[effect.op for effect in rest]} of VM {vm_id}"
    for image in every(state, Image):
        ops = [effect.op for effect in by_image.pop(image.id, ())]
        if not ops and image.id in saved:
            continue
        awaited = _IMAGE_WAITS.get(ImageState(image.state), ())
        if bool(awaited) != (len(ops) == 1) or any(op not in awaited for op in ops):
            yield f"image {image.id} is {ImageState(image.state).name}, and its effects are {ops}"
    for image_id, rest in by_image.items():
        if any(effect.op != "image.remove" for effect in rest):
            yield f"nobody waits for {[effect.op for effect in rest]} of image {image_id}"


def histories(state: State) -> Iterator[str]:
    """Records are numbered from 0 without a gap, and their times run forward."""
    for vm in every(state, VM):
        stored = state.history.get(vm.id, {})
        closed = [History.from_xml(stored[seq]) for seq in sorted(stored)]
        current = vm.history
        if current is None:
            if closed:
                yield f"VM {vm.id} has closed records and no current one"
            continue
        before = [record for record in closed if record.seq < current.seq]
        yield from chain(vm.id, [*before, current], migrating=vm.phase in lifecycle.MIGRATING)
        if any(record.seq > current.seq for record in closed):
            yield f"VM {vm.id} has a closed record after the current one, {current.seq}"


def chain(vm_id: int, records: list[History], *, migrating: bool = False) -> Iterator[str]:
    """Whether a VM's records, the last of them the current one, follow from each other."""
    if [record.seq for record in records] != list(range(len(records))):
        yield f"VM {vm_id}: the records are numbered {[record.seq for record in records]}"
    for place, record in enumerate(records):
        last = place == len(records) - 1
        if not last and not record.etime and not (migrating and place == len(records) - 2):
            yield f"VM {vm_id}: record {record.seq} is not the last and has no end"
        if place and record.stime < records[place - 1].stime:
            yield f"VM {vm_id}: record {record.seq} begins before {record.seq - 1}"
        spans = (
            ("", record.stime, record.etime),
            ("prolog", record.pstime, record.petime),
            ("running", record.rstime, record.retime),
            ("epilog", record.estime, record.eetime),
        )
        for what, start, end in spans:
            if end and (end < start or not start):
                yield f"VM {vm_id}: record {record.seq} {what} goes from {start} to {end}"
            if record.etime and start and not end and what in ("running",):
                yield f"VM {vm_id}: record {record.seq} has ended and its {what} has not"


def memberships(state: State) -> Iterator[str]:
    """What is said on both sides of a relation is the same on both."""
    clusters = {cluster.id: cluster for cluster in every(state, Cluster)}
    groups = {group.id: group for group in every(state, Group)}
    yield from _agree(
        "hosts of cluster",
        {cluster.id: cluster.hosts for cluster in clusters.values()},
        ((host.cluster_id, host.id) for host in every(state, Host)),
    )
    yield from _agree(
        "datastores of cluster",
        {cluster.id: cluster.datastores for cluster in clusters.values()},
        ((cluster, store.id) for store in every(state, Datastore) for cluster in store.clusters),
    )
    yield from _agree(
        "networks of cluster",
        {cluster.id: cluster.vnets for cluster in clusters.values()},
        ((cluster, network.id) for network in every(state, VirtualNetwork) for cluster in network.clusters),
    )
    yield from _agree(
        "users of group",
        {group.id: group.users for group in groups.values()},
        ((gid, user.id) for user in every(state, User) for gid in user.groups),
    )
    yield from _agree(
        "images of datastore",
        {store.id: store.images for store in every(state, Datastore)},
        ((image.datastore_id, image.id) for image in every(state, Image)),
    )
    for user in every(state, User):
        if user.gid not in user.groups:
            yield f"user {user.id}: primary group {user.gid} is not among {user.groups}"


def _agree(what: str, stated: dict[int, set[int]], pairs: Iterator[tuple[int, int]]) -> Iterator[str]:
    counted: dict[int, set[int]] = {}
    for holder, member in pairs:
        counted.setdefault(holder, set()).add(member)
    for holder, members in stated.items():
        found = counted.pop(holder, set())
        if members != found:
            yield f"{what} {holder}: it says {sorted(members)}, there are {sorted(found)}"
    for holder, members in counted.items():
        yield f"{what} {holder}: it is not there, but {sorted(members)} are in it"


def security_groups(state: State) -> Iterator[str]:
    """A group's VMs are those whose NICs have it, each in one of its lists."""
    wanted: dict[int, set[int]] = {}
    for vm in every(state, VM):
        for nic in nics(vm):
            for word in nic.get("SECURITY_GROUPS", "").split(","):
                if word:
                    wanted.setdefault(int(word), set()).add(vm.id)
    for group in every(state, SecurityGroup):
        lists = (group.updated_vms, group.outdated_vms, group.updating_vms, group.error_vms)
        if set().union(*lists) != wanted.pop(group.id, set()):
            yield f"security group {group.id}: its VMs are {lists}"
        if sum(map(len, lists)) != len(set().union(*lists)):
            yield f"security group {group.id}: a VM is in two lists: {lists}"
    for group_id, vms in wanted.items():
        yield f"VMs {vms} have security group {group_id}, which is not there"


def roles(state: State) -> Iterator[str]:
    """A role of a VM group lists the VMs that say that they play it, and a VM plays a role that is there."""
    wanted: dict[tuple[str, str], list[int]] = {}
    for vm in every(state, VM):
        for vector in vm.template.vectors("VMGROUP"):
            wanted.setdefault((vector["VMGROUP_ID"], vector["ROLE"]), []).append(vm.id)
    for group in every(state, VmGroup):
        for role in group.roles.vectors("ROLE"):
            members = ",".join(map(str, sorted(wanted.pop((str(group.id), role["NAME"]), []))))
            if role.get("VMS", "") != members:
                yield f"VM group {group.id}: role {role['NAME']} lists {role.get('VMS')}, not {members}"
    for (group_id, name), vms in wanted.items():
        yield f"VMs {vms} play {name} in VM group {group_id}, which has no such role or is not there"


_PARTS = ("DISK", "NIC", "NIC_ALIAS", "SNAPSHOT")
_MARKS = ("ATTACH", "RESIZE", "DISK_SNAPSHOT_ACTIVE", "HOTPLUG_SAVE_AS_ACTIVE", "ACTIVE")


def devices(state: State) -> Iterator[str]:
    """Parts of a VM are marked only while something is done to one; snapshots are those of disks that are
    there, and of their images where these are persistent; aliases and their NICs know each other."""
    pool = {image.id: image for image in every(state, Image)}
    for vm in every(state, VM):
        parts = [
            each for name in ("DISK", "NIC", "NIC_ALIAS", "SNAPSHOT") for each in vm.template.vectors(name)
        ]
        marked = [mark for part in parts for mark in _MARKS if part.get(mark)]
        if marked and vm.phase not in lifecycle.ON_DEVICES:
            yield f"VM {vm.id} is {vm.phase.name}, and parts of it are marked: {marked}"
        yield from _snapshots(vm, pool)
        nics = {nic["NIC_ID"]: nic for nic in vm.template.vectors("NIC")}
        for alias in vm.template.vectors("NIC_ALIAS"):
            parent = nics.get(alias.get("PARENT_ID", ""), Vector())
            if alias["NIC_ID"] not in parent.get("ALIAS_IDS", "").split(","):
                yield f"VM {vm.id}: NIC {alias.get('PARENT_ID')} does not know of its alias {alias['NIC_ID']}"
        known = sum(
            len([word for word in nic.get("ALIAS_IDS", "").split(",") if word]) for nic in nics.values()
        )
        if known != len(vm.template.vectors("NIC_ALIAS")):
            yield f"VM {vm.id}: its NICs know of {known} aliases"


def _snapshots(vm: VM, pool: dict[int, Image]) -> Iterator[str]:
    held = {each.get("DISK_ID"): each for each in vm.snapshots}
    if len(held) != len(vm.snapshots):
        yield f"VM {vm.id}: a disk has two SNAPSHOTS"
    for disk in vm.template.vectors("DISK"):
        snapshots = held.pop(disk["DISK_ID"], None)
        size = 0 if snapshots is None else disk_snapshots.total_size(snapshots)
        if int(disk.get("DISK_SNAPSHOT_TOTAL_SIZE") or 0) != size:
            yield f"VM {vm.id}: the snapshots of disk {disk['DISK_ID']} have {size} MB, it says otherwise"
        image = pool.get(int(disk["IMAGE_ID"])) if vm_disk_steps.is_persistent(disk) else None
        if image is None:
            continue
        ours = [] if snapshots is None else snapshots.vectors("SNAPSHOT")
        if image.snapshots.vectors("SNAPSHOT") != ours:
            yield f"VM {vm.id}: disk {disk['DISK_ID']} and its image {image.id} have other snapshots"
    for number in held:
        yield f"VM {vm.id} has snapshots of disk {number}, which is not there"


@lru_cache(maxsize=512)
def _reads_back(table: str, body: str) -> bool:
    """Most documents of a schedule are those that every schedule begins with."""
    return BY_TABLE[table].document.from_xml(body).to_xml() == body


def documents(state: State) -> Iterator[str]:
    """What is held parsed is what is stored, and what is stored reads back to itself."""
    for table, pool in state.pools.items():
        for oid, entry in pool.entries.items():
            value = pool.parsed(oid)
            assert value is not None
            if value.to_xml() != entry.body:
                yield f"{table} {oid}: the document in memory is not the one that is stored"
            if not _reads_back(table, entry.body):
                yield f"{table} {oid}: the stored document does not read back to itself"
            if not isinstance(value, VM):
                continue
            if (entry.state, entry.lcm_state) != (value.state, value.lcm_state):
                yield f"{table} {oid}: the row's state is not the document's"


#: Check → the tables that it depends on.
CHECKS: dict[Check, tuple[str, ...]] = {
    leases: ("vm_pool", "network_pool"),
    quotas: ("vm_pool", "image_pool", "network_pool", "vrouter_pool", "user_pool", "group_pool"),
    hosts: ("vm_pool", "host_pool"),
    images: ("vm_pool", "image_pool", "marketplaceapp_pool"),
    devices: ("vm_pool", "image_pool"),
    effects: ("vm_pool", "image_pool", EFFECTS),
    histories: ("vm_pool",),
    memberships: (
        "cluster_pool",
        "host_pool",
        "datastore_pool",
        "network_pool",
        "group_pool",
        "user_pool",
        "image_pool",
    ),
    security_groups: ("vm_pool", "secgroup_pool"),
    roles: ("vm_pool", "vmgroup_pool"),
}
