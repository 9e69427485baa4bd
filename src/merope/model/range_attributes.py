"""What may stand in the attributes of an address range, and the sentences for what may not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from merope.model.addresses import parse_ip6

MAX_SIZE: Final = 1 << 32
"""Addresses of the largest range: index i counts up the low 32 bits of each address."""

_HIGH_64: Final = 0xFFFF_FFFF_FFFF_FFFF << 64


class AddressRangeError(ValueError):
    """Attributes that make no address range, or a change it cannot take; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class RangeType:
    """TYPE of a range: whether it has IPv4 addresses, IPv6 ones under prefixes (SLAAC), static IPv6 ones."""

    name: str
    ip4: bool = False
    slaac: bool = False
    static: bool = False

    @property
    def foreign(self) -> tuple[str, ...]:
        """Address attributes that mean nothing to the type."""
        return (
            *(() if self.ip4 else ("IP",)),
            *(() if self.slaac else ("GLOBAL_PREFIX", "ULA_PREFIX")),
            *(() if self.static else ("IP6", "PREFIX_LENGTH")),
        )


RANGE_TYPES: Final = {
    kind.name: kind
    for kind in (
        RangeType("ETHER"),
        RangeType("IP4", ip4=True),
        RangeType("IP6", slaac=True),
        RangeType("IP6_STATIC", static=True),
        RangeType("IP4_6", ip4=True, slaac=True),
        RangeType("IP4_6_STATIC", ip4=True, static=True),
    )
}


def range_type(attributes: Mapping[str, str]) -> RangeType:
    kind = RANGE_TYPES.get(attributes.get("TYPE", "").strip().upper())
    if kind is None:
        names = ", ".join(RANGE_TYPES)
        raise AddressRangeError(f"Unknown or missing address range TYPE, it must be one of {names}")
    return kind


def range_size(attributes: Mapping[str, str]) -> int:
    text = attributes.get("SIZE", "").strip()
    size = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0
    if not 1 <= size <= MAX_SIZE:
        raise AddressRangeError(
            f"Wrong SIZE for address range, it must be from 1 to {MAX_SIZE}, not {text!r}"
        )
    return size


def address(attributes: Mapping[str, str], name: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(attributes.get(name, "").strip())
    except ValueError as fault:
        raise AddressRangeError(f"Wrong or empty {name} attribute, {fault}") from fault


def prefix(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name, "").strip()
    if not text:
        return 0
    try:
        return parse_ip6(text) & _HIGH_64
    except ValueError as fault:
        raise AddressRangeError(
            f"Wrong format for {name}, it must be an IPv6 prefix of 64 bits such as 2001:db8::, not {text!r}"
        ) from fault


def check_prefix_length(attributes: Mapping[str, str]) -> None:
    text = attributes.get("PREFIX_LENGTH", "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= 128):
        raise AddressRangeError(f"Wrong or empty PREFIX_LENGTH, it must be from 0 to 128, not {text!r}")
