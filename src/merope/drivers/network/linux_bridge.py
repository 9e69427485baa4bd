"""Linux bridges and the links that join them to the outside: made on demand, removed with the last NIC.

What a driver made goes when the last VM that needs it has gone. What was there before is the administrator's,
and stays.
"""

from collections.abc import Mapping
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import Run, links, words
from merope.drivers.network.made_links import MadeLinks, Uplink

_BRCTL = {"stp": "stp_state", "hello": "hello_time", "maxage": "max_age", "fd": "forward_delay"}
"""Options of BRIDGE_CONF as `brctl` calls them, which `ip` calls otherwise."""
_STATES = {"on": "1", "yes": "1", "off": "0", "no": "0"}


class LinuxBridges:
    """The bridges of one host; `state` as for MadeLinks."""

    def __init__(self, state: Path, run: Run, *, keep_empty: bool = False) -> None:
        self._made = MadeLinks(state, run)
        self._run = run
        self._keep_empty = keep_empty

    def join(
        self, name: str, vm_id: int, uplink: Uplink | None, mtu: int, options: Mapping[str, str]
    ) -> None:
        """The VM needs the bridge from now on. `mtu` 0 leaves it as it is. Raises DriverError."""
        with self._made.locked():
            self._made.need(name, vm_id)
            self._make(name, options)
            if uplink is not None:
                self._made.make_uplink(name, uplink, mtu)
                self._enslave(name, uplink.name)
            self._set_mtu(name, uplink, mtu)

    def leave(self, name: str, vm_id: int, uplink: Uplink | None) -> None:
        """The VM needs the bridge no more."""
        with self._made.locked():
            self._made.need_no_more(name, vm_id)
            if not self._made.is_needed(name) and not self._keep_empty:
                self._remove(name, uplink)

    def _make(self, name: str, options: Mapping[str, str]) -> None:
        there = links(self._run).get(name)
        if there is not None and there.kind != "bridge":
            raise DriverError(
                f"the link {name} is there and is no bridge, but {there.kind or 'an interface'}"
            )
        if there is None:
            known = {_BRCTL.get(key, key): _STATES.get(value, value) for key, value in options.items()}
            self._made.add(name, ["name", name, "type", "bridge", *words(known)])
        else:
            self._made.complete(name)
        if there is None or not there.up:
            self._run(["link", "set", "dev", name, "up"])

    def _enslave(self, name: str, port_name: str) -> None:
        port = links(self._run).get(port_name)
        if port is None:
            raise DriverError(f"there is no interface {port_name} on this host for the bridge {name}")
        if port.master and port.master != name:
            raise DriverError(f"{port_name} is a port of {port.master}, it cannot be one of {name} as well")
        if not port.master:
            self._run(["link", "set", "dev", port_name, "master", name])
        if not port.up:
            self._run(["link", "set", "dev", port_name, "up"])

    def _set_mtu(self, name: str, uplink: Uplink | None, mtu: int) -> None:
        if not mtu:
            return
        there = links(self._run)
        for device in (uplink.name, name) if uplink is not None else (name,):
            if there[device].mtu != mtu:
                self._run(["link", "set", "dev", device, "mtu", str(mtu)])

    def _remove(self, name: str, uplink: Uplink | None) -> None:
        there = links(self._run)
        own = uplink.name if uplink is not None else ""
        if any(link.master == name and link.name != own for link in there.values()):
            return
        self._made.remove_uplink(name, uplink)
        bridge = there.get(name)
        if bridge is not None and self._made.is_ours(bridge):
            self._made.delete(name)
