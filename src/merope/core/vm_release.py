"""The end of a VM: all that it held goes back."""

from merope.core import image, quota, vm_nics, vm_quotas
from merope.core.transaction import Transaction
from merope.model.vm import VM


def free_all(tx: Transaction, vm: VM, *, failed: bool = False) -> None:
    """Images, leases, security groups and quotas. `failed`: the content of its disks is in doubt."""
    for nic in vm_nics.nics_of(vm.template):
        vm_nics.release(tx, vm.id, nic)
    vm_nics.leave_security_groups(tx, vm)
    for disk in vm.template.vectors("DISK"):
        if disk.get("IMAGE_ID"):
            image.release(tx, int(disk["IMAGE_ID"]), vm.id, failed=failed)
    quota.refund(tx, vm.uid, vm.gid, vm_quotas.everything(vm))
