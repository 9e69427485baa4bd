"""What the scheduler sees of the cloud: views of its objects, made again when they change.

Most changes free nothing: a VM that is placed takes room, a network gives a lease. VMs that found no host
before find none after those, so that they are looked at again only after a change that may have opened
something, and all of them from time to time.
"""

import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass

from merope.core import authorization
from merope.core.transaction import Caller, Transaction
from merope.daemon import vm_groups
from merope.engine.cloud import Cloud, Inputs
from merope.model.change import Change
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.host import Host
from merope.model.permissions import Op
from merope.model.settings import SchedulerSettings
from merope.model.state import Entry
from merope.model.states import DatastoreType, VmState
from merope.model.vm_group import VmGroup
from merope.model.vnet import VirtualNetwork
from merope.scheduler.snapshot import (
    Access,
    DatastoreView,
    GroupView,
    HostView,
    Limits,
    NetworkView,
    Policies,
    Snapshot,
    VmRequest,
)
from merope.scheduler.views import (
    datastore_view_from_xml,
    host_view_from_xml,
    network_view_from_xml,
    vm_request_from_xml,
)

#: Attributes that change as VMs come to hosts: a requirement on one may begin to hold with any of them.
_MOVING = re.compile(r"VMS|USAGE|USED|FREE|/")


@dataclass(frozen=True, slots=True)
class _SeenHost:
    measured: str
    view: HostView | None
    fixed: tuple[int, str, str]
    """What no placement changes: the cluster, its template and the host's own."""


@dataclass(frozen=True, slots=True)
class _SeenStore:
    system: DatastoreView | None
    images: DatastoreView | None
    fixed: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _SeenNetwork:
    view: NetworkView
    fixed: tuple[object, ...]


class Sights:
    """One per scheduler. Feed it every change (`note`), bring it up to date (`refresh`), choose, look."""

    def __init__(self, cloud: Cloud, settings: SchedulerSettings, limits: Limits) -> None:
        self._state = cloud.state
        self._cloud = cloud
        self._settings = settings
        self._limits = limits
        self._takers: dict[str, Callable[[int, Entry | None], None]] = {
            "vm_pool": self._take_vm,
            "cluster_pool": self._take_cluster,
            "host_pool": self._take_host,
            "datastore_pool": self._take_datastore,
            "network_pool": self._take_network,
            "vmgroup_pool": self._take_group,
        }
        self._dirty = {table: set(cloud.state.pools[table].entries) for table in self._takers}
        self._entries: dict[str, dict[int, Entry]] = {table: {} for table in self._takers}
        self._clusters: dict[int, str] = {}
        self._hosts: dict[int, _SeenHost] = {}
        self._views: dict[int, HostView] = {}
        self._stores: dict[int, _SeenStore] = {}
        self._networks: dict[int, _SeenNetwork] = {}
        self._groups: dict[int, GroupView] = {}
        self._requests: dict[int, VmRequest] = {}
        self._access: dict[tuple[int, frozenset[int]], Access] = {}
        self._fresh: set[int] = set()
        self._moving: set[int] = set()
        self._opened = True
        self._stirred = True

    def note(self, change: Change) -> bool:
        """Takes notice of a change; answers whether it is about anything that the scheduler sees."""
        concerns = False
        for operation in change.operations:
            dirty = self._dirty.get(operation.table)
            if dirty is not None and isinstance(operation.key, int):
                dirty.add(operation.key)
                concerns = True
            elif operation.table == "acl":
                self._access.clear()
                self._opened = concerns = True
        return concerns

    @property
    def waiting(self) -> Set[int]:
        """VMs that want a host: pending ones, and those that are to be moved."""
        return self._requests.keys()

    def refresh(self, is_late: Callable[[], bool]) -> bool:
        """Makes views of what has changed; answers False when it was late before all was done.

        While nothing waits, all but the VMs is left for when something does.
        """
        for table, take in self._takers.items():
            if table != "vm_pool" and not self._requests:
                return True
            dirty = self._dirty[table]
            while dirty:
                oid = dirty.pop()
                entry = self._state.pools[table].entries.get(oid)
                if entry is None:
                    self._entries[table].pop(oid, None)
                else:
                    self._entries[table][oid] = entry
                take(oid, entry)
                if is_late():
                    return False
        return True

    def recheck(self) -> None:
        """Marks what is not as it was seen: hosts that were measured again, and whatever changed without a
        notice, as when the database refused a change and it was taken back."""
        figures = self._state.monitoring["host_pool"]
        hosts = self._hosts.items()
        self._dirty["host_pool"].update(o for o, seen in hosts if figures.get(o, "") is not seen.measured)
        for table, seen in self._entries.items():
            entries = self._state.pools[table].entries
            there = self._wanting() if table == "vm_pool" else entries.keys()
            gone = seen.keys() - entries.keys()
            self._dirty[table] |= gone | {oid for oid in there if entries.get(oid) is not seen.get(oid)}

    def _wanting(self) -> set[int]:
        pending = self._state.pools["vm_pool"].by_state.get(VmState.PENDING, set())
        return pending | self._state.to_be_moved | self._requests.keys()

    def again(self, vm_ids: Iterable[int]) -> None:
        """These were not placed for a reason that may be gone in the next round."""
        self._fresh |= self._requests.keys() & set(vm_ids)

    def choose(self, *, everything: bool) -> set[int]:
        """The VMs that the next round is to look at; those of one group together."""
        if everything or self._opened:
            chosen = set(self._requests)
        else:
            chosen = set(self._fresh)
            if self._stirred:
                chosen |= self._moving
            for group in self._groups.values():
                members = vm_groups.members(group) & self._requests.keys()
                if members and (self._stirred or not members.isdisjoint(chosen)):
                    chosen |= members
        self._fresh.clear()
        self._opened = self._stirred = False
        return chosen

    def snapshot(self, vm_ids: Iterable[int]) -> Snapshot:
        vms = tuple(self._requests[oid] for oid in sorted(vm_ids))
        settings = self._settings
        groups = self._groups_of(frozenset(vm.id for vm in vms))
        with_nics = any(vm.nics for vm in vms)
        return Snapshot(
            hosts=tuple(self._views.values()),
            datastores=tuple(seen.system for seen in self._stores.values() if seen.system is not None),
            vms=vms,
            image_datastores=tuple(seen.images for seen in self._stores.values() if seen.images is not None),
            # The planner lets VMs of oneadmin's go anywhere by themselves.
            access={vm.uid: self._access_of(vm.uid, vm.gid) for vm in vms if vm.uid and vm.gid},
            limits=self._limits,
            policies=Policies.numbered(
                settings.host_policy,
                settings.host_rank,
                settings.datastore_policy,
                settings.datastore_rank,
                settings.network_policy,
                settings.network_rank,
                different_networks=settings.different_vnets,
            ),
            networks=tuple(seen.view for seen in self._networks.values()) if with_nics else (),
            groups=groups,
            located=self._located(groups),
        )

    def _groups_of(self, vm_ids: frozenset[int]) -> tuple[GroupView, ...]:
        groups = self._groups.values()
        return tuple(group for group in groups if not vm_ids.isdisjoint(vm_groups.members(group)))

    def _located(self, groups: tuple[GroupView, ...]) -> dict[int, int]:
        def command(tx: Transaction) -> bytes:
            for group in groups:
                found.update(vm_groups.located(tx, vm_groups.members(group)))
            return b""

        found: dict[int, int] = {}
        if groups:
            self._cloud.look(command, Inputs(internal=True))
        return found

    def _access_of(self, uid: int, gid: int) -> Access:
        """What the owner of a VM may be placed on (spec scheduler.yaml `match_host`, `match_ds`)."""

        def command(tx: Transaction) -> bytes:
            hosts = _granted(tx, Host, Op.MANAGE, "host_pool")
            stores = _granted(tx, Datastore, Op.USE, "datastore_pool")
            networks = _granted(tx, VirtualNetwork, Op.USE, "network_pool")
            self._access[uid, groups] = Access(hosts, stores, networks)
            return b""

        user = self._state.pools["user_pool"].parsed(uid)
        groups = frozenset(getattr(user, "groups", {gid}))
        if (uid, groups) not in self._access:
            self._cloud.look(command, Inputs(caller=Caller(uid, gid, groups=groups)))
        return self._access[uid, groups]

    # What became of an object

    def _take_cluster(self, oid: int, _: Entry | None) -> None:
        cluster = self._state.pools["cluster_pool"].parsed(oid)
        template = cluster.template.to_xml() if isinstance(cluster, Cluster) else ""
        if self._clusters.get(oid, "") != template:
            self._clusters[oid] = template
            self._dirty["host_pool"].update(i for i, seen in self._hosts.items() if seen.fixed[0] == oid)

    def _take_host(self, oid: int, entry: Entry | None) -> None:
        old = self._hosts.pop(oid, None)
        self._views.pop(oid, None)
        self._stirred = True
        if entry is None:
            self._access.clear()
            return
        measured = self._state.monitoring["host_pool"].get(oid, "")
        inherited = self._clusters.get(entry.parent, "")
        body = entry.body
        fixed = (entry.parent, inherited, _template_of(body))
        shown = body.replace("<MONITORING/>", measured, 1) if measured else body
        view = host_view_from_xml(shown, inherited)
        self._hosts[oid] = _SeenHost(measured, view, fixed)
        if old is None or old.fixed[0] != entry.parent:
            self._access.clear()
        if view is not None:
            self._views[oid] = view
            before = None if old is None or old.fixed != fixed else old.view
            self._opened = self._opened or before is None or _roomier(before, view)

    def _take_datastore(self, oid: int, entry: Entry | None) -> None:
        old = self._stores.pop(oid, None)
        if entry is None:
            self._access.clear()
            return
        body = entry.body
        system = datastore_view_from_xml(body)
        images = datastore_view_from_xml(body, DatastoreType.IMAGE_DS)
        clusters = {view.cluster_ids for view in (system, images) if view is not None}
        fixed = (*_rights(entry), clusters, _template_of(body))
        self._stores[oid] = _SeenStore(system, images, fixed)
        if old is None or old.fixed != fixed:
            self._access.clear()
            self._opened = True
        else:
            pairs = ((old.system, system), (old.images, images))
            self._opened = self._opened or any(_emptier(before, after) for before, after in pairs)

    def _take_network(self, oid: int, entry: Entry | None) -> None:
        old = self._networks.pop(oid, None)
        if entry is None:
            self._access.clear()
            return
        view = network_view_from_xml(entry.body)
        fixed = (*_rights(entry), view.cluster_ids, _template_of(entry.body))
        self._networks[oid] = _SeenNetwork(view, fixed)
        if old is None or old.fixed != fixed:
            self._access.clear()
            self._opened = True
        self._opened = self._opened or old is None or view.free > old.view.free

    def _take_group(self, oid: int, _: Entry | None) -> None:
        group = self._state.pools["vmgroup_pool"].parsed(oid)
        self._stirred = True
        if isinstance(group, VmGroup):
            self._groups[oid] = vm_groups.view(group)
        else:
            self._groups.pop(oid, None)

    def _take_vm(self, oid: int, entry: Entry | None) -> None:
        request = None
        if entry is not None and (entry.state == VmState.PENDING or oid in self._state.to_be_moved):
            request = vm_request_from_xml(entry.body, self._settings.memory_system_ds_scale)
        if request is None:
            self._entries["vm_pool"].pop(oid, None)
            self._requests.pop(oid, None)
            self._fresh.discard(oid)
            self._moving.discard(oid)
        elif self._requests.get(oid) != request:
            self._requests[oid] = request
            self._fresh.add(oid)
            self._moving.discard(oid)
            if _MOVING.search(request.requirements):
                self._moving.add(oid)


def _template_of(body: str) -> str:
    return body[body.find("<TEMPLATE>") : body.rfind("</TEMPLATE>")]


def _rights(entry: Entry) -> tuple[int, ...]:
    return entry.uid, entry.gid, entry.owner_u, entry.group_u, entry.other_u, entry.parent


def _roomier(before: HostView, after: HostView) -> bool:
    """Whether a VM that did not fit into the host may fit now."""
    return (
        after.free_cpu > before.free_cpu
        or after.free_memory > before.free_memory
        or after.free_disk > before.free_disk
        or not before.vm_ids <= after.vm_ids
        or any(free > before.ds_free.get(oid, -1) for oid, free in after.ds_free.items())
        or (after.vm_ids == before.vm_ids and _returned(before, after))
    )


def _returned(before: HostView, after: HostView) -> bool:
    """Whether CPUs, pages or devices have come back, or there are more of them: those that a migration has
    left are returned when it has arrived."""
    return any(new > old for old, new in zip(before.parts.room(), after.parts.room(), strict=True))


def _emptier(before: DatastoreView | None, after: DatastoreView | None) -> bool:
    if after is None:
        return False
    return before is None or after.free > before.free or after.monitored != before.monitored


def _granted(
    tx: Transaction, kind: type[Host] | type[Datastore] | type[VirtualNetwork], op: Op, table: str
) -> frozenset[int]:
    return frozenset(
        oid
        for oid in tx.state.pools[table].entries
        if not authorization.refusal(tx, authorization.on(op, tx.get(kind, oid), lock=False))
    )
