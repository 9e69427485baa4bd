"""The interface of a fencing driver: it switches a host off, and says whether it is.

What is told to a controller and what is true are two things: a host counts as off only when its controller
has said so when it was asked, after it was told.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from merope.drivers.errors import DriverError


class Power(Enum):
    """What a controller says of its host."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """A host, and one FENCING of its attributes or its cluster's, in plain text."""

    host: str
    host_id: int
    attributes: Mapping[str, str] = field(repr=False)

    def get(self, name: str, default: str = "") -> str:
        """An attribute; $NAME and $ID in it are the host's, for a FENCING that a cluster's hosts share."""
        text = self.attributes.get(name, "").strip() or default
        return text.replace("$NAME", self.host).replace("$ID", str(self.host_id))

    def secret(self, name: str) -> str:
        """An attribute in which nothing stands for anything."""
        return self.attributes.get(name, "")

    def required(self, name: str) -> str:
        """Raises DriverError where the attribute is missing."""
        value = self.get(name)
        if not value:
            raise DriverError(f"FENCING of host {self.host} has no {name}")
        return value

    def address(self) -> str:
        """ADDRESS, which is a name or an address and nothing that a program takes for an option."""
        value = self.required("ADDRESS")
        if not re.fullmatch(r"[0-9A-Za-z\[][0-9A-Za-z.:_%\[\]-]*", value):
            raise DriverError(f"ADDRESS {value!r} in FENCING of host {self.host} is no address or name")
        return value

    def number(self, name: str, default: int, high: int = 65535) -> int:
        text = self.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 0 <= int(text) <= high:
            raise DriverError(
                f"{name} in FENCING of host {self.host} must be a number up to {high}, not {text!r}"
            )
        return int(text)


class FencingDriver(Protocol):
    """Raises DriverError for what could not be done or asked. Made without arguments."""

    looks: int
    """How often the power is read after a host was switched off, a second apart, before it is given up."""

    def power_off(self, target: Target) -> None:
        """Switches the host off, hard. One that is off stays so."""
        ...

    def power_state(self, target: Target) -> Power:
        """What the controller says now."""
        ...


#: Seconds between two readings.
PAUSE: Final = 1.0
#: Readings after which a host that is still on will not go off.
LOOKS: Final = 20


def switched_off(driver: FencingDriver, target: Target, sleep: Callable[[float], None] = time.sleep) -> Power:
    """Switches a host off unless it is, and answers what was read last: OFF, or what it is instead."""
    try:
        if driver.power_state(target) is Power.OFF:
            return Power.OFF
    except DriverError:
        # It may obey even so; what it says afterwards counts.
        pass
    driver.power_off(target)
    found = driver.power_state(target)
    for _ in range(driver.looks):
        if found is Power.OFF:
            break
        sleep(PAUSE)
        found = driver.power_state(target)
    return found
