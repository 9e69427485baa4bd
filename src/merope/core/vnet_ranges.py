"""Address ranges of networks: adding, changing and removing them, and addresses on hold.

Source: spec templates.yaml `vnet.ar`, `leases_op`.
"""

from merope.core import generic, ipam
from merope.core.methods import Need, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.core.vnet_reserve import give_back, index_of, next_ar_id, number_of, range_of
from merope.model.address_range import AddressRange, AddressRangeError
from merope.model.errors import ApiError, Code
from merope.model.leases import HELD
from merope.model.permissions import Op
from merope.model.template import Template, Vector
from merope.model.vnet import VirtualNetwork

_ADDRESSES = ("IP", "IP6", "MAC")
_ADMIN = (Need(Op.ADMIN, VirtualNetwork, "id"),)
_MANAGE = (Need(Op.MANAGE, VirtualNetwork, "id"),)


def new_range(tx: Transaction, network: VirtualNetwork, given: Vector) -> None:
    """Appends a range to a network that is being edited; raises AddressRangeError."""
    groups(given.get("SECURITY_GROUPS", ""))
    if given.get("IPAM_MAD"):
        given = ipam.register(tx, network, given)
    random = int.from_bytes(tx.context.random(4), "big")
    created = AddressRange.create(
        next_ar_id(network), given, mac_prefix=tx.settings.mac_prefix, random=random
    )
    network.ar_pool.append(created)


def groups(text: str) -> set[int]:
    """The ids of a SECURITY_GROUPS; raises AddressRangeError when a word is no id."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if not (word.isascii() and word.isdecimal() and len(word) <= 10)]
    if wrong:
        raise AddressRangeError(f"SECURITY_GROUPS is a list of ids such as 0,100; {wrong[0][:32]!r} is none.")
    return {int(word) for word in words}


def _refused(sentence: str, oid: int) -> ApiError:
    return ApiError(Code.ACTION, sentence, oid)


def _vectors(source: str, name: str, oid: int) -> list[Vector]:
    found = generic.parse_template(source).vectors(name)
    if not found:
        raise _refused(f"The template has no {name} = [ … ].", oid)
    return found


@method("one.vn.add_ar", integer("id"), text("template"), needs=_ADMIN)
def add_ar(tx: Transaction, oid: int, source: str) -> int:
    """Adds the AR of the template, or several."""
    network = tx.edit(VirtualNetwork, oid)
    if network.parent_network_id >= 0:
        raise _refused("A reservation gets addresses by reserving more of them, not by adding a range.", oid)
    try:
        for given in _vectors(source, "AR", oid):
            new_range(tx, network, given)
    except AddressRangeError as fault:
        raise _refused(str(fault), oid) from fault
    return oid


@method("one.vn.rm_ar", integer("id"), integer("ar"), boolean("force", False), needs=_ADMIN)
def rm_ar(tx: Transaction, oid: int, ar_id: int, force: bool) -> int:
    """Removes a range; one with leases in use only with `force`."""
    network = tx.edit(VirtualNetwork, oid)
    ranged = range_of(network, ar_id)
    fault = ranged.removal_fault(force=force)
    if fault is not None:
        raise _refused(f"{fault}.", oid)
    network.ar_pool.remove(ranged)
    network.recount()
    if network.parent_network_id >= 0:
        give_back(tx, network, ranged)
    ipam.unregister(tx, network, ranged)
    return oid


@method("one.vn.free_ar", integer("id"), integer("ar"), boolean("force", False), needs=_MANAGE)
def free_ar(tx: Transaction, oid: int, ar_id: int, force: bool) -> int:
    """Gives a range of a reservation back; the same as rm_ar, for who may MANAGE the network."""
    return rm_ar(tx, oid, ar_id, force)


@method("one.vn.update_ar", integer("id"), text("template"), needs=_MANAGE)
def update_ar(tx: Transaction, oid: int, source: str) -> int:
    """Replaces the attributes of the range that AR_ID names; which addresses it has stays, but for SIZE.

    Attributes for administrators only stay as they are when somebody else asks.
    """
    network = tx.edit(VirtualNetwork, oid)
    given = _vectors(source, "AR", oid)[0]
    ranged = range_of(network, number_of(given, "AR_ID", oid))
    restricted = () if tx.caller.is_admin else tx.settings.vnet_restricted_attr
    kept = [name.removeprefix("AR/") for name in restricted if name.startswith("AR/")]
    try:
        groups(given.get("SECURITY_GROUPS", ""))
        ranged.update(given, kept)
    except AddressRangeError as fault:
        raise _refused(str(fault), oid) from fault
    return oid


@method("one.vn.hold", integer("id"), text("template"), needs=_MANAGE)
def hold(tx: Transaction, oid: int, source: str) -> int:
    """Takes the addresses of each LEASES out of use: nobody gets them until they are released."""
    network = tx.edit(VirtualNetwork, oid)
    for asked in _vectors(source, "LEASES", oid):
        ranged, index, address = _find(network, asked)
        try:
            held = ipam.give(tx, network, ranged, HELD, index)
        except AddressRangeError as fault:
            raise _refused(str(fault), oid) from fault
        if held is None:
            raise _refused(f"{address} cannot be put on hold, it is in use.", oid)
    network.recount()
    return oid


@method("one.vn.release", integer("id"), text("template"), needs=_MANAGE)
def release(tx: Transaction, oid: int, source: str) -> int:
    """Puts addresses that were on hold back into use."""
    network = tx.edit(VirtualNetwork, oid)
    for asked in _vectors(source, "LEASES", oid):
        ranged, index, address = _find(network, asked)
        if not ipam.take_back(tx, network, ranged, HELD, index):
            raise _refused(f"{address} is not on hold.", oid)
    network.recount()
    return oid


def _find(network: VirtualNetwork, asked: Vector) -> tuple[AddressRange, int, str]:
    """The range and index of an address that is named by one of IP, IP6 and MAC."""
    names = [name for name in _ADDRESSES if asked.get(name)]
    if len(names) != 1:
        raise _refused("LEASES needs exactly one of IP, IP6 and MAC.", network.id)
    name, address = names[0], asked[names[0]]
    ranges = network.ar_pool
    if "AR_ID" in asked:
        ranges = [range_of(network, number_of(asked, "AR_ID", network.id))]
    for ranged in ranges:
        index = index_of(ranged, name, address)
        if index is not None:
            return ranged, index, f"{name} {address}"
    raise _refused(f"{name} {address[:64]} is not part of an address range.", network.id)


def take_ranges(tx: Transaction, network: VirtualNetwork, template: Template) -> None:
    """Moves the ARs of a new network's template into the network; raises AddressRangeError."""
    for value in template.remove("AR"):
        if not isinstance(value, Vector):
            raise AddressRangeError("AR must be a vector: AR = [ TYPE = …, SIZE = … ].")
        new_range(tx, network, value)
