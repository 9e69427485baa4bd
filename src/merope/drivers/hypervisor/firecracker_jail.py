"""The jail of a microVM: its root with the files that it may have, and the jailer that shuts it in.

The layout is the jailer's: `<jails>/<name of the program>/<id>/root`. Files are mounted into it one by
one, so that neither disks nor kernels are copied, and links lead nowhere.
"""

import os
import re
import shutil
import time
from pathlib import Path

from merope.drivers import commands
from merope.drivers.commands import CommandError
from merope.drivers.errors import DriverError
from merope.drivers.files import make_directory, remove
from merope.drivers.hypervisor import firecracker_config as config
from merope.drivers.hypervisor.firecracker_settings import FirecrackerSettings
from merope.drivers.hypervisor.mounted_disks import mounts
from merope.model.template import Vector
from merope.model.vm import VM

_SECONDS = 60.0
_PATIENCE, _POLL = 10.0, 0.05
_SHARES = 1024
_MOST_SHARES = 262144
_WEIGHT = 100
_MOST_WEIGHT = 10000
_CPUS = re.compile(r"[0-9,-]+", re.ASCII)
SOCKET = "/run/firecracker.socket"


class Jail:
    """The jail of the microVM `name`. Its files belong to whom the microVM runs as."""

    def __init__(self, settings: FirecrackerSettings, name: str) -> None:
        self._settings = settings
        self.name = name
        self.directory = settings.jails / settings.firecracker.name / name
        self.root = self.directory / "root"

    @property
    def socket(self) -> Path:
        return self.root / SOCKET.removeprefix("/")

    def make(self, vm: VM, system_dir: Path) -> None:
        """Raises DriverError where a file is missing."""
        (self.root / "run").mkdir(parents=True)
        for path in (self.root, self.root / "run"):
            self._give(path)
        self._mount(_of_system(vm, system_dir, "KERNEL"), "kernel")
        if config.has_initrd(vm):
            self._mount(_of_system(vm, system_dir, "INITRD"), "initrd")
        for disk in config.disks(vm):
            name = f"disk.{int(disk['DISK_ID'])}"
            self._mount(_required(system_dir / name), name)
        for name in (config.LOG, config.METRICS):
            path = self.root / name.removeprefix("/")
            path.touch(0o600)
            self._give(path)

    def command(self, vm: VM) -> list[str]:
        """The jailer, which becomes Firecracker in its jail."""
        settings = self._settings
        argv = [str(settings.jailer), "--id", self.name, "--exec-file", str(settings.firecracker)]
        argv += ["--uid", str(settings.uid), "--gid", str(settings.gid)]
        argv += ["--chroot-base-dir", str(settings.jails)]
        groups = self._groups(vm)
        if groups:
            argv += ["--cgroup-version", str(settings.cgroups)]
            for group in groups:
                argv += ["--cgroup", group]
        return [*argv, "--", "--api-sock", SOCKET]

    def remove(self) -> None:
        """Nothing is left but the files that were mounted. The microVM has ended."""
        deadline = time.monotonic() + _PATIENCE
        while left := [each.target for each in mounts() if each.target.is_relative_to(self.directory)]:
            try:
                commands.run(["umount", *map(str, left)], timeout=_SECONDS)
            except CommandError as error:
                # What the microVM has started ends a moment after it.
                if time.monotonic() > deadline:
                    raise DriverError(f"{self.name} still uses its files: {error}") from error
                time.sleep(_POLL)
        if self.directory.is_dir():
            shutil.rmtree(self.directory)
        self._remove_groups()

    def log(self) -> str:
        """What Firecracker wrote last, in one line."""
        try:
            text = (self.root / config.LOG.removeprefix("/")).read_text("utf-8", "replace")
        except OSError:
            return ""
        return " / ".join(line.strip() for line in text.splitlines()[-3:] if line.strip())

    def _groups(self, vm: VM) -> list[str]:
        groups = []
        cpu = float(vm.template.get("CPU") or 0)
        if self._settings.cpu_shares and cpu:
            if self._settings.cgroups == 1:
                groups.append(f"cpu.shares={min(max(round(cpu * _SHARES), 2), _MOST_SHARES)}")
            else:
                groups.append(f"cpu.weight={min(max(round(cpu * _WEIGHT), 1), _MOST_WEIGHT)}")
        nodes = vm.template.vectors("NUMA_NODE")
        for key, name in (("CPUS", "cpuset.cpus"), ("MEMORY_NODE_ID", "cpuset.mems")):
            value = ",".join(node[key] for node in nodes if node.get(key))
            if value and _CPUS.fullmatch(value):
                groups.append(f"{name}={value}")
        return groups

    def _mount(self, source: Path, name: str) -> None:
        target = self.root / name
        target.touch()
        commands.run(["mount", "--bind", str(source), str(target)], timeout=_SECONDS)
        self._give(source)

    def _give(self, path: Path) -> None:
        """To whom the microVM runs as; nobody else may read what is in it."""
        os.chown(path, self._settings.uid, self._settings.gid)

    def _remove_groups(self) -> None:
        """The jailer makes them and leaves them behind."""
        base = self._settings.cgroup_root
        program = self._settings.firecracker.name
        for place in {base / program / self.name, *base.glob(f"*/{program}/{self.name}")}:
            if place.is_dir():
                try:
                    place.rmdir()
                except OSError as error:
                    raise DriverError(
                        f"the control group {place} cannot be removed: {error.strerror}"
                    ) from error


def prepare_place(place: Path) -> None:
    """The directory for what is remembered of a microVM, empty."""
    remove(place)
    make_directory(place)


def _of_system(vm: VM, system_dir: Path, name: str) -> Path:
    """KERNEL or INITRD: what was brought beside the disks, else the host's own file."""
    system = vm.template.vector("OS") or Vector()
    own = system_dir / name.lower()
    return _required(Path(system.get(name, own)) if not system.get(f"{name}_DS_SOURCE") else own)


def _required(path: Path) -> Path:
    real = path.resolve()
    if not real.is_file():
        raise DriverError(f"{path} is not there")
    return real
