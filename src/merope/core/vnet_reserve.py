"""Reservations: networks of users that hold a part of another network's addresses.

Source: spec templates.yaml `vnet.reservation`, `reservation_rules`; recorded vnet-reservation.xml.
"""

from merope.core import authorization, cluster, generic, ipam, quota
from merope.core.methods import Need, integer, method, text
from merope.core.transaction import Transaction
from merope.model.address_range import AddressRange, AddressRangeError
from merope.model.errors import ApiError, Code
from merope.model.leases import owner_of
from merope.model.permissions import ObjectType, Op
from merope.model.quota import Usage
from merope.model.template import Template, Vector
from merope.model.vnet import VirtualNetwork

_ADDRESSES = ("IP", "IP6", "MAC")
_AUTOMATIC = ("AUTOMATIC_VLAN_ID", "AUTOMATIC_OUTER_VLAN_ID")
_LARGEST_ID = (1 << 31) - 1

MAX_RANGES = 1024
"""Address ranges of one network: each lease is looked for in all of them."""


@method(
    "one.vn.reserve",
    integer("id"),
    text("template"),
    needs=(Need(Op.USE, VirtualNetwork, "id"),),
    also="MANAGE on the reservation that NETWORK_ID names; quota NETWORK",
)
def reserve(tx: Transaction, oid: int, source: str) -> int:
    """Sets SIZE consecutive addresses aside for a network of the caller's, a new one or NETWORK_ID."""
    template = generic.parse_template(source)
    parent = tx.edit(VirtualNetwork, oid)
    if parent.parent_network_id >= 0:
        raise _refused("Cannot reserve addresses from a reservation.", oid)
    size = number_of(template, "SIZE", oid)
    if not size:
        raise _refused("SIZE of a reservation must be greater than 0.", oid)
    reservation = _existing(tx, parent, template) if "NETWORK_ID" in template else _new(tx, parent, template)
    reserved = _take(tx, parent, reservation.id, template, size)
    quota.charge(tx, reservation.uid, reservation.gid, Usage().network(oid, size))
    try:
        ar_id = next_ar_id(reservation)
    except AddressRangeError as fault:
        raise _refused(str(fault), reservation.id) from fault
    reservation.ar_pool.append(AddressRange.reservation(ar_id, reserved))
    parent.recount()
    return reservation.id


def number_of(template: Template | Vector, name: str, oid: int) -> int:
    """A whole number of a request, 0 or more; raises ApiError ACTION that names the attribute."""
    stated = template.get(name, "")
    if not (stated.isascii() and stated.isdecimal() and len(stated) <= 10 and int(stated) <= _LARGEST_ID):
        raise _refused(f"{name} must be a whole number, 0 or more, not {stated[:32]!r}.", oid)
    return int(stated)


def next_ar_id(network: VirtualNetwork) -> int:
    """The id of one more range; raises AddressRangeError when there are as many as a network has."""
    if len(network.ar_pool) >= MAX_RANGES:
        raise AddressRangeError(f"A virtual network has at most {MAX_RANGES} address ranges.")
    return 1 + max((ranged.ar_id for ranged in network.ar_pool), default=-1)


def _refused(sentence: str, oid: int) -> ApiError:
    return ApiError(Code.ACTION, sentence, oid)


def _existing(tx: Transaction, parent: VirtualNetwork, template: Template) -> VirtualNetwork:
    oid = number_of(template, "NETWORK_ID", parent.id)
    found = tx.get(VirtualNetwork, oid)
    authorization.require(tx, authorization.on(Op.MANAGE, found))
    if found.parent_network_id != parent.id:
        raise _refused(
            f"Virtual network [{oid}] is not a reservation of virtual network [{parent.id}].", parent.id
        )
    return tx.edit(VirtualNetwork, oid)


def _new(tx: Transaction, parent: VirtualNetwork, template: Template) -> VirtualNetwork:
    """A copy of the parent without its addresses, owned by the caller."""
    caller = tx.caller
    name = template.get("NAME")
    if not name:
        raise _refused("A reservation needs NAME, or the NETWORK_ID of one that exists.", parent.id)
    generic.check_new_name(tx, VirtualNetwork, name, caller.uid)
    copied = parent.template.copy()
    for automatic in _AUTOMATIC:
        copied.remove(automatic)
    for attribute, value in (("VLAN_ID", parent.vlan_id), ("OUTER_VLAN_ID", parent.outer_vlan_id)):
        if value:
            copied.set(attribute, value)
    reservation = VirtualNetwork(
        id=tx.new_id(VirtualNetwork),
        name=name,
        **generic.owned_by_caller(tx),
        bridge=parent.bridge,
        bridge_type=parent.bridge_type,
        parent_network_id=parent.id,
        vn_mad=parent.vn_mad,
        phydev=parent.phydev,
        vlan_id=parent.vlan_id,
        outer_vlan_id=parent.outer_vlan_id,
        template=copied,
    )
    tx.add(reservation)
    for cluster_id in sorted(parent.clusters):
        cluster.join(tx, reservation, cluster_id)
    return reservation


def _take(
    tx: Transaction, parent: VirtualNetwork, reservation_id: int, template: Template, size: int
) -> Vector:
    owner = owner_of(ObjectType.NET, reservation_id)
    asked = [name for name in _ADDRESSES if template.get(name)]
    if len(asked) > 1:
        raise _refused(f"Only one of IP, IP6 and MAC can be asked for, not {', '.join(asked)}.", parent.id)
    if asked and "AR_ID" not in template:
        raise _refused(f"{asked[0]} of a reservation needs the AR_ID that it is taken from.", parent.id)
    try:
        for ranged in _candidates(parent, template):
            first = index_of(ranged, asked[0], template.get(asked[0])) if asked else None
            if asked and first is None:
                break
            reserved = ipam.reserve(tx, parent, ranged, owner, size, first)
            if reserved is not None:
                return reserved
    except AddressRangeError as fault:
        raise _refused(str(fault), parent.id) from fault
    raise _refused(
        f"Not enough free addresses in an address range of virtual network {parent.id}.", parent.id
    )


def _candidates(parent: VirtualNetwork, template: Template) -> list[AddressRange]:
    if "AR_ID" not in template:
        return parent.ar_pool
    return [range_of(parent, number_of(template, "AR_ID", parent.id))]


def range_of(network: VirtualNetwork, ar_id: int) -> AddressRange:
    """The range of that id; raises ApiError ACTION."""
    found = network.address_range(ar_id)
    if found is None:
        raise _refused(f"Address Range {ar_id} does not exist in virtual network {network.id}.", network.id)
    return found


def index_of(ranged: AddressRange, name: str, address: str) -> int | None:
    """The index of an address that is given as IP, IP6 or MAC; None when it is not of the range."""
    return {"IP": ranged.index_of_ip, "IP6": ranged.index_of_ip6, "MAC": ranged.index_of_mac}[name](address)


def give_back(tx: Transaction, reservation: VirtualNetwork, ranged: AddressRange) -> None:
    """The addresses of a reservation's range return to its parent, and what they counted to the owner."""
    parent_id = reservation.parent_network_id
    quota.refund(tx, reservation.uid, reservation.gid, Usage().network(parent_id, ranged.size))
    if tx.find(VirtualNetwork, parent_id) is None or ranged.parent_ar_id is None:
        return
    parent = tx.edit(VirtualNetwork, parent_id)
    source = parent.address_range(ranged.parent_ar_id)
    first = None if source is None else source.index_of_mac(ranged.attributes["MAC"])
    if source is None or first is None:
        return
    owner = owner_of(ObjectType.NET, reservation.id)
    ipam.take_back(tx, parent, source, owner, first, ranged.size)
    parent.recount()
