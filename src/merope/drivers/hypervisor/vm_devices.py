"""The disks and NICs of a VM by their ids, for whoever plugs them. Raises DriverError where there is none."""

from merope.drivers.errors import DriverError
from merope.model.template import Vector
from merope.model.vm import VM


def disk_of(vm: VM, disk_id: int) -> Vector:
    disk = vm.disk(disk_id)
    if disk is None:
        raise DriverError(f"VM {vm.id} has no disk {disk_id}")
    return disk


def nic_of(vm: VM, nic_id: int) -> Vector:
    for nic in vm.template.vectors("NIC"):
        if nic.get("NIC_ID") == str(nic_id):
            return nic
    raise DriverError(f"VM {vm.id} has no NIC {nic_id}")
