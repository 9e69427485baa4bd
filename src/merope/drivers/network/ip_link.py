"""The host's links, read and changed by `ip` with argument vectors."""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from merope.drivers.commands import run
from merope.drivers.errors import DriverError

_LINK_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", re.ASCII)
_TIME_LIMIT = 30.0

Run = Callable[[Sequence[str]], str]


def run_ip(arguments: Sequence[str]) -> str:
    """`ip` with these arguments, by sudo when we are not root; its output, or DriverError with its words."""
    command = ["ip"] if os.geteuid() == 0 else ["sudo", "-n", "ip"]
    try:
        return run([*command, *arguments], timeout=_TIME_LIMIT).stdout
    except DriverError as error:
        raise DriverError(f"ip {' '.join(arguments)}: {error}", retry_safe=error.retry_safe) from error


def checked_name(name: str, what: str) -> str:
    """A name that the kernel takes for a link, 15 characters at most; DriverError naming `what` otherwise."""
    if not _LINK_NAME.fullmatch(name):
        raise DriverError(
            f"{what} is '{name}', expected the name of a network link (1 to 15 of A-Z a-z 0-9 _ . -)"
        )
    return name


@dataclass(frozen=True, slots=True)
class Link:
    """`alias` is a free text that stays with the link; `master` the bridge that it is a port of."""

    name: str
    kind: str
    up: bool
    mtu: int
    alias: str
    master: str


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
        )
        for entry in entries
    )
    return {link.name: link for link in found}
