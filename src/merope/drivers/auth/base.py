"""The interface of authentication drivers (AUTHN in AUTH_MAD, AUTH_DRIVER of a user)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from merope.model.authentication import Credentials, Identity


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """The credentials are not right.

    The sentence is for the log of the administrator: it repeats nothing of what was sent, for people type
    passwords where names belong. Whoever asked is told only that it was refused.
    """


@dataclass(frozen=True, slots=True)
class Places:
    """Where drivers find things: `etc` holds oned.conf and auth/, `home` is what VAR was."""

    etc: Path
    home: Path


class AuthDriver(Protocol):
    """Constructed with `Places`. Calls block and come from several threads; each bounds its own time."""

    def authenticate(self, credentials: Credentials) -> Identity:
        """Raises Refused when they are not right, DriverError when that cannot be found out."""
        ...

    def attributes(self) -> frozenset[str]:
        """The attributes of groups' templates that it wants in `Credentials.mappings`."""
        ...

    def check(self) -> None:
        """Raises DriverError, with all that is wrong, when its configuration cannot be worked with."""
        ...


class Unconfigured:
    """What drivers without a configuration have of the interface."""

    def __init__(self, places: Places) -> None:
        """They look for nothing."""

    def attributes(self) -> frozenset[str]:
        return frozenset()

    def check(self) -> None:
        """Nothing can be wrong."""
