"""The network of the demonstration: a bridge of its own, with the gateway's address on it."""

import hashlib
import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.network.host_route import free_range, routes
from merope.drivers.network.ip_link import Run, links, run_ip


@dataclass(frozen=True, slots=True)
class DemoBridge:
    """The bridge of the cloud under `home`; its alias tells it from what others made."""

    home: Path
    run: Run = run_ip

    @property
    def name(self) -> str:
        return f"mrp-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:8]}"

    @property
    def alias(self) -> str:
        return f"merope demo in {self.home}"[:255]

    def choose(self) -> IPv4Network:
        """A range that no route of the machine covers. Raises DriverError."""
        return free_range(routes(self.run))

    def up(self, gateway: IPv4Address, network: IPv4Network) -> bool:
        """Makes the bridge, where it is missing, with this address; answers whether it was missing."""
        there = links(self.run).get(self.name)
        if there is None:
            taken = [route for route in routes(self.run) if route.overlaps(network)]
            if taken:
                raise DriverError(
                    f"the demonstration's network {network} is now reached by another route ({taken[0]}): "
                    "remove that route, or end the demonstration and begin in another directory"
                )
            self.run(["link", "add", "name", self.name, "type", "bridge"])
            self.run(["link", "set", "dev", self.name, "alias", self.alias])
        elif there.alias != self.alias:
            raise DriverError(f"the link {self.name} is there and is not ours (its alias is '{there.alias}')")
        self.run(["address", "replace", f"{gateway}/{network.prefixlen}", "dev", self.name])
        self.run(["link", "set", "dev", self.name, "up"])
        return there is None

    def down(self) -> bool:
        """Removes the bridge if it is ours; answers whether there was one."""
        there = links(self.run).get(self.name)
        if there is None or there.alias != self.alias:
            return False
        self.run(["link", "delete", "dev", self.name, "type", "bridge"])
        return True
