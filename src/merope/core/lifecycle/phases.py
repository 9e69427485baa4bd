"""Which phases there are together, and what each of them waits for."""

from merope.model.phase import Phase
from merope.model.phase import Phase as P  # noqa: N817 - the table is read by its columns

#: What is to be done in the world in each phase that waits for an answer.
EFFECTS: dict[Phase, str] = {
    P.PROLOG: "vm.prolog",
    P.PROLOG_MIGRATE: "vm.prolog_migrate",
    P.PROLOG_MIGRATE_POWEROFF: "vm.prolog_migrate",
    P.PROLOG_MIGRATE_SUSPEND: "vm.prolog_migrate",
    P.PROLOG_MIGRATE_UNKNOWN: "vm.prolog_migrate",
    P.PROLOG_RESUME: "vm.prolog_resume",
    P.PROLOG_UNDEPLOY: "vm.prolog_resume",
    P.BOOT: "vm.deploy",
    P.BOOT_POWEROFF: "vm.deploy",
    P.BOOT_UNKNOWN: "vm.deploy",
    P.BOOT_UNDEPLOY: "vm.deploy",
    P.BOOT_MIGRATE: "vm.restore",
    P.BOOT_SUSPENDED: "vm.restore",
    P.BOOT_STOPPED: "vm.restore",
    P.MIGRATE: "vm.migrate",
    P.SAVE_SUSPEND: "vm.save",
    P.SAVE_STOP: "vm.save",
    P.SAVE_MIGRATE: "vm.save",
    P.SHUTDOWN: "vm.shutdown",
    P.SHUTDOWN_POWEROFF: "vm.shutdown",
    P.SHUTDOWN_UNDEPLOY: "vm.shutdown",
    P.EPILOG: "vm.epilog",
    P.EPILOG_STOP: "vm.epilog_stop",
    P.EPILOG_UNDEPLOY: "vm.epilog_stop",
    P.CLEANUP_RESUBMIT: "vm.cleanup",
    P.HOTPLUG: "vm.attach_disk",
    P.HOTPLUG_PROLOG_POWEROFF: "vm.prolog_attach",
    P.HOTPLUG_EPILOG_POWEROFF: "vm.epilog_detach",
    P.HOTPLUG_NIC: "vm.attach_nic",
    P.HOTPLUG_NIC_POWEROFF: "vm.attach_nic",
    P.HOTPLUG_SNAPSHOT: "vm.snapshot_create",
    P.DISK_SNAPSHOT: "vm.disk_snapshot_create",
    P.DISK_SNAPSHOT_POWEROFF: "vm.disk_snapshot_create",
    P.DISK_SNAPSHOT_SUSPENDED: "vm.disk_snapshot_create",
    P.DISK_SNAPSHOT_REVERT_POWEROFF: "vm.disk_snapshot_revert",
    P.DISK_SNAPSHOT_REVERT_SUSPENDED: "vm.disk_snapshot_revert",
    P.DISK_SNAPSHOT_DELETE: "vm.disk_snapshot_delete",
    P.DISK_SNAPSHOT_DELETE_POWEROFF: "vm.disk_snapshot_delete",
    P.DISK_SNAPSHOT_DELETE_SUSPENDED: "vm.disk_snapshot_delete",
    P.DISK_RESIZE: "vm.disk_resize",
    P.DISK_RESIZE_POWEROFF: "vm.disk_resize",
    P.DISK_RESIZE_UNDEPLOYED: "vm.disk_resize",
    P.HOTPLUG_SAVEAS: "vm.save_as",
    P.HOTPLUG_SAVEAS_POWEROFF: "vm.save_as",
    P.HOTPLUG_SAVEAS_SUSPENDED: "vm.save_as",
}

_STOPPED_BY = frozenset({"vm.shutdown", "vm.cancel"})
#: What a phase may wait for instead.
ALSO: dict[Phase, frozenset[str]] = {
    P.SHUTDOWN: _STOPPED_BY,
    P.SHUTDOWN_POWEROFF: _STOPPED_BY,
    P.SHUTDOWN_UNDEPLOY: _STOPPED_BY,
    P.SAVE_MIGRATE: _STOPPED_BY,
    P.EPILOG: frozenset({"vm.epilog_local"}),
    P.HOTPLUG: frozenset({"vm.detach_disk", "vm.update_conf"}),
    P.HOTPLUG_NIC: frozenset({"vm.detach_nic"}),
    P.HOTPLUG_NIC_POWEROFF: frozenset({"vm.detach_nic"}),
    P.HOTPLUG_SNAPSHOT: frozenset({"vm.snapshot_revert", "vm.snapshot_delete"}),
}


def awaited(phase: Phase) -> frozenset[str]:
    """The operations of which a VM in the phase waits for one; empty when it waits for none."""
    return ALSO.get(phase, frozenset()) | {EFFECTS[phase]} if phase in EFFECTS else frozenset()


#: An effect's answer, as the event it becomes with "-ok" or "-ko".
ANSWERS: dict[str, str] = {
    "vm.prolog": "prolog",
    "vm.prolog_migrate": "prolog",
    "vm.prolog_resume": "prolog",
    "vm.deploy": "deploy",
    "vm.restore": "deploy",
    "vm.migrate": "deploy",
    "vm.save": "save",
    "vm.shutdown": "shutdown",
    "vm.cancel": "shutdown",
    "vm.epilog": "epilog",
    "vm.epilog_local": "epilog",
    "vm.epilog_stop": "epilog",
    "vm.cleanup": "cleanup",
    "vm.attach_disk": "attach",
    "vm.prolog_attach": "attach",
    "vm.detach_disk": "detach",
    "vm.epilog_detach": "detach",
    "vm.attach_nic": "attach-nic",
    "vm.detach_nic": "detach-nic",
    "vm.update_conf": "updateconf",
    "vm.snapshot_create": "snapshot-create",
    "vm.snapshot_revert": "snapshot-revert",
    "vm.snapshot_delete": "snapshot-delete",
    "vm.disk_snapshot_create": "disk-snapshot-create",
    "vm.disk_snapshot_revert": "disk-snapshot-revert",
    "vm.disk_snapshot_delete": "disk-snapshot-delete",
    "vm.disk_resize": "disk-resize",
    "vm.save_as": "disk-saveas",
}

#: `recover retry` of a failure goes back to the phase that failed.
RETRIES: dict[Phase, Phase] = {
    P.BOOT_FAILURE: P.BOOT,
    P.BOOT_MIGRATE_FAILURE: P.BOOT_MIGRATE,
    P.BOOT_UNDEPLOY_FAILURE: P.BOOT_UNDEPLOY,
    P.BOOT_STOPPED_FAILURE: P.BOOT_STOPPED,
    P.PROLOG_FAILURE: P.PROLOG,
    P.PROLOG_MIGRATE_FAILURE: P.PROLOG_MIGRATE,
    P.PROLOG_MIGRATE_POWEROFF_FAILURE: P.PROLOG_MIGRATE_POWEROFF,
    P.PROLOG_MIGRATE_SUSPEND_FAILURE: P.PROLOG_MIGRATE_SUSPEND,
    P.PROLOG_MIGRATE_UNKNOWN_FAILURE: P.PROLOG_MIGRATE_UNKNOWN,
    P.PROLOG_RESUME_FAILURE: P.PROLOG_RESUME,
    P.PROLOG_UNDEPLOY_FAILURE: P.PROLOG_UNDEPLOY,
    P.EPILOG_FAILURE: P.EPILOG,
    P.EPILOG_STOP_FAILURE: P.EPILOG_STOP,
    P.EPILOG_UNDEPLOY_FAILURE: P.EPILOG_UNDEPLOY,
}

FAILURES: tuple[Phase, ...] = tuple(RETRIES)
WAITING: tuple[Phase, ...] = tuple(EFFECTS)

BOOTING = (P.BOOT, P.BOOT_POWEROFF, P.BOOT_UNKNOWN, P.BOOT_SUSPENDED, P.BOOT_STOPPED, P.BOOT_UNDEPLOY)
BOOT_FAILED = (P.BOOT_FAILURE, P.BOOT_MIGRATE_FAILURE, P.BOOT_STOPPED_FAILURE, P.BOOT_UNDEPLOY_FAILURE)
UNPLACED = (P.INIT, P.PENDING, P.HOLD, P.CLONING, P.CLONING_FAILURE)
UP = (P.RUNNING, P.UNKNOWN)
RESTING = (P.SUSPENDED, P.POWEROFF)
AWAY = (P.STOPPED, P.UNDEPLOYED)
#: Phases with files on a host and no domain: deleting means removing files.
WITHOUT_DOMAIN: tuple[Phase, ...] = (
    P.PROLOG,
    P.PROLOG_FAILURE,
    P.PROLOG_RESUME,
    P.PROLOG_RESUME_FAILURE,
    P.PROLOG_UNDEPLOY,
    P.PROLOG_UNDEPLOY_FAILURE,
    P.EPILOG,
    P.EPILOG_FAILURE,
    P.EPILOG_STOP,
    P.EPILOG_STOP_FAILURE,
    P.EPILOG_UNDEPLOY,
    P.EPILOG_UNDEPLOY_FAILURE,
)
#: Phases in which a migration has two hosts.
MIGRATING: tuple[Phase, ...] = (
    P.MIGRATE,
    P.SAVE_MIGRATE,
    P.PROLOG_MIGRATE,
    P.PROLOG_MIGRATE_FAILURE,
    P.PROLOG_MIGRATE_POWEROFF,
    P.PROLOG_MIGRATE_POWEROFF_FAILURE,
    P.PROLOG_MIGRATE_SUSPEND,
    P.PROLOG_MIGRATE_SUSPEND_FAILURE,
    P.PROLOG_MIGRATE_UNKNOWN,
    P.PROLOG_MIGRATE_UNKNOWN_FAILURE,
)
#: Migrations whose source has given its capacity back already.
LEFT_SOURCE: tuple[Phase, ...] = tuple(
    phase for phase in MIGRATING if phase not in (P.MIGRATE, P.SAVE_MIGRATE)
)
#: Phases whose host's capacity has been returned although the VM is ACTIVE.
WITHOUT_CAPACITY: tuple[Phase, ...] = (
    P.EPILOG,
    P.EPILOG_FAILURE,
    P.EPILOG_STOP,
    P.EPILOG_STOP_FAILURE,
    P.EPILOG_UNDEPLOY,
    P.EPILOG_UNDEPLOY_FAILURE,
    P.DISK_RESIZE_UNDEPLOYED,
)
#: Phases of a VM of which a part is being changed: what is done is told by the part, not by the phase.
ON_DEVICES: tuple[Phase, ...] = tuple(
    phase for phase in EFFECTS if phase.name.startswith(("HOTPLUG", "DISK_"))
)
#: Of these the ones in which the VM does not run.
DEVICES_AT_REST: tuple[Phase, ...] = tuple(
    phase for phase in ON_DEVICES if phase.name.endswith(("_POWEROFF", "_SUSPENDED", "_UNDEPLOYED"))
)
#: Phases in which a disk is saved as an image: the image is made, then the disk copied to it.
SAVING: tuple[Phase, ...] = tuple(phase for phase in ON_DEVICES if phase.name.startswith("HOTPLUG_SAVEAS"))
