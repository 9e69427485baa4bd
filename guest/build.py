#!/usr/bin/env python3
"""Builds the demonstration guest: a small bootable disk from the distribution's kernel and busybox.

    guest/build.py [--output FILE] [--cache DIR] [--force]

The disk (qcow2, well under 20 MB) has a boot partition (FAT, syslinux, kernel, initramfs) and a data
partition (ext4) that the guest keeps over a power-off. The whole system runs from the initramfs: `root/`
beside this file, busybox, and the few kernel modules below. Equal inputs give an equal disk; when the
inputs have not changed, nothing is built.

Needs the packages named in NEEDS and an apt that can download; nothing is installed and nothing mounted.
"""

import argparse
import gzip
import hashlib
import io
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
NEEDS = {
    "busybox": "busybox-static",
    "syslinux": "syslinux",
    "mformat": "mtools",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
KERNEL_META_PACKAGE = "linux-image-cloud-amd64"
MODULES = {
    "shared": ("scsi_mod", "cdrom"),
    "cdrom": ("ata_piix", "ahci", "sr_mod", "isofs"),
    "disk": ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"),
    "rest": ("virtio_net", "virtio_balloon", "virtio_rng", "8139cp", "e1000", "button", "evdev"),
}
"""The CD-ROM's drivers mostly wait for the drive: the guest loads them beside the rest."""
MBR_PLACES = ("/usr/lib/syslinux/mbr/mbr.bin", "/usr/share/syslinux/mbr.bin", "/usr/lib/SYSLINUX/mbr.bin")
EPOCH = 1577836800
"""The date of everything in the image, in seconds: builds must not differ by their time."""

SECTOR = 512
BOOT_START, BOOT_SECTORS = 2048, 22 * 2048
DATA_START, DATA_SECTORS = BOOT_START + BOOT_SECTORS, 40 * 2048
FAT16_LBA, LINUX = 0x0E, 0x83

SYSLINUX_CFG = """\
DEFAULT merope
PROMPT 0
LABEL merope
  KERNEL /vmlinuz
  INITRD /initrd.gz
  APPEND console=tty0 console=ttyS0 quiet loglevel=3 net.ifnames=0 panic=5 %s
"""
FASTER_UNDER_EMULATION = "mitigations=off no_timer_check cryptomgr.notests audit=0 apparmor=0"


class BuildError(Exception):
    """Why the guest could not be built, and what to do about it."""


def run(*argv: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, cwd=cwd)  # noqa: S603
    if done.returncode != 0:
        raise BuildError(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def check_tools() -> None:
    if platform.machine() != "x86_64":
        raise BuildError(
            f"the demonstration guest is made for x86_64, and this machine is {platform.machine()}"
        )
    missing = sorted({package for tool, package in NEEDS.items() if shutil.which(tool) is None})
    if not any(Path(place).exists() for place in MBR_PLACES):
        missing.append("syslinux-common")
    if missing:
        raise BuildError(f"missing packages: {' '.join(missing)} (apt-get install {' '.join(missing)})")
    if has_interpreter(Path(which("busybox")).read_bytes()):
        raise BuildError("this busybox needs shared libraries: install the package busybox-static")


def has_interpreter(program: bytes) -> bool:
    """Whether a 64-bit ELF program is linked dynamically (has a PT_INTERP header)."""
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return any(struct.unpack_from("<I", program, table + index * size)[0] == 3 for index in range(count))


def which(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise BuildError(f"{tool} is not installed")
    return path


# --- the kernel -----------------------------------------------------------------------------------------


def kernel_package(meta_package: str = KERNEL_META_PACKAGE) -> str:
    """The package of the distribution's current kernel, of the kind that a meta package stands for."""
    found = _current_kernel(meta_package)
    if not found and os.geteuid() == 0:  # a machine whose package lists were never fetched, or thrown away
        run("apt-get", "-o", "DPkg::Lock::Timeout=900", "update")
        found = _current_kernel(meta_package)
    if not found:
        raise BuildError(f"apt knows no {meta_package}: run apt-get update, or check the package sources")
    return found


def _current_kernel(meta_package: str) -> str:
    argv = (which("apt-cache"), "depends", meta_package)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    lines = done.stdout.splitlines()
    matches = (re.fullmatch(r"\s*Depends: (linux-image-\S+)", line) for line in lines)
    return next((match[1] for match in matches if match), "")


def package_archive(package: str, cache: Path) -> Path:
    """The package file, downloaded once; never installed."""
    version = next(iter(re.findall(r"^Version: (\S+)", run("apt-cache", "show", package), re.MULTILINE)), "")
    kept = cache / f"{package}_{version.replace(':', '%3a')}.deb"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            run("apt-get", "-o", "APT::Sandbox::User=root", "download", package, cwd=Path(scratch))
            next(Path(scratch).glob("*.deb")).rename(kept)
    return kept


@dataclass(frozen=True)
class Kernel:
    image: bytes
    modules: dict[str, dict[str, bytes]]
    """For each group of MODULES: file name and content, in an order in which they can be loaded."""


def read_kernel(archive: Path) -> Kernel:
    """The kernel and our modules with what they need, straight from the package."""
    image = b""
    found: dict[str, bytes] = {}
    argv = (which("dpkg-deb"), "--fsys-tarfile", str(archive))
    with (
        subprocess.Popen(argv, stdout=subprocess.PIPE) as unpack,  # noqa: S603
        tarfile.open(fileobj=unpack.stdout, mode="r|") as tar,
    ):
        for member in tar:
            name = Path(member.name).name
            content = tar.extractfile(member) if name.startswith("vmlinuz-") or name.endswith(".ko") else None
            if content is None:
                continue
            if name.endswith(".ko"):
                found[module_name(name)] = content.read()
            else:
                image = content.read()
    if not image:
        raise BuildError(f"{archive.name} holds no kernel")
    done: set[str] = set()
    return Kernel(image, {group: dict(in_load_order(names, found, done)) for group, names in MODULES.items()})


def module_name(file_name: str) -> str:
    return file_name.removesuffix(".ko").replace("-", "_")


def in_load_order(
    names: Iterable[str], found: dict[str, bytes], done: set[str]
) -> Iterator[tuple[str, bytes]]:
    """The modules that are not `done` yet, each after what it depends on."""
    for name in map(module_name, names):
        if name in done or name not in found:  # what is not there is built in, or does not exist
            continue
        done.add(name)
        depends = re.search(rb"\0depends=([^\0]*)\0", found[name])
        yield from in_load_order(filter(None, depends[1].decode().split(",") if depends else ()), found, done)
        yield f"{name}.ko", found[name]


# --- the initramfs --------------------------------------------------------------------------------------


class Cpio:
    """Writes the archive format that the kernel unpacks ("newc")."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._inode = 0

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        self._inode += 1
        links = 2 if mode & 0o170000 == 0o040000 else 1
        raw = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, links, EPOCH, len(content), 0, 0, 0, 0, len(raw), 0)
        self._out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + raw)
        self._pad()
        self._out.write(content)
        self._pad()

    def _pad(self) -> None:
        self._out.write(b"\0" * (-self._out.tell() % 4))

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return self._out.getvalue()


def initramfs(kernel: Kernel) -> bytes:
    busybox = which("busybox")
    archive = Cpio()
    directories = "bin sbin dev proc sys run tmp root data mnt mnt/context lib lib/modules".split()
    sources = sorted((HERE / "root").rglob("*"))
    directories += [str(path.relative_to(HERE / "root")) for path in sources if path.is_dir()]
    for name in sorted(set(directories)):
        archive.add(name, 0o040755)
    archive.add("bin/busybox", 0o100755, Path(busybox).read_bytes())
    for applet in sorted(set(run(busybox, "--list").split()) - {"busybox"}):
        archive.add(f"bin/{applet}", 0o120777, b"/bin/busybox")
    for path in sources:
        if path.is_file():
            mode = 0o100755 if path.stat().st_mode & 0o100 else 0o100644
            archive.add(str(path.relative_to(HERE / "root")), mode, path.read_bytes())
    for group, modules in kernel.modules.items():
        archive.add(f"etc/modules.{group}", 0o100644, "".join(f"{name}\n" for name in modules).encode())
        for name, content in modules.items():
            archive.add(f"lib/modules/{name}", 0o100644, content)
    return gzip.compress(archive.finish(), mtime=0)


# --- the disk -------------------------------------------------------------------------------------------


def boot_partition(path: Path, kernel: bytes, initrd: bytes, scratch: Path) -> None:
    """A FAT file system that syslinux starts from, made without mounting anything."""
    with path.open("wb") as image:
        image.truncate(BOOT_SECTORS * SECTOR)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "MTOOLS_SKIP_CHECK": "1", "TZ": "UTC"}
    geometry = ("-T", str(BOOT_SECTORS), "-h", "64", "-s", "32", "-H", str(BOOT_START))
    run("mformat", "-i", str(path), "-v", "MEROPE", "-N", "4d45524f", *geometry, "::", env=environment)
    for name, content in (
        ("vmlinuz", kernel),
        ("initrd.gz", initrd),
        ("syslinux.cfg", (SYSLINUX_CFG % FASTER_UNDER_EMULATION).encode()),
    ):
        source = scratch / name
        source.write_bytes(content)
        os.utime(source, (EPOCH, EPOCH))
        run("mcopy", "-m", "-i", str(path), str(source), f"::{name}", env=environment)
    run("syslinux", "--install", str(path), env=environment)


def data_partition(path: Path) -> None:
    with path.open("wb") as image:
        image.truncate(DATA_SECTORS * SECTOR)
    seed = "6d65726f-7065-4000-8000-000000000001"
    options = f"hash_seed={seed},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": str(EPOCH)}
    format_ = ("-q", "-F", "-t", "ext4", "-L", "MEROPE-DATA", "-U", seed, "-E", options)
    run("mke2fs", *format_, str(path), env=environment)


def partition_table() -> bytes:
    """Boot code and the two partitions: flag, no CHS, type, no CHS, first sector, number of sectors."""
    mbr = next(Path(place) for place in MBR_PLACES if Path(place).exists()).read_bytes()[:440]
    entries = b"".join(
        struct.pack("<B3sB3sII", flag, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, sectors)
        for flag, kind, start, sectors in (
            (0x80, FAT16_LBA, BOOT_START, BOOT_SECTORS),
            (0x00, LINUX, DATA_START, DATA_SECTORS),
        )
    )
    return mbr.ljust(440, b"\0") + b"MRPE\0\0" + entries.ljust(64, b"\0") + b"\x55\xaa"


def make_disk(output: Path, kernel: Kernel, initrd: bytes) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as name:
        scratch = Path(name)
        boot, data, disk = scratch / "boot.img", scratch / "data.img", scratch / "disk.img"
        boot_partition(boot, kernel.image, initrd, scratch)
        data_partition(data)
        with disk.open("wb") as image:
            image.truncate((DATA_START + DATA_SECTORS) * SECTOR)
            image.write(partition_table())
            for start, part in ((BOOT_START, boot), (DATA_START, data)):
                image.seek(start * SECTOR)
                image.write(part.read_bytes())
        # Not compressed: the kernel is already, and a boot loader reads in steps much smaller than a cluster,
        # each of which would unpack the whole of it again.
        packed = scratch / "disk.qcow2"
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(packed))
        packed.rename(output)


# --- all of it ------------------------------------------------------------------------------------------


def inputs_key() -> str:
    """A digest of what the disk is made from, but the kernel: a newer one is no reason to build again."""
    digest = hashlib.sha256()
    files = [Path(__file__).resolve(), Path(which("busybox")), *sorted((HERE / "root").rglob("*"))]
    for path in files:
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_mode & 0o111}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def build(output: Path, cache: Path, force: bool = False) -> None:
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"guest: {text} ({time.monotonic() - started:.1f} s)", flush=True)

    check_tools()
    key = inputs_key()
    stamp = output.with_name(output.name + ".key")
    if not force and output.exists() and stamp.exists() and stamp.read_text() == key:
        say(f"{output} is up to date")
        return
    archive = package_archive(kernel_package(), cache)
    say(f"kernel package {archive.stem}")
    kernel = read_kernel(archive)
    initrd = initramfs(kernel)
    say(f"initramfs of {len(initrd) / 1e6:.1f} MB with {sum(map(len, kernel.modules.values()))} modules")
    make_disk(output, kernel, initrd)
    for name, content in (("vmlinuz", kernel.image), ("initrd.gz", initrd)):
        output.with_name(name).write_bytes(content)
    stamp.write_text(key)
    say(f"{output}, {output.stat().st_size / 1e6:.1f} MB")


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the demonstration guest image.")
    parser.add_argument("--output", type=Path, default=HERE / "built" / "merope-guest.qcow2")
    parser.add_argument("--cache", type=Path, default=HERE / "built", help="where the kernel package is kept")
    parser.add_argument(
        "--force", action="store_true", help="build even when nothing changed, by the newest kernel"
    )
    arguments = parser.parse_args()
    try:
        build(arguments.output.resolve(), arguments.cache.resolve(), arguments.force)
    except BuildError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
