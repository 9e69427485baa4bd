"""The containers of a host, asked of LXD over its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from merope_agent import commands
from merope_agent.domains import FAILURE, POWEROFF, RUNNING, SUSPENDED, Domain

_SECONDS = 30.0
_STATES = {"Frozen": SUSPENDED, "Stopped": POWEROFF, "Error": FAILURE}
_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("lxd", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def read(path: str) -> list[Domain]:
    """Every container, with what it uses. Raises CommandError."""
    connection = _Connection(path)
    try:
        connection.request("GET", "/1.0/instances?recursion=2")
        answer = json.loads(connection.getresponse().read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise commands.CommandError(f"LXD does not answer at {path}: {error}") from None
    finally:
        connection.close()
    if answer.get("type") == "error":
        raise commands.CommandError(f"LXD: {answer.get('error')}")
    return [domain_of(found) for found in answer["metadata"] if found.get("type") == "container"]


def domain_of(found: dict[str, Any]) -> Domain:
    """A container as `instances?recursion=2` shows it. Counters are the container's own."""
    config, state = found.get("expanded_config") or {}, found.get("state") or {}
    networks = (state.get("network") or {}).items()
    counted = [each.get("counters") or {} for name, each in networks if name != "lo"]
    memory = int((state.get("memory") or {}).get("usage") or 0) // 1024
    return Domain(
        found["name"],
        _STATES.get(found["status"], RUNNING),
        memory,
        kilobytes(config.get("limits.memory", "")) or memory,
        processors(config.get("limits.cpu", "")),
        int((state.get("cpu") or {}).get("usage") or 0),
        {
            "NETRX": sum(int(each.get("bytes_received") or 0) for each in counted),
            "NETTX": sum(int(each.get("bytes_sent") or 0) for each in counted),
        },
    )


def kilobytes(text: str) -> int:
    """`limits.memory`; 0 for a part of the host's memory, which it can be too."""
    for unit, size in _UNITS.items():
        number = text[: -len(unit)]
        if text.endswith(unit) and number.isdigit():
            return int(number) * size // 1024
    return 0


def processors(text: str) -> int:
    """`limits.cpu`: a number, or a list of processors such as 0-2,5."""
    if text.isdigit():
        return max(int(text), 1)
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            count += int(last or first) - int(first) + 1
    return max(count, 1)
