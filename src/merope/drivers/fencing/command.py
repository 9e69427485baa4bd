"""The fence agents of ClusterLabs (Debian package fence-agents), for controllers of every kind.

FENCING=[ DRIVER="command", COMMAND="fence_apc", ADDRESS="pdu1", USER="fence", PASSWORD="…", PLUG="7" ]:
an agent reads its options as lines on standard input, so no password is in an argument. ADDRESS, USER and
PASSWORD are its ip, username and password; PLUG and whatever else is there are given by their names in
small letters. Source: the fence agents' developer guide (exit status of `status`: 0 on, 2 off).
"""

import re
from pathlib import Path
from typing import Final

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import LOOKS, Power, Target

SECONDS: Final = 60.0
#: Where agents are installed; nothing from anywhere else is run.
PLACES: Final = (Path("/usr/sbin"), Path("/sbin"), Path("/usr/local/sbin"))
_AGENT = re.compile(r"fence_[0-9a-z_]+")
_OPTION = re.compile(r"[A-Z][0-9A-Z_]*")
_NAMES = {"ADDRESS": "ip", "USER": "username", "PASSWORD": "password"}
_NOT_GIVEN = frozenset({"DRIVER", "COMMAND", "ACTION"})
_IS_OFF: Final = 2


class CommandFencing:
    """`places` are the directories in which agents are looked for."""

    looks = LOOKS

    def __init__(self, places: tuple[Path, ...] = PLACES) -> None:
        self._places = places

    def power_off(self, target: Target) -> None:
        self._run(target, "off")

    def power_state(self, target: Target) -> Power:
        return Power.OFF if self._run(target, "status") == _IS_OFF else Power.ON

    def _run(self, target: Target, action: str) -> int:
        lines = [f"action={action}"]
        for name in sorted(target.attributes):
            if name in _NOT_GIVEN or not _OPTION.fullmatch(name):
                continue
            given = target.secret(name) if name == "PASSWORD" else target.get(name)
            if "\n" in given or "\r" in given:
                raise DriverError(f"{name} in FENCING of host {target.host} must be one line")
            lines.append(f"{_NAMES.get(name, name.lower())}={given}")
        done = commands.run(
            [str(self._agent(target))],
            timeout=SECONDS,
            input="\n".join(lines) + "\n",
            output_limit=64 * 1024,
            secrets=[target.secret("PASSWORD")],
            accepted=(0, _IS_OFF) if action == "status" else (0,),
        )
        return done.code

    def _agent(self, target: Target) -> Path:
        name = target.required("COMMAND")
        if not _AGENT.fullmatch(name):
            raise DriverError(
                f"COMMAND {name!r} in FENCING of host {target.host} is no fence agent, such as fence_apc"
            )
        found = next((place / name for place in self._places if (place / name).is_file()), None)
        if found is None:
            raise DriverError(f"there is no {name} in {', '.join(map(str, self._places))}: install it")
        return found
