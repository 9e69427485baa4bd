"""Growing and copying the disks of running domains through libvirt, and going on in another file."""

from pathlib import Path
from xml.etree.ElementTree import Element

from merope.drivers.diskimage import check_format
from merope.drivers.errors import DriverError
from merope.drivers.files import leftovers, replaced_file
from merope.drivers.hypervisor.domain_xml.elements import add
from merope.drivers.hypervisor.libvirt_api import BlockCopy, BlockResize, Connection, DomainHandle, Snapshot
from merope.drivers.hypervisor.libvirt_domains import (
    POLL,
    LibvirtDomains,
    described,
    file_of,
    find_disk,
    target_of,
    text_of,
)
from merope.model.vm import VM

_MB = 1024 * 1024


class LibvirtDisks(LibvirtDomains):
    def disk_resize(self, vm: VM, deploy_id: str, disk_id: int, size: int) -> None:
        target = target_of(vm, disk_id)

        def grow(connection: Connection) -> None:
            domain = self._free(connection, deploy_id)
            if domain.blockInfo(target)[0] < size * _MB:
                domain.blockResize(target, size * _MB, BlockResize.BYTES)

        self._session.run(grow)

    def disk_copy(self, vm: VM, deploy_id: str, disk_id: int, target: Path, image_format: str) -> None:
        """A mirror that is let go when it has caught up: the guest runs on all the while."""
        check_format(image_format)
        drive = target_of(vm, disk_id)

        def copy(connection: Connection) -> None:
            domain = self._free(connection, deploy_id)
            leftovers(target)
            with replaced_file(target) as part:
                domain.blockCopy(drive, _destination(part, image_format), {}, BlockCopy.TRANSIENT_JOB)
                try:
                    self._catch_up(domain, deploy_id, drive)
                finally:
                    self._end_job(domain, drive)

        self._session.run(copy)

    def disk_continue(self, vm: VM, deploy_id: str, disk_id: int, overlay: Path) -> None:
        target = target_of(vm, disk_id)

        def go_on(connection: Connection) -> None:
            domain = self._free(connection, deploy_id)
            now = described(domain)
            if file_of(now, target) == str(overlay):
                return
            flags = Snapshot.DISK_ONLY | Snapshot.NO_METADATA | Snapshot.REUSE_EXT | Snapshot.ATOMIC
            if _has_agent(now):
                flags |= Snapshot.QUIESCE
            domain.snapshotCreateXML(_going_on(now, target, overlay), flags)

        self._session.run(go_on)

    def _catch_up(self, domain: DomainHandle, deploy_id: str, drive: str) -> None:
        """Waits until the mirror is like the disk."""
        while True:
            disk = find_disk(described(domain), drive)
            mirror = None if disk is None else disk.find("mirror")
            if mirror is None:
                raise DriverError(f"{deploy_id}: the disk {drive} could not be copied")
            if mirror.get("ready") == "yes":
                return
            self._clock.sleep(POLL)


def _destination(path: Path, image_format: str) -> str:
    disk = Element("disk", type="file")
    add(disk, "source", file=str(path))
    add(disk, "driver", type=image_format)
    return text_of(disk)


def _going_on(now: Element, target: str, overlay: Path) -> str:
    snapshot = Element("domainsnapshot")
    disks = add(snapshot, "disks")
    for name in (element.get("dev", "") for element in now.iterfind("devices/disk/target")):
        if name != target:
            add(disks, "disk", name=name, snapshot="no")
            continue
        disk = add(disks, "disk", name=name, snapshot="external", type="file")
        add(disk, "driver", type="qcow2")
        add(disk, "source", file=str(overlay))
    return text_of(snapshot)


def _has_agent(root: Element) -> bool:
    """Whether the guest's agent is there to have its file systems written out first."""
    agent = root.find("devices/channel/target[@name='org.qemu.guest_agent.0']")
    return agent is not None and agent.get("state") == "connected"
