"""MicroVMs by Firecracker: a process in a jail for each, spoken to by its API.

A jail is made for each start and removed when the process has ended, so a host keeps nothing of a VM that is
not its own any more. The guest's serial console is a screen session, which VNC shows.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from merope.drivers import commands
from merope.drivers.diskimage import check_format
from merope.drivers.errors import DriverError
from merope.drivers.files import leftovers, remove, replaced_file
from merope.drivers.hypervisor import firecracker_config as config
from merope.drivers.hypervisor.base import Domain, DomainState, HostReport
from merope.drivers.hypervisor.domain_xml import domain_name, domain_uuid, vm_id_of
from merope.drivers.hypervisor.firecracker_api import Firecracker
from merope.drivers.hypervisor.firecracker_jail import Jail, prepare_place
from merope.drivers.hypervisor.firecracker_settings import FirecrackerSettings, settings_of
from merope.drivers.hypervisor.firecracker_taps import make_taps, remove_taps
from merope.drivers.hypervisor.host_figures import Clock, HostFigures
from merope.drivers.hypervisor.terminal import Terminal, require_programs, screen_of
from merope.drivers.hypervisor.unix_http import AwayError
from merope.model.vm import VM

_POLL = 0.05
_START_SECONDS = 20.0
_END_SECONDS = 30.0
_PRESS_AGAIN = 10.0
_COPY_SECONDS = 86400.0
_RECORD = "vm.xml"
_STARTED = "started"
_FIXED = "a microVM is what it was when it started: power it off, and change it then"


class FirecrackerHypervisor:
    """The Hypervisor of one host. Calls block."""

    def __init__(self, settings: FirecrackerSettings, clock: Clock = time) -> None:
        self.settings = settings
        self._clock = clock
        self._figures = HostFigures(settings.datastores, clock)

    @classmethod
    def of_cloud(cls, home: Path, location: Path | None = None) -> "FirecrackerHypervisor":
        """The driver as the cloud under `home` has it set; `location` is its DATASTORE_LOCATION."""
        return cls(settings_of(home, location))

    def deploy(self, vm: VM, system_dir: Path) -> str:
        name = domain_name(vm.id)
        if self._api(name).process() is not None:
            known = self._record(name)
            if known is not None and domain_uuid(known[0]) != domain_uuid(vm):
                raise DriverError(f"a microVM {name} runs on this host, and it is another cloud's")
            if (self._place(name) / _STARTED).exists():
                return name
        self._put_away(name)
        self._boot(vm, name, system_dir)
        return name

    def shutdown(self, deploy_id: str) -> None:
        self._end(deploy_id)
        self._put_away(deploy_id)

    def cancel(self, deploy_id: str) -> None:
        self._put_away(deploy_id)

    def reboot(self, deploy_id: str) -> None:
        """A microVM ends when its guest reboots: it is started anew."""
        vm, system_dir = self._recorded(deploy_id)
        self._end(deploy_id)
        self._put_away(deploy_id)
        self._boot(vm, deploy_id, system_dir)

    def reset(self, deploy_id: str) -> None:
        vm, system_dir = self._recorded(deploy_id)
        self._put_away(deploy_id)
        self._boot(vm, deploy_id, system_dir)

    def save(self, deploy_id: str, checkpoint: Path) -> None:
        raise DriverError(
            "the memory of a microVM is not kept: power it off instead of suspending or stopping it"
        )

    def restore(self, vm: VM, deploy_id: str, checkpoint: Path, system_dir: Path) -> str:
        raise DriverError("the memory of a microVM is not kept, so there is none to go on with")

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None:
        raise DriverError("a microVM cannot move while it runs: migrate it without --live")

    def has_disk(self, vm: VM, deploy_id: str, disk_id: int) -> bool:
        self._running(deploy_id)
        return (Jail(self.settings, deploy_id).root / f"disk.{disk_id}").exists()

    def attach_disk(self, vm: VM, deploy_id: str, disk_id: int, system_dir: Path) -> None:
        raise DriverError(_FIXED)

    def detach_disk(self, vm: VM, deploy_id: str, disk_id: int) -> None:
        raise DriverError(_FIXED)

    def attach_nic(self, vm: VM, deploy_id: str, nic_id: int, system_dir: Path) -> None:
        raise DriverError(_FIXED)

    def detach_nic(self, vm: VM, deploy_id: str, nic_id: int) -> None:
        raise DriverError(_FIXED)

    def renew_context(self, vm: VM, deploy_id: str, system_dir: Path) -> None:
        """The metadata service is told; a CONTEXT disk is read when the microVM starts next."""
        api, context = self._running(deploy_id), vm.template.vector("CONTEXT")
        if self.settings.mmds and context is not None:
            api.put("/mmds", config.metadata(context))

    def snapshot_create(self, vm: VM, deploy_id: str, snapshot_id: int, system_dir: Path) -> str:
        raise DriverError("there are no snapshots of microVMs: take one of a disk when it is off")

    def snapshot_revert(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        raise DriverError(f"the microVM {deploy_id} has no snapshot {name}")

    def snapshot_delete(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        """There are none."""

    def disk_resize(self, vm: VM, deploy_id: str, disk_id: int, size: int) -> None:
        raise DriverError(_FIXED)

    def disk_copy(self, vm: VM, deploy_id: str, disk_id: int, target: Path, image_format: str) -> None:
        """The guest is paused meanwhile; its file systems are those of a machine whose power failed."""
        check_format(image_format)
        api = self._running(deploy_id)
        source = Jail(self.settings, deploy_id).root / f"disk.{disk_id}"
        leftovers(target)
        with _paused(api), replaced_file(target) as part:
            argv = ["qemu-img", "convert", "-U", "-f", "raw", "-O", image_format, str(source), str(part)]
            commands.run(argv, timeout=_COPY_SECONDS)

    def disk_continue(self, vm: VM, deploy_id: str, disk_id: int, overlay: Path) -> None:
        raise DriverError(_FIXED)

    def domains(self) -> list[Domain]:
        """Those that ended by themselves are put away: their disks are to be free."""
        found = []
        for place in sorted(self.settings.state.glob("one-*")):
            name = place.name
            state = self._api(name).state() if vm_id_of(name) is not None else ""
            if state in ("Running", "Paused"):
                found.append(self._domain(name, state))
            elif not state and (place / _STARTED).exists():
                self._put_away(name)
        return found

    def report(self) -> HostReport:
        return self._figures.report({"HYPERVISOR": "firecracker"})

    def _domain(self, name: str, state: str) -> Domain:
        known = self._record(name)
        template = known[0].template if known else None
        memory = int(template.get("MEMORY") or 0) if template else 0
        vcpus = int(template.get("VCPU") or 1) if template else 1
        used = DomainState.SUSPENDED if state == "Paused" else DomainState.RUNNING
        return Domain(name, used, vm_id_of(name), name, memory * 1024, vcpus)

    def _boot(self, vm: VM, name: str, system_dir: Path) -> None:
        """Raises DriverError, and then nothing is left of it."""
        screen = screen_of(vm, self.settings.vnc_width, self.settings.vnc_height)
        require_programs(screen)
        _require("screen", *map(str, (self.settings.jailer, self.settings.firecracker)))
        wanted = config.requests(vm, mmds=self.settings.mmds)
        place, jail = self._place(name), Jail(self.settings, name)
        prepare_place(place)
        try:
            (place / _RECORD).write_text(json.dumps([vm.to_xml(), str(system_dir)]), "utf-8")
            make_taps(vm, self.settings.uid, place)
            jail.make(vm, system_dir)
            self._start_process(vm, jail)
            api = self._api(name)
            for request in wanted:
                api.put(request.url, request.body)
            api.act("InstanceStart")
            (place / _STARTED).touch()
            if screen is not None:
                self._terminal(name).start(screen, ["screen", "-x", name], self._screen_directory(name))
        except DriverError:
            self._put_away(name)
            raise

    def _start_process(self, vm: VM, jail: Jail) -> None:
        """In a screen session, which is the terminal of the guest's serial console."""
        place = self._place(jail.name)
        environment = self._screen_directory(jail.name)
        Path(environment["SCREENDIR"]).mkdir(mode=0o700)
        settings = place / "screenrc"
        settings.write_text(
            f"startup_message off\nlogfile {place / 'console.log'}\nlogfile flush 1\ndeflog on\n"
        )
        argv = ["screen", "-c", str(settings), "-dmS", jail.name, *jail.command(vm)]
        commands.run(argv, timeout=_START_SECONDS, env=environment)
        session, seen = Path(environment["SCREENDIR"]), False
        deadline = self._clock.monotonic() + _START_SECONDS
        while self._api(jail.name).process() is None:
            there = any(session.iterdir())
            seen = seen or there or (place / "console.log").exists()
            if self._clock.monotonic() > deadline or (seen and not there):
                said = _console(place)
                raise DriverError(f"Firecracker does not start{commands.said(said)}")
            self._clock.sleep(_POLL)

    def _end(self, deploy_id: str) -> None:
        """Asks the guest to end (Ctrl-Alt-Del), and again: one that still boots has not heard."""
        api = self._api(deploy_id)
        started, pressed = self._clock.monotonic(), -_PRESS_AGAIN
        while api.process() is not None:
            passed = self._clock.monotonic() - started
            if passed >= self.settings.shutdown_timeout:
                if self.settings.force_destroy:
                    return
                raise DriverError(f"{deploy_id} did not end within {self.settings.shutdown_timeout:.0f} s")
            if passed - pressed >= _PRESS_AGAIN:
                with suppress(AwayError):
                    api.act("SendCtrlAltDel")
                pressed = passed
            self._clock.sleep(_POLL)

    def _put_away(self, name: str) -> None:
        """The process ends, if there is one, and nothing is left but the VM's own files."""
        if vm_id_of(name) is None:
            raise DriverError(f"{name!r} is not the name of a microVM")
        pid = self._api(name).process()
        if pid is not None:
            _kill(pid)
        self._terminal(name).stop()
        Jail(self.settings, name).remove()
        remove_taps(self._place(name))
        remove(self._place(name))

    def _running(self, deploy_id: str) -> Firecracker:
        api = self._api(deploy_id)
        if vm_id_of(deploy_id) is None or api.state() not in ("Running", "Paused"):
            raise DriverError(f"the microVM {deploy_id} does not run on this host")
        return api

    def _recorded(self, deploy_id: str) -> tuple[VM, Path]:
        """The VM as it was started, and where its files are. Raises DriverError when it does not run."""
        self._running(deploy_id)
        known = self._record(deploy_id)
        if known is None:
            raise DriverError(f"the microVM {deploy_id} was not started by this cloud")
        return known

    def _record(self, name: str) -> tuple[VM, Path] | None:
        with suppress(OSError, ValueError):
            document, directory = json.loads((self._place(name) / _RECORD).read_text("utf-8"))
            return VM.from_xml(document), Path(directory)
        return None

    def _place(self, name: str) -> Path:
        return self.settings.state / name

    def _api(self, name: str) -> Firecracker:
        return Firecracker(Jail(self.settings, name).socket)

    def _terminal(self, name: str) -> Terminal:
        return Terminal(self._place(name) / "terminal")

    def _screen_directory(self, name: str) -> dict[str, str]:
        return {"SCREENDIR": str(self._place(name) / "screen")}


@contextmanager
def _paused(api: Firecracker) -> Iterator[None]:
    api.patch("/vm", {"state": "Paused"})
    try:
        yield
    finally:
        api.patch("/vm", {"state": "Resumed"})


def _kill(pid: int) -> None:
    """Returns when the process has ended, and its files are closed. Raises DriverError."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], _END_SECONDS)[0]:
            raise DriverError(f"the process {pid} of a microVM does not end")
    finally:
        os.close(handle)


def _console(place: Path) -> str:
    with suppress(OSError):
        return (place / "console.log").read_text("utf-8", "replace")
    return ""


def _require(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise DriverError(f"{program} is not on the host, and Firecracker needs it")
