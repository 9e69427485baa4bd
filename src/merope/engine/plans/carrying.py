"""Stages on the front-end for hosts with storage of their own: disks are carried to them, and back.

Where the host is the front-end itself, or storage is shared, there is nothing to do here.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from merope.drivers import registry, snapshot_files
from merope.drivers.carrier import carried_name
from merope.drivers.context import check_names, context_of
from merope.drivers.errors import DriverError
from merope.drivers.files import copy_sparse
from merope.drivers.paths import vm_path
from merope.drivers.snapshot_files import image_files, snapshot_directory
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import existing_image, files_of_context
from merope.engine.job import Job
from merope.engine.plans.base import Drivers, On, disk_of, here, is_saved, transfer_name
from merope.engine.plans.stages import Stage, Where
from merope.model.template import Vector


def own_storage(job: Job) -> bool:
    """Whether anything of the VM lies on storage that is its host's own."""
    if job.vm is None or job.vm.history is None:
        return False
    names = {job.vm.history.tm_mad, *(name for name, _, _ in _kernels(job))}
    names |= {transfer_name(disk, job.vm.history.tm_mad) for disk in job.vm.template.vectors("DISK")}
    return bool(names - registry.SHARED_TRANSFERS - {""})


def _kernels(job: Job) -> Iterator[tuple[str, Path, str]]:
    """TM_MAD, source and name of what the hypervisor reads besides disks."""
    assert job.vm is not None
    for system in job.vm.template.vectors("OS"):
        for name in ("KERNEL", "INITRD"):
            if system.get(f"{name}_DS_SOURCE"):
                yield system[f"{name}_DS_TM"], Path(system[f"{name}_DS_SOURCE"]), name.lower()


def _send_all(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    for disk in on.vm.template.vectors("DISK"):
        _send(on, disk)
    for name, source, target in _kernels(job):
        if on.is_carried(name):
            _send_file(on, source, on.directory / target)
    return {}


def _send_one(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    _send(on, disk_of(on))
    return {}


def _take_one_back(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    if disk.get("IMAGE_ID") and on.is_carried(on.transfer_name(disk)):
        path = carried_name(_checked(on, disk))
        for each in (path, snapshot_directory(path)):
            drivers.carrier.delete(Place(on.host, each))
    return {}


def _send(on: On, disk: Vector) -> None:
    """The host's own stage makes the disk of what arrives."""
    if not disk.get("IMAGE_ID") or not on.is_carried(on.transfer_name(disk)):
        return
    target, source = _checked(on, disk), existing_image(Path(disk["SOURCE"]))
    if disk.get("CLONE", "").upper() == "YES":
        if on.transfer_name(disk) == "ssh" and on.job.replica:
            _send_by_replica(on, source, target)
        else:
            _send_file(on, source, target)
        return
    image = image_files(source)
    if image.chained:
        raise DriverError(
            f"the image {source} has snapshots that are built on each other, "
            "and cannot be brought to a host with storage of its own"
        )
    coming = carried_name(target)
    if image.directory.is_dir() and not _has_arrived(on, target):
        beside = Place(on.host, snapshot_directory(coming))
        on.drivers.carrier.copy(Place("", image.directory), beside, follow=True)
    _send_file(on, source, target)


def _send_file(on: On, source: Path, target: Path) -> None:
    if not _has_arrived(on, target):
        to = Place(on.host, carried_name(target))
        on.drivers.carrier.copy(Place("", existing_image(source)), to, follow=True)


def _send_by_replica(on: On, source: Path, target: Path) -> None:
    if not _has_arrived(on, target):
        on.drivers.replicas.copy(source, Place(on.host, carried_name(target)), on.job.replica)


def _has_arrived(on: On, target: Path) -> bool:
    carrier = on.drivers.carrier
    return carrier.has(Place(on.host, target)) or carrier.has(Place(on.host, carried_name(target)))


def _checked(on: On, disk: Vector) -> Path:
    return vm_path(on.drivers.layout.root, on.disk(disk["DISK_ID"]).path)


def _return_all(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    for disk in on.vm.template.vectors("DISK"):
        _return(on, disk)
    return {}


def _return_one(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    _return(on, disk_of(on))
    return {}


def _return(on: On, disk: Vector) -> None:
    """A persistent disk replaces its image; the host's own stage removes it there."""
    if not is_saved(disk) or not on.is_carried(on.transfer_name(disk)):
        return
    carrier, path = on.drivers.carrier, _checked(on, disk)
    image = Path(os.path.realpath(existing_image(Path(disk["SOURCE"]))))
    snapshots = Place(on.host, snapshot_directory(path))
    coming = image.with_name(f".{image.name}.returned")
    if carrier.has(snapshots):
        carrier.copy(snapshots, Place("", coming))
    if coming.is_dir():
        snapshot_files.take_over(image, coming)
    if carrier.has(Place(on.host, path)):
        carrier.copy(Place(on.host, path), Place("", image), follow=True)


def _carry(on: On, source: Place, target: Place) -> None:
    """A VM's directory; what has gone from where it was has arrived."""
    carrier = on.drivers.carrier
    if carrier.has(source):
        for place in (source, target):
            vm_path(on.drivers.layout.root, place.path)
        carrier.copy(source, target)


def _to_front_end(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    if on.directory_is_carried:
        _carry(on, on.place, Place("", on.directory))
    return {}


def _from_front_end(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    if on.directory_is_carried:
        _carry(on, Place("", on.directory), on.place)
    return {}


def _has_context_files(job: Job) -> bool:
    context = job.vm and job.vm.template.vector("CONTEXT")
    return bool(context and (context.get("FILES") or context.get("FILES_DS")))


def _send_context_files(drivers: Drivers, job: Job) -> dict[str, str]:
    """What CONTEXT names is on the front-end, and is judged there."""
    on = here(drivers, job)
    if on.host not in drivers.far:
        return {}
    context = context_of(on.vm)
    check_names(context)
    allowed = files_of_context(drivers.layout.root)
    with tempfile.TemporaryDirectory(prefix="merope-context-") as place:
        staging = Path(place, on.context_files.name)
        staging.mkdir()
        for file in context.files:
            with allowed.open(file.path) as reading:
                copy_sparse(reading, staging / file.name)
        vm_path(drivers.layout.root, on.directory)
        drivers.carrier.copy(Place("", staging), Place(on.host, on.context_files))
    return {}


def _take_saved(drivers: Drivers, job: Job) -> dict[str, str]:
    """A disk that was copied beside itself on its host takes the place of the image that it is saved as."""
    on = here(drivers, job)
    disk = disk_of(on)
    if on.is_carried(on.transfer_name(disk)):
        assert job.image is not None
        target = on.transfer_of(disk).image_target(Path(job.image.source))
        saved = on.saved(disk["DISK_ID"])
        if drivers.carrier.has(saved):
            drivers.carrier.copy(saved, Place("", target))
    return {}


def _forget_saved(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    if on.is_carried(on.transfer_name(disk)):
        on.transfer_of(disk).delete(on.saved(disk["DISK_ID"]))
    return {}


def _forget_here(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    if on.directory_is_carried:
        on.system.delete(Place("", on.directory))
    return {}


def moves_by_carrier(drivers: Drivers, job: Job) -> bool:
    """Whether a VM that changes hosts is carried: one is another machine, and storage is not shared."""
    target, source = here(drivers, job), here(drivers, job, job.source)
    far = target.host in drivers.far or source.host in drivers.far
    return far and target.record.tm_mad not in registry.SHARED_TRANSFERS and source.place != target.place


def _between_hosts(drivers: Drivers, job: Job) -> dict[str, str]:
    if moves_by_carrier(drivers, job):
        target, source = here(drivers, job), here(drivers, job, job.source)
        if source.host in job.off and source.record.tm_mad in registry.STORAGE_TRANSFERS:
            return {}  # the directory has nothing that a start does not write anew
        _carry(target, source.place, target.place)
    return {}


def _forget_left(drivers: Drivers, job: Job) -> dict[str, str]:
    if moves_by_carrier(drivers, job):
        source = here(drivers, job, job.source)
        source.system.delete(source.place)
    return {}


SEND_ALL = Stage(Where.FRONT_END, _send_all, when=own_storage)
SEND_ONE = Stage(Where.FRONT_END, _send_one, undo=_take_one_back, when=own_storage)
RETURN_ALL = Stage(Where.FRONT_END, _return_all, when=own_storage)
RETURN_ONE = Stage(Where.FRONT_END, _return_one, when=own_storage)
TO_FRONT_END = Stage(Where.FRONT_END, _to_front_end, when=own_storage)
FROM_FRONT_END = Stage(Where.FRONT_END, _from_front_end, when=own_storage)
FORGET_HERE = Stage(Where.FRONT_END, _forget_here, when=own_storage)
BETWEEN_HOSTS = Stage(Where.FRONT_END, _between_hosts, when=own_storage)
SEND_CONTEXT_FILES = Stage(Where.FRONT_END, _send_context_files, when=_has_context_files)
TAKE_SAVED = Stage(Where.FRONT_END, _take_saved, when=own_storage)
FORGET_SAVED = Stage(Where.HOST, _forget_saved, when=own_storage)
FORGET_LEFT = Stage(Where.LEFT, _forget_left, when=own_storage)
