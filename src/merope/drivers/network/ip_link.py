"""The host's links, read and changed by `ip` with argument vectors."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.network.tool import run_tool

_LINK_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)
_OPTION = re.compile(r"\s*([a-z][a-z0-9_-]{0,31})\s*=\s*([A-Za-z0-9_.:/-]{0,64})\s*", re.ASCII)

Run = Callable[[Sequence[str]], str]


def run_ip(arguments: Sequence[str]) -> str:
    """`ip` with these arguments, by sudo when we are not root; its output, or DriverError with its words."""
    return run_tool(["ip", *arguments])


def checked_name(name: str, what: str) -> str:
    """A name that the kernel takes for a link, 15 characters at most; DriverError naming `what` otherwise."""
    if not _LINK_NAME.fullmatch(name):
        raise DriverError(
            f"{what} is '{name}', expected the name of a network link (1 to 15 of A-Z a-z 0-9 _ . -)"
        )
    return name


def options(text: str, what: str) -> dict[str, str]:
    """The options of IP_LINK_CONF and its kind, `name=value,name=`; DriverError naming `what` otherwise."""
    found = {}
    for word in filter(str.strip, text.split(",")):
        match = _OPTION.fullmatch(word)
        if match is None:
            raise DriverError(
                f"{what} has '{word.strip()}', expected options as name=value, or name= for a flag"
            )
        found[match[1]] = match[2]
    return found


def words(given: Mapping[str, str]) -> list[str]:
    """Options as arguments of `ip`: a name without value stands alone."""
    return [word for name, value in given.items() for word in (name, value) if word]


@dataclass(frozen=True, slots=True)
class Link:
    """`alias` is a free text that stays with the link; `master` the bridge that it is a port of; `parent`
    the link below it; `data` what is particular to its kind, as `ip -d` shows it."""

    name: str
    kind: str
    up: bool
    mtu: int
    alias: str
    master: str
    parent: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def links(run: Run = run_ip) -> dict[str, Link]:
    """Every link of the host by name."""
    entries: list[dict[str, Any]] = json.loads(run(["-j", "-d", "link", "show"]) or "[]")
    found = (
        Link(
            name=str(entry["ifname"]),
            kind=str(entry.get("linkinfo", {}).get("info_kind", "")),
            up="UP" in entry.get("flags", []),
            mtu=int(entry.get("mtu", 0)),
            alias=str(entry.get("ifalias", "")),
            master=str(entry.get("master", "")),
            parent=str(entry.get("link") or ""),
            data=entry.get("linkinfo", {}).get("info_data", {}),
        )
        for entry in entries
    )
    return {link.name: link for link in found}
