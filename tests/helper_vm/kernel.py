"""The kernel of the helper VM: the distribution's own, downloaded and unpacked once, never installed."""

import fcntl
import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from guest import build

HERE = Path(__file__).resolve().parent
META_PACKAGE = "linux-image-amd64"
"""The full kernel: the cloud kernel has no 802.1Q filtering of bridges and no iSCSI."""
_FIRST_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""What is needed to reach this machine's files; all others are loaded from there."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Paths on this machine. `modules` is what belongs in `/lib/modules/<release>`."""

    release: str
    image: Path
    initrd: Path
    modules: Path


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "merope-helper-vm"


@cache
def kernel() -> Kernel:
    """The newest kernel that is cached, or else the one that apt has now. Raises build.BuildError."""
    place = cache_directory()
    place.mkdir(parents=True, exist_ok=True)
    with _alone(place / "lock"):
        unpacked = next(iter(sorted(place.glob("*/complete"), reverse=True)), None)
        directory = unpacked.parent if unpacked else _unpack(place)
        return _described(directory)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(place: Path) -> Path:
    archive = build.package_archive(build.kernel_package(META_PACKAGE), place)
    directory = place / archive.stem
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    build.run("dpkg-deb", "--extract", str(archive), str(directory))
    release = next((directory / "lib/modules").iterdir()).name
    build.run("depmod", "-b", str(directory), release)
    archive.unlink()
    (directory / "complete").touch()
    return directory


def _described(directory: Path) -> Kernel:
    modules = next((directory / "lib/modules").iterdir())
    initrd = directory / "initrd.gz"
    content = _initramfs(modules)
    if not initrd.exists() or initrd.read_bytes() != content:
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as part:
            part.write(content)
        os.replace(part.name, initrd)
    return Kernel(modules.name, directory / f"boot/vmlinuz-{modules.name}", initrd, modules)


def _initramfs(modules: Path) -> bytes:
    """Busybox, the first modules in the order in which they can be loaded, and `init`."""
    busybox = Path(build.which("busybox"))
    if build.has_interpreter(busybox.read_bytes()):
        raise build.BuildError("this busybox needs shared libraries: install the package busybox-static")
    archive = build.Cpio()
    for name in ("bin", "dev", "proc", "sys", "modules", "lower", "upper", "new"):
        archive.add(name, 0o040755)
    archive.add("bin/busybox", 0o100755, busybox.read_bytes())
    order = _load_order(modules)
    for name, path in order.items():
        archive.add(f"modules/{name}", 0o100644, path.read_bytes())
    archive.add("modules/order", 0o100644, "".join(f"{name}\n" for name in order).encode())
    archive.add("init", 0o100755, (HERE / "init").read_bytes())
    return gzip.compress(archive.finish(), 1, mtime=0)


def _load_order(modules: Path) -> dict[str, Path]:
    """The first modules with those that they need, these before them."""
    found: dict[str, Path] = {}
    for name in _FIRST_MODULES:
        argv = ("modprobe", "-d", str(modules.parents[2]), "-S", modules.name, "--show-depends", name)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            kind, _, path = line.partition(" ")
            if kind == "insmod":
                found.setdefault(Path(path.strip()).name, Path(path.strip()))
    return found
