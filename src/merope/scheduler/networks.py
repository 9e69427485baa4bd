"""Networks for NICs with NETWORK_MODE auto: which suit a NIC, and which of them it gets with a host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from merope.model.expression import ExpressionError, compile_requirements
from merope.scheduler.live import LiveNetwork, RankTable
from merope.scheduler.reasons import Code, Reason, tally
from merope.scheduler.snapshot import Access, NicRequest, VmRequest

Chosen = tuple[tuple[int, LiveNetwork], ...]
"""The id of each NIC with the network that it gets."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A NIC and the networks that suit it."""

    nic: NicRequest
    networks: Sequence[LiveNetwork]
    rank: RankTable


def suitable(
    vm: VmRequest, nic: NicRequest, access: Access, networks: Sequence[LiveNetwork]
) -> tuple[Sequence[LiveNetwork], tuple[Reason, ...]]:
    """The networks that suit a NIC before any placement, or why there are none."""
    texts = [text for text in (vm.automatic_nic_requirements, nic.requirements) if text]
    clauses = []
    for text in texts:
        try:
            clauses.append(compile_requirements(text))
        except ExpressionError as e:
            return (), (Reason(Code.NET_REQUIREMENTS_ERROR, detail=f"'{text}', error: {e}"),)
    allowed = [item for item in networks if access.networks is None or item.view.id in access.networks]
    free = [item for item in allowed if item.view.free > 0]
    found = [item for item in free if all(clause.matches(item.view.attributes) for clause in clauses)]
    if found:
        return found, ()
    if not networks:
        return (), (Reason(Code.NO_NETWORKS),)
    headline = Reason(Code.NET_NO_MATCH, detail=" & ".join(f"({text})" for text in texts))
    if not allowed:
        headline = Reason(Code.NET_NOT_AUTHORIZED)
    elif not free:
        headline = Reason(Code.NET_NO_CAPACITY)
    parts = [Reason(Code.NET_FORBIDDEN)] * (len(networks) - len(allowed))
    parts += [Reason(Code.NET_FULL)] * (len(allowed) - len(free))
    parts += [Reason(Code.NET_REQUIREMENTS)] * len(free)
    return (), (headline, *tally(parts))


def choose(wishes: Sequence[Wish], cluster_id: int, *, different: bool) -> Chosen | None:
    """A network of the cluster for each NIC, the best ranked ones that are left first; None when there is
    no way to serve all of them. With `different` no two NICs get the same one."""
    holders: dict[int, list[int]] = {}
    known: dict[int, LiveNetwork] = {}
    ranked = [_ranked(wish, cluster_id) for wish in wishes]

    def serve(number: int, seen: set[int]) -> bool:
        for network in ranked[number]:
            if network.index in seen:
                continue
            seen.add(network.index)
            known[network.index] = network
            held = holders.setdefault(network.index, [])
            if len(held) < (1 if different else network.free):
                held.append(number)
                return True
            for position, other in enumerate(held):
                if serve(other, seen):
                    held[position] = number
                    return True
        return False

    for number in range(len(wishes)):
        if not serve(number, set()):
            return None
    taken = {number: known[index] for index, held in holders.items() for number in held}
    return tuple((wish.nic.id, taken[number]) for number, wish in enumerate(wishes))


def _ranked(wish: Wish, cluster_id: int) -> list[LiveNetwork]:
    near = [item for item in wish.networks if item.free > 0 and cluster_id in item.view.cluster_ids]
    return sorted(near, key=lambda item: (-wish.rank.value(item), item.index))
