"""VMs that were there before the cloud knew of them: a template with DEPLOY_ID takes a wild domain over.

Deploying such a VM on the host of its domain asks the host for nothing. What can be done with it later is
what IMPORTED_VMS_ACTIONS of its hypervisor lists. Source: states.yaml `import`, templates.yaml `DEPLOY_ID`.
"""

from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.vm import VM

_OURS = "one-"


def take_name(vm: VM) -> None:
    """A new VM with DEPLOY_ID is one that was there; raises ApiError ALLOCATE when it is one of ours."""
    wanted = vm.user_template.get("DEPLOY_ID")
    if not wanted:
        return
    if wanted.startswith(_OURS):
        raise ApiError(Code.ALLOCATE, f"Trying to import an OpenNebula VM: '{_OURS}*'.")
    vm.user_template.remove("DEPLOY_ID")
    vm.deploy_id = wanted
    vm.template.set("IMPORTED", "YES")


def is_imported(vm: VM) -> bool:
    return vm.template.get_bool("IMPORTED")


def event_of(vm: VM) -> str:
    """The event that deploying an imported VM for the first time is."""
    off = vm.user_template.get("IMPORT_STATE").upper() == "POWEROFF"
    return "import-poweroff" if off else "import"


def refuse(tx: Transaction, vm: VM, action: str) -> None:
    """Raises ApiError ACTION for what cannot be done with an imported VM; `action` as it is configured."""
    current = vm.history
    if current is None or not is_imported(vm):
        return
    driver = tx.settings.vm_mad.get(current.vm_mad, {})
    allowed = {word.strip() for word in driver.get("IMPORTED_VMS_ACTIONS", "").split(",")}
    if action not in allowed:
        raise ApiError(Code.ACTION, f'Action "{action}" is not supported for imported VMs', vm.id)
