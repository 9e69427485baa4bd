"""What passes between the door and an authentication driver: the question and the answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who wants to be let in, and what shows that it is them.

    `stored` is the user's PASSWORD, empty for a name that the cloud does not know. Services (drivers
    server_…) act for others: `target` is the user that they name, `egid` the one group that the session is
    limited to, or -1. `now` is an epoch in seconds. `mappings` has, for each attribute of groups' templates
    that the driver asked for (GROUP_DN), which value stands for which group.
    """

    name: str
    stored: str = field(repr=False)
    secret: str = field(repr=False)
    now: int
    target: str = ""
    egid: int = -1
    mappings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Membership:
    """A group that a driver puts a user in, as its administrator or not."""

    gid: int
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """What a driver answers to credentials that are right.

    `driver`, `name` and `password` are those of the user to be made where the cloud does not know the name;
    drivers that know nobody but the cloud's users leave them empty. `groups` are for new users, and for all
    where DRIVER_MANAGED_GROUPS says so; the first is the primary one. `decides_admins` says that who is no
    administrator in `groups` stops being one. `expires` is the epoch at which what was shown ends, -1 for
    never.
    """

    driver: str = ""
    name: str = ""
    password: str = field(default="", repr=False)
    groups: tuple[Membership, ...] = ()
    decides_admins: bool = True
    expires: int = -1

    @classmethod
    def from_json(cls, text: str) -> "Identity":
        """From what `dataclasses.asdict` made."""
        data = json.loads(text)
        return cls(**{**data, "groups": tuple(Membership(**member) for member in data["groups"])})
