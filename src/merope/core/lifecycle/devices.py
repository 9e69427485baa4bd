"""Rows of what is done to the parts of a VM that stays where it is: disks and NICs plugged in and out."""

from merope.core.lifecycle.row import Row, Step
from merope.core.lifecycle.steps import AT_REST, LIVE
from merope.model.phase import Phase as P  # noqa: N817 - the table is read by its columns
from merope.model.states import HistoryAction as Action

_NICS = (
    ("nic-attach", "vm.attach_nic", Action.NIC_ATTACH, Step.KEEP_NIC),
    ("alias-attach", "vm.attach_nic", Action.ALIAS_ATTACH, Step.KEEP_NIC),
    ("nic-detach", "vm.detach_nic", Action.NIC_DETACH, Step.DROP_NIC),
    ("alias-detach", "vm.detach_nic", Action.ALIAS_DETACH, Step.DROP_NIC),
)
#: "-cold" is the machine's word for a hypervisor that has a say in the NICs of a VM that is off
#: (COLD_NIC_ATTACH of VM_MAD).

DEVICE_REQUESTS: tuple[Row, ...] = (
    Row("disk-attach", (P.RUNNING,), P.HOTPLUG, LIVE, action=Action.DISK_ATTACH),
    Row("disk-attach", (P.POWEROFF,), P.HOTPLUG_PROLOG_POWEROFF, AT_REST, action=Action.DISK_ATTACH),
    Row("disk-detach", (P.RUNNING,), P.HOTPLUG, LIVE, "vm.detach_disk", Action.DISK_DETACH),
    Row("disk-detach", (P.POWEROFF,), P.HOTPLUG_EPILOG_POWEROFF, AT_REST, action=Action.DISK_DETACH),
    *(Row(event, (P.RUNNING,), P.HOTPLUG_NIC, LIVE, op, action) for event, op, action, _ in _NICS),
    *(
        Row(f"{event}-cold", (P.POWEROFF,), P.HOTPLUG_NIC_POWEROFF, AT_REST, op, action)
        for event, op, action, _ in _NICS
    ),
    *(
        Row(event, (P.POWEROFF,), P.POWEROFF, (*AT_REST, after), "", action)
        for event, _, action, after in _NICS
    ),
    Row("updateconf", (P.RUNNING,), P.HOTPLUG, (Step.CLEAR_RESCHED,), "vm.update_conf"),
)

DEVICE_ANSWERS: tuple[Row, ...] = (
    Row("attach-ok", (P.HOTPLUG,), P.RUNNING, (Step.KEEP_DISK,)),
    Row("attach-ok", (P.HOTPLUG_PROLOG_POWEROFF,), P.POWEROFF, (Step.KEEP_DISK,)),
    Row("attach-ko", (P.HOTPLUG,), P.RUNNING, (Step.SAY_ERROR, Step.DROP_DISK)),
    Row("attach-ko", (P.HOTPLUG_PROLOG_POWEROFF,), P.POWEROFF, (Step.SAY_ERROR, Step.DROP_DISK)),
    Row("detach-ok", (P.HOTPLUG,), P.RUNNING, (Step.DROP_DISK,)),
    Row("detach-ok", (P.HOTPLUG_EPILOG_POWEROFF,), P.POWEROFF, (Step.DROP_DISK,)),
    Row("detach-ko", (P.HOTPLUG,), P.RUNNING, (Step.SAY_ERROR, Step.KEEP_DISK)),
    Row("detach-ko", (P.HOTPLUG_EPILOG_POWEROFF,), P.POWEROFF, (Step.SAY_ERROR, Step.KEEP_DISK)),
    Row("attach-nic-ok", (P.HOTPLUG_NIC,), P.RUNNING, (Step.KEEP_NIC,)),
    Row("attach-nic-ok", (P.HOTPLUG_NIC_POWEROFF,), P.POWEROFF, (Step.KEEP_NIC,)),
    Row("attach-nic-ko", (P.HOTPLUG_NIC,), P.RUNNING, (Step.SAY_ERROR, Step.DROP_NIC)),
    Row("attach-nic-ko", (P.HOTPLUG_NIC_POWEROFF,), P.POWEROFF, (Step.SAY_ERROR, Step.DROP_NIC)),
    Row("detach-nic-ok", (P.HOTPLUG_NIC,), P.RUNNING, (Step.DROP_NIC,)),
    Row("detach-nic-ok", (P.HOTPLUG_NIC_POWEROFF,), P.POWEROFF, (Step.DROP_NIC,)),
    Row("detach-nic-ko", (P.HOTPLUG_NIC,), P.RUNNING, (Step.SAY_ERROR, Step.KEEP_NIC)),
    Row("detach-nic-ko", (P.HOTPLUG_NIC_POWEROFF,), P.POWEROFF, (Step.SAY_ERROR, Step.KEEP_NIC)),
    Row("updateconf-ok", (P.HOTPLUG,), P.RUNNING),
    Row("updateconf-ko", (P.HOTPLUG,), P.RUNNING, (Step.SAY_ERROR,)),
)
