"""Leases of ranges whose addresses are managed elsewhere (IPAM_MAD): asked for before they are given.

A command cannot wait. When it needs the word of an address manager it raises Asked; whoever runs it puts the
question to the driver and runs it again with the answer. What was given and is not used after all (the
request was refused by something else) is returned, as are leases that end: by effects, which are carried
out until they succeed. Ranges without IPAM_MAD are nobody's but the network's: nobody is asked about them.
Source: spec drivers.yaml `ipam`, templates.yaml `vnet.ar`.
"""

import re
from collections.abc import Mapping
from typing import Final

from merope.core.results import on_result
from merope.core.transaction import Transaction
from merope.model.address_range import AddressRange, AddressRangeError
from merope.model.addressing import ALLOCATE, GET, REGISTER, Question, Told, attributes_of, attributes_text
from merope.model.effect import Effect
from merope.model.settings import Settings
from merope.model.template import Vector
from merope.model.vnet import VirtualNetwork

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_LISTED: Final = re.compile(r"(?:^|\s)(?:-i|--ipam-types)[ =]+([^\s-][^\s]*)")


class Asked(Exception):  # noqa: N818 - a signal to who runs the command, not an error
    """The command needs the answer to a question."""

    def __init__(self, question: Question) -> None:
        super().__init__(f"{question.action} of network {question.network_id}")
        self.question = question


class NotGivenError(AddressRangeError):
    """The address manager said no; the text is a sentence of its own."""


def is_managed(ranged: AddressRange) -> bool:
    return bool(ranged.attributes.get("IPAM_MAD"))


def names(settings: Settings) -> frozenset[str]:
    """The drivers that IPAM_MAD of oned.conf lists (-i a,b); empty when it takes all that there are."""
    listed = [_LISTED.search(section.get("ARGUMENTS", "")) for section in settings.ipam_mad.values()]
    return frozenset(name for found in listed if found for name in found[1].split(",") if name)


def register(tx: Transaction, network: VirtualNetwork, given: Vector) -> Vector:
    """The attributes of a range as its manager has it; raises NotGivenError, AddressRangeError, Asked."""
    name = given["IPAM_MAD"]
    known = names(tx.settings)
    if not _NAME.fullmatch(name) or (known and name not in known):
        listed = ", ".join(sorted(known)) or "made of letters and digits"
        raise AddressRangeError(f"IPAM_MAD must be one of oned.conf's drivers ({listed}), not {name[:32]!r}")
    return Vector({**given, **_answer(tx, REGISTER, network, given).data, "IPAM_MAD": name})


def unregister(tx: Transaction, network: VirtualNetwork, ranged: AddressRange) -> None:
    """A range leaves its network: its manager is told, once that is durable."""
    if is_managed(ranged):
        tx.effect("ipam.unregister", network.id, range=attributes_text(ranged.attributes, tx.settings))


def give(
    tx: Transaction, network: VirtualNetwork, ranged: AddressRange, owner: int, index: int | None = None
) -> int | None:
    """Gives the index, or one that is free, to an owner; None when there is none, or it is not free.

    Raises NotGivenError when a manager says so, and Asked.
    """
    if not is_managed(ranged):
        return ranged.allocate(owner, index)
    if index is None:
        index = _chosen(tx, network, ranged, 1) if ranged.used < ranged.size else None
    elif 0 <= index < ranged.size and index not in ranged.leases:
        _allocate(tx, network, ranged, index, 1)
    else:
        return None
    return None if index is None else ranged.allocate(owner, index)


def reserve(
    tx: Transaction, network: VirtualNetwork, ranged: AddressRange, owner: int, size: int, first: int | None
) -> Vector | None:
    """As `AddressRange.reserve`; raises NotGivenError and Asked besides."""
    if is_managed(ranged) and ranged.used + size <= ranged.size:
        if first is None:
            first = _chosen(tx, network, ranged, size)
        elif 0 <= first <= ranged.size - size and ranged.leases.is_free_run(first, size):
            _allocate(tx, network, ranged, first, size)
    return ranged.reserve(owner, size, first)


def take_back(
    tx: Transaction, network: VirtualNetwork, ranged: AddressRange, owner: int, first: int, size: int = 1
) -> bool:
    """Takes leases back from their owner; False when none was theirs. Their manager is told."""
    taken = [index for index in range(first, first + size) if ranged.release(owner, index)]
    if taken and is_managed(ranged):
        free(tx, network.id, ranged.attributes, first, size)
    return bool(taken)


def free(tx: Transaction, network_id: int, attributes: Vector, first: int, size: int) -> None:
    tx.effect("ipam.free", network_id, range=attributes_text(attributes, tx.settings), index=first, size=size)


def _allocate(tx: Transaction, network: VirtualNetwork, ranged: AddressRange, first: int, size: int) -> None:
    _check_returned(tx, network, ranged, first, size)
    _answer(tx, ALLOCATE, network, ranged.attributes, first, size)


def _chosen(tx: Transaction, network: VirtualNetwork, ranged: AddressRange, size: int) -> int:
    told = _answer(tx, GET, network, ranged.attributes, size=size)
    index = index_of(ranged, told)
    if index is None or index + size > ranged.size or not ranged.leases.is_free_run(index, size):
        address = ", ".join(told.data.values()) or "no address"
        raise NotGivenError(f"The address manager gave {address[:64]}, which is not free in the range.")
    _check_returned(tx, network, ranged, index, size)
    return index


def index_of(ranged: AddressRange, told: Told) -> int | None:
    """Where the address that a manager names is in the range."""
    finders = {"IP": ranged.index_of_ip, "IP6": ranged.index_of_ip6, "MAC": ranged.index_of_mac}
    return next((find(told.data[name]) for name, find in finders.items() if told.data.get(name)), None)


def _check_returned(
    tx: Transaction, network: VirtualNetwork, ranged: AddressRange, first: int, size: int
) -> None:
    """An address that is still on its way back would be returned once more after it was given."""
    for number in tx.state.effects_of.get(("ipam", network.id), ()):
        if _returns(tx.state.effects[number], ranged.ar_id, first, size):
            raise NotGivenError("The address is being returned to its manager, ask for it again in a moment.")


def _returns(effect: Effect, ar_id: int, first: int, size: int) -> bool:
    """Whether the effect is to return one of those addresses."""
    if effect.op != "ipam.free":
        return False
    start, count = int(effect.arguments["index"]), int(effect.arguments["size"])
    overlaps = start < first + size and first < start + count
    return overlaps and attributes_of(str(effect.arguments["range"])).get("AR_ID") == str(ar_id)


def _answer(
    tx: Transaction,
    action: str,
    network: VirtualNetwork,
    attributes: Mapping[str, str],
    index: int = -1,
    size: int = 1,
) -> Told:
    answers = tx.context.addresses
    question = Question(action, network.id, dict(attributes), index, size, len(answers.used))
    known = answers.asked.get(question.key)
    if known is None:
        raise Asked(question)
    answers.used.add(question.key)
    if not known[1].ok:
        raise NotGivenError(f"The address manager {question.attributes['IPAM_MAD']} said: {known[1].message}")
    return known[1]


def give_up(tx: Transaction, question: Question, told: Told) -> None:
    """What a manager gave for a request that came to nothing is returned."""
    if question.action == REGISTER:
        attributes = {**question.attributes, **told.data, "IPAM_MAD": question.attributes["IPAM_MAD"]}
        tx.effect("ipam.unregister", question.network_id, range=attributes_text(attributes, tx.settings))
        return
    ranged = AddressRange(question.attributes)
    index = question.index if question.action == ALLOCATE else index_of(ranged, told)
    if index is not None and not _is_known(tx, question, ranged.ar_id, index):
        free(tx, question.network_id, ranged.attributes, index, question.size)


def _is_known(tx: Transaction, question: Question, ar_id: int, index: int) -> bool:
    """Whether a manager gave an address that is somebody's, or is being returned: it is not to be freed."""
    network = tx.find(VirtualNetwork, question.network_id)
    ranged = None if network is None else network.address_range(ar_id)
    if ranged is not None and not ranged.leases.is_free_run(index, question.size):
        return True
    pending = tx.state.effects_of.get(("ipam", question.network_id), ())
    return any(_returns(tx.state.effects[number], ar_id, index, question.size) for number in pending)


def _told(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    """Nothing here depends on it; the engine has logged what could not be returned."""


for _op in ("ipam.free", "ipam.unregister"):
    on_result(_op)(_told)
