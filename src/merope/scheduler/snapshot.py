"""What a placement looks at, and what it answers: values, no I/O.

CPU is in percent of one CPU, the memory of hosts in KB, disk space in MB, everywhere in this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from merope.model.expression import View
from merope.scheduler.parts import NOTHING, HostParts, Request
from merope.scheduler.reasons import Reason

NO_DATASTORE = -1
"""The datastore of a placement on a public cloud's host."""

KEPT_ANSWERS = 64
"""Expressions of which a view of a host keeps what they made of it."""


@dataclass(frozen=True, slots=True)
class HostView:
    """An enabled host.  `free_*` is what may still be allocated (MAX less USAGE; negative when a
    reservation grew under running VMs), `attributes` what expressions see.

    `ds_free` holds the free space in datastores that are not shared, `free_disk` that of the others.
    `recent_*` is the capacity of VMs that came after the host was last measured: a rank sees FREE_CPU,
    FREE_MEMORY and the like as they will be, or a burst of VMs would all go to the host that was idle.

    `answers` and `ranks` keep what expressions (by their text) made of the host before any placement: a view
    never changes, and most hosts are the same from one round to the next.
    """

    id: int
    cluster_id: int
    free_cpu: int
    free_memory: int
    attributes: View
    running_vms: int = 0
    vm_ids: frozenset[int] = frozenset()
    public_cloud: bool = False
    free_disk: int = 0
    ds_free: Mapping[int, int] = field(default_factory=dict)
    recent_cpu: int = 0
    recent_memory: int = 0
    parts: HostParts = NOTHING
    answers: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)
    ranks: dict[str, int] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DatastoreView:
    """A system datastore that is READY, or an image datastore.  `free` already respects LIMIT_MB."""

    id: int
    cluster_ids: frozenset[int]
    free: int
    attributes: View
    shared: bool = True
    monitored: bool = True


@dataclass(frozen=True, slots=True)
class NetworkView:
    """A virtual network; `free` is how many leases it can still give."""

    id: int
    cluster_ids: frozenset[int]
    free: int
    attributes: View


@dataclass(frozen=True, slots=True)
class NicRequest:
    """A NIC with NETWORK_MODE auto that has no network yet: its SCHED_REQUIREMENTS and SCHED_RANK."""

    id: int
    requirements: str = ""
    rank: str = ""


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role of a group: `policy` is AFFINED (its VMs share a host), ANTI_AFFINED (no two of them do) or
    NONE; the sets are ids of its VMs, of hosts they must be on (empty: any) and must not be on."""

    name: str
    policy: str = "NONE"
    vm_ids: frozenset[int] = frozenset()
    host_affined: frozenset[int] = frozenset()
    host_anti_affined: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class GroupView:
    """A VM group; the rules are sets of names of roles."""

    id: int
    roles: tuple[RoleView, ...]
    affined: tuple[frozenset[str], ...] = ()
    anti_affined: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True, slots=True)
class VmRequest:
    """A VM that wants a host: one that is pending, or one that is to leave its host (`resched`).

    `requirements` are clauses that must all hold: AUTOMATIC_REQUIREMENTS, SCHED_REQUIREMENTS and what
    groups of VMs add; they are compiled one by one, so that no text of a user can reach out of its own
    parentheses.  `keep_datastore` is the system datastore that holds the disks of a VM that was stopped,
    undeployed or is running.  `image_space` is what its disks take in image datastores, `parts` what the VM
    must have of its host for itself.
    """

    id: int
    uid: int
    gid: int
    cpu: int
    memory: int
    system_disk: int = 0
    image_space: tuple[tuple[int, int], ...] = ()
    automatic_requirements: str = ""
    requirements: str = ""
    group_requirements: tuple[str, ...] = ()
    rank: str = ""
    automatic_ds_requirements: str = ""
    ds_requirements: str = ""
    ds_rank: str = ""
    priority: float = 0.0
    resched: bool = False
    current_host: int = -1
    keep_datastore: int | None = None
    public_cloud: bool = False
    automatic_nic_requirements: str = ""
    nics: tuple[NicRequest, ...] = ()
    parts: Request | None = None

    @property
    def privileged(self) -> bool:
        """5.12 asks no permissions for VMs of the user or the group oneadmin."""
        return self.uid == 0 or self.gid == 0

    @property
    def restarted(self) -> bool:
        """Its disks are already in a datastore, so that it takes no new space."""
        return self.keep_datastore is not None


@dataclass(frozen=True, slots=True)
class Access:
    """What a user may put VMs on: hosts with MANAGE, system datastores and networks with USE; None is all
    of them."""

    hosts: frozenset[int] | None = frozenset()
    datastores: frozenset[int] | None = frozenset()
    networks: frozenset[int] | None = frozenset()


@dataclass(frozen=True, slots=True)
class Limits:
    """0 is no limit.  MAX_VM, MAX_DISPATCH and MAX_HOST of sched.conf."""

    vms: int = 0
    dispatch: int = 0
    per_host: int = 0


HOST_POLICIES = ("RUNNING_VMS", "- RUNNING_VMS", "FREE_CPU", None, "PRIORITY")
"""DEFAULT_SCHED/POLICY as rank expressions: packing, striping, load-aware, custom, fixed."""

DATASTORE_POLICIES = ("- FREE_MB", "FREE_MB", None, "PRIORITY")
"""DEFAULT_DS_SCHED/POLICY as rank expressions: packing, striping, custom, fixed."""


NETWORK_POLICIES = ("- USED_LEASES", "USED_LEASES", None, "PRIORITY")
"""DEFAULT_NIC_SCHED/POLICY as rank expressions, with 5.12's signs: packing, striping, custom, fixed."""


@dataclass(frozen=True, slots=True)
class Policies:
    """Ranks for VMs that bring none of their own. `different_networks` (DIFFERENT_VNETS): the automatic
    NICs of a VM never share a network."""

    host_rank: str = "- RUNNING_VMS"
    datastore_rank: str = "FREE_MB"
    network_rank: str = "USED_LEASES"
    different_networks: bool = True

    @classmethod
    def numbered(
        cls,
        host: int,
        host_rank: str | None,
        datastore: int,
        datastore_rank: str | None,
        network: int = 1,
        network_rank: str | None = None,
        *,
        different_networks: bool = True,
    ) -> Policies:
        """By the numbers of sched.conf; the texts are those of the custom policies."""
        return cls(
            HOST_POLICIES[host] or host_rank or "",
            DATASTORE_POLICIES[datastore] or datastore_rank or "",
            NETWORK_POLICIES[network] or network_rank or "",
            different_networks,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a placement depends on.  `hosts` and `datastores` (system) are those that may be used;
    `access` is by the uid of VMs, and a user who is not in it may use nothing.  `groups` are those that
    VMs here are in, `located` the hosts of their members that have one."""

    hosts: tuple[HostView, ...]
    datastores: tuple[DatastoreView, ...]
    vms: tuple[VmRequest, ...]
    image_datastores: tuple[DatastoreView, ...] = ()
    access: Mapping[int, Access] = field(default_factory=dict)
    limits: Limits = Limits()
    policies: Policies = Policies()
    networks: tuple[NetworkView, ...] = ()
    groups: tuple[GroupView, ...] = ()
    located: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Deploy the VM on the host with its system datastore, or, with `migrate`, move it there. `networks`
    are the ids of a NIC and of the network that was chosen for it."""

    vm_id: int
    host_id: int
    datastore_id: int
    migrate: bool = False
    networks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Placements in the order in which they are to be made; a reason for every VM that got none.

    `warnings` are sentences about VMs that were placed, but not as their owner asked.
    """

    placements: tuple[Placement, ...]
    reasons: Mapping[int, tuple[Reason, ...]]
    warnings: Mapping[int, str]
