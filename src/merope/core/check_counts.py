"""Counters derived anew: quotas, hosts' capacity, image users, network leases, security groups."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from merope.core import check_markets, image_create, lifecycle, vm_nics, vm_quotas, vm_steps, vrouter_nics
from merope.core.check import Finding, every, finding, setting
from merope.core.transaction import Transaction
from merope.model.document import Ids
from merope.model.host import Host
from merope.model.image import Image
from merope.model.kinds import BY_DOCUMENT
from merope.model.leases import HELD, owner_of, owner_parts
from merope.model.permissions import ObjectType
from merope.model.phase import Phase
from merope.model.quota import Usage
from merope.model.security_group import SecurityGroup
from merope.model.state import State
from merope.model.states import ImageState
from merope.model.template import Vector
from merope.model.vm import VM, History
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter

_AT_REST_ON_HOST = (Phase.SUSPENDED, Phase.POWEROFF)
_CLONING = (ImageState.LOCKED, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS)
_SETS = ("updated_vms", "outdated_vms", "updating_vms", "error_vms")
_Lease = tuple[int, int, int]
"""(network, address range, index)."""


def usage(state: State) -> dict[str, dict[int, Usage]]:
    """By "user" and "group" and their ids, what the objects of each take."""
    counted: dict[str, dict[int, Usage]] = {"user": {}, "group": {}}

    def count(uid: int, gid: int, usage: Usage) -> None:
        for scope, oid in (("user", uid), ("group", gid)):
            counted[scope][oid] = counted[scope].get(oid, Usage()) + usage

    for vm in every(state, VM):
        count(vm.uid, vm.gid, vm_quotas.everything(vm))
    for image in every(state, Image):
        if image.state != ImageState.DELETE:
            count(image.uid, image.gid, image_create.usage(image))
    for network in every(state, VirtualNetwork):
        if network.parent_network_id >= 0:
            size = sum(ranged.size for ranged in network.ar_pool)
            count(network.uid, network.gid, Usage().network(network.parent_network_id, size))
    for router in every(state, VirtualRouter):
        count(router.uid, router.gid, vrouter_nics.leases(router.template))
    return counted


def quotas(state: State) -> Iterator[Finding]:
    """What users and groups have in use is what their objects take; uid 0 and gid 0 are not counted."""
    counted = usage(state)
    for scope, stored in (("user", state.user_quotas), ("group", state.group_quotas)):
        for oid in state.pools[f"{scope}_pool"].entries:
            used = stored[oid].usage() if oid in stored else Usage()
            expected = counted[scope].get(oid, Usage()) if oid else Usage()
            if used != expected:
                sentence = f"quotas of {scope} {oid}: {used} is stored, its objects take {expected}"
                repair = partial(_replace_usage, scope=scope, oid=oid, usage=expected)
                yield Finding(f"{scope}_quotas", oid, sentence, repair)


def _replace_usage(tx: Transaction, *, scope: str, oid: int, usage: Usage) -> None:
    tx.quotas(scope, oid).replace_usage(usage)


def _takes_capacity(vm: VM) -> bool:
    phase = vm.phase
    if phase in (Phase.CLEANUP_RESUBMIT, *lifecycle.WITHOUT_CAPACITY):
        return False
    return phase.active or phase in _AT_REST_ON_HOST


def hosts(state: State) -> Iterator[Finding]:
    """A host's VMs and what is allocated of it are those of the VMs that are there, or on their way."""
    there: dict[int, dict[int, tuple[int, int]]] = {}
    for vm in every(state, VM):
        if not _takes_capacity(vm):
            continue
        if vm.history is None:
            yield finding(vm, f"it is {vm.phase.name} and has no history record")
            continue
        held = [vm.history.hid]
        if vm.phase in (Phase.MIGRATE, Phase.SAVE_MIGRATE):
            left = state.history.get(vm.id, {}).get(vm.history.seq - 1)
            if left is None:
                yield finding(
                    vm, f"it is {vm.phase.name} and the record of the host that it leaves is missing"
                )
            else:
                held.append(History.from_xml(left).hid)
        for host_id in held:
            there.setdefault(host_id, {})[vm.id] = vm_steps.capacity(vm)
    for host in every(state, Host):
        sizes = there.pop(host.id, {})
        share = host.host_share
        stored = (share.cpu_usage, share.mem_usage, share.running_vms)
        expected = (
            sum(cpu for cpu, _ in sizes.values()),
            sum(memory for _, memory in sizes.values()),
            len(sizes),
        )
        if host.vms != set(sizes) or stored != expected:
            sentence = (
                f"VMs {sorted(host.vms)} and usage {stored} (CPU, memory, VMs) are stored, there are "
                f"{sorted(sizes)} and {expected}"
            )
            yield finding(host, sentence, partial(_set_host, oid=host.id, vms=set(sizes), usage=expected))
    for host_id, sizes in there.items():
        for vm_id in sizes:
            yield Finding("vm_pool", vm_id, f"VM {vm_id}: it is on host {host_id}, which is not there")


def _set_host(tx: Transaction, *, oid: int, vms: set[int], usage: tuple[int, int, int]) -> None:
    own = tx.edit(Host, oid)
    own.vms = Ids(vms)
    share = own.host_share
    share.cpu_usage, share.mem_usage, share.running_vms = usage


def images(state: State) -> Iterator[Finding]:
    """Users, clones and counters of an image are those of the VMs and images that use it."""
    disks: dict[int, Counter[int]] = {}
    for vm in every(state, VM):
        for disk in vm.template.vectors("DISK"):
            if disk.get("IMAGE_ID"):
                disks.setdefault(int(disk["IMAGE_ID"]), Counter())[vm.id] += 1
    clones: dict[int, set[int]] = {}
    offered = check_markets.clones(state)
    for image in every(state, Image):
        if image.cloning_id >= 0 and image.state in _CLONING:
            clones.setdefault(image.cloning_id, set()).add(image.id)
    for image in every(state, Image):
        users = disks.pop(image.id, Counter())
        made, apps = clones.get(image.id, set()), offered.get(image.id, set())
        cloned = bool(made or apps)
        stored = (image.vms, image.running_vms, image.clones, image.app_clones, image.cloning_ops)
        expected = (set(users), users.total(), made, apps, len(made) + len(apps))
        if stored != expected:
            sentence = (
                f"VMs {sorted(image.vms)} ({image.running_vms} disks) and clones {sorted(image.clones)} "
                f"({image.cloning_ops}) are stored, there are {dict(users)} and {sorted(made)}"
                f"{f', and the apps {sorted(apps)}' if apps else ''}"
            )
            repair = setting(
                Image,
                image.id,
                vms=Ids(users),
                running_vms=users.total(),
                clones=Ids(made),
                app_clones=Ids(apps),
                cloning_ops=len(made) + len(apps),
                **_state_in_use(image, used=bool(users), cloned=cloned),
            )
            yield finding(image, sentence, repair)
        elif new := _state_in_use(image, used=bool(users), cloned=cloned):
            sentence = (
                f"it is {ImageState(image.state).name}, its users make it {ImageState(new['state']).name}"
            )
            yield finding(image, sentence, setting(Image, image.id, **new))
    for image_id, users in disks.items():
        for vm_id in users:
            yield Finding("vm_pool", vm_id, f"VM {vm_id}: it uses image {image_id}, which is not there")


def _state_in_use(image: Image, *, used: bool, cloned: bool) -> dict[str, int]:
    """The state that follows from who uses the image, where it follows and is another one."""
    if image.state not in (ImageState.READY, ImageState.USED, ImageState.USED_PERS, ImageState.CLONE):
        return {}
    if image.persistent:
        right = ImageState.USED_PERS if used else ImageState.CLONE if cloned else ImageState.READY
    else:
        right = ImageState.USED if used or cloned else ImageState.READY
    return {} if image.state == right else {"state": right}


def leases(state: State) -> Iterator[Finding]:
    """A lease has one owner who knows of it, and a NIC's address is leased to its VM."""
    networks = {network.id: network for network in every(state, VirtualNetwork)}
    wanted: dict[_Lease, int] = {}
    for holder, nic, mac in _holders(state):
        if not nic.get("NETWORK_ID") or "AR_ID" not in nic:
            continue
        network = networks.get(int(nic["NETWORK_ID"]))
        ranged = None if network is None else network.address_range(int(nic["AR_ID"]))
        index = None if ranged is None else ranged.index_of_mac(mac)
        if network is None or ranged is None or index is None:
            yield finding(holder, f"NIC {nic.get('NIC_ID')} has no range in network {nic['NETWORK_ID']}")
            continue
        key = (network.id, ranged.ar_id, index)
        if key in wanted:
            yield finding(holder, f"its address {key} is also that of {_who(wanted[key])}")
        wanted[key] = owner_of(BY_DOCUMENT[type(holder)].type, holder.id)
    for network in networks.values():
        yield from _leases_of(network, networks, wanted)
    for (network_id, ar_id, index), owner in wanted.items():
        sentence = f"its address {index} of range {ar_id} in network {network_id} is not leased to it"
        ranged = networks[network_id].address_range(ar_id)
        assert ranged is not None
        free = ranged.leases.owner(index) in (None, HELD)
        repair = partial(_lease, network_id=network_id, ar_id=ar_id, index=index, owner=owner)
        table = "vm_pool" if owner_parts(owner)[0] == ObjectType.VM else "vrouter_pool"
        yield Finding(table, owner_parts(owner)[1], f"{_who(owner)}: {sentence}", repair if free else None)


def _holders(state: State) -> Iterator[tuple[VM | VirtualRouter, Vector, str]]:
    """Every NIC with who has it and the MAC of its lease."""
    for vm in every(state, VM):
        for nic in vm_nics.nics_of(vm.template):
            yield vm, nic, nic.get("MAC", "")
    for router in every(state, VirtualRouter):
        for nic in router.template.vectors("NIC"):
            yield router, nic, nic.get("VROUTER_MAC", "")


def _who(owner: int) -> str:
    kind, oid = owner_parts(owner)
    return f"VM {oid}" if kind == ObjectType.VM else f"virtual router {oid}"


def _leases_of(
    network: VirtualNetwork, networks: dict[int, VirtualNetwork], wanted: dict[_Lease, int]
) -> Iterator[Finding]:
    for ranged in network.ar_pool:
        for index, owner in ranged.leases:
            kind, oid = owner_parts(owner)
            key = (network.id, ranged.ar_id, index)
            stray = partial(_unlease, network_id=network.id, ar_id=ranged.ar_id, index=index, owner=owner)
            if (kind == ObjectType.VM and oid >= 0) or kind == ObjectType.VROUTER:
                if wanted.get(key) == owner:
                    del wanted[key]
                else:
                    sentence = f"address {index} is leased to {_who(owner)}, which does not have it"
                    yield finding(network, sentence, stray)
            elif kind == ObjectType.NET and oid not in networks:
                yield finding(
                    network, f"address {index} is leased to network {oid}, which is not there", stray
                )
    used = sum(ranged.used for ranged in network.ar_pool)
    if network.used_leases != used:
        sentence = f"USED_LEASES is {network.used_leases}, the ranges have {used}"
        yield finding(network, sentence, setting(VirtualNetwork, network.id, used_leases=used))


def _unlease(tx: Transaction, *, network_id: int, ar_id: int, index: int, owner: int) -> None:
    own = tx.edit(VirtualNetwork, network_id)
    ranged = own.address_range(ar_id)
    assert ranged is not None
    ranged.release(owner, index)
    own.recount()


def _lease(tx: Transaction, *, network_id: int, ar_id: int, index: int, owner: int) -> None:
    own = tx.edit(VirtualNetwork, network_id)
    ranged = own.address_range(ar_id)
    assert ranged is not None
    ranged.release(HELD, index)
    ranged.allocate(owner, index)
    own.recount()


def security_groups(state: State) -> Iterator[Finding]:
    """A group's VMs are those whose NICs have it, each in one of its sets."""
    wanted: dict[int, set[int]] = {}
    for vm in every(state, VM):
        for group_id in vm_nics.security_groups(vm.template):
            wanted.setdefault(group_id, set()).add(vm.id)
    for group in every(state, SecurityGroup):
        members = wanted.pop(group.id, set())
        sets = [getattr(group, name) for name in _SETS]
        if set().union(*sets) == members and sum(map(len, sets)) == len(members):
            continue
        stored = {name: sorted(found) for name, found in zip(_SETS, sets, strict=True) if found}
        sentence = f"it has the VMs {stored}, those that use it are {sorted(members)}"
        yield finding(group, sentence, partial(_set_members, oid=group.id, members=members))
    for group_id, vms in wanted.items():
        for vm_id in sorted(vms):
            yield Finding("vm_pool", vm_id, f"VM {vm_id}: security group {group_id} is not there")


def _set_members(tx: Transaction, *, oid: int, members: set[int]) -> None:
    """Who is in no set, or in several, may have old rules: it counts as outdated."""
    own = tx.edit(SecurityGroup, oid)
    kept: dict[str, set[int]] = {}
    seen = Counter(vm_id for name in _SETS for vm_id in getattr(own, name))
    for name in _SETS:
        kept[name] = {vm_id for vm_id in getattr(own, name) if vm_id in members and seen[vm_id] == 1}
    kept["outdated_vms"] |= members - set().union(*kept.values())
    for name, vms in kept.items():
        setattr(own, name, Ids(vms))


CHECKS = (quotas, hosts, images, leases, security_groups)
