"""The phase of a virtual machine: its STATE and LCM_STATE as one value."""

from enum import Enum


class Phase(Enum):
    """Each value is (STATE, LCM_STATE); the name is what error messages call the phase."""

    INIT = (0, 0)
    PENDING = (1, 0)
    HOLD = (2, 0)
    STOPPED = (4, 0)
    SUSPENDED = (5, 0)
    DONE = (6, 0)
    FAILED = (7, 0)
    POWEROFF = (8, 0)
    UNDEPLOYED = (9, 0)
    CLONING = (10, 0)
    CLONING_FAILURE = (11, 0)
    LCM_INIT = (3, 0)
    PROLOG = (3, 1)
    BOOT = (3, 2)
    RUNNING = (3, 3)
    MIGRATE = (3, 4)
    SAVE_STOP = (3, 5)
    SAVE_SUSPEND = (3, 6)
    SAVE_MIGRATE = (3, 7)
    PROLOG_MIGRATE = (3, 8)
    PROLOG_RESUME = (3, 9)
    EPILOG_STOP = (3, 10)
    EPILOG = (3, 11)
    SHUTDOWN = (3, 12)
    CANCEL = (3, 13)
    FAILURE = (3, 14)
    CLEANUP_RESUBMIT = (3, 15)
    UNKNOWN = (3, 16)
    HOTPLUG = (3, 17)
    SHUTDOWN_POWEROFF = (3, 18)
    BOOT_UNKNOWN = (3, 19)
    BOOT_POWEROFF = (3, 20)
    BOOT_SUSPENDED = (3, 21)
    BOOT_STOPPED = (3, 22)
    CLEANUP_DELETE = (3, 23)
    HOTPLUG_SNAPSHOT = (3, 24)
    HOTPLUG_NIC = (3, 25)
    HOTPLUG_SAVEAS = (3, 26)
    HOTPLUG_SAVEAS_POWEROFF = (3, 27)
    HOTPLUG_SAVEAS_SUSPENDED = (3, 28)
    SHUTDOWN_UNDEPLOY = (3, 29)
    EPILOG_UNDEPLOY = (3, 30)
    PROLOG_UNDEPLOY = (3, 31)
    BOOT_UNDEPLOY = (3, 32)
    HOTPLUG_PROLOG_POWEROFF = (3, 33)
    HOTPLUG_EPILOG_POWEROFF = (3, 34)
    BOOT_MIGRATE = (3, 35)
    BOOT_FAILURE = (3, 36)
    BOOT_MIGRATE_FAILURE = (3, 37)
    PROLOG_MIGRATE_FAILURE = (3, 38)
    PROLOG_FAILURE = (3, 39)
    EPILOG_FAILURE = (3, 40)
    EPILOG_STOP_FAILURE = (3, 41)
    EPILOG_UNDEPLOY_FAILURE = (3, 42)
    PROLOG_MIGRATE_POWEROFF = (3, 43)
    PROLOG_MIGRATE_POWEROFF_FAILURE = (3, 44)
    PROLOG_MIGRATE_SUSPEND = (3, 45)
    PROLOG_MIGRATE_SUSPEND_FAILURE = (3, 46)
    BOOT_UNDEPLOY_FAILURE = (3, 47)
    BOOT_STOPPED_FAILURE = (3, 48)
    PROLOG_RESUME_FAILURE = (3, 49)
    PROLOG_UNDEPLOY_FAILURE = (3, 50)
    DISK_SNAPSHOT_POWEROFF = (3, 51)
    DISK_SNAPSHOT_REVERT_POWEROFF = (3, 52)
    DISK_SNAPSHOT_DELETE_POWEROFF = (3, 53)
    DISK_SNAPSHOT_SUSPENDED = (3, 54)
    DISK_SNAPSHOT_REVERT_SUSPENDED = (3, 55)
    DISK_SNAPSHOT_DELETE_SUSPENDED = (3, 56)
    DISK_SNAPSHOT = (3, 57)
    DISK_SNAPSHOT_REVERT = (3, 58)
    DISK_SNAPSHOT_DELETE = (3, 59)
    PROLOG_MIGRATE_UNKNOWN = (3, 60)
    PROLOG_MIGRATE_UNKNOWN_FAILURE = (3, 61)
    DISK_RESIZE = (3, 62)
    DISK_RESIZE_POWEROFF = (3, 63)
    DISK_RESIZE_UNDEPLOYED = (3, 64)
    HOTPLUG_NIC_POWEROFF = (3, 65)

    @property
    def state(self) -> int:
        return self.value[0]

    @property
    def lcm_state(self) -> int:
        return self.value[1]

    @property
    def active(self) -> bool:
        """Whether STATE is ACTIVE: the VM is on a host, or on its way there or away."""
        return self.value[0] == _ACTIVE


_ACTIVE = 3

_BY_STATE = {phase.value: phase for phase in Phase}


def phase_of(state: int, lcm_state: int) -> Phase:
    """The phase of a VM with these two numbers; LCM_STATE means nothing unless STATE is ACTIVE."""
    return _BY_STATE[state, lcm_state if state == _ACTIVE else 0]
