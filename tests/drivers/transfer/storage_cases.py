"""What the contract of transfer drivers needs to know of storages that hosts reach by themselves."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.drivers.ceph_cluster import CephCluster
from tests.drivers.transfer.cases import RealCase

from merope.drivers import lvm
from merope.drivers.context import Context
from merope.drivers.transfer.base import LiveSnapshot, Place, Transfer
from merope.drivers.transfer.ceph import CephTransfer
from merope.drivers.transfer.fs_lvm import FsLvmTransfer
from merope.drivers.transfer.storage import StorageTransfer

MB = 1024 * 1024


class OfDisks:
    """A driver of a storage as plans use it: made for each disk, and told what the VM's template says of it.

    Such storages hold raw disks only, and so the core says raw of all of their images.
    """

    copies_running: ClassVar[bool] = False

    def __init__(self, driver: StorageTransfer, attributes: Mapping[str, str]) -> None:
        self._driver = driver
        self._attributes = attributes
        self.disks: dict[Path, dict[str, str]] = {}

    def of(self, place: Place) -> StorageTransfer:
        names = place.path.name.startswith("disk.")
        known = self.disks.get(place.path, dict(self._attributes))
        return self._driver.for_disk(known) if names else self._driver

    def _take(self, place: Place, **attributes: str) -> StorageTransfer:
        self.disks[place.path] = {**self._attributes, **attributes}
        return self.of(place)

    def clone(self, source: Path, target: Place, size: int, image_format: str) -> None:
        self._take(target, SOURCE=str(source), CLONE="YES").clone(source, target, size, _raw(image_format))

    def link(self, source: Path, target: Place, image_format: str) -> None:
        self._take(target, SOURCE=str(source), CLONE="NO").link(source, target, _raw(image_format))

    def make_swap(self, size: int, target: Place) -> None:
        self._take(target).make_swap(size, target)

    def make_image(self, size: int, image_format: str, filesystem: str, target: Place) -> None:
        self._take(target).make_image(size, _raw(image_format), filesystem, target)

    def make_context(self, context: Context, target: Place) -> None:
        self._driver.make_context(context, target)

    def move(self, source: Place, target: Place) -> None:
        """As plans of 5.12 do: the disks of a VM before its directory."""
        for path in [path for path in self.disks if path.parent == source.path]:
            disk = Place(source.host, path)
            self.of(disk).move(disk, Place(target.host, target.path / path.name))
        self.of(source).move(source, target)
        for path in [path for path in self.disks if path.is_relative_to(source.path)]:
            self.disks[target.path / path.relative_to(source.path)] = self.disks[path]

    def save_back(self, disk: Place, source: Path) -> None:
        self._take(disk, SOURCE=str(source), CLONE="NO").save_back(disk, source)

    def delete(self, target: Place) -> None:
        """As plans do: the disks of a VM before its directory."""
        for path in [path for path in self.disks if path.parent == target.path]:
            self.of(Place(target.host, path)).delete(Place(target.host, path))
        self.of(target).delete(target)

    def resize(self, target: Place, size: int, image_format: str) -> None:
        self.of(target).resize(target, size, _raw(image_format))

    def snapshot_create(self, disk: Place, snapshot: int, image_format: str) -> None:
        self.of(disk).snapshot_create(disk, snapshot, _raw(image_format))

    def snapshot_live(self, disk: Place, snapshot: int, image_format: str) -> LiveSnapshot | None:
        return self.of(disk).snapshot_live(disk, snapshot, _raw(image_format))

    def snapshot_revert(self, disk: Place, snapshot: int, image_format: str) -> None:
        self.of(disk).snapshot_revert(disk, snapshot, _raw(image_format))

    def snapshot_delete(self, disk: Place, snapshot: int) -> None:
        self.of(disk).snapshot_delete(disk, snapshot)

    def image_target(self, source: Path) -> Path:
        return self._driver.image_target(source)

    def copy_out(
        self, disk: Place, snapshot: int, image_format: str, source: Path, source_format: str
    ) -> None:
        self.of(disk).copy_out(disk, snapshot, _raw(image_format), source, _raw(source_format))


def _raw(image_format: str) -> str:
    return "raw" if image_format == "qcow2" else image_format


class LvmCase(RealCase):
    """On the volume group of the system datastore 0; images are raw files."""

    def __init__(self, location: Path) -> None:
        self.real = FsLvmTransfer(location)
        self._of_disks = OfDisks(self.real, {"DISK_TYPE": "BLOCK"})
        super().__init__(self._of_disks, location, copies=True)

    def image(self, name: str, size: int, image_format: str = "raw") -> Path:
        return super().image(name, size)

    def disk_format(self, image_format: str) -> str:
        return "raw"

    def volume(self, place: Place) -> str:
        return f"vg-one-0/lv-one-{place.path.parent.name}-{place.path.name.partition('.')[2]}"

    def volumes(self) -> dict[str, int]:
        return lvm.volumes("vg-one-0")

    def exists(self, place: Place) -> bool:
        return super().exists(place) or self.volume(place).partition("/")[2] in self.volumes()

    def image_content(self, source: Path, image_format: str) -> object:
        return super().image_content(source, "raw")

    def content(self, place: Place, image_format: str) -> object:
        return super().content(place, "raw")

    def size(self, place: Place, image_format: str) -> int:
        return super().size(place, "raw")

    def write(self, place: Place, image_format: str, number: int) -> None:
        super().write(place, "raw", number)

    def snapshots(self, place: Place) -> list[int]:
        name = self.volume(place).partition("/")[2]
        return sorted(int(each.partition("_")[2]) for each in self.volumes() if each.startswith(f"{name}_"))

    def snapshot(self) -> object:
        contents = {
            name: super(LvmCase, self).content(Place("", lvm.device(f"vg-one-0/{name}")), "raw")
            for name in self.volumes()
        }
        return contents, super().snapshot()


class CephCase:
    persistent_disks_are_copies = False

    def __init__(self, cluster: CephCluster, location: Path) -> None:
        self.cluster = cluster
        self.location = location
        self.real = CephTransfer(location)
        self._of_disks = OfDisks(self.real, cluster.attributes)
        self.driver: Transfer = self._of_disks
        (location / "1").mkdir(parents=True, exist_ok=True)

    def source(self, name: str) -> Path:
        return Path("one", name)

    def image(self, name: str, size: int, image_format: str = "raw") -> Path:
        with tempfile.NamedTemporaryFile() as raw:
            raw.write(name.encode() * 100)
            raw.truncate(size * MB)
            raw.flush()
            self.cluster.rbd("import", "--image-feature", "layering", raw.name, f"one/{name}")
        return self.source(name)

    def disk_format(self, image_format: str) -> str:
        return "raw"

    def volume(self, place: Place) -> str:
        known = self._of_disks.disks[place.path]
        vm, number = place.path.parent.name, place.path.name.partition(".")[2]
        if "SOURCE" not in known:
            return f"one/one-sys-{vm}-{number}"
        return known["SOURCE"] + (f"-{vm}-{number}" if known["CLONE"] == "YES" else "")

    def exists(self, place: Place) -> bool:
        if not place.path.name.startswith("disk."):
            return os.path.lexists(place.path)
        known = self._of_disks.disks.get(place.path)
        if known is None or known.get("CLONE") == "NO":
            return False
        return self.volume(place).partition("/")[2] in self.volumes()

    def size(self, place: Place, image_format: str) -> int:
        with self._exported(self.volume(place)) as raw:
            return raw.stat().st_size // MB

    def content(self, place: Place, image_format: str) -> object:
        return self.image_content(Path(self.volume(place)), image_format)

    def image_content(self, source: Path, image_format: str) -> object:
        with self._exported(str(source)) as raw:
            return hashlib.sha256(raw.read_bytes().rstrip(b"\0")).hexdigest()

    @contextmanager
    def _exported(self, volume: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as place:
            raw = Path(place) / "raw"
            self.cluster.rbd("export", volume, str(raw))
            yield raw

    def guest_writes(self, place: Place, image_format: str) -> None:
        self.write(place, image_format, 7)

    def write(self, place: Place, image_format: str, number: int) -> None:
        """As QEMU writes for a guest."""
        url = f"rbd:{self.volume(place)}:conf={self.cluster.conf}"
        argv = ("qemu-io", "-f", "raw", "-c", f"write -P {number} 4096 512", url)
        subprocess.run(argv, check=True, capture_output=True)

    def snapshots(self, place: Place) -> list[int]:
        return self.image_snapshots(Path(self.volume(place)))

    def image_snapshots(self, source: Path) -> list[int]:
        return sorted(int(name) for name in self.snapshots_of(str(source)) if name.isdecimal())

    def snapshots_of(self, volume: str) -> list[str]:
        return [line.split()[1] for line in self.cluster.rbd("snap", "ls", volume).splitlines()[1:]]

    def volumes(self) -> list[str]:
        return self.cluster.rbd("ls", "one").split()

    def snapshot(self) -> object:
        volumes = {
            name: (self.image_content(Path("one", name), "raw"), self.snapshots_of(f"one/{name}"))
            for name in self.volumes()
        }
        return volumes, sorted(map(str, self.location.rglob("*")))
