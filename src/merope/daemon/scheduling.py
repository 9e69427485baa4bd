"""The scheduler's place in the cloud: woken by changes, it plans on a snapshot and has the plan carried out.

A plan is only a proposal: each placement is a command of its own, checked again by the core.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from datetime import UTC, datetime

from merope.core import authorization, vm_deploy
from merope.core.transaction import SYSTEM, Caller, Transaction
from merope.daemon import vm_groups
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Handle, Timer
from merope.model.change import Change, Put
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.errors import ApiError
from merope.model.host import Host
from merope.model.permissions import Op
from merope.model.settings import SchedulerSettings
from merope.model.state import Entry
from merope.model.states import DatastoreType, VmState
from merope.model.template import Vector
from merope.model.vm import VM
from merope.model.vm_group import VmGroup
from merope.model.vnet import VirtualNetwork
from merope.scheduler.plan import plan
from merope.scheduler.reasons import Code, explain, told
from merope.scheduler.snapshot import (
    Access,
    DatastoreView,
    GroupView,
    HostView,
    Limits,
    NetworkView,
    Placement,
    Plan,
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

log = logging.getLogger("merope.scheduler")

_TOLD = ("SCHED_MESSAGE", "SCHED_REASON")
#: VMs times hosts that are planned at once in the loop; more goes to a thread.
INLINE_LIMIT = 20_000
#: Seconds after which figures in the reason why a VM waits are brought up to date.
RETELL_SECONDS = 60
_WATCHED = frozenset(
    {"vm_pool", "host_pool", "datastore_pool", "cluster_pool", "network_pool", "vmgroup_pool", "acl"}
)


class Scheduling:
    """One per leader. `limits` of a plan: woken by events, it needs none to be fair to others."""

    def __init__(
        self,
        cloud: Cloud,
        settings: SchedulerSettings,
        limits: Limits,
        after: Timer,
        executor: Executor,
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._cloud = cloud
        self._settings = settings
        self._after = after
        self._executor = executor
        self._call_soon = call_soon
        self._limits = limits
        self._said: dict[int, tuple[frozenset[Code], int]] = {}
        self._clusters: dict[int, tuple[Entry, str]] = {}
        self._hosts: dict[int, tuple[Entry, str, str, HostView | None]] = {}
        self._requests: dict[int, tuple[Entry, VmRequest | None]] = {}
        self._datastores: dict[int, tuple[Entry, DatastoreView | None, DatastoreView | None]] = {}
        self._networks: dict[int, tuple[Entry, NetworkView]] = {}
        self._groups: dict[int, tuple[Entry, GroupView]] = {}
        self._awaited: Handle | None = None
        self._busy = False
        self._again = False
        self._stopped = False
        cloud.subscribe(self._changed)

    def stop(self) -> None:
        self._stopped = True
        if self._awaited is not None:
            self._awaited.cancel()

    def _changed(self, change: Change) -> None:
        if any(isinstance(operation, Put) and operation.table in _WATCHED for operation in change.operations):
            self.wake()

    def wake(self) -> None:
        """Plans in the next turn of the loop, when anything waits for a host."""
        if self._stopped or self._awaited is not None:
            return
        if self._busy:
            self._again = True
            return
        if self._waiting():
            self._awaited = self._after(0.0, self._run)

    def _waiting(self) -> list[int]:
        """VMs that want a host: pending ones, and those that are to be moved."""
        state = self._cloud.state
        return sorted(state.pools["vm_pool"].by_state.get(VmState.PENDING, set()) | state.to_be_moved)

    def _run(self) -> None:
        self._awaited = None
        waiting = self._waiting()
        if self._stopped or not waiting:
            return
        snapshot = self._snapshot(waiting)
        if len(snapshot.vms) * max(len(snapshot.hosts), 1) <= INLINE_LIMIT:
            self._carry_out(plan(snapshot))
            return
        self._busy = True
        self._executor.submit(plan, snapshot).add_done_callback(
            lambda future: self._call_soon(lambda: self._planned(future))
        )

    def _planned(self, future: "Future[Plan]") -> None:
        self._busy = False
        try:
            self._carry_out(future.result())
        except Exception:
            log.exception("planning failed")
        if self._again:
            self._again = False
            self.wake()

    # The snapshot

    def _snapshot(self, waiting: list[int]) -> Snapshot:
        state = self._cloud.state
        entries = state.pools["vm_pool"].entries
        known = {oid: self._requests[oid] for oid in waiting if oid in self._requests}
        self._requests = known
        requests = [self._request(entries[oid]) for oid in waiting]
        vms = tuple(request for request in requests if request is not None)
        hosts = [self._host(entry) for entry in state.pools["host_pool"].entries.values()]
        stores = [self._datastore(entry) for entry in state.pools["datastore_pool"].entries.values()]
        settings = self._settings
        groups = self._groups_of(waiting)
        return Snapshot(
            hosts=tuple(host for host in hosts if host is not None),
            datastores=tuple(system for system, _ in stores if system is not None),
            vms=vms,
            image_datastores=tuple(images for _, images in stores if images is not None),
            # The planner lets VMs of oneadmin's go anywhere by themselves.
            access={vm.uid: self._access(vm.uid, vm.gid) for vm in vms if vm.uid and vm.gid},
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
            networks=self._all_networks() if any(vm.nics for vm in vms) else (),
            groups=groups,
            located=self._located(groups),
        )

    def _all_networks(self) -> tuple[NetworkView, ...]:
        pool = self._cloud.state.pools["network_pool"].entries
        known = self._networks
        self._networks = {}
        for oid, entry in pool.items():
            old = known.get(oid)
            same = old is not None and old[0] is entry
            self._networks[oid] = old if same and old else (entry, network_view_from_xml(entry.body))
        return tuple(view for _, view in self._networks.values())

    def _groups_of(self, waiting: list[int]) -> tuple[GroupView, ...]:
        """The groups that VMs which wait are in."""
        pool = self._cloud.state.pools["vmgroup_pool"]
        known = self._groups
        self._groups = {}
        for oid, entry in pool.entries.items():
            old = known.get(oid)
            if old is None or old[0] is not entry:
                group = pool.parsed(oid)
                assert isinstance(group, VmGroup)
                old = (entry, vm_groups.view(group))
            self._groups[oid] = old
        wanted = frozenset(waiting)
        views = (view for _, view in self._groups.values())
        return tuple(view for view in views if not wanted.isdisjoint(vm_groups.members(view)))

    def _located(self, groups: tuple[GroupView, ...]) -> dict[int, int]:
        def command(tx: Transaction) -> bytes:
            for group in groups:
                found.update(vm_groups.located(tx, vm_groups.members(group)))
            return b""

        found: dict[int, int] = {}
        if groups:
            self._cloud.look(command, Inputs(internal=True))
        return found

    def _request(self, entry: Entry) -> VmRequest | None:
        known = self._requests.get(entry.oid)
        if known is not None and known[0] is entry:
            return known[1]
        request = vm_request_from_xml(entry.body, self._settings.memory_system_ds_scale)
        self._requests[entry.oid] = (entry, request)
        return request

    def _host(self, entry: Entry) -> HostView | None:
        state = self._cloud.state
        measured = state.monitoring["host_pool"].get(entry.oid, "")
        inherited = self._cluster(entry.parent)
        known = self._hosts.get(entry.oid)
        if known is not None and known[0] is entry and known[1:3] == (measured, inherited):
            return known[3]
        body = entry.body.replace("<MONITORING/>", measured, 1) if measured else entry.body
        view = host_view_from_xml(body, inherited)
        self._hosts[entry.oid] = (entry, measured, inherited, view)
        return view

    def _cluster(self, oid: int) -> str:
        """The template of a cluster, which its hosts' attributes are completed with."""
        pool = self._cloud.state.pools["cluster_pool"]
        entry = pool.entries.get(oid)
        if entry is None:
            return ""
        known = self._clusters.get(oid)
        if known is None or known[0] is not entry:
            cluster = pool.parsed(oid)
            assert isinstance(cluster, Cluster)
            known = self._clusters[oid] = (entry, cluster.template.to_xml())
        return known[1]

    def _datastore(self, entry: Entry) -> tuple[DatastoreView | None, DatastoreView | None]:
        known = self._datastores.get(entry.oid)
        if known is None or known[0] is not entry:
            system = datastore_view_from_xml(entry.body)
            images = datastore_view_from_xml(entry.body, DatastoreType.IMAGE_DS)
            known = (entry, system, images)
            self._datastores[entry.oid] = known
        return known[1:]

    def _access(self, uid: int, gid: int) -> Access:
        """What the owner of a VM may be placed on (spec scheduler.yaml `match_host`, `match_ds`)."""

        def command(tx: Transaction) -> bytes:
            hosts = _granted(tx, Host, Op.MANAGE, "host_pool")
            stores = _granted(tx, Datastore, Op.USE, "datastore_pool")
            networks = _granted(tx, VirtualNetwork, Op.USE, "network_pool")
            found.append(Access(hosts, stores, networks))
            return b""

        found: list[Access] = []
        user = self._cloud.state.pools["user_pool"].parsed(uid)
        groups = frozenset(getattr(user, "groups", {gid}))
        self._cloud.look(command, Inputs(caller=Caller(uid, gid, groups=groups)))
        return found[0]

    # Carrying a plan out

    def _carry_out(self, decided: Plan) -> None:
        for placement in decided.placements:
            self._place(placement)
        for vm_id, reasons in decided.reasons.items():
            if self._is_news(vm_id, frozenset(reason.code for reason in reasons)):
                self._say(vm_id, explain(reasons), told(reasons))
        for vm_id, warning in decided.warnings.items():
            self._say(vm_id, warning)

    def _is_news(self, vm_id: int, codes: frozenset[Code]) -> bool:
        """Figures change with every placement: they are told again once in a while, other reasons at once."""
        now = self._cloud.now()
        known, told = self._said.get(vm_id, (None, 0))
        if codes == known and now - told < RETELL_SECONDS:
            return False
        self._said[vm_id] = (codes, now)
        return True

    def _place(self, placement: Placement) -> None:
        live, cold = bool(self._settings.live_rescheds), self._settings.cold_migrate_mode

        def command(tx: Transaction) -> int:
            vm_id, host, store = placement.vm_id, placement.host_id, placement.datastore_id
            vm_groups.check(tx, vm_id, host)
            if placement.migrate:
                return vm_deploy.migrate(tx, vm_id, host, live, True, store, cold)
            done = vm_deploy.deploy(tx, vm_id, host, True, store, _chosen(placement))
            for name in _TOLD:
                tx.edit(VM, vm_id).user_template.remove(name)
            return done

        try:
            self._cloud.execute(command, Inputs(caller=SYSTEM))
            self._said.pop(placement.vm_id, None)
        except ApiError as error:
            log.info("virtual machine %d was not placed: %s", placement.vm_id, error.message)

    def _say(self, vm_id: int, sentence: str, parts: Iterable[Mapping[str, str]] = ()) -> None:
        """SCHED_MESSAGE in the user template, and SCHED_REASON for each reason; written again only when
        it says something else."""
        vm = self._cloud.state.pools["vm_pool"].parsed(vm_id)
        if not isinstance(vm, VM):
            return
        said = vm.user_template.get("SCHED_MESSAGE").partition(" : ")[2]
        if said == sentence:
            return

        def command(tx: Transaction) -> int:
            when = datetime.fromtimestamp(tx.now, UTC).strftime("%a %b %d %H:%M:%S %Y")
            user = tx.edit(VM, vm_id).user_template
            user.set("SCHED_MESSAGE", f"{when} : {sentence}")
            user.remove("SCHED_REASON")
            for part in parts:
                user.add("SCHED_REASON", Vector(part))
            return vm_id

        self._cloud.execute(command, Inputs(internal=True))


def _chosen(placement: Placement) -> str:
    """The last argument of one.vm.deploy: the networks of NICs that were left to the scheduler."""
    return "".join(
        f'NIC=[NIC_ID="{nic}",NETWORK_MODE="auto",NETWORK_ID="{network}"]\n'
        for nic, network in placement.networks
    )


def _granted(
    tx: Transaction, kind: type[Host] | type[Datastore] | type[VirtualNetwork], op: Op, table: str
) -> frozenset[int]:
    return frozenset(
        oid
        for oid in tx.state.pools[table].entries
        if not authorization.refusal(tx, authorization.on(op, tx.get(kind, oid), lock=False))
    )
