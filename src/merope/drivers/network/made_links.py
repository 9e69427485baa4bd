"""Links of a host that drivers make: known again as ours after a crash, kept while a VM needs them."""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import Link, Run, links

MADE_BY_US = "merope"
"""The alias of the links that are ours to remove."""


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


class MadeLinks:
    """`state` is a directory of this host that a reboot may empty.

    A file in it says that a VM needs a bridge: between `need` and the start of the domain nothing else would,
    and another VM's end took it away.
    """

    def __init__(self, state: Path, run: Run) -> None:
        self._state = state
        self._run = run

    def add(self, name: str, arguments: Sequence[str]) -> None:
        """Whoever finds the link without its mark knows by the file that it is ours."""
        self._making(name).parent.mkdir(exist_ok=True)
        self._making(name).touch()
        self._run(["link", "add", *arguments])
        self._mark(name)

    def complete(self, name: str) -> None:
        """Marks a link that was made when the driver was killed."""
        if self._making(name).exists():
            self._mark(name)

    def delete(self, name: str) -> None:
        self._run(["link", "delete", "dev", name])
        self._making(name).unlink(missing_ok=True)

    def is_ours(self, link: Link) -> bool:
        return link.alias == MADE_BY_US or self._making(link.name).exists()

    def _mark(self, name: str) -> None:
        self._run(["link", "set", "dev", name, "alias", MADE_BY_US])
        self._making(name).unlink()

    def _making(self, name: str) -> Path:
        return self._state / "making" / name

    def make_uplink(self, bridge: str, uplink: Uplink, mtu: int) -> None:
        """The link of an uplink that is not physical. Raises DriverError when something is in its way."""
        there = links(self._run)
        self._refuse_two_networks(there, bridge, uplink)
        if not uplink.kind:
            return
        below = there.get(uplink.parent)
        if below is None:
            raise DriverError(f"there is no interface {uplink.parent} on this host for the bridge {bridge}")
        if mtu > below.mtu and uplink.kind == "vlan":
            raise DriverError(
                f"MTU {mtu} is more than the {below.mtu} of {below.name}, which carries {uplink.name}"
            )
        link = there.get(uplink.name)
        if link is None:
            sized = ["mtu", str(mtu)] if mtu else []
            on = ["link", uplink.parent] if uplink.kind == "vlan" else []
            self.add(
                uplink.name, [*on, "name", uplink.name, *sized, "type", uplink.kind, *uplink.arguments()]
            )
        else:
            _refuse_another_kind(link, uplink)
            self.complete(uplink.name)
        if not below.up:
            self._run(["link", "set", "dev", below.name, "up"])

    def remove_uplink(self, bridge: str, uplink: Uplink | None) -> None:
        """A link that we made for the bridge; one that another bridge has is that one's."""
        if uplink is None or not uplink.kind:
            return
        link = links(self._run).get(uplink.name)
        if link is not None and link.master in ("", bridge) and self.is_ours(link):
            self.delete(uplink.name)

    def _refuse_two_networks(self, there: Mapping[str, Link], bridge: str, uplink: Uplink) -> None:
        """Two networks with one bridge, or one VXLAN id under two names, would be joined."""
        for link in there.values():
            if link.name == uplink.name or link.kind not in ("vlan", "vxlan"):
                continue
            if link.master == bridge and self.is_ours(link):
                raise DriverError(
                    f"the bridge {bridge} is joined to {link.name}, which carries another network; it cannot "
                    f"be joined to {uplink.name} as well: give the two networks different BRIDGEs"
                )
            if link.kind == uplink.kind == "vxlan" and link.data.get("id") == uplink.traits.get("id"):
                raise DriverError(
                    f"{link.name} has the VXLAN id {link.data['id']}, there cannot be {uplink.name} as well"
                )

    def need(self, bridge: str, vm_id: int) -> None:
        self._needs(bridge).mkdir(parents=True, exist_ok=True)
        (self._needs(bridge) / str(vm_id)).touch()

    def need_no_more(self, bridge: str, vm_id: int) -> None:
        (self._needs(bridge) / str(vm_id)).unlink(missing_ok=True)

    def is_needed(self, bridge: str) -> bool:
        needs = self._needs(bridge)
        if needs.is_dir() and any(needs.iterdir()):
            return True
        if needs.is_dir():
            needs.rmdir()
        return False

    def _needs(self, bridge: str) -> Path:
        return self._state / "bridges" / bridge

    @contextmanager
    def locked(self) -> Iterator[None]:
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
