"""Firecracker's API, on the unix socket of one microVM (1.0 and newer)."""

import json
import socket
import struct
from pathlib import Path
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.unix_http import AwayError, request

_SECONDS = 30.0
_CREDENTIALS = struct.Struct("3i")


class Firecracker:
    """`path` is the socket. Errors are Firecracker's own words (`fault_message`)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, url: str, body: dict[str, Any]) -> None:
        self._call("PUT", url, body)

    def patch(self, url: str, body: dict[str, Any]) -> None:
        self._call("PATCH", url, body)

    def get(self, url: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._call("GET", url, None))
        return answer

    def act(self, action: str) -> None:
        """InstanceStart, SendCtrlAltDel, FlushMetrics."""
        self.put("/actions", {"action_type": action})

    def state(self) -> str:
        """`Not started`, `Running` or `Paused`; empty when there is no process."""
        try:
            return str(self.get("/").get("state", ""))
        except AwayError:
            return ""

    def process(self) -> int | None:
        """The pid of who listens; the kernel knows, whatever files say."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._path))
            except OSError:
                return None
            raw = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(raw)[0])

    def _call(self, method: str, url: str, body: dict[str, Any] | None) -> str:
        text = None if body is None else json.dumps(body)
        reply = request(self._path, "Firecracker", method, url, text, _SECONDS)
        if reply.status >= 400:
            raise DriverError(f"Firecracker refuses {method} {url}: {_fault(reply.body)}")
        return reply.body


def _fault(body: str) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return body.strip()[:300]
    return str(answer.get("fault_message", answer)) if isinstance(answer, dict) else body[:300]
