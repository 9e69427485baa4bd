"""Rows of what is done to a VM or to one of its disks in place: snapshots, sizes, disks saved as images."""

from merope.core.lifecycle.row import LATER, Row, Step
from merope.core.lifecycle.steps import AT_REST, LIVE
from merope.model.phase import Phase as P  # noqa: N817 - the table is read by its columns
from merope.model.states import HistoryAction as Action

_SNAPSHOTS = (P.DISK_SNAPSHOT, P.DISK_SNAPSHOT_POWEROFF, P.DISK_SNAPSHOT_SUSPENDED)
_REVERTS = (P.DISK_SNAPSHOT_REVERT_POWEROFF, P.DISK_SNAPSHOT_REVERT_SUSPENDED)
_DELETES = (P.DISK_SNAPSHOT_DELETE, P.DISK_SNAPSHOT_DELETE_POWEROFF, P.DISK_SNAPSHOT_DELETE_SUSPENDED)
_RESIZES = (P.DISK_RESIZE, P.DISK_RESIZE_POWEROFF, P.DISK_RESIZE_UNDEPLOYED)
_SAVES = (P.HOTPLUG_SAVEAS, P.HOTPLUG_SAVEAS_POWEROFF, P.HOTPLUG_SAVEAS_SUSPENDED)
_CHANGED = (Step.CLEAR_RESCHED,)


def before(phase: P) -> P:
    """The phase from which a VM came into one of these, and to which it returns."""
    ending = phase.name.rpartition("_")[2]
    return P[ending] if ending in ("POWEROFF", "SUSPENDED", "UNDEPLOYED") else P.RUNNING


def _began(event: str, phases: tuple[P, ...], action: Action) -> tuple[Row, ...]:
    found = []
    for phase in phases:
        rest = before(phase)
        # What a VM that is on no host has as its last record tells how to go on.
        away = rest is P.UNDEPLOYED
        steps = LIVE if rest is P.RUNNING else _CHANGED if away else AT_REST
        found.append(Row(event, (rest,), phase, steps, action=None if away else action))
    return tuple(found)


def _ended(event: str, phases: tuple[P, ...], *steps: Step) -> tuple[Row, ...]:
    return tuple(Row(event, (phase,), before(phase), steps) for phase in phases)


IN_PLACE_REQUESTS: tuple[Row, ...] = (
    Row("snapshot-create", (P.RUNNING,), P.HOTPLUG_SNAPSHOT, _CHANGED),
    Row("snapshot-revert", (P.RUNNING,), P.HOTPLUG_SNAPSHOT, _CHANGED, "vm.snapshot_revert"),
    Row("snapshot-delete", (P.RUNNING, P.POWEROFF), P.HOTPLUG_SNAPSHOT, _CHANGED, "vm.snapshot_delete"),
    *_began("disk-snapshot-create", _SNAPSHOTS, Action.DISK_SNAPSHOT_CREATE),
    *_began("disk-snapshot-revert", _REVERTS, Action.DISK_SNAPSHOT_REVERT),
    *_began("disk-snapshot-delete", _DELETES, Action.DISK_SNAPSHOT_DELETE),
    *_began("disk-resize", _RESIZES, Action.DISK_RESIZE),
    # The image is made first; only then is the disk copied to it.
    *(Row("disk-saveas", (before(phase),), phase, _CHANGED, LATER) for phase in _SAVES),
)

IN_PLACE_ANSWERS: tuple[Row, ...] = (
    Row("snapshot-create-ok", (P.HOTPLUG_SNAPSHOT,), P.RUNNING, (Step.KEEP_SNAPSHOT,)),
    Row("snapshot-create-ko", (P.HOTPLUG_SNAPSHOT,), P.RUNNING, (Step.SAY_ERROR, Step.DROP_SNAPSHOT)),
    Row("snapshot-revert-ok", (P.HOTPLUG_SNAPSHOT,), P.RUNNING, (Step.KEEP_SNAPSHOT,)),
    Row("snapshot-revert-ko", (P.HOTPLUG_SNAPSHOT,), P.RUNNING, (Step.SAY_ERROR, Step.KEEP_SNAPSHOT)),
    Row("snapshot-delete-ok", (P.HOTPLUG_SNAPSHOT,), P.RUNNING, (Step.DROP_SNAPSHOT,)),
    Row("snapshot-delete-ko", (P.HOTPLUG_SNAPSHOT,), P.RUNNING, (Step.SAY_ERROR, Step.KEEP_SNAPSHOT)),
    # "-off": of a VM that is powered off, whose hypervisor keeps snapshots.
    Row("snapshot-delete-ok-off", (P.HOTPLUG_SNAPSHOT,), P.POWEROFF, (Step.DROP_SNAPSHOT,)),
    Row("snapshot-delete-ko-off", (P.HOTPLUG_SNAPSHOT,), P.POWEROFF, (Step.SAY_ERROR, Step.KEEP_SNAPSHOT)),
    *_ended("disk-snapshot-create-ok", _SNAPSHOTS, Step.KEEP_DISK_SNAPSHOT),
    *_ended("disk-snapshot-create-ko", _SNAPSHOTS, Step.SAY_ERROR, Step.DROP_DISK_SNAPSHOT),
    *_ended("disk-snapshot-revert-ok", _REVERTS, Step.GO_BACK_TO_DISK_SNAPSHOT),
    *_ended("disk-snapshot-revert-ko", _REVERTS, Step.SAY_ERROR, Step.LEAVE_DISK_SNAPSHOT),
    *_ended("disk-snapshot-delete-ok", _DELETES, Step.DROP_DISK_SNAPSHOT),
    *_ended("disk-snapshot-delete-ko", _DELETES, Step.SAY_ERROR, Step.LEAVE_DISK_SNAPSHOT),
    *_ended("disk-resize-ok", _RESIZES, Step.KEEP_SIZE),
    *_ended("disk-resize-ko", _RESIZES, Step.SAY_ERROR, Step.RESTORE_SIZE),
    *_ended("disk-saveas-ok", _SAVES, Step.IMAGE_IS_SAVED),
    *_ended("disk-saveas-ko", _SAVES, Step.SAY_ERROR, Step.IMAGE_IS_NOT_SAVED),
)
