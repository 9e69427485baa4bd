"""Clusters: commands, and the membership of hosts, datastores and networks."""

from dataclasses import dataclass

from merope.core import acl, generic, host_fencing, vdc
from merope.core.host import DEFAULT_CLUSTER, apply_reservation
from merope.core.methods import Need, integer, method, text
from merope.core.transaction import Transaction
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.kinds import BY_DOCUMENT
from merope.model.permissions import ObjectType, Op
from merope.model.template import Template
from merope.model.vnet import VirtualNetwork

RESERVED = ("RESERVED_CPU", "RESERVED_MEM")

_ADMIN = Need(Op.ADMIN, Cluster, "id")


@dataclass(frozen=True, slots=True)
class _Shared:
    """What may be in several clusters: its field in the cluster's document and its table of pairs."""

    kind: type[Datastore] | type[VirtualNetwork]
    field: str
    relation: str


_DATASTORES = _Shared(Datastore, "datastores", "cluster_datastore_relation")
_NETWORKS = _Shared(VirtualNetwork, "vnets", "cluster_network_relation")


@method("one.cluster.allocate", text("name"), needs=(Need(Op.CREATE, Cluster),))
def allocate(tx: Transaction, name: str) -> int:
    """Makes an empty cluster."""
    generic.check_new_name(tx, Cluster, name)
    template = Template([(key, "") for key in RESERVED])
    cluster = Cluster(id=tx.new_id(Cluster), name=name, template=template)
    tx.add(cluster)
    return cluster.id


@method("one.cluster.delete", integer("id"), needs=(_ADMIN,))
def delete(tx: Transaction, oid: int) -> int:
    """Removes an empty cluster."""
    cluster = tx.get(Cluster, oid)
    if oid == DEFAULT_CLUSTER:
        raise generic.delete_error(cluster, "System Clusters (ID < 100) cannot be deleted.")
    for field in ("hosts", "datastores", "vnets"):
        if getattr(cluster, field):
            raise generic.delete_error(cluster, f"Cluster {oid} is not empty, it contains {field}.")
    acl.drop_rules_about(tx, ObjectType.CLUSTER, oid)
    vdc.forget_resource(tx, Cluster, oid)
    tx.delete(cluster)
    return oid


@method(
    "one.cluster.addhost",
    integer("id"),
    integer("host"),
    needs=(_ADMIN, Need(Op.ADMIN, Host, "host")),
)
def addhost(tx: Transaction, oid: int, host_id: int) -> int:
    """Moves a host from its cluster to this one."""
    _move_host(tx, host_id, oid)
    return oid


@method(
    "one.cluster.delhost",
    integer("id"),
    integer("host"),
    needs=(_ADMIN, Need(Op.ADMIN, Host, "host")),
)
def delhost(tx: Transaction, oid: int, host_id: int) -> int:
    """Moves a host to the default cluster, whichever it is in."""
    _move_host(tx, host_id, DEFAULT_CLUSTER)
    return oid


def _move_host(tx: Transaction, host_id: int, cluster_id: int) -> None:
    if tx.get(Host, host_id).cluster_id == cluster_id:
        return
    host, cluster = tx.edit(Host, host_id), tx.edit(Cluster, cluster_id)
    tx.edit(Cluster, host.cluster_id).hosts.discard(host_id)
    cluster.hosts.add(host_id)
    host.cluster_id, host.cluster = cluster_id, cluster.name
    apply_reservation(tx, host)


def join(tx: Transaction, value: Datastore | VirtualNetwork, cluster_id: int) -> None:
    """Puts a datastore or network that is being edited into a cluster; it may be there already."""
    shared = _shared(value)
    value.clusters.add(cluster_id)
    getattr(tx.edit(Cluster, cluster_id), shared.field).add(value.id)
    tx.put_row(shared.relation, (cluster_id, value.id), {"cid": cluster_id, "oid": value.id})


def leave(tx: Transaction, value: Datastore | VirtualNetwork, cluster_id: int) -> None:
    """Takes a datastore or network that is being edited out of a cluster."""
    shared = _shared(value)
    value.clusters.discard(cluster_id)
    getattr(tx.edit(Cluster, cluster_id), shared.field).discard(value.id)
    tx.put_row(shared.relation, (cluster_id, value.id), None)


def _shared(value: Datastore | VirtualNetwork) -> _Shared:
    return _DATASTORES if isinstance(value, Datastore) else _NETWORKS


def _add(tx: Transaction, shared: _Shared, oid: int, value_id: int) -> int:
    if oid not in tx.get(shared.kind, value_id).clusters:
        join(tx, tx.edit(shared.kind, value_id), oid)
    return oid


def _remove(tx: Transaction, shared: _Shared, oid: int, value_id: int) -> int:
    if oid not in tx.get(shared.kind, value_id).clusters:
        label = BY_DOCUMENT[shared.kind].label
        raise ApiError(Code.ACTION, f"{label} [{value_id}] is not in cluster [{oid}]", value_id)
    leave(tx, tx.edit(shared.kind, value_id), oid)
    return oid


_ADMIN_DATASTORE = (_ADMIN, Need(Op.ADMIN, Datastore, "datastore"))
_ADMIN_NETWORK = (_ADMIN, Need(Op.ADMIN, VirtualNetwork, "vnet"))


@method("one.cluster.adddatastore", integer("id"), integer("datastore"), needs=_ADMIN_DATASTORE)
def adddatastore(tx: Transaction, oid: int, datastore_id: int) -> int:
    """Puts a datastore into the cluster; it may be in others too."""
    return _add(tx, _DATASTORES, oid, datastore_id)


@method("one.cluster.deldatastore", integer("id"), integer("datastore"), needs=_ADMIN_DATASTORE)
def deldatastore(tx: Transaction, oid: int, datastore_id: int) -> int:
    """Takes a datastore out of the cluster."""
    return _remove(tx, _DATASTORES, oid, datastore_id)


@method("one.cluster.addvnet", integer("id"), integer("vnet"), needs=_ADMIN_NETWORK)
def addvnet(tx: Transaction, oid: int, network_id: int) -> int:
    """Puts a network into the cluster; it may be in others too."""
    return _add(tx, _NETWORKS, oid, network_id)


@method("one.cluster.delvnet", integer("id"), integer("vnet"), needs=_ADMIN_NETWORK)
def delvnet(tx: Transaction, oid: int, network_id: int) -> int:
    """Takes a network out of the cluster."""
    return _remove(tx, _NETWORKS, oid, network_id)


@generic.checks_updates(Cluster)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """What the cluster reserves takes effect at once on hosts that reserve nothing themselves."""
    assert isinstance(value, Cluster)
    host_fencing.check(tx, new, value.id)
    changed = any(value.template.get(key) != new.get(key) for key in RESERVED)
    cluster = tx.edit(Cluster, value.id)
    cluster.template = new
    if changed:
        for host_id in cluster.hosts:
            apply_reservation(tx, tx.edit(Host, host_id))
    return new


def _follow_rename(tx: Transaction, value: Document) -> None:
    assert isinstance(value, Cluster)
    for host_id in value.hosts:
        tx.edit(Host, host_id).cluster = value.name


generic.follows_rename(Cluster, _follow_rename)
