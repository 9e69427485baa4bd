"""MAC, IPv4 and IPv6 addresses as integers and back. Every parser raises ValueError with a sentence."""

from __future__ import annotations

import re
import socket
from typing import Final

LINK_LOCAL: Final = 0xFE80 << 112
"""The prefix of link-local IPv6 addresses."""

_MAC: Final = re.compile(r"(?:[0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}")
_IP4: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_HIGH_64: Final = 0xFFFF_FFFF_FFFF_FFFF << 64


def parse_mac(text: str) -> int:
    """48 bits from "02:00:0a:01:00:0a"; a byte may lack its leading zero."""
    if not _MAC.fullmatch(text):
        raise ValueError(f"a MAC address is six hexadecimal bytes such as 02:00:0a:01:00:0a, not {text!r}")
    return int.from_bytes(bytes(int(byte, 16) for byte in text.split(":")), "big")


def mac_text(mac: int) -> str:
    return mac.to_bytes(6, "big").hex(":")


def parse_ip4(text: str) -> int:
    """32 bits from dotted decimals; leading zeros don't make them octal."""
    parts = [int(part) for part in text.split(".")] if _IP4.fullmatch(text) else [256]
    if max(parts) > 255:
        raise ValueError(f"an IPv4 address is four numbers to 255 such as 10.1.0.10, not {text!r}")
    return int.from_bytes(bytes(parts), "big")


def ip4_text(ip: int) -> str:
    return socket.inet_ntoa(ip.to_bytes(4, "big"))


def parse_ip6(text: str) -> int:
    """128 bits from any of the text forms of RFC 4291, without zone or prefix length."""
    try:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except (OSError, ValueError):
        raise ValueError(f"an IPv6 address looks like 2001:db8::1, not {text!r}") from None


def ip6_text(ip6: int) -> str:
    """The shortest form of RFC 5952."""
    return socket.inet_ntop(socket.AF_INET6, ip6.to_bytes(16, "big"))


def eui64(prefix: int, mac: int) -> int:
    """The address that SLAAC gives a MAC under the upper 64 bits of `prefix` (RFC 4291, modified EUI-64)."""
    universal = mac ^ 0x0200_0000_0000
    return prefix & _HIGH_64 | (universal >> 24) << 40 | 0xFF_FE00_0000 | universal & 0xFF_FFFF
