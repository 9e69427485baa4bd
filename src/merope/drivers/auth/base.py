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
    """Constructed with `Places`. Calls block and come from several threads at once."""

    isolated: bool
    """Whether it is asked in a process of its own, which is killed when it takes too long: for libraries
    that may hang or crash."""

    def authenticate(self, credentials: Credentials) -> Identity:
        """Raises Refused when they are not right, DriverError when that cannot be found out."""
        ...

    def seconds(self) -> float:
        """The longest that `authenticate` takes when all is as it should be."""
        ...

    def attributes(self) -> frozenset[str]:
        """The attributes of groups' templates that it wants in `Credentials.mappings`."""
        ...

    def check(self) -> None:
        """Raises DriverError, with all that is wrong, when its configuration cannot be worked with."""
        ...


class Computing:
    """What drivers have of the interface that compute and ask nobody."""

    isolated = False

    def seconds(self) -> float:
        return 10.0

    def attributes(self) -> frozenset[str]:
        return frozenset()


class Unconfigured(Computing):
    """What drivers without a configuration have of the interface."""

    def __init__(self, places: Places) -> None:
        """They look for nothing."""

    def check(self) -> None:
        """Nothing can be wrong."""
