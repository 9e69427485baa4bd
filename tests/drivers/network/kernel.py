"""A kernel's links, addresses and routes, for tests of what asks `ip`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from merope.drivers.errors import DriverError
from merope.drivers.network.ip_link import Link


@dataclass
class Kernel:
    """Answers the `ip` commands that drivers give, as a kernel would."""

    links: dict[str, Link] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    routes: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str]) -> str:
        match list(arguments):
            case ["-j", "-d", "link", "show"]:
                return json.dumps([self._described(link) for link in self.links.values()])
            case ["link", "add", "name", name, "type", kind, *_]:
                self._expect(name not in self.links, "File exists")
                self.links[name] = Link(name, kind, up=False, mtu=1500, alias="", master="")
            case ["link", "delete", "dev", name] | ["link", "delete", "dev", name, "type", _]:
                self._expect(name in self.links, "Cannot find device")
                del self.links[name]
            case ["link", "set", "dev", name, "up"]:
                self._change(name, up=True)
            case ["link", "set", "dev", name, key, value]:
                self._change(name, **{key: int(value) if key == "mtu" else value})
            case ["address", "replace", address, "dev", name]:
                self._expect(name in self.links, "Cannot find device")
                self.addresses[name] = address
            case ["-4", "-j", "route", "show", "table", "all"]:
                return json.dumps(self.routes)
            case _:
                raise AssertionError(f"a command that nobody expected: {arguments}")
        self.commands.append(" ".join(arguments))
        return ""

    def add(self, name: str, kind: str = "", alias: str = "", master: str = "") -> None:
        self.links[name] = Link(name, kind, up=True, mtu=1500, alias=alias, master=master)

    def _change(self, name: str, **changes: object) -> None:
        self._expect(name in self.links, "Cannot find device")
        self.links[name] = replace(self.links[name], **changes)  # type: ignore[arg-type]

    def _expect(self, condition: bool, complaint: str) -> None:
        if not condition:
            raise DriverError(f"ip: {complaint}")

    @staticmethod
    def _described(link: Link) -> dict[str, object]:
        entry: dict[str, object] = {"ifname": link.name, "mtu": link.mtu, "flags": ["UP"] if link.up else []}
        entry |= {"linkinfo": {"info_kind": link.kind}} if link.kind else {}
        entry |= {key: value for key, value in (("ifalias", link.alias), ("master", link.master)) if value}
        return entry
