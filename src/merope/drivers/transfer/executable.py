"""Transfers of third parties: executables `remotes/tm/<name>/<action>`.

They are run on the front-end and reach the host by themselves, as in 5.12: places are `<host>:<path>`, the
last words the VM's id and the datastore's. With an image's driver and another one for the system datastore,
`<action>.<the other>` is run where there is one. Source: spec drivers.yaml `tm`.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

import socket
import tempfile
from pathlib import Path
from typing import ClassVar

from merope.drivers.context import SCRIPT, Context, check_names, fill
from merope.drivers.executable import LONG, Executables
from merope.drivers.paths import Allowed, vm_parts
from merope.drivers.transfer.base import LiveSnapshot, Place


class ExecutableTransfer:
    """`location` is DATASTORE_LOCATION, `system` the TM_MAD of the system datastore where that is another,
    `context_files` what CONTEXT may name. Only paths with the shape of a VM's are passed on."""

    copies_running: ClassVar[bool] = True

    def __init__(self, directory: Path, location: Path, context_files: Allowed, system: str = "") -> None:
        self._do = Executables(directory, "transfer driver")
        self._location = location
        self._allowed = context_files
        self._system = system
        self._front_end = socket.gethostname()

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        self._run("clone", [self._here(source), self._at(target)], target, source)
        if size and self._do.has("resize"):
            self.resize(target, size, image_format)

    def link(self, source: Path, target: Place, image_format: str) -> None:
        self._run("ln", [self._here(source), self._at(target)], target, source)

    def make_swap(self, size: int, target: Place) -> None:
        self._run("mkswap", [str(size), self._at(target)], target)

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        self._run("mkimage", [str(size), image_format, self._at(target)], target)

    def make_context(self, context: Context, target: Place) -> None:
        """The files are in a directory of this call alone, each under the name that it has in the image."""
        check_names(context)
        with tempfile.TemporaryDirectory(prefix="context-") as directory:
            fill(Path(directory), context, self._allowed)
            names = sorted(path.name for path in Path(directory).iterdir() if path.name != SCRIPT)
            files = [str(Path(directory, name)) for name in (SCRIPT, *names)]
            self._run("context", [*files, self._at(target)], target)

    def move(self, source: Place, target: Place) -> None:
        if (source.host or self._front_end, source.path) != (target.host or self._front_end, target.path):
            self._run("mv", [self._at(source), self._at(target)], target)

    def save_back(self, disk: Place, source: Path) -> None:
        self._run("mvds", [self._at(disk), self._here(source)], disk, source)

    def delete(self, target: Place) -> None:
        self._run("delete", [self._at(target)], target)

    def resize(self, target: Place, size: int, image_format: str) -> None:
        self._run("resize", [self._at(target), str(size)], target)

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        self._run("snap_create", [self._at(disk), str(snapshot)], disk)

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        """The executable does all of it."""
        self._run("snap_create_live", [self._at(disk), str(snapshot)], disk)
        return None

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        self._run("snap_revert", [self._at(disk), str(snapshot)], disk)

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        self._run("snap_delete", [self._at(disk), str(snapshot)], disk)

    def image_target(self, source: Path) -> Path:
        return source

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        self._run("cpds", [self._at(disk), self._here(source), str(snapshot)], disk, source)

    def _run(self, action: str, words: list[str], place: Place, source: Path | None = None) -> None:
        """The datastore is the image's where there is an image, else the system datastore."""
        store, vm, *_ = vm_parts(self._location, place.path)
        if source is not None and source.parent.name.isdecimal():
            store = source.parent.name
        special = f"{action}.{self._system}"
        used = special if self._system and self._do.has(special) else action
        self._do.run(used, [*words, vm, store], seconds=LONG)

    def _at(self, place: Place) -> str:
        vm_parts(self._location, place.path)
        return f"{place.host or self._front_end}:{place.path}"

    def _here(self, source: Path) -> str:
        return f"{self._front_end}:{source}"
