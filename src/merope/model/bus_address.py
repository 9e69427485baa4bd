"""Where a cloud publishes its events (HM_MAD of oned.conf; spec drivers.yaml `hm`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

HIGH_WATER = 100_000
"""Messages that are kept for a subscriber that is slow."""
_OPTION = re.compile(r"-([plbh])\s+(\S+)")


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where events are published, and where results of executors outside are taken; a port 0 is any."""

    host: str = "127.0.0.1"
    publisher: int = 2101
    replier: int = 2102
    high_water: int = HIGH_WATER

    @classmethod
    def of_arguments(cls, arguments: str) -> BusAddress:
        """ARGUMENTS of HM_MAD: -p and -l ports, -b the address, -h the high-water mark."""
        given = dict(_OPTION.findall(arguments))
        names = {"p": "publisher", "l": "replier", "h": "high_water"}
        numbers = {names[k]: int(v) for k, v in given.items() if k in names and v.isdecimal()}
        return replace(cls(), host=given.get("b", "127.0.0.1"), **numbers)

    @property
    def endpoint(self) -> str:
        """Where subscribers on this machine connect to."""
        host = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"tcp://[{host}]:{self.publisher}" if ":" in host else f"tcp://{host}:{self.publisher}"

    @property
    def shown(self) -> str:
        return f"{self.host}, ports {self.publisher} and {self.replier}"


def address_of(hm_mad: Mapping[str, Mapping[str, str]]) -> BusAddress | None:
    """None where oned.conf has no HM_MAD."""
    for section in hm_mad.values():
        return BusAddress.of_arguments(section.get("ARGUMENTS", ""))
    return None
