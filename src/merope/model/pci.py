"""PCI devices: what a VM asks for, and which of a host's devices it gets.

A device of a host is a PCI vector of its HOST_SHARE, with VMID the VM that has it, or -1.
Source: spec scheduler.yaml `pci`, templates.yaml `PCI`, xml.yaml `PCI`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from merope.model.template import Template, Vector

FREE = "-1"
KINDS = ("VENDOR", "DEVICE", "CLASS")
#: What a VM's PCI gets from the device of the host.
GIVEN = ("ADDRESS", "DOMAIN", "BUS", "SLOT", "FUNCTION", "NUMA_NODE")
MOST = 31
"""Devices of one VM: each has a slot of one bus in the guest, and slot 0 is the bus's own."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A device that a VM asks for: its vendor, device and class, None for any."""

    vendor: int | None
    device: int | None
    kind: int | None

    def matches(self, device: Vector) -> bool:
        asked = zip(KINDS, (self.vendor, self.device, self.kind), strict=True)
        return all(number is None or number == hexadecimal(device.get(key, "")) for key, number in asked)


def hexadecimal(text: str) -> int | None:
    """The number of a hexadecimal text of at most eight digits, with or without 0x, or None."""
    digits = text.strip().lower().removeprefix("0x")
    return int(digits, 16) if 0 < len(digits) <= 8 and set(digits) <= _DIGITS else None


_DIGITS = set("0123456789abcdef")


def is_nic(device: Vector) -> bool:
    """Whether a VM's PCI is an interface of a network (TYPE=NIC)."""
    return device.get("TYPE", "").upper() == "NIC"


def wanted_of(template: Template) -> tuple[Wanted, ...]:
    """What a VM asks for, in the order of its PCI vectors."""
    return tuple(
        Wanted(*(hexadecimal(device.get(key, "")) for key in KINDS)) for device in template.vectors("PCI")
    )


def choose(
    devices: Sequence[Vector],
    wanted: Iterable[Wanted],
    taken: Container[int] = (),
    near: Container[int] = (),
) -> list[int] | None:
    """The indexes of the devices for a VM, in the order of what it asks for; None when they are not all to
    be had. `taken` are indexes that are given away already though the devices don't say so; devices of the
    NUMA nodes `near` come first.

    It finds devices whenever there are enough: where the first that is free would do for something that
    only it can satisfy, another is taken (an augmenting path of the matching).
    """
    free = [i for i, device in enumerate(devices) if device.get("VMID", FREE) == FREE and i not in taken]
    free.sort(key=lambda index: not any(node in near for node in nodes_of([devices[index]])))
    asked = list(wanted)
    owner: dict[int, int] = {}

    def give(number: int, seen: set[int]) -> bool:
        for index in free:
            if index in seen or not asked[number].matches(devices[index]):
                continue
            seen.add(index)
            if index not in owner or give(owner[index], seen):
                owner[index] = number
                return True
        return False

    if not all(give(number, set()) for number in range(len(asked))):
        return None
    return [index for index, _ in sorted(owner.items(), key=lambda item: item[1])]


def nodes_of(devices: Iterable[Vector]) -> frozenset[int]:
    """The NUMA nodes that devices are attached to, as far as the host knows."""
    nodes = (device.get("NUMA_NODE", "") for device in devices)
    return frozenset(int(node) for node in nodes if node.isdecimal())
