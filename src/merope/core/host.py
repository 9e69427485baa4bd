"""Hosts: commands, and what their monitoring changes."""

from merope.core import (
    acl,
    generic,
    host_failure,
    host_fencing,
    host_recovery,
    host_return,
    host_topology,
    vdc,
)
from merope.core.methods import Need, integer, method, text
from merope.core.transaction import Transaction
from merope.model.cluster import Cluster
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.host import Host, HostShare
from merope.model.permissions import ObjectType, Op
from merope.model.states import HostState
from merope.model.template import Template

DEFAULT_CLUSTER = 0

_MOST_RESERVED = 1 << 53

#: STATUS argument of one.host.status → the state it sets.
STATUS = {0: HostState.INIT, 1: HostState.DISABLED, 2: HostState.OFFLINE}


@method(
    "one.host.allocate",
    text("name"),
    text("im_mad"),
    text("vmm_mad"),
    integer("cluster"),
    needs=(Need(Op.CREATE, Host), Need(Op.ADMIN, Cluster, "cluster", default=DEFAULT_CLUSTER)),
)
def allocate(tx: Transaction, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> int:
    """Registers a host; it is monitored at once."""
    generic.check_new_name(tx, Host, name)
    for value, what in ((im_mad, "IM_MAD"), (vm_mad, "VM_MAD")):
        if not value:
            raise generic.allocate_error(f"{what} cannot be empty.")
    cluster = tx.edit(Cluster, cluster_id if cluster_id >= 0 else DEFAULT_CLUSTER)
    template = Template([(key, "") for key in ("RESERVED_CPU", "RESERVED_MEM")])
    host = Host(
        id=tx.new_id(Host),
        name=name,
        im_mad=im_mad,
        vm_mad=vm_mad,
        cluster_id=cluster.id,
        cluster=cluster.name,
        host_share=HostShare(),
        template=template,
    )
    tx.add(host)
    cluster.hosts.add(host.id)
    return host.id


@method("one.host.delete", integer("id"), needs=(Need(Op.ADMIN, Host, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a host that runs no VM."""
    host = tx.get(Host, oid)
    if host.vms or host.host_share.running_vms:
        raise generic.delete_error(host, "Can not remove a host with running VMs")
    tx.edit(Cluster, host.cluster_id).hosts.discard(oid)
    acl.drop_rules_about(tx, ObjectType.HOST, oid)
    vdc.forget_resource(tx, Host, oid)
    host_failure.forget(tx, oid)
    tx.delete(host)
    return oid


@method("one.host.status", integer("id"), integer("status"), needs=(Need(Op.ADMIN, Host, "id"),))
def status(tx: Transaction, oid: int, wanted: int) -> int:
    """0 enables, 1 disables (monitored, nothing new placed), 2 takes it offline (not monitored)."""
    if wanted not in STATUS:
        raise ApiError(Code.INTERNAL, f"Wrong status code [{wanted}], it must be 0, 1 or 2", oid)
    set_state(tx.edit(Host, oid), STATUS[wanted])
    if STATUS[wanted] is HostState.INIT:
        host_return.forgive(tx, oid)
    elif STATUS[wanted] is HostState.OFFLINE:
        host_recovery.not_monitored(tx, oid)
    return oid


def set_state(host: Host, state: HostState) -> None:
    host.prev_state, host.state = host.state, state


@generic.checks_updates(Host)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """Reserved amounts, ISOLCPUS and VMS_THREAD take effect at once; what the probes report is kept where it
    isn't replaced."""
    assert isinstance(value, Host)
    host_fencing.check(tx, new, value.id)
    host = tx.edit(Host, value.id)
    host_failure.keep_shown(host.template, new)
    host.template = new
    apply_reservation(tx, host)
    host_topology.apply_settings(host)
    return new


def apply_reservation(tx: Transaction, host: Host) -> None:
    """MAX_* from TOTAL_* less what the host, or its cluster, reserves (spec scheduler.yaml `reserved`)."""
    cluster = tx.get(Cluster, host.cluster_id)
    share = host.host_share
    share.max_cpu = share.total_cpu - reserved(host, cluster, "RESERVED_CPU", share.total_cpu)
    share.max_mem = share.total_mem - reserved(host, cluster, "RESERVED_MEM", share.total_mem)


def reserved(host: Host, cluster: Cluster, name: str, total: int) -> int:
    """An amount, or N% of the total; negative ones add capacity. What is no number reserves nothing."""
    stated = host.template.get(name) or cluster.template.get(name)
    try:
        amount = total * float(stated[:-1]) / 100 if stated.endswith("%") else float(stated or 0)
    except ValueError:
        return 0
    # Python takes "inf", "nan" and 1e999 for numbers too; what no host has is none here.
    return int(amount) if abs(amount) < _MOST_RESERVED else 0
