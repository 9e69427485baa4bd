"""Ethernet frames, made by hand: what guests send, and what they should not."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

BROADCAST = "ff:ff:ff:ff:ff:ff"
SYN, ACK, SYN_ACK = 0x02, 0x10, 0x12
ICMP, TCP, UDP, ESP, AH, ICMPV6 = 1, 6, 17, 50, 51, 58


@dataclass(frozen=True)
class Ends:
    """From whom to whom; the addresses are all IPv4 or all IPv6."""

    src_mac: str
    dst_mac: str
    src: str
    dst: str

    def back(self) -> "Ends":
        return Ends(self.dst_mac, self.src_mac, self.dst, self.src)


def ethernet(src: str, dst: str, kind: int, payload: bytes) -> bytes:
    return (mac(dst) + mac(src) + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def tagged(frame: bytes, vlan: int, kind: int = 0x8100) -> bytes:
    """The frame with a VLAN's tag; 0 is no VLAN (a priority)."""
    return frame[:12] + struct.pack("!HH", kind, vlan) + frame[12:]


def arp(src_mac: str, src: str, dst: str, *, said_mac: str = "") -> bytes:
    """A request; `said_mac` is what it says its sender is, else that of the frame."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(said_mac or src_mac)
    body += ip_address(src).packed + bytes(6) + ip_address(dst).packed
    return ethernet(src_mac, BROADCAST, 0x0806, body)


def udp(ends: Ends, port: int, payload: bytes = b"", *, source: int = 40000) -> bytes:
    header = struct.pack("!HHHH", source, port, 8 + len(payload), 0)
    return _ip(ends, UDP, _summed(ends, UDP, header + payload, 6))


def tcp(
    ends: Ends,
    port: int,
    payload: bytes = b"",
    *,
    source: int = 40000,
    flags: int = SYN,
    seq: int = 1,
    ack: int = 0,
) -> bytes:
    header = struct.pack("!HHIIBBHHH", source, port, seq, ack, 0x50, flags, 8192, 0, 0)
    return _ip(ends, TCP, _summed(ends, TCP, header + payload, 16))


def icmp(ends: Ends, kind: int, payload: bytes = b"") -> bytes:
    body = struct.pack("!BBHI", kind, 0, 0, 1) + payload
    if ":" in ends.src:
        return _ip(ends, ICMPV6, _summed(ends, ICMPV6, body, 2))
    return _ip(ends, ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def advertisement(ends: Ends, target: str, payload: bytes = b"") -> bytes:
    """That `target` is the sender's (RFC 4861)."""
    body = struct.pack("!BBHI", 136, 0, 0, 0) + ip_address(target).packed + payload
    return _ip(ends, ICMPV6, _summed(ends, ICMPV6, body, 2))


def esp(ends: Ends, payload: bytes = b"") -> bytes:
    return _ip(ends, ESP, struct.pack("!II", 7, 1) + payload)


def ah(ends: Ends, payload: bytes = b"") -> bytes:
    inner = struct.pack("!HHHH", 1, 1, 8 + len(payload), 0) + payload
    return _ip(ends, AH, struct.pack("!BBHIII", UDP, 2, 0, 7, 1, 0) + bytes(0) + inner)


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def checksum(data: bytes) -> int:
    words: Iterable[int] = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _summed(ends: Ends, protocol: int, body: bytes, place: int) -> bytes:
    pseudo = ip_address(ends.src).packed + ip_address(ends.dst).packed
    pseudo += struct.pack("!I", len(body)) + struct.pack("!I", protocol)
    return body[:place] + struct.pack("!H", checksum(pseudo + body) or 0xFFFF) + body[place + 2 :]


def _ip(ends: Ends, protocol: int, body: bytes) -> bytes:
    if ":" in ends.src:
        header = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64)
        packet = header + ip_address(ends.src).packed + ip_address(ends.dst).packed + body
        return ethernet(ends.src_mac, ends.dst_mac, 0x86DD, packet)
    addresses = ip_address(ends.src).packed + ip_address(ends.dst).packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet(ends.src_mac, ends.dst_mac, 0x0800, header + body)
