"""The microVMs of a host: each listens at a socket in its jail."""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Iterator

from merope_agent.domains import RUNNING, SUSPENDED, Domain

SOCKET = "root/run/firecracker.socket"
_SECONDS = 5.0
_CREDENTIALS = struct.Struct("3i")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def read(jails: str) -> list[Domain]:
    """Those that run, in the jails below `<jails>/<program>/<id>`."""
    return sorted(_found(jails))


def _found(jails: str) -> Iterator[Domain]:
    for program in _names(jails):
        for name in _names(os.path.join(jails, program)):
            domain = _domain(name, os.path.join(jails, program, name, SOCKET))
            if domain is not None:
                yield domain


def _domain(name: str, path: str) -> Domain | None:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_SECONDS)
        try:
            line.connect(path)
            pid = _CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            memory, cpu_time = _usage(pid)
        except (OSError, ValueError, IndexError):
            return None
        try:
            state = _ask(line, "/").get("state", "")
        except (OSError, ValueError):
            # It is there, and busy: who is not told of is taken to be off.
            state = "Running"
    if state not in ("Running", "Paused"):
        return None
    return Domain(name, SUSPENDED if state == "Paused" else RUNNING, memory, memory, 1, cpu_time)


def _ask(line: socket.socket, url: str) -> dict[str, str]:
    """The answer to a GET; its body is as long as its head says."""
    line.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode())
    data = b""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            answer: dict[str, str] = json.loads(body.decode())
            return answer
        more = line.recv(4096)
        if not more:
            raise ValueError("the answer ends too early")
        data += more


def _length(head: bytes) -> int:
    for field in head.decode("latin-1").split("\r\n"):
        name, _, value = field.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


def _usage(pid: int) -> tuple[int, int]:
    """Memory in KB and CPU time in nanoseconds of a process."""
    with open(f"/proc/{pid}/stat") as stream:
        fields = stream.read().rpartition(")")[2].split()
    with open(f"/proc/{pid}/statm") as stream:
        pages = int(stream.read().split()[1])
    return pages * _PAGE // 1024, (int(fields[11]) + int(fields[12])) * 1000000000 // _TICKS


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
