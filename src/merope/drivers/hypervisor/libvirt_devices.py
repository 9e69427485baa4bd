"""Plugging disks, interfaces and a new context into running domains, and out of them, through libvirt."""

from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.libvirt_api import Affect, Code, Connection, DomainHandle
from merope.drivers.hypervisor.libvirt_domains import (
    POLL,
    LibvirtDomains,
    described,
    find_disk,
    find_nic,
    require_files,
    target_of,
    text_of,
)
from merope.drivers.hypervisor.vm_devices import nic_of
from merope.model.template import Vector
from merope.model.vm import VM

_LET_GO_LIMIT = 60.0
"""Seconds that a guest has for letting go of a device."""
_ASK_AGAIN = 5.0
_LEAVING = (Code.OPERATION_FAILED, Code.DEVICE_MISSING, Code.INVALID_ARG)
"""What libvirt says of a device that is on its way out already, or gone."""
_SCSI = "<controller type='scsi' index='0' model='virtio-scsi'/>"


class LibvirtDevices(LibvirtDomains):
    def has_disk(self, vm: VM, deploy_id: str, disk_id: int) -> bool:
        target = target_of(vm, disk_id)

        def look(connection: Connection) -> bool:
            return find_disk(described(self._running(connection, deploy_id)), target) is not None

        return self._session.run(look)

    def attach_disk(self, vm: VM, deploy_id: str, disk_id: int, system_dir: Path) -> None:
        target = target_of(vm, disk_id)
        disk = find_disk(self._document(vm, system_dir), target)
        if disk is None:
            raise DriverError(f"VM {vm.id}: disk {disk_id} cannot be described for this hypervisor")
        require_files(vm, disk)

        def plug(connection: Connection) -> None:
            domain = self._running(connection, deploy_id)
            now = described(domain)
            if find_disk(now, target) is not None:
                return
            on_scsi = disk.find("target[@bus='scsi']") is not None
            if on_scsi and now.find("devices/controller[@type='scsi']") is None:
                domain.attachDeviceFlags(_SCSI, Affect.LIVE)
            domain.attachDeviceFlags(text_of(disk), Affect.LIVE)

        self._session.run(plug)

    def detach_disk(self, vm: VM, deploy_id: str, disk_id: int) -> None:
        target = target_of(vm, disk_id)
        self._unplug(deploy_id, lambda root: find_disk(root, target), f"disk {disk_id} ({target})")

    def attach_nic(self, vm: VM, deploy_id: str, nic_id: int, system_dir: Path) -> None:
        nic = _nic(vm, nic_id)
        interface = find_nic(self._document(vm, system_dir), nic)
        if interface is None:
            raise DriverError(f"VM {vm.id}: NIC {nic_id} cannot be described for this hypervisor")

        def plug(connection: Connection) -> None:
            domain = self._running(connection, deploy_id)
            if find_nic(described(domain), nic) is None:
                domain.attachDeviceFlags(text_of(interface), Affect.LIVE)

        self._session.run(plug)

    def detach_nic(self, vm: VM, deploy_id: str, nic_id: int) -> None:
        nic = _nic(vm, nic_id)
        self._unplug(deploy_id, lambda root: find_nic(root, nic), f"NIC {nic_id} ({nic['MAC']})")

    def renew_context(self, vm: VM, deploy_id: str, system_dir: Path) -> None:
        """The drive is opened and closed: a guest sees a changed CD-ROM, and QEMU opens the file anew."""
        context = vm.template.vector("CONTEXT")
        target = "" if context is None else context.get("TARGET", "")
        drive = find_disk(self._document(vm, system_dir), target)
        if drive is None:
            return
        full = text_of(drive)
        drive.remove(_child(drive, "source"))
        empty = text_of(drive)

        def swap(connection: Connection) -> None:
            domain = self._running(connection, deploy_id)
            if find_disk(described(domain), target) is not None:
                domain.updateDeviceFlags(empty, Affect.LIVE | Affect.FORCE)
                domain.updateDeviceFlags(full, Affect.LIVE | Affect.FORCE)

        self._session.run(swap)

    def _unplug(self, deploy_id: str, find: Callable[[Element], Element | None], what: str) -> None:
        """Asks the guest to let go of a device, now and again, until it has.

        A guest that is still booting does not hear; one that uses the device may keep it.
        """

        def let_go(connection: Connection) -> None:
            started = self._clock.monotonic()
            asked = -_ASK_AGAIN
            while True:
                domain = self._running(connection, deploy_id)
                device = find(described(domain))
                if device is None:
                    return
                now = self._clock.monotonic() - started
                if now >= _LET_GO_LIMIT:
                    raise DriverError(f"{deploy_id}: the guest did not let go of {what}")
                if now - asked >= _ASK_AGAIN:
                    self._ask_for(domain, device)
                    asked = now
                self._clock.sleep(POLL)

        self._session.run(let_go)

    def _ask_for(self, domain: DomainHandle, device: Element) -> None:
        self._session.attempt(lambda: domain.detachDeviceFlags(text_of(device), Affect.LIVE), *_LEAVING)


def _nic(vm: VM, nic_id: int) -> Vector:
    """The NIC of a VM; DriverError when there is none with a MAC."""
    nic = nic_of(vm, nic_id)
    if not nic.get("MAC"):
        raise DriverError(f"NIC {nic_id} of VM {vm.id} has no MAC")
    return nic


def _child(element: Element, tag: str) -> Element:
    child = element.find(tag)
    if child is None:
        raise DriverError(f"a device of the domain has no {tag}")
    return child
