"""The taps of a microVM: it opens them, but does not make them."""

import json
import re
from contextlib import suppress
from pathlib import Path

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.model.vm import VM

_TAPS = "taps.json"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}", re.ASCII)
_SECONDS = 30.0


def make_taps(vm: VM, uid: int, place: Path) -> None:
    """A tap for each NIC, on its bridge; which they are is written down first. Raises DriverError."""
    wanted = {}
    for nic in vm.template.vectors("NIC"):
        target, bridge = nic.get("TARGET", ""), nic.get("BRIDGE", "")
        for name in (target, bridge):
            if not _NAME.fullmatch(name) or name.startswith(("-", ".")):
                raise DriverError(f"NIC {nic.get('NIC_ID', '')}: {name!r} is not the name of an interface")
        wanted[target] = bridge
    (place / _TAPS).write_text(json.dumps(sorted(wanted)), "utf-8")
    for target, bridge in wanted.items():
        _ip("tuntap", "add", "dev", target, "mode", "tap", "vnet_hdr", "user", str(uid))
        _ip("link", "set", "dev", target, "master", bridge, "up")


def remove_taps(place: Path) -> None:
    with suppress(FileNotFoundError, ValueError):
        for name in json.loads((place / _TAPS).read_text("utf-8")):
            if Path("/sys/class/net", name).exists():
                _ip("link", "delete", "dev", name)


def _ip(*words: str) -> None:
    commands.run(["ip", *words], timeout=_SECONDS)
