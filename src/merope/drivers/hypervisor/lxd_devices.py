"""What is plugged into a container that runs, and out of it; its disks copied and grown."""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merope.drivers import commands
from merope.drivers.diskimage import check_format
from merope.drivers.errors import DriverError
from merope.drivers.files import leftovers, replaced_file
from merope.drivers.hypervisor import lxd_config
from merope.drivers.hypervisor.idmapped import ranges_of
from merope.drivers.hypervisor.lxd_containers import LxdContainers, device_of
from merope.drivers.hypervisor.vm_devices import disk_of, nic_of
from merope.model.vm import VM

_SECONDS = 60.0
_COPY_SECONDS = 86400.0


class LxdDevices(LxdContainers):
    def has_disk(self, vm: VM, deploy_id: str, disk_id: int) -> bool:
        found = self._running(deploy_id)
        return device_of(disk_id) in found["devices"] or str(disk_id) == self._root(vm)

    def attach_disk(self, vm: VM, deploy_id: str, disk_id: int, system_dir: Path) -> None:
        found, disk = self._running(deploy_id), disk_of(vm, disk_id)
        if device_of(disk_id) in found["devices"]:
            return
        ranges = ranges_of(found["config"].get("volatile.idmap.current", ""))
        try:
            source = self._mount(deploy_id, disk, system_dir, ranges)
            found["devices"][device_of(disk_id)] = lxd_config.disk(disk, source)
            self._lxd.replace(deploy_id, found)
        except DriverError:
            self._disks(deploy_id).unmount(disk_id)
            raise

    def detach_disk(self, vm: VM, deploy_id: str, disk_id: int) -> None:
        found = self._running(deploy_id)
        if found["devices"].pop(device_of(disk_id), None) is not None:
            self._lxd.replace(deploy_id, found)
        elif str(disk_id) == self._root(vm):
            raise DriverError(f"disk {disk_id} is the root file system of {deploy_id}, and stays")
        self._disks(deploy_id).unmount(disk_id)

    def attach_nic(self, vm: VM, deploy_id: str, nic_id: int, system_dir: Path) -> None:
        found, nic = self._running(deploy_id), nic_of(vm, nic_id)
        if f"eth{nic_id}" not in found["devices"]:
            found["devices"][f"eth{nic_id}"] = lxd_config.network(nic)
            self._lxd.replace(deploy_id, found)

    def detach_nic(self, vm: VM, deploy_id: str, nic_id: int) -> None:
        found = self._running(deploy_id)
        if found["devices"].pop(f"eth{nic_id}", None) is not None:
            self._lxd.replace(deploy_id, found)

    def renew_context(self, vm: VM, deploy_id: str, system_dir: Path) -> None:
        """The container has the directory, not the image: its files are what is renewed."""
        if "context" in self._running(deploy_id)["devices"]:
            self._unpack_context(vm, deploy_id, system_dir)

    def disk_resize(self, vm: VM, deploy_id: str, disk_id: int, size: int) -> None:
        self._running(deploy_id)
        self._disks(deploy_id).grow(disk_id, self._image(vm, disk_id), size)

    def disk_copy(self, vm: VM, deploy_id: str, disk_id: int, target: Path, image_format: str) -> None:
        """The container holds still meanwhile, and what it has written is on the disk."""
        check_format(image_format)
        self._running(deploy_id)
        disks = self._disks(deploy_id)
        source = disks.raw(disk_id, self._image(vm, disk_id))
        leftovers(target)
        with self._still(deploy_id), replaced_file(target) as part:
            disks.flush(disk_id)
            argv = ["qemu-img", "convert", "-U", "-f", "raw", "-O", image_format, str(source), str(part)]
            commands.run(argv, timeout=_COPY_SECONDS)

    def disk_continue(self, vm: VM, deploy_id: str, disk_id: int, overlay: Path) -> None:
        raise DriverError("a disk of a container in use cannot go on in another file: power it off first")

    @contextmanager
    def _still(self, deploy_id: str) -> Iterator[None]:
        self._lxd.act(deploy_id, "freeze", _SECONDS)
        try:
            yield
        finally:
            self._lxd.act(deploy_id, "unfreeze", _SECONDS)

    def _image(self, vm: VM, disk_id: int) -> Path:
        store = vm.history.ds_id if vm.history else 0
        path = self.settings.datastores / str(store) / str(vm.id) / f"disk.{disk_id}"
        return path.resolve()

    @staticmethod
    def _root(vm: VM) -> str:
        return lxd_config.file_systems(vm)[0].get("DISK_ID", "")
