"""The end of a VM: all that it held goes back."""

from merope.core import image, quota, vm_group, vm_nics, vm_quotas, vm_requests
from merope.core.transaction import Transaction
from merope.model.vm import VM
from merope.model.vrouter import VirtualRouter


def free_all(tx: Transaction, vm: VM, *, failed: bool = False) -> None:
    """Images, leases, groups of both kinds and quotas. `failed`: the content of its disks is in doubt."""
    for nic in vm_nics.nics_of(vm.template):
        vm_nics.release(tx, vm.id, nic)
    vm_nics.leave_security_groups(tx, vm)
    _leave_router(tx, vm)
    vm_group.leave(tx, vm)
    for disk in vm.template.vectors("DISK"):
        if disk.get("IMAGE_ID"):
            image.release(tx, int(disk["IMAGE_ID"]), vm.id, failed=failed)
    quota.refund(tx, vm.uid, vm.gid, vm_quotas.everything(vm))


def _leave_router(tx: Transaction, vm: VM) -> None:
    router_id = vm_requests.whole(vm.template.get("VROUTER_ID"))
    if router_id is not None and tx.find(VirtualRouter, router_id) is not None:
        tx.edit(VirtualRouter, router_id).vms.discard(vm.id)
