"""The transfer driver of the simulated world."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from merope.drivers.context import Context, script
from merope.drivers.diskimage import check_format
from merope.drivers.errors import DriverError
from merope.drivers.paths import vm_parts
from merope.drivers.simulated.storage import SimulatedFile
from merope.drivers.simulated.world import World
from merope.drivers.transfer.base import LiveSnapshot, Place


class SimulatedTransfer:
    """Moves the disks of `world`, whose datastore location is `location`.

    Where hosts do not share their storage, a persistent disk is a copy that `save_back` returns.
    """

    copies_running: ClassVar[bool] = False

    def __init__(self, world: World, location: Path) -> None:
        self._world = world
        self._location = location

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        storage = self._world.storage
        self._make("clone", target, lambda: storage.copy_of(str(source), size, check_format(image_format)))

    def link(self, source: Path, target: Place, image_format: str) -> None:
        storage = self._world.storage
        check_format(image_format)

        def linked() -> SimulatedFile:
            image = storage.image(str(source))
            return replace(image, image=str(source) if self._world.shared_storage else "")

        self._make("link", target, linked)
        if not self._world.shared_storage:
            for snapshot, kept in self._snapshots_of(str(source)).items():
                self._put(target, snapshot, replace(kept))

    def make_swap(self, size: int, target: Place) -> None:
        self.make_image(size, "raw", "swap", target)

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:  # noqa: ARG002
        if size < 1:
            raise DriverError(f"a disk of {size} MB cannot be made; the least is 1 MB")
        content = self._world.storage.new_content()
        self._make("make_image", target, lambda: SimulatedFile(size, check_format(image_format), content))

    def make_context(self, context: Context, target: Place) -> None:
        script(context.variables)
        owner, path = self._open("make_context", target)
        self._world.storage.put(owner, path, SimulatedFile(1, "raw", self._world.storage.new_content()))

    def move(self, source: Place, target: Place) -> None:
        storage = self._world.storage
        (owner, origin), (new_owner, destination) = self._open("move", source), self._open("", target)
        if (owner, origin) == (new_owner, destination):
            return
        self._world.touched("move", origin)
        for name, file in storage.directory(owner, origin).items():
            storage.put(new_owner, destination / name, file)
        file_itself = storage.find(owner, origin)
        if file_itself is not None:
            for snapshot, kept in storage.snapshots(owner, origin).items():
                if not file_itself.image:
                    storage.put(new_owner, Path(f"{destination}.snap.{snapshot}"), kept)
            storage.put(new_owner, destination, file_itself)
        elif len(self._parts(origin)) == 3 and storage.find(new_owner, destination) is None:
            raise DriverError(f"{origin} is not there, and has not been moved to {destination}")
        self._remove(owner, origin)

    def save_back(self, disk: Place, source: Path) -> None:
        storage = self._world.storage
        owner, path = self._open("save_back", disk)
        image = storage.image(str(source))
        file = storage.find(owner, path)
        if file is not None and not file.image:
            self._world.touched("save_back", path)
            image.content, image.size = file.content, file.size
            for snapshot in self._snapshots_of(str(source)):
                del storage.images[f"{source}.snap.{snapshot}"]
            for snapshot, kept in storage.snapshots(owner, path).items():
                storage.images[f"{source}.snap.{snapshot}"] = kept
        self._remove(owner, path)

    def delete(self, target: Place) -> None:
        owner, path = self._open("delete", target)
        elsewhere = self._world.runs_elsewhere(owner, path)
        if not elsewhere:
            self._world.touched("delete", path)
        self._remove(owner, path)
        if not elsewhere:
            self._world.removed(path)

    def _remove(self, owner: str, path: Path) -> None:
        """Also what belongs to a disk; the snapshots of an image are not its VM's."""
        storage = self._world.storage
        storage.remove(owner, path)
        for name in storage.directory(owner, path.parent):
            if name.startswith(f"{path.name}.snap."):
                storage.remove(owner, path.with_name(name))

    def _snapshots_of(self, image: str) -> dict[int, SimulatedFile]:
        images, prefix = self._world.storage.images, f"{image}.snap."
        return {int(name.removeprefix(prefix)): images[name] for name in images if name.startswith(prefix)}

    def resize(self, target: Place, size: int, image_format: str) -> None:
        owner, path = self._open("resize", target)
        file = self._world.storage.find(owner, path)
        if file is None:
            raise DriverError(f"the disk {path} is not there and cannot be resized")
        check_format(image_format)
        self._world.touched("resize", path)
        file.size = max(file.size, size)

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        file = self._disk("snapshot_create", disk, image_format)
        self._put(disk, snapshot, replace(file, image=""))

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        self._disk("snapshot_live", disk, image_format, live=True)
        owner, storage = self._world.owner(disk.host), self._world.storage
        if snapshot in storage.snapshots(owner, disk.path):
            return None
        return LiveSnapshot(storage.snapshot_path(owner, disk.path, snapshot), chained=False)

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        file = self._disk("snapshot_revert", disk, image_format)
        kept = self._snapshot(disk, snapshot, file)
        self._world.storage.write(file, kept.content)
        file.size = kept.size

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        owner, path = self._open("snapshot_delete", disk)
        storage = self._world.storage
        storage.remove_anywhere(owner, storage.snapshot_path(owner, path, snapshot))

    def image_target(self, source: Path) -> Path:
        self._world.storage.image(str(source))
        return source

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        live = snapshot >= 0
        file = self._disk("copy_out", disk, image_format, live=live)
        storage = self._world.storage
        kept = self._snapshot(disk, snapshot, file) if live else file
        check_format(source_format)
        storage.put_anywhere(
            "", self.image_target(source), replace(kept, image_format=source_format, image="")
        )

    def _disk(self, op: str, disk: Place, image_format: str, *, live: bool = False) -> SimulatedFile:
        """The file of a disk. Raises DriverError when it is not there."""
        owner, path = self._open(op, disk)
        check_format(image_format)
        file = self._world.storage.find(owner, path)
        if file is None:
            raise DriverError(f"the disk {path} is not there")
        if not live:
            self._world.touched(op, path)
        return file

    def _snapshot(self, disk: Place, snapshot: int, file: SimulatedFile) -> SimulatedFile:
        owner, storage = self._world.owner(disk.host), self._world.storage
        found = storage.snapshots(owner, disk.path).get(snapshot)
        if found is None and file.image and file.image not in storage.images:
            return file  # an image that this world has not made has what it is said to have
        if found is None:
            raise DriverError(f"the snapshot {snapshot} of {disk.path} is not there")
        return found

    def _put(self, disk: Place, snapshot: int, file: SimulatedFile) -> None:
        """Keeps a snapshot, unless there is one of that id."""
        owner, storage = self._world.owner(disk.host), self._world.storage
        if snapshot not in storage.snapshots(owner, disk.path):
            storage.put_anywhere(owner, storage.snapshot_path(owner, disk.path, snapshot), file)

    def _make(self, op: str, target: Place, made: Callable[[], SimulatedFile]) -> None:
        owner, path = self._open(op, target)
        if self._world.storage.find(owner, path) is None:
            self._world.storage.put(owner, path, made())

    def _open(self, op: str, place: Place) -> tuple[str, Path]:
        """The owner and path of a file. Raises DriverError when the host is down or the path is wrong."""
        if op:
            self._world.counters[op] += 1
        if place.host:
            self._world.host(place.host)
        self._parts(place.path)
        return self._world.owner(place.host), place.path

    def _parts(self, path: Path) -> tuple[str, ...]:
        return vm_parts(self._location, path)
