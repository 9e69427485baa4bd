"""Virtual networks: creation, removal, updates and their document.

How they reach hosts is in vnet_link, their address ranges in vnet_ranges, reservations in vnet_reserve.
Source: spec xmlrpc.yaml `one.vn.*`, templates.yaml `vnet`.
"""

from collections.abc import Iterable

from merope.core import (
    acl,
    authorization,
    behalf,
    cluster,
    concealed,
    generic,
    ipam,
    quota,
    vdc,
    views,
    vnet_link,
    vnet_ranges,
)
from merope.core.host import DEFAULT_CLUSTER
from merope.core.methods import Need, Type, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.core.vnet_link import NetworkError
from merope.core.vnet_reserve import give_back
from merope.model.address_range import EVERYTHING, AddressRangeError, Viewer
from merope.model.cluster import Cluster
from merope.model.document import Document
from merope.model.kinds import NET, VM_KIND, VROUTER, Kind
from merope.model.leases import owner_parts
from merope.model.owned import Owned
from merope.model.permissions import ObjectType, Op
from merope.model.quota import Usage
from merope.model.template import Template
from merope.model.vnet import VirtualNetwork

DEFAULT_SECURITY_GROUP = 0


@method(
    "one.vn.allocate",
    text("template"),
    integer("cluster"),
    needs=(Need(Op.CREATE, VirtualNetwork), Need(Op.ADMIN, Cluster, "cluster", default=DEFAULT_CLUSTER)),
)
def allocate(tx: Transaction, source: str, cluster_id: int) -> int:
    """Makes a network with the address ranges of its template, in a cluster."""
    clusters = (cluster_id if cluster_id >= 0 else DEFAULT_CLUSTER,)
    return make(tx, generic.parse_template(source), clusters).id


def make(
    tx: Transaction, template: Template, clusters: Iterable[int], owner: behalf.Owner | None = None
) -> VirtualNetwork:
    """A new network of the owner's (the caller's), in those clusters; the template becomes its own. Raises
    ApiError ALLOCATE."""
    owner = owner or behalf.caller(tx)
    if not template.get("NAME"):
        raise generic.allocate_error("No NAME in template for Virtual Network.")
    name = generic.take_name(tx, VirtualNetwork, template, owner.uid)
    network = VirtualNetwork(
        id=tx.new_id(VirtualNetwork),
        uid=owner.uid,
        gid=owner.gid,
        uname=owner.uname,
        gname=owner.gname,
        name=name,
        permissions=generic.default_permissions(tx),
        template=template,
    )
    try:
        vnet_link.connect(tx, network, template)
        vnet_ranges.take_ranges(tx, network, template)
        groups = vnet_ranges.groups(template.get("SECURITY_GROUPS")) | {DEFAULT_SECURITY_GROUP}
    except (NetworkError, AddressRangeError) as fault:
        raise generic.allocate_error(str(fault)) from fault
    template.set("SECURITY_GROUPS", ",".join(map(str, sorted(groups))))
    tx.add(network)
    for cluster_id in clusters:
        cluster.join(tx, network, cluster_id)
    return network


@method("one.vn.delete", integer("id"), needs=(Need(Op.MANAGE, VirtualNetwork, "id"),))
def delete(tx: Transaction, oid: int) -> int:
    """Removes a network without leases in use; a reservation's addresses return to its parent."""
    network = tx.get(VirtualNetwork, oid)
    if network.used_leases:
        raise generic.delete_error(network, "Can not remove a virtual network with leases in use")
    own = tx.edit(VirtualNetwork, oid)
    if own.parent_network_id >= 0:
        for ranged in own.ar_pool:
            give_back(tx, own, ranged)
    for ranged in own.ar_pool:
        ipam.unregister(tx, own, ranged)
    vnet_link.disconnect(tx, own)
    for cluster_id in sorted(own.clusters):
        cluster.leave(tx, own, cluster_id)
    acl.drop_rules_about(tx, ObjectType.NET, oid)
    vdc.forget_resource(tx, VirtualNetwork, oid)
    tx.delete(own)
    return oid


@generic.checks_updates(VirtualNetwork)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """Elements that follow the template change with it; ranges are not changed here.

    What is for administrators only is kept from others on reservations: on a network of one's own it
    takes the right to make networks to begin with (spec `restricted_note`).
    """
    assert isinstance(value, VirtualNetwork)
    if value.parent_network_id >= 0:
        generic.check_restricted(tx, tx.settings.vnet_restricted_attr, new, value.template, value.id)
    for name in ("AR", "NAME"):
        new.remove(name)
    own = tx.edit(VirtualNetwork, value.id)
    try:
        vnet_link.reconnect(tx, own, own.template, new)
        groups = vnet_ranges.groups(new.get("SECURITY_GROUPS")) or {DEFAULT_SECURITY_GROUP}
    except (NetworkError, AddressRangeError) as fault:
        raise generic.update_error(str(fault), value.id) from fault
    new.set("SECURITY_GROUPS", ",".join(map(str, sorted(groups))))
    return new


def _move_quotas(tx: Transaction, value: Owned, uid: int, gid: int) -> None:
    """The addresses of a reservation count for who owns it, as leases of the parent."""
    assert isinstance(value, VirtualNetwork)
    if value.parent_network_id >= 0:
        size = sum(ranged.size for ranged in value.ar_pool)
        usage = Usage().network(value.parent_network_id, size)
        quota.move(tx, (value.uid, value.gid), (uid, gid), usage)


generic.moves_quotas(VirtualNetwork, _move_quotas)


@method(
    "one.vn.info",
    integer("id"),
    boolean("decrypt", False),
    returns=Type.STRING,
    needs=(Need(Op.USE, VirtualNetwork, "id", lock=False),),
    read_only=True,
    also="leases of others are shown to those who may MANAGE the network or USE who holds them",
)
def info(tx: Transaction, oid: int, decrypt: bool) -> bytes:
    """The network with its leases, those that the caller may see."""
    network = tx.get(VirtualNetwork, oid)
    if authorization.refusal(tx, authorization.on(Op.MANAGE, network, lock=False)):
        return views.wire(network.to_info_xml(_viewer(tx, network)))
    entry = tx.entry(VirtualNetwork, oid)
    if entry.info_wire is None:
        entry.info_wire = views.wire(network.to_info_xml(EVERYTHING))
    return concealed.opened(tx, VirtualNetwork, oid, entry.info_wire) if decrypt else entry.info_wire


def _viewer(tx: Transaction, network: VirtualNetwork) -> Viewer:
    holders = {owner_parts(owner) for ranged in network.ar_pool for _, owner in ranged.leases}
    return Viewer(
        vms=_seen(tx, VM_KIND, holders), vnets=_seen(tx, NET, holders), vrouters=_seen(tx, VROUTER, holders)
    )


def _seen(tx: Transaction, kind: Kind, holders: set[tuple[int, int]]) -> set[int]:
    pool = tx.state.pool(kind).entries
    entries = [pool[oid] for holder, oid in holders if holder == kind.type and oid in pool]
    return {entry.oid for entry in authorization.visible(tx, kind, entries)}
