"""What the contract of transfer drivers needs to know of a world, real or simulated."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Protocol

from merope.drivers.simulated.storage import SimulatedFile
from merope.drivers.simulated.transfer import SimulatedTransfer
from merope.drivers.simulated.world import World
from merope.drivers.snapshot_files import DiskFiles, disk_files, image_files
from merope.drivers.transfer.base import Place, Transfer

MB = 1024 * 1024


class Case(Protocol):
    """`content` answers something that is equal for equal bytes, zeroes at the end left out."""

    driver: Transfer
    location: Path
    persistent_disks_are_copies: bool

    def source(self, name: str) -> Path:
        """SOURCE of the image of that name, which need not be there."""
        ...

    def image(self, name: str, size: int, image_format: str = "raw") -> Path: ...

    def disk_format(self, image_format: str) -> str:
        """The format of the disk that a clone of an image of that format is."""
        ...

    def exists(self, place: Place) -> bool: ...

    def size(self, place: Place, image_format: str) -> int:
        """MB that the guest sees."""
        ...

    def content(self, place: Place, image_format: str) -> object: ...

    def image_content(self, source: Path, image_format: str) -> object: ...

    def guest_writes(self, place: Place, image_format: str) -> None: ...

    def write(self, place: Place, image_format: str, number: int) -> None:
        """Like guest_writes, but what is written differs by the number."""
        ...

    def snapshots(self, place: Place) -> list[int]:
        """The ids of the snapshots of a VM's disk."""
        ...

    def image_snapshots(self, source: Path) -> list[int]: ...

    def snapshot(self) -> object:
        """Everything below the datastore location."""
        ...


class RealCase:
    def __init__(
        self, driver: Transfer, location: Path, *, copies: bool = False, overlays: bool = False
    ) -> None:
        self.driver = driver
        self.location = location
        self.persistent_disks_are_copies = copies
        self._overlays = overlays
        (self.location / "1").mkdir(parents=True, exist_ok=True)

    def source(self, name: str) -> Path:
        return self.location / "1" / name

    def image(self, name: str, size: int, image_format: str = "raw") -> Path:
        path = self.source(name)
        raw = path.with_suffix(".raw")
        raw.write_bytes(name.encode() * 100)
        os.truncate(raw, size * MB)
        _command("qemu-img", "convert", "-f", "raw", "-O", image_format, str(raw), str(path))
        raw.unlink()
        return path

    def disk_format(self, image_format: str) -> str:
        return "qcow2" if self._overlays else image_format

    def exists(self, place: Place) -> bool:
        return os.path.lexists(place.path)

    def size(self, place: Place, image_format: str) -> int:
        return len(_raw(place.path, image_format)) // MB

    def content(self, place: Place, image_format: str) -> object:
        return hashlib.sha256(_raw(place.path, image_format).rstrip(b"\0")).hexdigest()

    def image_content(self, source: Path, image_format: str) -> object:
        return self.content(Place("", source), image_format)

    def guest_writes(self, place: Place, image_format: str) -> None:
        self.write(place, image_format, 7)

    def write(self, place: Place, image_format: str, number: int) -> None:
        _command("qemu-io", "-f", image_format, "-c", f"write -P {number} 4096 512", str(place.path))

    def snapshots(self, place: Place) -> list[int]:
        return _ids(disk_files(place.path))

    def image_snapshots(self, source: Path) -> list[int]:
        return _ids(image_files(source))

    def snapshot(self) -> object:
        return {
            str(path.relative_to(self.location)): _facts(path) for path in sorted(self.location.rglob("*"))
        }


def _ids(files: DiskFiles) -> list[int]:
    """The last file of a chain is the disk itself."""
    names = os.listdir(files.directory) if files.directory.is_dir() else []
    numbers = sorted(int(name) for name in names if name.isdecimal())
    return numbers[:-1] if files.chained else numbers


def _facts(path: Path) -> object:
    if path.is_symlink():
        return os.readlink(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"


def _raw(path: Path, image_format: str) -> bytes:
    if image_format == "raw":
        return path.read_bytes()
    flat = path.with_name("flat")
    _command("qemu-img", "convert", "-f", image_format, "-O", "raw", str(path), str(flat))
    try:
        return flat.read_bytes()
    finally:
        flat.unlink()


def _command(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


class SimulatedCase:
    def __init__(self, location: Path, *, shared: bool) -> None:
        self.world = World(shared_storage=shared)
        self.driver: Transfer = SimulatedTransfer(self.world, location)
        self.location = location
        self.persistent_disks_are_copies = not shared

    def source(self, name: str) -> Path:
        return Path(f"dummy_path/1/{name}")

    def image(self, name: str, size: int, image_format: str = "raw") -> Path:
        source = self.source(name)
        storage = self.world.storage
        storage.images[str(source)] = SimulatedFile(size, image_format, storage.new_content())
        return source

    def disk_format(self, image_format: str) -> str:
        return image_format

    def exists(self, place: Place) -> bool:
        return self._find(place) is not None or bool(
            self.world.storage.directory(self.world.owner(place.host), place.path)
        )

    def size(self, place: Place, image_format: str) -> int:
        return self._file(place).size

    def content(self, place: Place, image_format: str) -> object:
        return self._file(place).content

    def image_content(self, source: Path, image_format: str) -> object:
        return self.world.storage.image(str(source)).content

    def write(self, place: Place, image_format: str, number: int) -> None:
        self.guest_writes(place, image_format)

    def guest_writes(self, place: Place, image_format: str) -> None:
        file = self._file(place)
        file.content = self.world.storage.new_content()
        if file.image:
            self.world.storage.image(file.image).content = file.content

    def snapshots(self, place: Place) -> list[int]:
        return sorted(self.world.storage.snapshots(self.world.owner(place.host), place.path))

    def image_snapshots(self, source: Path) -> list[int]:
        names = [name.partition(".snap.") for name in self.world.storage.images]
        return sorted(int(number) for name, _, number in names if name == str(source) and number)

    def snapshot(self) -> object:
        storage = self.world.storage
        return sorted((host, str(path), str(storage.find(host, path))) for host, path in storage)

    def _find(self, place: Place) -> SimulatedFile | None:
        return self.world.storage.find(self.world.owner(place.host), place.path)

    def _file(self, place: Place) -> SimulatedFile:
        file = self._find(place)
        assert file is not None
        return file
