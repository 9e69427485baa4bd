"""Disks of containers: image files whose file systems are mounted on the host.

A raw image is mounted through a loop device. One in qcow2 is shown as a raw file first, by QEMU's storage
daemon and FUSE, which needs no device that others might take.
"""

import os
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from merope.drivers import commands
from merope.drivers.commands import CommandError
from merope.drivers.errors import DriverError
from merope.drivers.files import make_directory
from merope.drivers.hypervisor.idmapped import IdRange, clone_mount
from merope.drivers.hypervisor.partitions import linux_partitions

_SECONDS = 60.0
_MINUTES = 600.0
_GROW = {"ext2": "resize2fs", "ext3": "resize2fs", "ext4": "resize2fs", "xfs": "xfs_growfs"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo: where, what (`/dev/loop0`), and the kind of its file system."""

    target: Path
    source: str
    kind: str


class MountedDisks:
    """The disks of one VM, in `directory`, which nobody else can look into: `disk.N` is the file system as it
    is on the disk, `disk.N.mapped` as the container sees it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def mount(
        self,
        number: int,
        image: Path,
        image_format: str,
        ranges: Sequence[IdRange],
        *,
        readonly: bool = False,
    ) -> Path:
        """Where the container gets the disk from. What is mounted already stays so. Raises DriverError."""
        plain = self.place(number)
        if not mounted(plain):
            if not image.is_file():
                raise DriverError(f"the disk {image} is not there")
            for directory in (self.directory, plain):
                make_directory(directory)
            source = self._shown(number, image, readonly) if image_format == "qcow2" else image
            self._mount(number, source, plain, readonly)
        if not ranges:
            return plain
        mapped = plain.with_name(f"{plain.name}.mapped")
        if not mounted(mapped):
            make_directory(mapped)
            clone_mount(plain, mapped, ranges)
        return mapped

    def place(self, number: int) -> Path:
        return self.directory / f"disk.{number}"

    def raw(self, number: int, image: Path) -> Path:
        """The file with the bytes of a disk that is mounted."""
        shown = self.directory / f"disk.{number}.raw"
        return shown if shown.exists() else image

    def unmount(self, number: int) -> None:
        """Nothing is left of the disk but its image. Raises DriverError when it is in use."""
        place = self.place(number)
        for path in (place.with_name(f"{place.name}.mapped"), place):
            self._unmount(path)
        shown = self.directory / f"disk.{number}.raw"
        _end_daemon(self.directory / f"disk.{number}.pid", shown)
        self._unmount(shown)

    def unmount_all(self) -> None:
        if not self.directory.is_dir():
            return
        numbers = {name.split(".")[1] for name in os.listdir(self.directory) if name.startswith("disk.")}
        for number in sorted(numbers):
            self.unmount(int(number))
        if any(each.target.is_relative_to(self.directory) for each in mounts()):
            raise DriverError(f"something is still mounted below {self.directory}")
        shutil.rmtree(self.directory)

    def grow(self, number: int, image: Path, size: int) -> None:
        """Makes the image and the file system on it `size` MB large, while they are mounted."""
        place = self.place(number)
        found = mounted(place)
        if found is None:
            raise DriverError(f"the disk {number} is not in use here")
        if self.raw(number, image) != image:
            raise DriverError(
                "a qcow2 disk of a container cannot grow while it is in use: power it off first"
            )
        if image.stat().st_size >= size << 20:
            return
        if found.kind not in _GROW:
            raise DriverError(f"a file system of the kind {found.kind} cannot grow while it is in use")
        os.truncate(image, size << 20)
        commands.run(["losetup", "--set-capacity", found.source], timeout=_SECONDS)
        what = str(place) if found.kind == "xfs" else found.source
        commands.run([_GROW[found.kind], what], timeout=_MINUTES)

    def flush(self, number: int) -> None:
        """What was written to the file system is in the image."""
        commands.run(["sync", "--file-system", str(self.place(number))], timeout=_MINUTES)

    def _mount(self, number: int, source: Path, target: Path, readonly: bool) -> None:
        kind, offset, length = file_system(source)
        if not kind:
            raise DriverError(f"disk {number} has no file system that can be mounted")
        options = ["loop", "nodev", "ro" if readonly else "rw"]
        if offset:
            options += [f"offset={offset}", f"sizelimit={length}"]
        argv = ["mount", "-t", kind, "-o", ",".join(options), str(source), str(target)]
        commands.run(argv, timeout=_SECONDS)

    def _shown(self, number: int, image: Path, readonly: bool) -> Path:
        """A qcow2 image as a raw file."""
        shown, pid = self.directory / f"disk.{number}.raw", self.directory / f"disk.{number}.pid"
        if any(each.target == shown for each in mounts()):
            return shown
        shown.touch()
        only = "on" if readonly else "off"
        path, place = (str(each).replace(",", ",,") for each in (image.resolve(), shown))
        file = f"driver=file,filename={path},node-name=file,read-only={only}"
        disk = f"driver=qcow2,file=file,node-name=disk,read-only={only}"
        writable = "off" if readonly else "on"
        export = f"type=fuse,id=disk,node-name=disk,mountpoint={place},writable={writable}"
        argv = ["qemu-storage-daemon", "--daemonize", "--pidfile", str(pid)]
        argv += ["--blockdev", file, "--blockdev", disk, "--export", export]
        commands.run(argv, timeout=_SECONDS)
        return shown

    def _unmount(self, path: Path) -> None:
        while any(each.target == path for each in mounts()):
            commands.run(["umount", str(path)], timeout=_SECONDS)
        with suppress(FileNotFoundError):
            path.rmdir() if path.is_dir() else path.unlink()


def mounts() -> list[Mount]:
    """What is mounted, by this process's mountinfo."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        kind, source, *_ = right.split(" ")
        found.append(Mount(Path(_unescaped(left.split(" ")[4])), _unescaped(source), kind))
    return found


def mounted(path: Path) -> Mount | None:
    """What is mounted at `path`; the uppermost where there are several."""
    return next((each for each in reversed(mounts()) if each.target == path), None)


def file_system(image: Path) -> tuple[str, int, int]:
    """Kind, offset and length in bytes of the file system in an image (0, 0: all of it), or of the one on its
    largest partition for Linux; an empty kind where there is none."""
    found = _probed(image)
    if "PTTYPE" not in found:
        return found.get("TYPE", "") if found.get("USAGE") == "filesystem" else "", 0, 0
    partitions = linux_partitions(image)
    if not partitions:
        return "", 0, 0
    largest = max(partitions, key=lambda each: each.length)
    return _probed(image, largest.offset).get("TYPE", ""), largest.offset, largest.length


def _probed(image: Path, offset: int = 0) -> dict[str, str]:
    argv = ["blkid", "--probe", "--output", "export", "--offset", str(offset), str(image)]
    try:
        text = commands.run(argv, timeout=_SECONDS, accepted=(0, 2)).stdout
    except CommandError as error:
        raise DriverError(f"{image} cannot be looked into: {error}") from error
    return dict(line.partition("=")[::2] for line in text.splitlines())


def _end_daemon(pid_file: Path, shown: Path) -> None:
    """Ends the storage daemon that shows an image, and waits until it has let go of it."""
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int(pid_file.read_text())
        if os.fsencode(str(shown).replace(",", ",,")) in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + _SECONDS
            while Path(f"/proc/{pid}").exists():
                if time.monotonic() > deadline:
                    raise DriverError(f"the process {pid} that shows {shown.name} does not end")
                time.sleep(0.01)
    pid_file.unlink(missing_ok=True)


def _unescaped(text: str) -> str:
    """mountinfo writes blanks and the like in octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
