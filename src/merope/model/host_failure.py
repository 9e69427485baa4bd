"""What is known of the failures of a host, and how far the recovery of its VMs is.

One row for each host that has failed, written in the changes that take it further. So a recovery goes on
where it was after any crash.
"""

import json
from dataclasses import asdict, dataclass
from enum import Enum

TABLE = "merope_host_failure"


class Stage(Enum):
    """How far things are."""

    GOOD = "GOOD"
    """The host is heard; what is kept is when it failed."""
    NOTED = "NOTED"
    """It has failed, and nobody has asked for its VMs to be recovered."""
    WAITING = "WAITING"
    """It may come back until `due`."""
    HELD = "HELD"
    """So many hosts have failed at a time that nothing is done before somebody says so."""
    FENCING = "FENCING"
    """It is being switched off."""
    UNCONFIRMED = "UNCONFIRMED"
    """That it is off could not be confirmed; it is tried again at `due`."""
    RECOVERING = "RECOVERING"
    """It is off: its VMs leave it."""
    RETURNED = "RETURNED"
    """It is heard again, and is cleared of what is not its own any more, and watched."""


class Action(Enum):
    """What becomes of the VMs."""

    MIGRATE = "migrate"
    RECREATE = "recreate"
    DELETE = "delete"


#: The host is not heard, and nothing new may be placed on it.
DOWN = frozenset(Stage) - {Stage.GOOD, Stage.RETURNED}
#: What is due at a time.
TIMED = frozenset({Stage.WAITING, Stage.HELD, Stage.UNCONFIRMED, Stage.RECOVERING})


@dataclass(frozen=True, slots=True)
class Order:
    """`force`: VMs that are suspended or powered off too. `fencing` False: somebody vouches for it that a
    host that is not heard is off."""

    action: Action
    force: bool = False
    cycles: int = 0
    fencing: bool = True


@dataclass(frozen=True, slots=True)
class Left:
    """A VM that left the host while it was not heard, and what may still be there of it."""

    vm: int
    ds: int
    tm_mad: str
    vm_mad: str
    deploy_id: str


@dataclass(frozen=True, slots=True)
class HostFailure:
    """`id` is the host's. Times are epochs in seconds, 0 for none."""

    id: int
    stage: Stage = Stage.GOOD
    failures: tuple[int, ...] = ()
    """When it failed, oldest first; no more than count."""
    down: int = 0
    """Since when it is not heard."""
    heard: int = 0
    """Since when it is heard again."""
    due: int = 0
    attempts: int = 0
    """How often switching it off was tried."""
    allowed: bool = False
    """An administrator has said that it is to be recovered, however many have failed."""
    confirmed: int = 0
    """The number of the change that took it to be off: what was seen before says nothing. 0: it is not."""
    order: Order | None = None
    left: tuple[Left, ...] = ()
    message: str = ""

    @property
    def is_down(self) -> bool:
        return self.stage in DOWN

    @property
    def is_off(self) -> bool:
        """Whether it has been confirmed that nothing runs there."""
        return self.stage is Stage.RECOVERING

    def to_json(self) -> str:
        fields = asdict(self)
        del fields["id"]
        fields["stage"] = self.stage.value
        if self.order is not None:
            fields["order"]["action"] = self.order.action.value
        return json.dumps(fields)

    @classmethod
    def from_json(cls, host_id: int, text: str) -> "HostFailure":
        """Raises ValueError, KeyError or TypeError for what `to_json` has not written."""
        data = json.loads(text)
        order = data.pop("order")
        if order is not None:
            order = Order(**{**order, "action": Action(order["action"])})
        return cls(
            id=host_id,
            stage=Stage(data.pop("stage")),
            failures=tuple(map(int, data.pop("failures"))),
            order=order,
            left=tuple(Left(**each) for each in data.pop("left")),
            **data,
        )
