"""Hypervisors of third parties: executables `remotes/vmm/<name>/<action>`, run on the VM's host.

Each gets VMM_DRIVER_ACTION_DATA in base64 on standard input, `deploy` the deployment file, which is the VM's
document (TYPE = xml). Words and answers: spec drivers.yaml `vmm.script_args`. Which VMs run is asked of the
probes `remotes/im/<name>-probes.d/vm/status`; where there are none it is what was started and not ended.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.executable import LONG, Executables, last_line, read_template
from merope.drivers.files import make_directory, remove
from merope.drivers.hypervisor.base import Domain, DomainState, HostReport
from merope.drivers.hypervisor.host_figures import HostFigures
from merope.drivers.hypervisor.started import Note, Notes
from merope.drivers.hypervisor.vm_devices import disk_of, nic_of
from merope.model.document import cdata
from merope.model.template import Vector
from merope.model.vm import VM

_STATES = {state.value: state for state in DomainState}
_PROBE_SECONDS = 60.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Site:
    """Where things are: the probes of administrators (`remotes/im`), what is remembered of VMs on this host,
    DATASTORE_LOCATION."""

    probes: Path
    state: Path
    location: Path


class ExecutableHypervisor:
    """`host` is what the cloud calls this host, `vm` the VM that actions without one are about."""

    def __init__(
        self, executables: Executables, site: Site, figures: HostFigures, host: str, vm: VM | None = None
    ) -> None:
        self._do = executables
        self._site = site
        self._notes = Notes(site.state)
        self._figures = figures
        self._host = host
        self._vm = vm

    def deploy(self, vm: VM, system_dir: Path) -> str:
        running = self._known(vm.id)
        if running is not None:
            return running.deploy_id
        seq = vm.history.seq if vm.history else 0
        make_directory(system_dir)
        words = [str(system_dir / f"deployment.{seq}"), self._host, str(vm.id), self._host]
        deploy_id = last_line(self._do.run("deploy", words, text=vm.to_xml()))
        if not deploy_id:
            raise DriverError(f"{self._do.name}/deploy printed no deploy id")
        self._notes.begin(vm, deploy_id)
        return deploy_id

    def shutdown(self, deploy_id: str) -> None:
        self._end("shutdown", deploy_id)

    def cancel(self, deploy_id: str) -> None:
        self._end("cancel", deploy_id)

    def reboot(self, deploy_id: str) -> None:
        self._run("reboot", deploy_id, self._host)

    def reset(self, deploy_id: str) -> None:
        self._run("reset", deploy_id, self._host)

    def save(self, deploy_id: str, checkpoint: Path) -> None:
        if not self._is_there(deploy_id) and checkpoint.exists():
            return
        number = str(self._vm.id) if self._vm else deploy_id.rpartition("-")[2]
        self._act(
            "save",
            [deploy_id, str(checkpoint), self._host, number, self._host],
            CHECKPOINT_FILE=str(checkpoint),
        )
        self._notes.end(deploy_id)

    def restore(self, vm: VM, deploy_id: str, checkpoint: Path, system_dir: Path) -> str:
        if self._is_there(deploy_id):
            remove(checkpoint)
            return deploy_id
        words = [str(checkpoint), self._host, deploy_id, str(vm.id), self._host]
        said = self._act("restore", words, vm, CHECKPOINT_FILE=str(checkpoint))
        restored = last_line(said) or deploy_id
        self._notes.begin(vm, restored)
        remove(checkpoint)
        return restored

    def migrate(self, deploy_id: str, destination: str, copied: Sequence[str] = ()) -> None:
        self._act("migrate", [deploy_id, destination, self._host], MIGR_HOST=destination)
        self._notes.end(deploy_id)

    def has_disk(self, vm: VM, deploy_id: str, disk_id: int) -> bool:
        found = self._notes.read().get(deploy_id)
        return found is not None and disk_id in found.disks

    def attach_disk(self, vm: VM, deploy_id: str, disk_id: int, system_dir: Path) -> None:
        path = system_dir / f"disk.{disk_id}"
        target = disk_of(vm, disk_id).get("TARGET", "")
        words = [
            deploy_id,
            str(path),
            target,
            str(_index(target)),
            self._data(vm, DISK_TARGET_PATH=str(path)),
        ]
        self._act("attach_disk", words, vm, DISK_TARGET_PATH=str(path))
        self._notes.disks(deploy_id, plus=disk_id)

    def detach_disk(self, vm: VM, deploy_id: str, disk_id: int) -> None:
        target = disk_of(vm, disk_id).get("TARGET", "")
        path = self._path_of(vm, disk_id)
        self._act("detach_disk", [deploy_id, path, target, str(_index(target))], vm, DISK_TARGET_PATH=path)
        self._notes.disks(deploy_id, minus=disk_id)

    def attach_nic(self, vm: VM, deploy_id: str, nic_id: int, system_dir: Path) -> None:
        nic = nic_of(vm, nic_id)
        names = ("MAC", "BRIDGE", "MODEL", "VN_MAD", "TARGET")
        self._act("attach_nic", [deploy_id, *(nic.get(name) or "-" for name in names)], vm)

    def detach_nic(self, vm: VM, deploy_id: str, nic_id: int) -> None:
        self._act("detach_nic", [deploy_id, nic_of(vm, nic_id).get("MAC") or "-"], vm)

    def renew_context(self, vm: VM, deploy_id: str, system_dir: Path) -> None:
        context = vm.template.vector("CONTEXT") or Vector()
        device = context.get("TARGET", "")
        path = str(system_dir / f"disk.{context.get('DISK_ID', '')}")
        if self._do.has("prereconfigure"):
            self._act("prereconfigure", [deploy_id, device], vm)
        self._act("reconfigure", [deploy_id, device, path], vm)

    def snapshot_create(self, vm: VM, deploy_id: str, snapshot_id: int, system_dir: Path) -> str:
        said = self._act("snapshot_create", [deploy_id, str(snapshot_id)], vm)
        return last_line(said) or f"snap-{snapshot_id}"

    def snapshot_revert(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        self._act("snapshot_revert", [deploy_id, name], vm)

    def snapshot_delete(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        self._act("snapshot_delete", [deploy_id, name], vm)

    def disk_resize(self, vm: VM, deploy_id: str, disk_id: int, size: int) -> None:
        self._act("resize_disk", [deploy_id, self._path_of(vm, disk_id), str(size)], vm, seconds=LONG)

    def disk_copy(self, vm: VM, deploy_id: str, disk_id: int, target: Path, image_format: str) -> None:
        raise DriverError(f"{self._do.name} cannot copy a disk of a VM that runs: power it off first")

    def disk_continue(self, vm: VM, deploy_id: str, disk_id: int, overlay: Path) -> None:
        raise DriverError(f"{self._do.name} cannot take a snapshot of a disk in use: power the VM off first")

    def domains(self) -> list[Domain]:
        notes = self._notes.read()
        told = self._asked("vm/status")
        if told is None:
            return [_domain(note, DomainState.RUNNING) for note in notes.values()]
        return [_told(vector, notes) for vector in told if vector.get("STATE", "") in _STATES]

    def report(self) -> HostReport:
        return self._figures.report({"HYPERVISOR": self._do.name})

    def _end(self, action: str, deploy_id: str) -> None:
        if not self._is_there(deploy_id):
            return
        self._run(action, deploy_id, self._host)
        self._notes.end(deploy_id)

    def _is_there(self, deploy_id: str) -> bool:
        return any(
            domain.deploy_id == deploy_id and domain.state is not DomainState.POWEROFF
            for domain in self.domains()
        )

    def _known(self, vm_id: int) -> Domain | None:
        running = (domain for domain in self.domains() if domain.state is not DomainState.POWEROFF)
        return next((domain for domain in running if domain.vm_id == vm_id), None)

    def _run(self, action: str, *words: str) -> str:
        return self._act(action, words)

    def _act(
        self, action: str, words: Sequence[str], vm: VM | None = None, *, seconds: float = LONG, **facts: str
    ) -> str:
        return self._do.run(
            action, words, document=self._document(vm or self._vm, words[0], facts), seconds=seconds
        )

    def _data(self, vm: VM, **facts: str) -> str:
        return base64.b64encode(self._document(vm, vm.deploy_id, facts).encode()).decode()

    def _document(self, vm: VM | None, deploy_id: str, facts: Mapping[str, str]) -> str:
        fields = {"HOST": self._host, "MIGR_HOST": "", "DEPLOY_ID": deploy_id, "CHECKPOINT_FILE": "", **facts}
        inner = "".join(f"<{name}>{cdata(value)}</{name}>" for name, value in fields.items())
        document = "" if vm is None else vm.to_xml()
        return f"<VMM_DRIVER_ACTION_DATA>{inner}{document}</VMM_DRIVER_ACTION_DATA>"

    def _asked(self, kind: str) -> list[Vector] | None:
        """What the probes of a kind print of VMs; None where there are none."""
        directory = self._site.probes / f"{self._do.name}-probes.d" / kind
        probes = Executables(directory, "monitoring")
        names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
        found: list[Vector] = []
        asked = [name for name in names if probes.has(name)]
        for name in asked:
            argv = [str(directory / name), self._do.name, "-1", self._host]
            said = commands.run(argv, timeout=_PROBE_SECONDS, input="").stdout
            found += read_template(f"the probe {name}", said).vectors("VM")
        return found if asked else None

    def _path_of(self, vm: VM, disk_id: int) -> str:
        store = vm.history.ds_id if vm.history else 0
        return str(self._site.location / str(store) / str(vm.id) / f"disk.{disk_id}")


def _domain(note: Note, state: DomainState) -> Domain:
    return Domain(note.deploy_id, state, note.vm, note.deploy_id, note.memory, note.vcpus)


def _told(vector: Vector, notes: Mapping[str, Note]) -> Domain:
    """What a probe tells of a VM; -1 for its ID is one that is not ours."""
    number, deploy_id = vector.get("ID", ""), vector.get("DEPLOY_ID", "")
    vm_id = int(number) if number.isdecimal() else None
    note = notes.get(deploy_id) or Note(deploy_id, vm_id, 0, 1)
    return replace(_domain(note, _STATES[vector["STATE"]]), vm_id=vm_id)


def _index(target: str) -> int:
    """The number of a device by the last letter of its name: vda is 0."""
    return max(_LETTERS.find(target[-1:]), 0) if target else 0
