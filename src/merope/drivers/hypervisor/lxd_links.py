"""Pairs of links that LXD makes for the NICs of a container, and leaves when its start fails late or LXD is
killed meanwhile. The next start would fail: a link of that name is there."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from merope.drivers import commands
from merope.drivers.commands import CommandError

_SECONDS = 30.0


def names_of(found: dict[str, Any]) -> set[str]:
    """Names on the host of the NICs of a container as LXD tells of it: given by us, or chosen by LXD."""
    given = {each.get("host_name", "") for each in found["devices"].values() if each.get("type") == "nic"}
    chosen = {
        value
        for key, value in found["config"].items()
        if key.startswith("volatile.") and key.endswith(".host_name")
    }
    return (given | chosen) - {""}


def remove_left(names: Iterable[str]) -> None:
    """Removes the pairs with both ends on the host: no container has one of them. Raises DriverError."""
    for name in sorted(set(names)):
        if _is_left(name):
            try:
                commands.run(["ip", "link", "delete", "dev", name], timeout=_SECONDS)
            except CommandError:
                if _is_left(name):  # else the kernel was quicker
                    raise


def _is_left(name: str) -> bool:
    """An end whose other is in a container has a number in place of that one's name."""
    if not name or "/" in name or not Path("/proc/sys/net/ipv4/conf", name).exists():
        return False
    try:
        told = commands.run(["ip", "-json", "-d", "link", "show", "dev", name], timeout=_SECONDS).stdout
    except CommandError:
        return False
    return any(
        each.get("linkinfo", {}).get("info_kind") == "veth" and "link" in each for each in json.loads(told)
    )
