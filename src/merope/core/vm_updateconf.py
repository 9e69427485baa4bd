"""Changing the configuration of a VM that is there: how its guest boots, what it sees and what it is told.

Source: spec states.yaml `vm_updateconf_states`.
"""

from merope.core import (
    generic,
    vm_allocate,
    vm_context,
    vm_disks,
    vm_files,
    vm_import,
    vm_machine,
    vm_rights,
)
from merope.core.methods import integer, method, text
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.phase import Phase
from merope.model.template import Template, Value, Vector
from merope.model.vm import VM

_SECTIONS = ("OS", "FEATURES", "INPUT", "GRAPHICS", "RAW", "CPU_MODEL", "CONTEXT")
#: What the cloud has chosen for a section, and goes on to hold.
_CHOSEN = {"GRAPHICS": ("PORT",), "CONTEXT": ("TARGET", "DISK_ID")}
_PHASES = frozenset(
    {
        Phase.PENDING,
        Phase.HOLD,
        Phase.POWEROFF,
        Phase.UNDEPLOYED,
        Phase.CLONING,
        Phase.CLONING_FAILURE,
        Phase.LCM_INIT,
        Phase.PROLOG,
        Phase.RUNNING,
        Phase.EPILOG,
        Phase.SHUTDOWN,
        Phase.CLEANUP_RESUBMIT,
        Phase.SHUTDOWN_POWEROFF,
        Phase.CLEANUP_DELETE,
        Phase.HOTPLUG_SAVEAS_POWEROFF,
        Phase.SHUTDOWN_UNDEPLOY,
        Phase.EPILOG_UNDEPLOY,
        Phase.PROLOG_UNDEPLOY,
        Phase.HOTPLUG_PROLOG_POWEROFF,
        Phase.HOTPLUG_EPILOG_POWEROFF,
        Phase.BOOT_FAILURE,
        Phase.PROLOG_FAILURE,
        Phase.EPILOG_FAILURE,
        Phase.EPILOG_UNDEPLOY_FAILURE,
        Phase.PROLOG_MIGRATE_POWEROFF,
        Phase.PROLOG_MIGRATE_POWEROFF_FAILURE,
        Phase.BOOT_UNDEPLOY_FAILURE,
        Phase.PROLOG_UNDEPLOY_FAILURE,
        Phase.DISK_SNAPSHOT_POWEROFF,
        Phase.DISK_SNAPSHOT_REVERT_POWEROFF,
        Phase.DISK_SNAPSHOT_DELETE_POWEROFF,
    }
)


@method(
    "one.vm.updateconf",
    integer("id"),
    text("template"),
    also="MANAGE VM (updateconf; moved by VM_*_OPERATIONS), USE on each file that is named",
)
def updateconf(tx: Transaction, vm_id: int, source: str) -> int:
    """Replaces the sections that the template has; a guest that runs sees its new context at once, and the
    other sections when it boots next."""
    vm = tx.get(VM, vm_id)
    vm_rights.require(tx, vm, "updateconf")
    vm_import.refuse(tx, vm, "updateconf")
    given = generic.parse_template(source)
    conf = Template((name, value) for name, value in given.items() if name in _SECTIONS)
    vm_allocate.check_restricted(tx, conf, vm.template)
    if vm.phase not in _PHASES:
        raise ApiError(Code.ACTION, f"configuration cannot be updated in state {vm.phase.name}", vm_id)
    if "CONTEXT" in conf and vm.template.vector("CONTEXT") is None:
        raise ApiError(Code.ACTION, "Virtual machine does not have context, cannot add a new one.", vm_id)
    vm_allocate.check_sections(conf)
    vm_files.resolve(tx, conf, tx.caller.uid)
    own = tx.edit(VM, vm_id)
    _replace(own.template, conf)
    if "OS" in conf:
        for name in ("DISK", "NIC"):
            for device in own.template.vectors(name):
                device.pop("ORDER", None)
        vm_disks.assign_boot_order(own.template)
    if "CONTEXT" in conf:
        vm_context.build(tx, own)
    if own.phase is Phase.RUNNING:
        vm_machine.fire(tx, own, "updateconf")
    return vm_id


def _replace(template: Template, conf: Template) -> None:
    for name in _SECTIONS:
        new: list[Value] = list(conf.vectors(name))
        if not new:
            continue
        first, old = new[0], template.vector(name)
        for key in _CHOSEN.get(name, ()):
            if isinstance(first, Vector) and old is not None and key in old:
                first[key] = old[key]
        template.remove(name)
        for value in new:
            template.add(name, value)
