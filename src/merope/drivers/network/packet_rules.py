"""What the security groups of a NIC let pass: the rules in a VM's document, read, checked and put together.

Source: spec templates.yaml `security_group`, `SECURITY_GROUP_RULE`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar

from merope.drivers.errors import DriverError
from merope.model.addresses import eui64, parse_mac
from merope.model.template import Vector
from merope.model.vm import VM

_Kind = TypeVar("_Kind", bound=Enum)
_PORTS = re.compile(r"(\d{1,5})(?::(\d{1,5}))?", re.ASCII)
_LAST_PORT, _LAST_TYPE = 65535, 255
_BLOCK = 1 << 24
"""Of MAC addresses with the same upper half, the addresses that follow from them (SLAAC) are consecutive."""


class Way(Enum):
    """RULE_TYPE; seen from the guest."""

    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


class Protocol(Enum):
    ALL = "ALL"
    TCP = "TCP"
    UDP = "UDP"
    ICMP = "ICMP"
    ICMPV6 = "ICMPV6"
    IPSEC = "IPSEC"


_FAMILIES = {Protocol.ICMP: (4,), Protocol.ICMPV6: (6,)}


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive IP addresses of a family (4 or 6), as numbers, both ends within."""

    family: int
    first: int
    last: int

    def __str__(self) -> str:
        kind = IPv4Address if self.family == 4 else IPv6Address
        return f"{kind(self.first)}-{kind(self.last)}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """One kind of packet that passes, with the others at `span` (None: anybody).

    `ports` are single ones or first:last, empty for all; `icmp_type` likewise.
    """

    way: Way
    protocol: Protocol
    span: Span | None = None
    ports: tuple[str, ...] = ()
    icmp_type: str = ""

    @property
    def families(self) -> tuple[int, ...]:
        possible = _FAMILIES.get(self.protocol, (4, 6))
        return possible if self.span is None else tuple(f for f in possible if f == self.span.family)


def allowed(vm: VM, nic: Vector) -> list[Allowed]:
    """What passes by the groups of a NIC, sorted so that equal documents give equal rules.

    Raises DriverError for a rule that cannot be read: to leave it out would be another rule.
    """
    groups = {word.strip() for word in nic.get("SECURITY_GROUPS", "").split(",") if word.strip()}
    found: set[Allowed] = set()
    for rule in vm.template.vectors("SECURITY_GROUP_RULE"):
        if rule.get("SECURITY_GROUP_ID") in groups:
            try:
                found.update(_read(rule))
            except ValueError as error:
                raise DriverError(
                    f"VM {vm.id}: a rule of security group {rule.get('SECURITY_GROUP_ID')}: {error}"
                ) from error
    return _joined(found)


def _read(rule: Vector) -> Iterator[Allowed]:
    way = _one_of(Way, rule, "RULE_TYPE")
    protocol = _one_of(Protocol, rule, "PROTOCOL")
    base = Allowed(way, protocol, None, _ports(rule), _icmp_type(rule, protocol))
    if not _is_about_addresses(rule):
        yield base
        return
    for span in _spans(rule):
        yield replace(base, span=span)


def _one_of(kind: type[_Kind], rule: Vector, name: str) -> _Kind:
    try:
        return kind(rule.get(name, "").strip().upper())
    except ValueError:
        expected = ", ".join(str(each.value) for each in kind)
        raise ValueError(f"{name} is '{rule.get(name, '')}', expected one of {expected}") from None


def _ports(rule: Vector) -> tuple[str, ...]:
    words = [word.strip() for word in rule.get("RANGE", "").split(",") if word.strip()]
    for word in words:
        match = _PORTS.fullmatch(word)
        bounds = [int(part) for part in match.groups() if part] if match else []
        if not bounds or bounds != sorted(bounds) or bounds[-1] > _LAST_PORT:
            raise ValueError(f"RANGE has '{word}', expected a port or first:last up to {_LAST_PORT}")
    return tuple(sorted(set(words), key=lambda word: int(word.partition(":")[0])))


def _icmp_type(rule: Vector, protocol: Protocol) -> str:
    name = {Protocol.ICMP: "ICMP_TYPE", Protocol.ICMPV6: "ICMPV6_TYPE"}.get(protocol, "")
    text = rule.get(name, "") if name else ""
    if text and not (text.isascii() and text.isdecimal() and int(text) <= _LAST_TYPE):
        raise ValueError(f"{name} is '{text}', expected 0 to {_LAST_TYPE}")
    return str(int(text)) if text else ""


def _is_about_addresses(rule: Vector) -> bool:
    """A rule about a network of which no address is known is about nobody, not about everybody."""
    return bool(rule.get("IP") or rule.get("NETWORK_ID"))


def _spans(rule: Vector) -> Iterator[Span]:
    size = int(rule.get("SIZE") or 1)
    for name in ("IP", "IP6"):
        if rule.get(name):
            first = ip_address(rule[name])
            last = min(int(first) + size - 1, (1 << first.max_prefixlen) - 1)
            yield Span(first.version, int(first), last)
    for name in ("IP6_GLOBAL", "IP6_ULA", "IP6_LINK"):
        if rule.get(name):
            yield from _derived(int(IPv6Address(rule[name])) >> 64, parse_mac(rule["MAC"]), size)


def _derived(prefix: int, mac: int, size: int) -> Iterator[Span]:
    """The addresses under a prefix that follow from consecutive MACs."""
    end = mac + size
    while mac < end:
        after = min(end, (mac // _BLOCK + 1) * _BLOCK)
        yield Span(6, eui64(prefix << 64, mac), eui64(prefix << 64, after - 1))
        mac = after


def _joined(found: set[Allowed]) -> list[Allowed]:
    """Spans that touch, of what is the same otherwise, are one; what is let pass anyway needs no span."""
    spans: dict[Allowed, list[Span]] = {}
    for each in found:
        if each.span is not None and replace(each, span=None) not in found:
            spans.setdefault(replace(each, span=None), []).append(each.span)
    joined = [each for each in found if each.span is None]
    for base, parts in spans.items():
        joined += [replace(base, span=span) for span in _merged(parts)]
    return sorted(joined, key=_order)


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.family, each.first)):
        before = merged[-1] if merged else None
        if before is not None and before.family == span.family and span.first <= before.last + 1:
            merged[-1] = replace(before, last=max(before.last, span.last))
        else:
            merged.append(span)
    return merged


def _order(each: Allowed) -> tuple[object, ...]:
    span = (0, 0, 0) if each.span is None else (each.span.family, each.span.first, each.span.last)
    return each.way.value, each.protocol.value, each.ports, each.icmp_type, span
