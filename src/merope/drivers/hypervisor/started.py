"""What was started on this host, for drivers whose hypervisor cannot be asked."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from merope.drivers.files import make_directory, remove, replaced_file
from merope.model.vm import VM


@dataclass(frozen=True, slots=True)
class Note:
    """`memory` in KB; `disks` are the ids of those that were plugged in since the start."""

    deploy_id: str
    vm: int | None
    memory: int
    vcpus: int
    disks: tuple[int, ...] = ()


class Notes:
    """A file for each VM in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self) -> dict[str, Note]:
        """By deploy id."""
        found = {}
        for path in sorted(self._directory.glob("*.json")):
            with suppress(ValueError, OSError, TypeError):
                values = json.loads(path.read_text("utf-8"))
                note = Note(**{**values, "disks": tuple(values["disks"])})
                found[note.deploy_id] = note
        return found

    def begin(self, vm: VM, deploy_id: str) -> None:
        memory, vcpus = (int(vm.template.get(name) or 0) for name in ("MEMORY", "VCPU"))
        self._write(Note(deploy_id, vm.id, memory * 1024, max(vcpus, 1)))

    def disks(self, deploy_id: str, *, plus: int | None = None, minus: int | None = None) -> None:
        note = self.read().get(deploy_id)
        if note is not None:
            kept = {*note.disks, plus} - {minus, None}
            self._write(replace(note, disks=tuple(sorted(number for number in kept if number is not None))))

    def end(self, deploy_id: str) -> None:
        note = self.read().get(deploy_id)
        if note is not None:
            remove(self._path(note))

    def _write(self, note: Note) -> None:
        make_directory(self._directory)
        with replaced_file(self._path(note)) as part:
            part.write_text(json.dumps(asdict(note)), "utf-8")

    def _path(self, note: Note) -> Path:
        return self._directory / f"{note.vm}.json"
