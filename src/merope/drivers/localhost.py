"""Which host names mean this machine."""

import ipaddress
import socket


def is_local(name: str) -> bool:
    """Whether the host called `name` (a name or an address; empty is the front-end) is this machine."""
    name = name.rstrip(".").lower()
    if name in ("", "localhost") or name.endswith(".localhost"):
        return True
    try:
        return _is_own_address(ipaddress.ip_address(name))
    except ValueError:
        own = socket.gethostname().lower()
    if name == own:
        return True
    # The full name is looked up only where it can matter: a name server may be slow or away.
    return name.partition(".")[0] == own.partition(".")[0] and name == socket.getfqdn().lower()


def _is_own_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Only an address of this machine can be bound.
            probe.bind((str(address), 0))
        except OSError:
            return False
    return not address.is_unspecified
