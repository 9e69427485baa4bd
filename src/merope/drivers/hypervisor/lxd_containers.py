"""The containers of a host as they are, and what of them is on the host besides LXD's own."""

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from merope.drivers import commands
from merope.drivers.errors import DriverError
from merope.drivers.files import make_directory, remove, sync_directory
from merope.drivers.hypervisor import lxd_config, lxd_links
from merope.drivers.hypervisor.domain_xml import domain_uuid, vm_id_of
from merope.drivers.hypervisor.host_figures import Clock
from merope.drivers.hypervisor.idmapped import IdRange, ranges_of
from merope.drivers.hypervisor.lxd_api import Lxd, LxdError
from merope.drivers.hypervisor.lxd_settings import LxdSettings
from merope.drivers.hypervisor.mounted_disks import MountedDisks, mounted
from merope.drivers.hypervisor.terminal import Terminal, require_programs, screen_of
from merope.model.template import Vector
from merope.model.vm import VM

RUNNING, FROZEN = "Running", "Frozen"
_START_SECONDS = 120.0
_ISO_SECONDS = 60.0
_POLL = 0.05
_BUSY = "Instance is busy"
_RESTART = "Restarting"


class LxdContainers:
    """`clock` is the module time."""

    def __init__(self, settings: LxdSettings, clock: Clock = time) -> None:
        self.settings = settings
        self._lxd = Lxd(settings.socket)
        self._clock = clock

    def _disks(self, deploy_id: str) -> MountedDisks:
        return MountedDisks(self._place(deploy_id) / "disks")

    def _terminal(self, deploy_id: str) -> Terminal:
        return Terminal(self._place(deploy_id) / "terminal")

    def _place(self, deploy_id: str) -> Path:
        if "/" in deploy_id or deploy_id in ("", ".", ".."):
            raise DriverError(f"{deploy_id!r} is not the name of a container")
        return self.settings.state / deploy_id

    def _running(self, deploy_id: str) -> dict[str, Any]:
        """The container, which runs; one that an operation froze and left so goes on. Raises DriverError."""
        found = self._lxd.instance(deploy_id)
        if found is not None and found["status"] == FROZEN and is_ours(found):
            self._lxd.act(deploy_id, "unfreeze", _START_SECONDS)
            found = self._lxd.instance(deploy_id)
        if found is None or found["status"] != RUNNING:
            raise DriverError(f"the container {deploy_id} does not run on this host")
        return found

    def _require_own(self, found: dict[str, Any], vm: VM) -> None:
        if is_ours(found) and found["config"][lxd_config.OWNER] != domain_uuid(vm):
            raise DriverError(f"a container {found['name']} is on this host, and it is another cloud's")

    def _begin(self, vm: VM, name: str, system_dir: Path) -> None:
        """A new container in the place of whatever there is. Raises DriverError, and then there is none."""
        screen = screen_of(vm, self.settings.vnc_width, self.settings.vnc_height)
        require_programs(screen)
        self._put_away(name)
        lxd_links.remove_left(nic.get("TARGET", "") for nic in vm.template.vectors("NIC"))
        try:
            self._make(vm, name, system_dir)
            self._start(name)
            if screen is not None:
                command = ["lxc", "exec", name, "--", *shlex.split(self.settings.vnc_command)]
                self._terminal(name).start(screen, command, {"LXD_DIR": str(self.settings.root)})
        except DriverError:
            self._put_away(name)
            raise

    def _make(self, vm: VM, name: str, system_dir: Path) -> None:
        """The container, its disks mounted, ready to be started."""
        root, *others = lxd_config.file_systems(vm)
        self._lxd.create(lxd_config.instance(vm, name, self.settings.pool))
        made = self._lxd.instance(name)
        if made is None:
            raise DriverError(f"the container {name} has gone while it was made")
        ranges = ranges_of(made["config"].get("volatile.idmap.next", ""))
        image = self._mount(name, root, system_dir, ())
        if not (image / "sbin").exists() and not (image / "bin").exists():
            raise DriverError(
                f"disk {root['DISK_ID']} holds no root file system: it has neither /sbin nor /bin"
            )
        rootfs = self.settings.root / "containers" / name / "rootfs"
        make_directory(rootfs)
        raw = lxd_config.raw_lxc(vm, image, rootfs, mapped=bool(ranges))
        made["config"]["raw.lxc"] = made["config"].get("raw.lxc", "") + raw
        for each in others:
            source = self._mount(name, each, system_dir, ranges)
            made["devices"][device_of(each["DISK_ID"])] = lxd_config.disk(each, source)
        context = self._unpack_context(vm, name, system_dir)
        if context is not None:
            made["devices"]["context"] = {
                "type": "disk",
                "source": str(context),
                "path": "/context",
                "readonly": "true",
            }
        self._lxd.replace(name, made)

    def _mount(self, name: str, disk: Vector, system_dir: Path, ranges: list[IdRange] | tuple[()]) -> Path:
        number, kind = int(disk["DISK_ID"]), disk.get("DRIVER") or disk.get("FORMAT") or "raw"
        image = system_dir / f"disk.{number}"
        readonly = lxd_config.is_readonly(disk)
        return self._disks(name).mount(number, image, kind, ranges, readonly=readonly)

    def _start(self, name: str) -> None:
        try:
            self._lxd.act(name, "start", _START_SECONDS)
        except LxdError as error:
            reason = self._lxd.log(name)
            raise DriverError(f"the container {name} does not start: {reason or error}") from error

    def _put_away(self, name: str) -> None:
        """Nothing is left of the container but its images."""
        self._terminal(name).stop()
        found = self._settled(name)
        if found is not None:
            if found["status"] in (RUNNING, FROZEN):
                self._when_free(lambda: self._lxd.act(name, "stop", _START_SECONDS, force=True))
            if not is_ours(found):
                return
        rootfs = self.settings.root / "containers" / name / "rootfs"
        while mounted(rootfs.resolve()) is not None:
            commands.run(["umount", str(rootfs)], timeout=_START_SECONDS)
        if found is not None:
            self._when_free(lambda: self._lxd.delete(name))
            lxd_links.remove_left(lxd_links.names_of(found))
        self._disks(name).unmount_all()
        remove(self._place(name))

    def _settled(self, name: str) -> dict[str, Any] | None:
        """The container when no restart of it is under way: that would start it after it was stopped."""
        deadline = self._clock.monotonic() + _START_SECONDS
        while any(each.startswith(_RESTART) for each in self._under_way(name)):
            if self._clock.monotonic() > deadline:
                raise DriverError(f"the restart of {name} has not ended within {_START_SECONDS:.0f} s")
            self._clock.sleep(_POLL)
        return self._lxd.instance(name)

    def _under_way(self, name: str) -> list[str]:
        """What LXD does with the container just now, in its words."""
        found: dict[str, list[dict[str, Any]]] = self._lxd.call("GET", "/operations?recursion=1") or {}
        paths = {f"/1.0/instances/{name}", f"/1.0/containers/{name}"}
        return [
            str(operation.get("description", ""))
            for operation in found.get("running", [])
            if any(paths & set(names or ()) for names in (operation.get("resources") or {}).values())
        ]

    def _when_free(self, call: Callable[[], None]) -> None:
        """LXD refuses what comes while it does something itself: it ends what failed to start."""
        deadline = self._clock.monotonic() + _START_SECONDS
        while True:
            try:
                call()
            except LxdError as error:
                if _BUSY not in str(error) or self._clock.monotonic() > deadline:
                    raise
                self._clock.sleep(_POLL)
            else:
                return

    def _unpack_context(self, vm: VM, name: str, system_dir: Path) -> Path | None:
        """The files of the CONTEXT image, for a container that cannot mount it; replaced one by one."""
        context = vm.template.vector("CONTEXT")
        if context is None:
            return None
        image = system_dir / f"disk.{context.get('DISK_ID', '')}"
        if not image.is_file():
            return None
        target = self._place(name) / "context"
        make_directory(target)
        with tempfile.TemporaryDirectory(prefix=".context-", dir=target.parent) as directory:
            names = _unpacked(image, Path(directory))
            for file in names:
                (Path(directory) / file).chmod(0o644)
                (Path(directory) / file).replace(target / file)
        for stale in {path.name for path in target.iterdir()} - set(names):
            remove(target / stale)
        target.chmod(0o755)
        sync_directory(target)
        return target


def is_ours(found: dict[str, Any]) -> bool:
    return lxd_config.OWNER in found["config"] and vm_id_of(found["name"]) is not None


def device_of(disk_id: int | str) -> str:
    return f"disk{disk_id}"


def _unpacked(image: Path, directory: Path) -> list[str]:
    """Writes the files of an ISO image into a directory; not every kernel can mount one."""
    listed = commands.run(["isoinfo", "-R", "-f", "-i", str(image)], timeout=_ISO_SECONDS).stdout
    names = [line.strip().lstrip("/") for line in listed.splitlines() if line.strip()]
    for name in names:
        if "/" in name or name in (".", ".."):
            raise DriverError(f"the CONTEXT image has a file {name!r}")
        with (directory / name).open("wb") as out:
            argv = ["isoinfo", "-R", "-x", f"/{name}", "-i", str(image)]
            subprocess.run(argv, stdout=out, timeout=_ISO_SECONDS, check=True)  # noqa: S603 - a vector
    return names
