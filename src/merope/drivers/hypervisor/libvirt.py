"""KVM and QEMU through libvirt.

Domains are transient: what is not running is not there, so a host keeps nothing of a VM that is not its
own any more. Every operation looks first at what is true, and does only what is missing.
"""

import os
import re
import time
from pathlib import Path
from xml.etree import ElementTree

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, HostReport
from merope.drivers.hypervisor.domain_xml import domain_name, domain_text, domain_uuid
from merope.drivers.hypervisor.domain_xml.elements import ONE_NAMESPACE
from merope.drivers.hypervisor.libvirt_api import (
    Code,
    Connection,
    Create,
    DomainHandle,
    Migrate,
    Paused,
    SaveImage,
    State,
    Undefine,
)
from merope.drivers.hypervisor.libvirt_monitor import Clock, DomainReader, HostReader
from merope.drivers.hypervisor.libvirt_session import LibvirtError, Session
from merope.drivers.hypervisor.libvirt_settings import KvmSettings, settings_of
from merope.model.vm import VM

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?", re.ASCII)
_GONE = (Code.NO_DOMAIN, Code.OPERATION_INVALID)
_PARTIAL = (Code.OPERATION_FAILED, Code.INTERNAL_ERROR)
_BUSY_REASONS = {Paused.MIGRATION, Paused.SAVE, Paused.STARTING_UP, Paused.SHUTTING_DOWN, Paused.SNAPSHOT}
_POLL = 0.1
_SETTLE_LIMIT = 600.0
_PRESS_AGAIN = 10.0


class LibvirtHypervisor:
    """The Hypervisor of one host. Calls block; several threads may call at once."""

    def __init__(
        self, settings: KvmSettings | None = None, session: Session | None = None, clock: Clock = time
    ) -> None:
        self.settings = settings or KvmSettings()
        self._session = session or Session(self.settings.uri)
        self._clock = clock
        self._domains = DomainReader(clock)
        self._host = HostReader(self.settings, clock)

    @classmethod
    def of_cloud(cls, home: Path, kernel: Path | None = None) -> "LibvirtHypervisor":
        """The driver as the cloud under `home` has it set; `kernel` is one to try KVM with."""
        return cls(settings_of(home, kernel))

    def deploy(self, vm: VM, system_dir: Path) -> str:
        name = domain_name(vm.id)
        text = domain_text(vm, system_dir, self.settings.traits, self.settings.defaults)
        validate = any(raw.get("VALIDATE", "").upper() == "YES" for raw in vm.template.vectors("RAW"))

        def start(connection: Connection) -> None:
            running = self._settled(connection, name)
            if running is None:
                self._remove(connection, name)
                require_files(vm, text)
                connection.createXML(text, Create.VALIDATE if validate else Create.NONE)
            elif running.UUIDString() != domain_uuid(vm):
                raise DriverError(f"a domain {name} runs on this host, and it is another cloud's")

        self._session.run(start)
        return name

    def shutdown(self, deploy_id: str) -> None:
        started = pressed = self._clock.monotonic()
        self._press_power_button(deploy_id)
        while self._exists(deploy_id):
            now = self._clock.monotonic()
            if now - started >= self.settings.shutdown_timeout:
                self._give_up_waiting(deploy_id)
                return
            if now - pressed >= _PRESS_AGAIN:  # a guest that was still booting has not heard the first
                self._press_power_button(deploy_id)
                pressed = now
            self._clock.sleep(_POLL)

    def cancel(self, deploy_id: str) -> None:
        self._session.run(lambda connection: self._remove(connection, deploy_id))

    def reboot(self, deploy_id: str) -> None:
        self._session.run(lambda connection: connection.lookupByName(deploy_id).reboot(0))

    def reset(self, deploy_id: str) -> None:
        self._session.run(lambda connection: connection.lookupByName(deploy_id).reset(0))

    def save(self, deploy_id: str, checkpoint: Path) -> None:
        """The memory is written beside `checkpoint`; the name appears when all of it is there."""
        part = checkpoint.with_name(checkpoint.name + ".part")

        def write(connection: Connection) -> None:
            domain = self._settled(connection, deploy_id)
            if domain is not None:
                part.unlink(missing_ok=True)
                domain.saveFlags(str(part), None, 0)
            if part.exists() and self._is_complete(connection, part):
                part.rename(checkpoint)
            if not checkpoint.exists():
                raise DriverError(f"{deploy_id} is not running, and there is no checkpoint {checkpoint}")

        self._session.run(write)

    def restore(self, vm: VM, deploy_id: str, checkpoint: Path, system_dir: Path) -> str:
        name = domain_name(vm.id)

        def start(connection: Connection) -> None:
            if not self._runs(connection, name):
                if not checkpoint.exists():
                    raise DriverError(f"{deploy_id} cannot be restored: there is no checkpoint {checkpoint}")
                saved = connection.saveImageGetXMLDesc(str(checkpoint), SaveImage.SECURE)
                connection.restoreFlags(str(checkpoint), moved_to(saved, system_dir), 0)
            self._resume_if_paused(connection, name)
            checkpoint.unlink(missing_ok=True)

        self._session.run(start)
        return name

    def migrate(self, deploy_id: str, destination: str) -> None:
        uri = self.destination_uri(destination)
        flags = Migrate.LIVE | Migrate.PEER2PEER
        if self.settings.migrate_unsafe:
            flags |= Migrate.UNSAFE

        def move(connection: Connection) -> bool:
            domain = self._settled(connection, deploy_id)
            if domain is None:
                return False
            domain.migrateToURI3(uri, {}, flags)
            return True

        if not self._session.run(move) and not self._runs_at(uri, deploy_id):
            raise DriverError(f"{deploy_id} runs neither here nor on {destination}")

    def destination_uri(self, destination: str) -> str:
        if not _HOST_NAME.fullmatch(destination):
            raise DriverError(f"'{destination}' is not the name of a host")
        return self.settings.migrate_uri.replace("HOST", destination)

    def domains(self) -> list[Domain]:
        return self._session.run(lambda connection: self._domains.read(connection, self._session))

    def report(self) -> HostReport:
        return self._session.run(self._host.read)

    def close(self) -> None:
        self._session.close()

    # --- what is true ---------------------------------------------------------------------------------

    def _lookup(self, connection: Connection, name: str) -> DomainHandle | None:
        return self._session.attempt(lambda: connection.lookupByName(name), Code.NO_DOMAIN)

    def _settled(self, connection: Connection, name: str) -> DomainHandle | None:
        """The active domain, once nobody starts, saves or moves it any more; None when there is none.

        An operation goes on in libvirtd when the process that asked for it has died.
        """
        deadline = self._clock.monotonic() + _SETTLE_LIMIT
        while (domain := self._lookup(connection, name)) is not None:
            state = self._session.attempt(domain.state, *_GONE)
            if state is None or state[0] in (State.SHUTOFF, State.CRASHED):
                return None
            if not (state[0] == State.PAUSED and state[1] in _BUSY_REASONS) and not self._has_job(domain):
                return domain
            if self._clock.monotonic() >= deadline:
                raise DriverError(f"{name}: another operation has not ended after {_SETTLE_LIMIT:.0f} s")
            self._clock.sleep(_POLL)
        return None

    def _has_job(self, domain: DomainHandle) -> bool:
        job = self._session.attempt(domain.jobInfo, Code.NO_SUPPORT, *_GONE)
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
            state = self._session.attempt(domain.state, *_GONE)
            if state is not None and state[0] not in (State.SHUTOFF, State.CRASHED):
                return True
            self._remove(connection, name)
            return False

        return self._session.run(look)

    def _is_complete(self, connection: Connection, checkpoint: Path) -> bool:
        """libvirt marks a checkpoint as partial until all of it is on the disk, and refuses to read that."""
        return (
            self._session.attempt(lambda: connection.saveImageGetXMLDesc(str(checkpoint), 0), *_PARTIAL)
            is not None
        )

    def _runs_at(self, uri: str, name: str) -> bool:
        other = Session(uri)
        try:
            return other.run(lambda connection: connection.lookupByName(name).isActive() == 1)
        except LibvirtError as error:
            if error.code == Code.NO_DOMAIN:
                return False
            raise
        finally:
            other.close()

    # --- what is done ---------------------------------------------------------------------------------

    def _remove(self, connection: Connection, name: str) -> None:
        domain = self._lookup(connection, name)
        if domain is None:
            return
        self._session.attempt(domain.destroy, *_GONE)
        if self._session.attempt(domain.isPersistent, Code.NO_DOMAIN):
            flags = Undefine.MANAGED_SAVE | Undefine.SNAPSHOTS_METADATA | Undefine.NVRAM
            self._session.attempt(lambda: domain.undefineFlags(flags), Code.NO_DOMAIN)

    def _press_power_button(self, name: str) -> None:
        def press(connection: Connection) -> None:
            domain = self._lookup(connection, name)
            if domain is not None:
                self._session.attempt(domain.shutdown, *_GONE)

        self._session.run(press)

    def _give_up_waiting(self, name: str) -> None:
        if not self.settings.force_destroy:
            raise DriverError(
                f"{name} did not power off within {self.settings.shutdown_timeout:.0f} s: "
                "does its system answer the power button (ACPI)?"
            )
        self.cancel(name)

    def _resume_if_paused(self, connection: Connection, name: str) -> None:
        domain = self._lookup(connection, name)
        if domain is not None and domain.state()[0] == State.PAUSED:
            domain.resume()


def require_files(vm: VM, domain: str) -> None:
    """DriverError that names the first disk, kernel or CD-ROM of a domain which is not on this host."""
    root = ElementTree.fromstring(domain)  # noqa: S314 - our own document
    wanted = [
        disk.get("file") or disk.get("dev") for disk in root.iter("source") if disk.get("protocol") is None
    ]
    wanted += [element.text for element in root.iter() if element.tag in ("kernel", "initrd")]
    for path in filter(None, wanted):
        if not os.path.exists(path):
            raise DriverError(f"VM {vm.id}: there is no {path} on this host")


def moved_to(saved: str, system_dir: Path) -> str | None:
    """A saved domain with its disks in `system_dir`; None when that is where they were."""
    root = ElementTree.fromstring(saved)  # noqa: S314 - libvirt's own document
    place = root.find(f"metadata/{{{ONE_NAMESPACE}}}vm/{{{ONE_NAMESPACE}}}system_datastore")
    if place is None or not place.text or place.text == str(system_dir):
        return None
    old = place.text + os.sep
    place.text = str(system_dir)
    for element in root.iter():
        for key, value in element.attrib.items():
            if value.startswith(old):
                element.set(key, str(system_dir / value.removeprefix(old)))
        if element.tag in ("kernel", "initrd") and element.text and element.text.startswith(old):
            element.text = str(system_dir / element.text.removeprefix(old))
    return ElementTree.tostring(root, encoding="unicode")
