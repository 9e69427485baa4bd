"""How each effect is carried out: which drivers, in which order, and what is undone when a step fails.

Source: spec drivers.yaml `vmm.steps`, `tm.sequences`. A plan is synchronous, and every step idempotent,
so a plan that was cut off is done again from its beginning.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from merope.drivers.context import context_of
from merope.drivers.datastore.base import DatastoreDriver, Stored
from merope.drivers.errors import DriverError
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.network.base import NetworkDriver
from merope.drivers.transfer.base import Place, Transfer
from merope.engine.job import Answer, Job
from merope.engine.places import Layout
from merope.engine.token import onegate_token
from merope.model.phase import Phase
from merope.model.template import Vector
from merope.model.vm import VM, History


class Drivers(Protocol):
    """Where plans get their drivers from; raises DriverError for a name that there is none of."""

    layout: Layout

    def hypervisor(self, name: str, host: str) -> Hypervisor: ...

    def transfer(self, name: str) -> Transfer: ...

    def datastore(self, name: str) -> DatastoreDriver: ...

    def network(self, name: str, host: str) -> NetworkDriver: ...

    def hold(self, vm_id: int, epoch: int) -> AbstractContextManager[None]:
        """Keeps other operations of the VM out; refuses (DriverError) one older than one that was begun."""
        ...


@dataclass(frozen=True, slots=True)
class _On:
    """A VM on a host, and the drivers for it there."""

    drivers: Drivers
    vm: VM
    record: History
    job: Job
    data: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.record.hostname

    @property
    def directory(self) -> Path:
        return self.drivers.layout.system_dir(self.record.ds_id, self.vm.id)

    @property
    def place(self) -> Place:
        return Place(self.host, self.directory)

    @property
    def checkpoint(self) -> Path:
        return self.drivers.layout.checkpoint(self.record.ds_id, self.vm.id)

    def disk(self, number: str) -> Place:
        return Place(self.host, self.directory / f"disk.{int(number)}")

    @property
    def hypervisor(self) -> Hypervisor:
        return self.drivers.hypervisor(self.record.vm_mad, self.host)

    @property
    def system(self) -> Transfer:
        return self.drivers.transfer(self.record.tm_mad)

    @property
    def networks(self) -> list[NetworkDriver]:
        nics = self.vm.template.vectors("NIC") + self.vm.template.vectors("NIC_ALIAS")
        names = sorted({nic["VN_MAD"] for nic in nics if nic.get("VN_MAD")})
        return [self.drivers.network(name, self.host) for name in names]

    @property
    def deploy_id(self) -> str:
        """What the hypervisor calls the VM: what is known may be old when a deployment's answer was lost.

        A name that follows from the VM's id is always right and needs no looking up.
        """
        usual = f"one-{self.vm.id}"
        if self.vm.deploy_id == usual:
            return usual
        domains = self.hypervisor.domains()
        found = (domain.deploy_id for domain in domains if domain.vm_id == self.vm.id)
        return next(found, self.vm.deploy_id or usual)


def run(drivers: Drivers, job: Job) -> Answer:
    """Carries a job out. What a driver says no to becomes a failed answer; anything else is a bug."""
    plan = PLANS[job.effect.op]
    try:
        if job.vm is None:
            return Answer(True, data=plan(drivers, job))
        with drivers.hold(job.vm.id, job.effect.id):
            return Answer(True, data=plan(drivers, job))
    except DriverError as error:
        return Answer(False, str(error), retry_safe=error.retry_safe)


def _here(drivers: Drivers, job: Job, record: History | None = None) -> _On:
    assert job.vm is not None
    used = record or job.vm.history
    assert used is not None
    return _On(drivers, job.vm, used, job)


def _disks(vm: VM) -> list[Vector]:
    return vm.template.vectors("DISK")


def _is_saved(disk: Vector) -> bool:
    return disk.get("SAVE", "").upper() == "YES"


def _size(disk: Vector) -> int:
    return int(disk.get("SIZE") or 0)


def _prolog(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    for disk in _disks(on.vm):
        _bring(on, disk)
    for system in on.vm.template.vectors("OS"):
        for name in ("KERNEL", "INITRD"):
            if system.get(f"{name}_DS_SOURCE"):
                target = Place(on.host, on.directory / name.lower())
                transfer = drivers.transfer(system[f"{name}_DS_TM"])
                transfer.clone(Path(system[f"{name}_DS_SOURCE"]), target, 0, "raw")
    return {}


def _bring(on: _On, disk: Vector) -> None:
    target = on.disk(disk["DISK_ID"])
    if not disk.get("IMAGE_ID"):
        _make_volatile(on.system, disk, target)
        return
    transfer = on.drivers.transfer(disk.get("TM_MAD_SYSTEM") or disk["TM_MAD"])
    source = Path(disk["SOURCE"])
    if disk.get("CLONE", "").upper() == "YES":
        grown = _size(disk) if _size(disk) > int(disk.get("ORIGINAL_SIZE") or 0) else 0
        transfer.clone(source, target, grown, disk.get("DRIVER", "raw"))
    else:
        transfer.link(source, target)


def _make_volatile(transfer: Transfer, disk: Vector, target: Place) -> None:
    if disk.get("TYPE", "").lower() == "swap":
        transfer.make_swap(_size(disk), target)
    else:
        image_format = disk.get("FORMAT") or disk.get("DRIVER") or "raw"
        transfer.make_image(_size(disk), image_format, disk.get("FS", ""), target)


def _plug(on: _On, start: Callable[[], str]) -> dict[str, str]:
    """Networks before, the domain, networks after; what was begun is undone when a step fails."""
    for network in on.networks:
        network.pre(on.vm)
    try:
        deploy_id = start()
    except DriverError:
        _clean(on)
        raise
    try:
        for network in on.networks:
            network.post(on.vm, deploy_id)
    except DriverError:
        on.hypervisor.cancel(deploy_id)
        _clean(on)
        raise
    return {"deploy_id": deploy_id}


def _clean(on: _On) -> None:
    for network in on.networks:
        network.clean(on.vm)


def _deploy(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    context = on.vm.template.vector("CONTEXT")
    if context is not None and context.get("DISK_ID"):
        token = onegate_token(on.vm.id, on.vm.stime, job.token) if job.token else ""
        on.system.make_context(context_of(on.vm, token), on.disk(context["DISK_ID"]))
    return _plug(on, lambda: on.hypervisor.deploy(on.vm, on.directory))


def _restore(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    return _plug(on, lambda: on.hypervisor.restore(on.vm, on.deploy_id, on.checkpoint, on.directory))


def _shutdown(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job, job.source)
    on.hypervisor.shutdown(on.deploy_id)
    _clean(on)
    return {}


def _cancel(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job, job.source)
    on.hypervisor.cancel(on.deploy_id)
    _clean(on)
    return {}


def _save(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job, job.source)
    on.hypervisor.save(on.deploy_id, on.checkpoint)
    _clean(on)
    return {}


def _migrate(drivers: Drivers, job: Job) -> dict[str, str]:
    assert job.source is not None
    target, source = _here(drivers, job), _here(drivers, job, job.source)
    for network in target.networks:
        network.pre(target.vm)
    try:
        source.hypervisor.migrate(source.deploy_id, target.host)
    except DriverError:
        _clean(target)
        raise
    _clean(source)
    for network in target.networks:
        network.post(target.vm, target.deploy_id)
    return {}


def _reboot(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    on.hypervisor.reboot(on.deploy_id)
    return {}


def _reset(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    on.hypervisor.reset(on.deploy_id)
    return {}


def _epilog(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    # It may run although it should not (a start that was taken to have failed), and a guest that powered
    # itself off left its interfaces to whoever comes next.
    on.hypervisor.cancel(on.deploy_id)
    _clean(on)
    _finish(on, on.host)
    return {}


def _epilog_local(drivers: Drivers, job: Job) -> dict[str, str]:
    """The VM's files came back to the front-end when it was stopped or undeployed."""
    on = _here(drivers, job)
    _finish(on, "")
    return {}


def _finish(on: _On, host: str) -> None:
    for disk in _disks(on.vm):
        if disk.get("IMAGE_ID") and _is_saved(disk):
            transfer = on.drivers.transfer(disk.get("TM_MAD_SYSTEM") or disk["TM_MAD"])
            place = Place(host, on.disk(disk["DISK_ID"]).path)
            transfer.save_back(place, Path(disk["SOURCE"]))
    on.system.delete(Place(host, on.directory))


def _epilog_stop(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    _require_off(on)
    _clean(on)
    on.system.move(on.place, Place("", on.directory))
    return {}


def _require_off(on: _On) -> None:
    """Raises DriverError when the VM runs: a start that was taken to have failed had not."""
    if any(domain.vm_id == on.vm.id for domain in on.hypervisor.domains()):
        raise DriverError(f"VM {on.vm.id} runs on {on.host}, and its disks cannot be moved")


def _prolog_resume(drivers: Drivers, job: Job) -> dict[str, str]:
    on = _here(drivers, job)
    on.system.move(Place("", on.directory), on.place)
    return {}


def _prolog_migrate(drivers: Drivers, job: Job) -> dict[str, str]:
    assert job.source is not None
    target, source = _here(drivers, job), _here(drivers, job, job.source)
    _leave(source)
    if source.place != target.place:
        target.system.move(source.place, target.place)
    return {}


def _leave(source: _On) -> None:
    """What a VM still has on the host that it leaves: one that is UNKNOWN may run there, or lie there failed.

    A host that cannot be reached is why such a VM is moved, and does not stop it.
    """
    try:
        if source.vm.phase is Phase.PROLOG_MIGRATE_UNKNOWN:
            source.hypervisor.cancel(source.deploy_id)
        _require_off(source)
        _clean(source)
    except DriverError as error:
        if not error.retry_safe:
            raise


def _remove(drivers: Drivers, job: Job) -> dict[str, str]:
    """Takes everything of a VM off the host, off the other host of a migration, and off the front-end.

    `local`: the host has nothing of the VM any more, and may be gone.
    """
    records = [None] if job.source is None else [None, job.source]
    places = [] if job.effect.arguments.get("local") else [_here(drivers, job, each) for each in records]
    for on in places:
        if job.effect.arguments.get("domain"):
            on.hypervisor.cancel(on.deploy_id)
        _clean(on)
    # Hosts may share the directory: nothing is deleted before the VM is off all of them.
    for on in places:
        on.system.delete(on.place)
    front_end = _here(drivers, job)
    front_end.system.delete(Place("", front_end.directory))
    return {}


def _image(drivers: Drivers, job: Job) -> tuple[DatastoreDriver, Job]:
    assert job.image is not None
    assert job.datastore is not None
    return drivers.datastore(job.datastore.ds_mad), job


def _stored(stored: Stored) -> dict[str, str]:
    return {"source": stored.source, "format": stored.image_format}


def _image_copy(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, job = _image(drivers, job)
    assert job.image is not None
    assert job.datastore is not None
    return _stored(driver.copy(job.image, job.datastore))


def _image_make(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, job = _image(drivers, job)
    assert job.image is not None
    assert job.datastore is not None
    return _stored(driver.make(job.image, job.datastore))


def _image_clone(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, job = _image(drivers, job)
    assert job.image is not None
    assert job.datastore is not None
    return _stored(driver.clone(job.image, job.original, job.datastore))


def _image_remove(drivers: Drivers, job: Job) -> dict[str, str]:
    driver, job = _image(drivers, job)
    assert job.image is not None
    assert job.datastore is not None
    driver.remove(job.image, job.datastore)
    return {}


Plan = Callable[[Drivers, Job], dict[str, str]]

PLANS: dict[str, Plan] = {
    "vm.prolog": _prolog,
    "vm.prolog_migrate": _prolog_migrate,
    "vm.prolog_resume": _prolog_resume,
    "vm.deploy": _deploy,
    "vm.restore": _restore,
    "vm.shutdown": _shutdown,
    "vm.cancel": _cancel,
    "vm.save": _save,
    "vm.migrate": _migrate,
    "vm.reboot": _reboot,
    "vm.reset": _reset,
    "vm.epilog": _epilog,
    "vm.epilog_local": _epilog_local,
    "vm.epilog_stop": _epilog_stop,
    "vm.cleanup": _remove,
    "vm.delete": _remove,
    "image.copy": _image_copy,
    "image.make": _image_make,
    "image.clone": _image_clone,
    "image.remove": _image_remove,
}
