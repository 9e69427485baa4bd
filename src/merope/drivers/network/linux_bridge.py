"""Linux bridges and the links that join them to the outside: made on demand, removed with the last NIC.

What a driver made goes when the last VM that needs it has gone. What was there before is the administrator's,
and stays.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import Link, Run, links, words

MADE_BY_US = "merope"
"""The alias of the links that are ours to remove."""

_BRCTL = {"stp": "stp_state", "hello": "hello_time", "maxage": "max_age", "fd": "forward_delay"}
"""Options of BRIDGE_CONF as `brctl` calls them, which `ip` calls otherwise."""
_STATES = {"on": "1", "yes": "1", "off": "0", "no": "0"}


@dataclass(frozen=True, slots=True)
class Uplink:
    """A port of a bridge to the outside.

    `kind` is vlan or vxlan for a link that is made for the bridge, empty for a physical device. `arguments`
    are those of `ip link add` after the kind, found when they are needed; `traits` are what `ip -d` says of
    one that is as wanted.
    """

    name: str
    kind: str = ""
    parent: str = ""
    arguments: Callable[[], Sequence[str]] = tuple
    traits: Mapping[str, object] = field(default_factory=dict)


class LinuxBridges:
    """The bridges of one host.

    `state` is a directory of this host that a reboot may empty. A file in it says that a VM needs a bridge:
    between `join` and the start of the domain nothing else would, and another VM's `leave` took it away.
    """

    def __init__(self, state: Path, run: Run, *, keep_empty: bool = False) -> None:
        self._state = state
        self._run = run
        self._keep_empty = keep_empty

    def join(
        self,
        name: str,
        vm_id: int,
        uplink: Uplink | None,
        mtu: int = 0,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """The VM needs the bridge from now on. `mtu` 0 leaves it as it is. Raises DriverError."""
        with self._locked():
            self._need(name).mkdir(parents=True, exist_ok=True)
            (self._need(name) / str(vm_id)).touch()
            self._make(name, options or {})
            if uplink is not None:
                self._make_uplink(name, uplink, mtu)
                self._enslave(name, uplink.name)
            self._set_mtu(name, uplink, mtu)

    def leave(self, name: str, vm_id: int, uplink: Uplink | None) -> None:
        """The VM needs the bridge no more."""
        with self._locked():
            (self._need(name) / str(vm_id)).unlink(missing_ok=True)
            if not self._keep_empty and not self._is_needed(name):
                self._remove(name, uplink)

    def _make(self, name: str, options: Mapping[str, str]) -> None:
        there = links(self._run).get(name)
        if there is not None and there.kind != "bridge":
            raise DriverError(
                f"the link {name} is there and is no bridge, but {there.kind or 'an interface'}"
            )
        if there is None:
            known = {_BRCTL.get(key, key): _STATES.get(value, value) for key, value in options.items()}
            self._add(name, ["name", name, "type", "bridge", *words(known)])
        elif self._making(name).exists():
            self._mark(name)
        if there is None or not there.up:
            self._run(["link", "set", "dev", name, "up"])

    def _add(self, name: str, arguments: Sequence[str]) -> None:
        """Whoever finds the link without its mark knows by the file that it is ours."""
        self._making(name).parent.mkdir(exist_ok=True)
        self._making(name).touch()
        self._run(["link", "add", *arguments])
        self._mark(name)

    def _mark(self, name: str) -> None:
        self._run(["link", "set", "dev", name, "alias", MADE_BY_US])
        self._making(name).unlink()

    def _making(self, name: str) -> Path:
        return self._state / "making" / name

    def _is_ours(self, link: Link) -> bool:
        return link.alias == MADE_BY_US or self._making(link.name).exists()

    def _make_uplink(self, bridge: str, uplink: Uplink, mtu: int) -> None:
        there = links(self._run)
        self._refuse_two_networks(there, bridge, uplink)
        if not uplink.kind:
            return
        below = there.get(uplink.parent)
        if uplink.parent and below is None:
            raise DriverError(f"there is no interface {uplink.parent} on this host for the bridge {bridge}")
        if below is not None and mtu > below.mtu and uplink.kind == "vlan":
            raise DriverError(
                f"MTU {mtu} is more than the {below.mtu} of {below.name}, which carries {uplink.name}"
            )
        link = there.get(uplink.name)
        if link is None:
            sized = ["mtu", str(mtu)] if mtu else []
            on = ["link", uplink.parent] if uplink.kind == "vlan" else []
            self._add(
                uplink.name, [*on, "name", uplink.name, *sized, "type", uplink.kind, *uplink.arguments()]
            )
        else:
            _refuse_another_kind(link, uplink)
            if self._making(uplink.name).exists():
                self._mark(uplink.name)
        if below is not None and not below.up:
            self._run(["link", "set", "dev", below.name, "up"])

    def _refuse_two_networks(self, there: Mapping[str, Link], bridge: str, uplink: Uplink) -> None:
        """Two networks with one bridge, or one VXLAN id under two names, would be joined."""
        for link in there.values():
            if link.name == uplink.name or link.kind not in ("vlan", "vxlan"):
                continue
            if link.master == bridge and self._is_ours(link):
                raise DriverError(
                    f"the bridge {bridge} is joined to {link.name}, which carries another network; it cannot "
                    f"be joined to {uplink.name} as well: give the two networks different BRIDGEs"
                )
            if link.kind == uplink.kind == "vxlan" and link.data.get("id") == uplink.traits.get("id"):
                raise DriverError(
                    f"{link.name} has the VXLAN id {link.data['id']}, there cannot be {uplink.name} as well"
                )

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
        made = there.get(own)
        if uplink is not None and uplink.kind and made is not None and self._is_ours(made):
            self._delete(own)
        bridge = there.get(name)
        if bridge is not None and self._is_ours(bridge):
            self._delete(name)

    def _delete(self, name: str) -> None:
        self._run(["link", "delete", "dev", name])
        self._making(name).unlink(missing_ok=True)

    def _need(self, name: str) -> Path:
        return self._state / "bridges" / name

    def _is_needed(self, name: str) -> bool:
        need = self._need(name)
        if need.is_dir() and any(need.iterdir()):
            return True
        if need.is_dir():
            need.rmdir()
        return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time: looking and changing are two steps."""
        self._state.mkdir(parents=True, exist_ok=True)
        with (self._state / "bridges.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _refuse_another_kind(link: Link, uplink: Uplink) -> None:
    found = {"kind": link.kind, **{key: link.data.get(key) for key in uplink.traits}}
    wanted = {"kind": uplink.kind, **uplink.traits}
    if uplink.kind == "vlan":
        found, wanted = found | {"link": link.parent}, wanted | {"link": uplink.parent}
    if found != wanted:
        raise DriverError(f"the link {link.name} is there and is {_shown(found)}, expected {_shown(wanted)}")


def _shown(traits: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in traits.items())
