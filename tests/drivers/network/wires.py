"""Machines for tests of packets: network namespaces, joined by wires, that stand for hosts and for guests.

A guest's end of a wire is a socket of this process: it sends what it is told, however wrong, and says what
came.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from unittest.mock import patch

from tests.drivers.network import frames

from merope.drivers.network.tool import run_tool

_CLONE_NEWNET = 0x40000000
_ALL_FRAMES = 0x0003
_SOL_PACKET, _AUXDATA, _TAG_VALID = 263, 8, 0x10
_WAIT = 20.0
"""Seconds after which a frame that must come has not come."""
_numbers = count(1)
_libc = ctypes.CDLL(None, use_errno=True)


def why_not(*programs: str) -> str:
    """Why there can be no machines here; empty when there can."""
    if os.geteuid() != 0:
        return "machines of tests need root (network namespaces)"
    missing = [name for name in ("ip", *programs) if not _is_there(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _is_there(program: str) -> bool:
    from merope.drivers.network.tool import is_installed

    return is_installed(program)


class Machine:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = f"mt{os.getpid()}-{next(_numbers)}{name}"
        self.environment: dict[str, str] = {}
        """Of programs that run there."""
        run_tool(["ip", "netns", "add", self.name])
        with self.inside():
            run_tool(["ip", "link", "set", "lo", "up"])

    def remove(self) -> None:
        run_tool(["ip", "netns", "delete", self.name])

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread does, and the programs that it starts, are there meanwhile."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(before)
            os.close(there)
            os.close(before)

    def ip(self, arguments: object) -> str:
        """`ip` there: an implementation of the drivers' Run."""
        return self.tool(["ip", *arguments])  # type: ignore[misc]

    def tool(self, arguments: object, text: str = "") -> str:
        """A program there: an implementation of the drivers' Tool."""
        with self.inside(), patch.dict(os.environ, self.environment):
            return run_tool(arguments, text)  # type: ignore[arg-type]

    def set(self, name: str, value: str) -> None:
        """A value below /proc/sys/net."""
        with self.inside():
            (Path("/proc/sys/net") / name).write_text(value)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Guest:
    """What is behind a NIC: `port` is the host's end of its wire."""

    def __init__(self, host: Machine, port: str, mac: str, ip: str) -> None:
        self.mac, self.ip, self.port = mac, ip, port
        self._machine = Machine("g")
        wire = [
            "link",
            "add",
            "name",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self._machine.name,
        ]
        host.ip(wire)
        self._machine.set("ipv6/conf/eth0/disable_ipv6", "1")
        self._machine.ip(["link", "set", "dev", "eth0", "address", mac, "up"])
        with self._machine.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
            self._socket.bind(("eth0", 0))
            self._socket.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        self._socket.settimeout(_WAIT)

    def remove(self) -> None:
        self._socket.close()
        self._machine.remove()

    def to(self, other: "Guest") -> frames.Ends:
        return frames.Ends(self.mac, other.mac, self.ip, other.ip)

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def hears(self, marker: bytes, until: bytes) -> bool:
        """Whether a frame with `marker` comes before one with `until`, for which it waits."""
        found = False
        while True:
            frame, address = self._socket.recvfrom(65535)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            found = found or marker in frame
            if until in frame:
                return found

    def next(self, mark: bytes) -> bytes:
        """The next frame with `mark`, its VLANs in it."""
        while True:
            frame, ancillary, _, address = self._socket.recvmsg(65535, 256)
            if mark in frame and address[2] != socket.PACKET_OUTGOING:
                return _with_tag(frame, ancillary)


def _with_tag(frame: bytes, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """The kernel takes the outer tag out of the frame and says beside it what it was."""
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _AUXDATA):
            status, _, _, _, _, tag, protocol = struct.unpack("IIIHHHH", data[:20])
            if status & _TAG_VALID:
                return frame[:12] + struct.pack("!HH", protocol, tag) + frame[12:]
    return frame


def marker() -> bytes:
    """What is in no other frame: it looks like an address of 240.0.0.0/4, which nobody has."""
    return struct.pack("!I", 0xF0000000 | os.getpid() << 12 & 0x0FFFF000 | next(_numbers) & 0xFFF)


def passes(sender: Guest, receiver: Guest, frame: bytes, mark: bytes, after: Guest | None = None) -> bool:
    """Whether a frame that has `mark` in it goes from one guest to another.

    What has not come before a question by ARP that was asked later does not come: the way keeps the order of
    what is not under way together, so it is asked twice. `after` asks where the receiver does not hear the
    sender at all.
    """
    sender.send(frame)
    asking = after or sender
    heard = False
    for _ in range(2):
        end = marker()
        asking.send(frames.arp(asking.mac, asking.ip, socket.inet_ntoa(end)))
        heard = receiver.hears(mark, end) or heard
    return heard
