"""What a VM gets of a host for itself: CPUs and memory, and PCI devices near to them.

The core gives with this, and the scheduler asks it what a host could give.
"""

from collections.abc import Container, Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from merope.model import pci, pinning
from merope.model.pci import Wanted
from merope.model.pinning import Demand, Fit
from merope.model.template import Vector
from merope.model.topology import Node


class Lack(Enum):
    """What a host has not got."""

    TOPOLOGY = auto()
    DEVICE = auto()


class Given(NamedTuple):
    """What a VM gets; the devices by their indexes, in the order of what it asks for."""

    fit: Fit | None
    devices: tuple[int, ...]


def choose(
    nodes: Sequence[Node],
    devices: Sequence[Vector],
    demand: Demand | None,
    wanted: Iterable[Wanted],
    vms_thread: int = 1,
    taken: Container[int] = (),
) -> Given | Lack:
    """CPUs near the first devices that are free, as 5.12 has it; and where the CPUs come to be elsewhere,
    devices near these, if there are. `taken` are devices that are given away though they don't say so."""
    asked = tuple(wanted)
    found = pci.choose(devices, asked, taken)
    if found is None:
        return Lack.DEVICE
    if demand is None:
        return Given(None, tuple(found))
    fit = pinning.fit(nodes, demand, vms_thread, pci.nodes_of(devices[index] for index in found))
    if fit is None:
        return Lack.TOPOLOGY
    here = frozenset(place.node for place in fit.places)
    nearer = pci.choose(devices, asked, taken, here) if asked else None
    return Given(fit, tuple(nearer or found))
