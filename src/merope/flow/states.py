"""States of services and roles, and what the states of VMs mean for them.

Source: spec states.yaml `oneflow_service`; seed 000 §1.3.3.
"""

from enum import Enum, IntEnum
from typing import NamedTuple

from merope.model.states import LcmState, VmState


class State(IntEnum):
    """`state` of a service and of a role."""

    PENDING = 0
    DEPLOYING = 1
    RUNNING = 2
    UNDEPLOYING = 3
    WARNING = 4
    DONE = 5
    FAILED_UNDEPLOYING = 6
    FAILED_DEPLOYING = 7
    SCALING = 8
    FAILED_SCALING = 9
    COOLDOWN = 10


class Phase(Enum):
    """What a VM's state means for its role."""

    WAITING = "is to be started by somebody else"
    BUSY = "an operation is under way"
    UP = "its guest runs"
    RESTING = "was put to rest"
    UNKNOWN = "nobody knows"
    FAILED = "an operation failed"
    GONE = "is no more"


class VmView(NamedTuple):
    """What is known of a VM.

    `ready`: READY=YES is in its user template. `asked`: it was asked to end, and the core has agreed.
    `seen`: since it was asked, the core was asked what became of it.
    """

    state: int = VmState.PENDING
    lcm_state: int = LcmState.LCM_INIT
    ready: bool = False
    asked: bool = False
    seen: bool = False
    error: str = ""

    @property
    def phase(self) -> Phase:
        if self.state == VmState.ACTIVE:
            return _OF_LCM_STATE[LcmState(self.lcm_state)]
        return _OF_STATE[VmState(self.state)]


_OF_STATE = {
    VmState.INIT: Phase.WAITING,
    VmState.PENDING: Phase.WAITING,
    VmState.HOLD: Phase.WAITING,
    VmState.CLONING: Phase.WAITING,
    VmState.STOPPED: Phase.RESTING,
    VmState.SUSPENDED: Phase.RESTING,
    VmState.POWEROFF: Phase.RESTING,
    VmState.UNDEPLOYED: Phase.RESTING,
    VmState.CLONING_FAILURE: Phase.FAILED,
    VmState.FAILED: Phase.FAILED,
    VmState.DONE: Phase.GONE,
    VmState.ACTIVE: Phase.BUSY,
}

#: The guest goes on while these are under way.
_UP = frozenset((
    LcmState.RUNNING, LcmState.MIGRATE, LcmState.HOTPLUG, LcmState.HOTPLUG_SNAPSHOT, LcmState.HOTPLUG_NIC,
    LcmState.HOTPLUG_SAVEAS, LcmState.DISK_SNAPSHOT, LcmState.DISK_SNAPSHOT_REVERT,
    LcmState.DISK_SNAPSHOT_DELETE, LcmState.DISK_RESIZE,
))  # fmt: skip


def _of_lcm_state(state: LcmState) -> Phase:
    if state in _UP:
        return Phase.UP
    if state is LcmState.UNKNOWN:
        return Phase.UNKNOWN
    return Phase.FAILED if state.name.endswith("FAILURE") else Phase.BUSY


_OF_LCM_STATE = {state: _of_lcm_state(state) for state in LcmState}

#: Phases in which the core takes an order to end a VM.
TERMINABLE = frozenset((Phase.WAITING, Phase.UP, Phase.RESTING, Phase.UNKNOWN, Phase.FAILED))
