"""The domains of one host as they are, and the documents that they are started with."""

import os
import time
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.domain_xml import domain
from merope.drivers.hypervisor.domain_xml.elements import ONE_NAMESPACE
from merope.drivers.hypervisor.host_figures import Clock
from merope.drivers.hypervisor.libvirt_api import Code, Connection, DomainHandle, Paused, State, Undefine
from merope.drivers.hypervisor.libvirt_session import Session
from merope.drivers.hypervisor.libvirt_settings import KvmSettings
from merope.drivers.snapshot_files import followed
from merope.model.template import Vector
from merope.model.vm import VM

GONE = (Code.NO_DOMAIN, Code.OPERATION_INVALID)
POLL = 0.1
_BUSY_REASONS = {Paused.MIGRATION, Paused.SAVE, Paused.STARTING_UP, Paused.SHUTTING_DOWN, Paused.SNAPSHOT}
_SETTLE_LIMIT = 600.0


class LibvirtDomains:
    """What is true on the host, which every operation looks at first. `clock` is the module time."""

    def __init__(
        self, settings: KvmSettings | None = None, session: Session | None = None, clock: Clock = time
    ) -> None:
        self.settings = settings or KvmSettings()
        self._session = session or Session(self.settings.uri)
        self._clock = clock

    def close(self) -> None:
        self._session.close()

    def _lookup(self, connection: Connection, name: str) -> DomainHandle | None:
        return self._session.attempt(lambda: connection.lookupByName(name), Code.NO_DOMAIN)

    def _settled(self, connection: Connection, name: str) -> DomainHandle | None:
        """The active domain, once nobody starts, saves or moves it any more; None when there is none.

        An operation goes on in libvirtd when the process that asked for it has died.
        """
        deadline = self._clock.monotonic() + _SETTLE_LIMIT
        while (domain := self._lookup(connection, name)) is not None:
            state = self._session.attempt(domain.state, *GONE)
            if state is None or state[0] in (State.SHUTOFF, State.CRASHED):
                return None
            if not (state[0] == State.PAUSED and state[1] in _BUSY_REASONS) and not self._has_job(domain):
                return domain
            if self._clock.monotonic() >= deadline:
                raise DriverError(f"{name}: another operation has not ended after {_SETTLE_LIMIT:.0f} s")
            self._clock.sleep(POLL)
        return None

    def _running(self, connection: Connection, name: str) -> DomainHandle:
        """The active domain; DriverError when there is none."""
        domain = self._settled(connection, name)
        if domain is None:
            raise DriverError(f"the domain {name} does not run on this host")
        return domain

    def _free(self, connection: Connection, name: str) -> DomainHandle:
        """The active domain, of whose disks none is being copied."""
        domain = self._running(connection, name)
        self._end_copies(domain)
        return domain

    def _end_copies(self, domain: DomainHandle) -> None:
        """A VM has one operation at a time: a copy that still goes on was given up, and hinders others."""
        for target in described(domain).iterfind("devices/disk[mirror]/target"):
            self._end_job(domain, target.get("dev", ""))

    def _end_job(self, domain: DomainHandle, drive: str) -> None:
        """Ends what copies the disk; a copy that has caught up is then what the disk is at this moment."""
        if self._session.attempt(lambda: domain.blockJobInfo(drive, 0), *GONE):
            self._session.attempt(lambda: domain.blockJobAbort(drive, 0), *GONE)

    def _has_job(self, domain: DomainHandle) -> bool:
        job = self._session.attempt(domain.jobInfo, Code.NO_SUPPORT, *GONE)
        return bool(job and job[0])

    def _runs(self, connection: Connection, name: str) -> bool:
        """Whether the domain is active; what is left of one that ended badly is removed."""
        if self._settled(connection, name) is not None:
            return True
        self._remove(connection, name)
        return False

    def _exists(self, name: str) -> bool:
        def look(connection: Connection) -> bool:
            domain = self._lookup(connection, name)
            if domain is None:
                return False
            state = self._session.attempt(domain.state, *GONE)
            if state is not None and state[0] not in (State.SHUTOFF, State.CRASHED):
                return True
            self._remove(connection, name)
            return False

        return self._session.run(look)

    def _remove(self, connection: Connection, name: str) -> None:
        domain = self._lookup(connection, name)
        if domain is None:
            return
        self._session.attempt(domain.destroy, *GONE)
        if self._session.attempt(domain.isPersistent, Code.NO_DOMAIN):
            flags = Undefine.MANAGED_SAVE | Undefine.SNAPSHOTS_METADATA | Undefine.NVRAM
            self._session.attempt(lambda: domain.undefineFlags(flags), Code.NO_DOMAIN)

    def _document(self, vm: VM, system_dir: Path) -> Element:
        """The domain of `vm` with its disks where they really are."""
        root = domain(vm, system_dir, self.settings.traits, self.settings.defaults)
        place_disks(root, vm, system_dir)
        return root


def described(handle: DomainHandle) -> Element:
    """The running domain as libvirt describes it."""
    return ElementTree.fromstring(handle.XMLDesc(0))  # noqa: S314 - libvirt's own document


def text_of(element: Element) -> str:
    return ElementTree.tostring(element, encoding="unicode")


def find_disk(root: Element, target: str) -> Element | None:
    """The disk of a domain that the guest has as `target` (vda …)."""
    for element in root.iterfind("devices/disk"):
        if element.find(f"target[@dev='{target}']") is not None:
            return element
    return None


def file_of(root: Element, target: str) -> str:
    """The file of a disk; empty when there is no such disk, or it is no file."""
    disk = find_disk(root, target)
    source = None if disk is None else disk.find("source")
    return "" if source is None else source.get("file", "")


def find_nic(root: Element, nic: Vector) -> Element | None:
    """The interface of a domain that is a NIC: by the name of its tap, or by its MAC where it has none."""
    wanted = nic.get("MAC", "").lower()
    for element in root.iterfind("devices/interface"):
        name, address = element.find("target"), element.find("mac")
        if nic.get("TARGET") and element.get("type") != "vhostuser":
            if name is not None and name.get("dev") == nic["TARGET"]:
                return element
        elif wanted and address is not None and address.get("address", "").lower() == wanted:
            return element
    return None


def target_of(vm: VM, disk_id: int) -> str:
    """The TARGET of a VM's disk; DriverError when there is no such disk."""
    disk = vm.disk(disk_id)
    if disk is None or not disk.get("TARGET"):
        raise DriverError(f"VM {vm.id} has no disk {disk_id} with a TARGET")
    return disk["TARGET"]


def place_disks(root: Element, vm: VM, system_dir: Path) -> bool:
    """Names the disks of a domain by the files that they are now; answers whether any was another one.

    A disk in the VM's directory may be a link: to its image, or to the newest file of a chain of snapshots.
    The link is turned while the guest runs, so the domain has to know the file.
    """
    changed = False
    drives: list[Vector] = [*vm.template.vectors("DISK"), *vm.template.vectors("CONTEXT")]
    for drive in drives:
        disk = find_disk(root, drive.get("TARGET", ""))
        source = None if disk is None else disk.find("source")
        if source is None or not source.get("file") or not drive.get("DISK_ID"):
            continue
        file = str(followed(system_dir / f"disk.{drive['DISK_ID']}"))
        if source.get("file") != file:
            source.set("file", file)
            changed = True
    return changed


def moved_to(saved: str, vm: VM, system_dir: Path, fresh: Element) -> str | None:
    """A saved domain with its files in `system_dir` and its CPUs where the `fresh` one has them; None when
    that is where they were."""
    root = ElementTree.fromstring(saved)  # noqa: S314 - libvirt's own document
    place = root.find(f"metadata/{{{ONE_NAMESPACE}}}vm/{{{ONE_NAMESPACE}}}system_datastore")
    if place is None or not place.text:
        return None
    moved = place.text != str(system_dir)
    if moved:
        _move(root, place.text, system_dir)
        place.text = str(system_dir)
    changed = [moved, place_disks(root, vm, system_dir), _pin_anew(root, fresh)]
    return text_of(root) if any(changed) else None


def _pin_anew(root: Element, fresh: Element) -> bool:
    """A guest that goes on elsewhere has other CPUs and memory nodes of its host, though it sees the same."""
    if fresh.find("cputune/vcpupin") is None:
        return False
    for tag in ("cputune", "numatune"):
        old, new = root.find(tag), fresh.find(tag)
        if old is not None:
            root.remove(old)
        if new is not None:
            root.append(new)
    return True


def _move(root: Element, origin: str, system_dir: Path) -> None:
    old = origin + os.sep
    for element in root.iter():
        for key, value in element.attrib.items():
            if value.startswith(old):
                element.set(key, str(system_dir / value.removeprefix(old)))
        if element.tag in ("kernel", "initrd") and element.text and element.text.startswith(old):
            element.text = str(system_dir / element.text.removeprefix(old))


def require_files(vm: VM, root: Element) -> None:
    """DriverError that names the first disk, kernel or CD-ROM of a domain which is not on this host."""
    wanted = [
        disk.get("file") or disk.get("dev") for disk in root.iter("source") if disk.get("protocol") is None
    ]
    wanted += [element.text for element in root.iter() if element.tag in ("kernel", "initrd")]
    for path in filter(None, wanted):
        if not os.path.exists(path):
            raise DriverError(f"VM {vm.id}: there is no {path} on this host")
