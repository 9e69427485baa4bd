"""What a row of the life-cycle's table is made of: steps, and where they lead."""

from dataclasses import dataclass
from enum import Enum

from merope.model.phase import Phase
from merope.model.states import HistoryAction as Action


class Step(Enum):
    """Book-keeping that goes with a transition; in a row they are carried out in order."""

    TAKE_CAPACITY = "the host's capacity is taken"
    RELEASE_CAPACITY = "the host's capacity is returned"
    RELEASE_SOURCE = "a migration's source host gets its capacity back and its record ends"
    LEAVE_SOURCE = "CPUs, pages and devices that a migration's source host had kept for the VM are free"
    RETURN_TO_SOURCE = "a failed migration gives up the target and goes on with a copy of the source's record"
    OPEN_PROLOG = "the record's prolog begins"
    CLOSE_PROLOG = "the record's prolog ends"
    OPEN_RUNNING = "the record's running time begins"
    CLOSE_RUNNING = "the record's running time ends"
    OPEN_EPILOG = "the record's epilog begins"
    CLOSE_EPILOG = "the record's epilog ends"
    COPY_RECORD = "the record ends and a copy of it begins"
    CLOSE_RECORD = "the record ends"
    SET_DEPLOY_ID = "the hypervisor's name for the VM is kept"
    CLEAR_DEPLOY_ID = "the hypervisor's name for the VM is forgotten"
    ASSIGN_CONSOLE = "a graphical console gets a port"
    RELEASE_CONSOLE = "its port is returned"
    CLEAR_ACTION = "what was asked did not happen, and the record says so"
    CLEAR_RESCHED = "a wish to be moved is fulfilled or void"
    REQUIREMENTS = "automatic requirements are computed anew"
    SAY_ERROR = "the driver's message is shown to the owner"
    DROP_EFFECTS = "what is under way is called off"
    FREE_ALL = "images, leases and quotas are returned"
    FORGET_PLACEMENT = "history and placement begin anew"
    KEEP_DISK = "the disk that was being plugged in or out stays with the VM"
    DROP_DISK = "the disk that was being plugged in or out goes: its image and quotas are returned"
    KEEP_NIC = "the NIC that was being plugged in or out stays with the VM, with its aliases"
    DROP_NIC = "the NIC that was being plugged in or out goes: its leases and quotas are returned"
    KEEP_SNAPSHOT = "the system snapshot that something was done with is there"
    DROP_SNAPSHOT = "the system snapshot that something was done with is gone"
    DROP_SNAPSHOTS = "all system snapshots are gone, unless the hypervisor keeps them (KEEP_SNAPSHOTS)"
    KEEP_DISK_SNAPSHOT = "the disk's new snapshot is there, and the disk goes on from it"
    DROP_DISK_SNAPSHOT = "the disk's snapshot is gone, and its quota is returned"
    GO_BACK_TO_DISK_SNAPSHOT = "the disk goes on from the snapshot"
    LEAVE_DISK_SNAPSHOT = "the disk's snapshots are what they were"
    KEEP_SIZE = "the disk has its new size"
    RESTORE_SIZE = "the disk has its old size, and the difference of quota is returned"
    IMAGE_IS_SAVED = "the image that the disk was saved as is ready"
    IMAGE_IS_NOT_SAVED = "the image that the disk was to be saved as is in error"


LATER = "later"
"""In place of an effect: what the phase waits for is asked for when something else is done."""


@dataclass(frozen=True, slots=True)
class Row:
    """`to` None: the phase stays. `effect` differs from the phase's own only where it is given.

    `source` says that the effect is carried out on the host that a migration leaves.
    """

    event: str
    phases: tuple[Phase, ...]
    to: Phase | None
    steps: tuple[Step, ...] = ()
    effect: str = ""
    action: Action | None = None
    source: bool = False
