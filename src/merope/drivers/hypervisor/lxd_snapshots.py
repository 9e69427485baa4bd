"""System snapshots of containers: their disks as they were at one moment, in files beside them.

There is no memory in them: to return to one, the container starts anew. LXD's own snapshots would be copies
in its pool, which no VM could take along to another host.
"""

# The interface tells a driver more than this one needs.
# ruff: noqa: ARG002

import re
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.files import copy_file, leftovers, remove, replaced_file
from merope.drivers.hypervisor.domain_xml import domain_name
from merope.drivers.hypervisor.lxd_devices import LxdDevices
from merope.model.vm import VM

_NAME = re.compile(r"snap-(\d+)", re.ASCII)


class LxdSnapshots(LxdDevices):
    def snapshot_create(self, vm: VM, deploy_id: str, snapshot_id: int, system_dir: Path) -> str:
        """One that was begun and not ended begins anew: its last file says that all are there."""
        self._running(deploy_id)
        name = f"snap-{snapshot_id}"
        if _mark(system_dir, name).exists():
            return name
        disks = self._disks(deploy_id)
        with self._still(deploy_id):
            for number in _numbers(vm):
                disks.flush(number)
                target = _kept(system_dir, name, number)
                leftovers(target)
                with replaced_file(target) as part:
                    copy_file((system_dir / f"disk.{number}").resolve(), part)
        with replaced_file(_mark(system_dir, name)) as part:
            part.write_text("")
        return name

    def snapshot_revert(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        """Stopped, its disks replaced, started: cut off in between, it is done again from the beginning."""
        if not _mark(system_dir, _checked(name)).exists():
            raise DriverError(f"the container {deploy_id} has no snapshot {name}")
        numbers = _numbers(vm)
        kept = [number for number in numbers if _kept(system_dir, name, number).exists()]
        if not kept:
            raise DriverError(f"the snapshot {name} of {deploy_id} has none of the disks that it has now")
        self._put_away(deploy_id)
        for number in kept:
            image = (system_dir / f"disk.{number}").resolve()
            leftovers(image)
            with replaced_file(image) as part:
                copy_file(_kept(system_dir, name, number), part)
        self._begin(vm, domain_name(vm.id), system_dir)

    def snapshot_delete(self, vm: VM, deploy_id: str, name: str, system_dir: Path) -> None:
        _delete(system_dir, _checked(name))

    def _forget_snapshots(self, vm: VM, system_dir: Path) -> None:
        """Before a start: snapshots that the VM does not have any more."""
        kept = {f"snap-{each.get('SNAPSHOT_ID', '')}" for each in vm.template.vectors("SNAPSHOT")}
        kept |= {each.get("HYPERVISOR_ID", "") for each in vm.template.vectors("SNAPSHOT")}
        for mark in sorted(system_dir.glob("snap-*.lxd")):
            if mark.stem not in kept:
                _delete(system_dir, mark.stem)


def _numbers(vm: VM) -> list[int]:
    """The disks that a snapshot has: those that the container can write."""
    disks = vm.template.vectors("DISK")
    written = (each for each in disks if each.get("READONLY", "").upper() != "YES" and each.get("DISK_ID"))
    return [int(each["DISK_ID"]) for each in written if each.get("TYPE", "").lower() not in ("cdrom", "swap")]


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise DriverError(f"'{name}' is not the name of a snapshot of a container")
    return name


def _mark(system_dir: Path, name: str) -> Path:
    return system_dir / f"{name}.lxd"


def _kept(system_dir: Path, name: str, number: int) -> Path:
    return system_dir / f"{name}.disk.{number}"


def _delete(system_dir: Path, name: str) -> None:
    """The mark first: what has no mark is no snapshot."""
    remove(_mark(system_dir, name))
    for path in sorted(system_dir.glob(f"{name}.disk.*")):
        remove(path)
