"""Which address range a new network can take without hiding anything that this host reaches."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import Run, run_ip

CANDIDATES = tuple(
    IPv4Network(text)
    for text in (
        "172.30.231.0/24",
        "10.231.77.0/24",
        "192.168.231.0/24",
        "172.19.231.0/24",
        "10.77.231.0/24",
        "192.168.77.0/24",
        "198.18.231.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
    )
)
"""Private ranges (RFC 1918) that few sites use, then those for benchmarks and documentation."""


def routes(run: Run = run_ip) -> list[IPv4Network]:
    """Where the host's IPv4 routes lead, in every table; but the default ones, which lead anywhere."""
    entries: list[dict[str, Any]] = json.loads(run(["-4", "-j", "route", "show", "table", "all"]) or "[]")
    found = []
    for entry in entries:
        destination = str(entry.get("dst", "default"))
        if destination != "default":
            network = IPv4Network(destination, strict=False)
            # Two halves of everything are a default route too, as VPN clients write it.
            if network.prefixlen > 1:
                found.append(network)
    return found


def free_range(known: Iterable[IPv4Network], candidates: Iterable[IPv4Network] = CANDIDATES) -> IPv4Network:
    """The first candidate that no known range touches; DriverError when every one is taken."""
    taken = list(known)
    tried = []
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
        tried.append(str(candidate))
    raise DriverError(f"this host has routes into every range that was tried: {', '.join(tried)}")
