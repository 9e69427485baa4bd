"""IPMI, by the command ipmitool (Debian package ipmitool).

FENCING=[ DRIVER="ipmi", ADDRESS="bmc7.example", USER="fence", PASSWORD="…" ], and PORT (623), INTERFACE
(lanplus, or lan for version 1.5), PRIVILEGE (OPERATOR) and CIPHER (the cipher suite) where they differ.
"""

from typing import Final

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import LOOKS, Power, Target

SECONDS: Final = 30.0
_INTERFACES = ("lanplus", "lan")
_PRIVILEGES = ("CALLBACK", "USER", "OPERATOR", "ADMINISTRATOR")
_SAYS = {"chassis power is on": Power.ON, "chassis power is off": Power.OFF}


class IpmiFencing:
    """The password is in ipmitool's environment, which only its own user can read, and in no argument."""

    looks = LOOKS
    tries = 3
    """Each packet is sent so often, a second apart and then more."""

    def power_off(self, target: Target) -> None:
        self._run(target, "off")

    def power_state(self, target: Target) -> Power:
        return _SAYS.get(self._run(target, "status").strip().lower(), Power.UNKNOWN)

    def _run(self, target: Target, verb: str) -> str:
        interface = target.get("INTERFACE", "lanplus")
        privilege = target.get("PRIVILEGE", "OPERATOR").upper()
        if interface not in _INTERFACES or privilege not in _PRIVILEGES:
            raise DriverError(
                f"FENCING of host {target.host}: INTERFACE must be one of {', '.join(_INTERFACES)}, "
                f"PRIVILEGE one of {', '.join(_PRIVILEGES)}"
            )
        user, password = target.get("USER"), target.secret("PASSWORD")
        argv = ["ipmitool", "-I", interface, "-H", target.address(), "-p", str(target.number("PORT", 623))]
        argv += [f"-U{user}", "-E", "-L", privilege, "-N", "1", "-R", str(self.tries)]
        if target.get("CIPHER"):
            argv += ["-C", str(target.number("CIPHER", 3, 255))]
        done = commands.run(
            [*argv, "chassis", "power", verb],
            timeout=SECONDS,
            env={"IPMI_PASSWORD": password},
            output_limit=64 * 1024,
            secrets=[password],
        )
        return done.stdout
