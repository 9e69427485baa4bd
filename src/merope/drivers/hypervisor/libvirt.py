"""KVM and QEMU through libvirt.

Domains are transient: what is not running is not there, so a host keeps nothing of a VM that is not its
own any more. Every operation looks first at what is true, and does only what is missing.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Domain, HostReport
from merope.drivers.hypervisor.domain_xml import domain_name, domain_uuid
from merope.drivers.hypervisor.host_figures import Clock
from merope.drivers.hypervisor.libvirt_api import Code, Connection, Create, Migrate, SaveImage, State
from merope.drivers.hypervisor.libvirt_devices import LibvirtDevices
from merope.drivers.hypervisor.libvirt_disks import LibvirtDisks
from merope.drivers.hypervisor.libvirt_domains import GONE, POLL, moved_to, require_files, text_of
from merope.drivers.hypervisor.libvirt_migration import Watch
from merope.drivers.hypervisor.libvirt_monitor import DomainReader, HostReader
from merope.drivers.hypervisor.libvirt_session import LibvirtError, Session
from merope.drivers.hypervisor.libvirt_settings import KvmSettings, settings_of
from merope.drivers.hypervisor.libvirt_snapshots import LibvirtSnapshots
from merope.model.vm import VM

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?", re.ASCII)
_PARTIAL = (Code.OPERATION_FAILED, Code.INTERNAL_ERROR)
_PRESS_AGAIN = 10.0


class LibvirtHypervisor(LibvirtDevices, LibvirtDisks, LibvirtSnapshots):
    """The Hypervisor of one host. Calls block; several threads may call at once."""

    def __init__(
        self, settings: KvmSettings | None = None, session: Session | None = None, clock: Clock = time
    ) -> None:
        super().__init__(settings, session, clock)
        self._domains = DomainReader(clock)
        self._host = HostReader(self.settings, clock)

    @classmethod
    def of_cloud(cls, home: Path, location: Path | None = None) -> "LibvirtHypervisor":
        """The driver as the cloud under `home` has it set; `location` is its DATASTORE_LOCATION."""
        return cls(settings_of(home, location))

    def deploy(self, vm: VM, system_dir: Path) -> str:
        name = domain_name(vm.id)
        document = self._document(vm, system_dir)
        validate = any(raw.get("VALIDATE", "").upper() == "YES" for raw in vm.template.vectors("RAW"))

        def start(connection: Connection) -> None:
            running = self._settled(connection, name)
            if running is None:
                self._remove(connection, name)
                require_files(vm, document)
                self._forget_snapshots(vm, system_dir)
                connection.createXML(text_of(document), Create.VALIDATE if validate else Create.NONE)
            elif running.UUIDString() != domain_uuid(vm):
                raise DriverError(f"a domain {name} runs on this host, and it is another cloud's")
            self._know_snapshots(connection, name, system_dir)

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
            self._clock.sleep(POLL)

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
                self._end_copies(domain)
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
                self._forget_snapshots(vm, system_dir)
                fresh = self._document(vm, system_dir)
                saved = connection.saveImageGetXMLDesc(str(checkpoint), SaveImage.SECURE)
                connection.restoreFlags(str(checkpoint), moved_to(saved, vm, system_dir, fresh), 0)
            self._resume_if_paused(connection, name)
            self._know_snapshots(connection, name, system_dir)
            checkpoint.unlink(missing_ok=True)

        self._session.run(start)
        return name

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None:
        uri = self.destination_uri(destination)
        flags = Migrate.LIVE | Migrate.PEER2PEER | self.settings.migrate_flags
        parameters: dict[str, Any] = {}
        if copied:
            flags |= Migrate.NON_SHARED_DISK
            parameters["migrate_disks"] = list(copied)
        if self.settings.migrate_bandwidth:
            parameters["bandwidth"] = self.settings.migrate_bandwidth

        def move(connection: Connection) -> bool:
            domain = self._settled(connection, deploy_id)
            if domain is None:
                return False
            self._end_copies(domain)
            notes = self._without_snapshots(domain)
            watch = Watch(domain, deploy_id, self.settings.migrate_timeout)
            try:
                with watch.watching():
                    self._session.translated(lambda: domain.migrateToURI3(uri, parameters, flags))
            except LibvirtError as error:
                raise watch.explained(error, destination) from error
            finally:
                if notes is not None:
                    self._know_snapshots(connection, deploy_id, notes)
            return True

        if not self._session.run(move) and not self._runs_at(uri, deploy_id):
            raise DriverError(f"{deploy_id} runs neither here nor on {destination}")
        self._tell_of_snapshots(uri, deploy_id)

    def _tell_of_snapshots(self, uri: str, deploy_id: str) -> None:
        """What the host that a domain came to cannot know."""
        other = type(self)(replace(self.settings, uri=uri), clock=self._clock)
        try:
            other.know_snapshots(deploy_id)
        finally:
            other.close()

    def destination_uri(self, destination: str) -> str:
        if not _HOST_NAME.fullmatch(destination):
            raise DriverError(f"'{destination}' is not the name of a host")
        return self.settings.migrate_uri.replace("HOST", destination)

    def domains(self) -> list[Domain]:
        return self._session.run(lambda connection: self._domains.read(connection, self._session))

    def report(self) -> HostReport:
        return self._session.run(self._host.read)

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

    def _press_power_button(self, name: str) -> None:
        def press(connection: Connection) -> None:
            domain = self._lookup(connection, name)
            if domain is not None:
                self._session.attempt(domain.shutdown, *GONE)

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
