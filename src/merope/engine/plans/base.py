"""What every plan is given and uses: the drivers, the VM on its host, its disks and networks."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from merope.drivers import registry
from merope.drivers.carrier import Carrier
from merope.drivers.context import Context, ContextFile, context_of
from merope.drivers.datastore.base import DatastoreDriver
from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import FencingDriver
from merope.drivers.hypervisor.base import Hypervisor
from merope.drivers.ipam.base import AddressManager
from merope.drivers.market.base import MarketDriver
from merope.drivers.network.base import NetworkDriver
from merope.drivers.replicas import Replicas
from merope.drivers.transfer.base import Place, Transfer
from merope.drivers.transfer.storage import StorageTransfer
from merope.engine.job import Job
from merope.engine.places import Layout
from merope.model.template import Vector
from merope.model.vm import VM, History


class Drivers(Protocol):
    """Where plans get their drivers from; raises DriverError for a name that there is none of."""

    layout: Layout
    far: frozenset[str]
    """The hosts of the job that are machines other than the front-end."""

    @property
    def carrier(self) -> Carrier:
        """Carries disks between machines; asked on the front-end only."""
        ...

    @property
    def replicas(self) -> Replicas:
        """Copies images to hosts by way of replicas; asked on the front-end only."""
        ...

    def hypervisor(self, name: str, host: str, vm: VM | None = None) -> Hypervisor:
        """`vm` is what it is asked about, where it is a VM: drivers of third parties are told of it."""
        ...

    def transfer(self, name: str, system: str = "") -> Transfer: ...

    def datastore(self, name: str) -> DatastoreDriver: ...

    def network(self, name: str, host: str) -> NetworkDriver: ...

    def market(self, name: str) -> MarketDriver: ...

    def ipam(self, name: str, request: int) -> AddressManager:
        """`request` is the number that drivers of third parties are told."""
        ...

    def fencing(self, name: str) -> FencingDriver: ...

    def hold(self, vm_id: int, epoch: int) -> AbstractContextManager[None]:
        """Keeps other operations of the VM out; refuses (DriverError) one older than one that was begun."""
        ...


_REACHED = registry.SHARED_TRANSFERS | registry.STORAGE_TRANSFERS
Plan = Callable[[Drivers, Job], dict[str, str]]
"""Answers what was found out: deploy_id, source …"""


@dataclass(frozen=True, slots=True)
class On:
    """A VM on a host, and the drivers for it there."""

    drivers: Drivers
    vm: VM
    record: History
    job: Job

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

    @property
    def context_files(self) -> Path:
        """Where a host that is another machine has the files that CONTEXT names."""
        return self.directory / "context.files"

    def saved(self, number: str) -> Place:
        """Where a disk is copied to on its host when it is saved as an image that is elsewhere."""
        return Place(self.host, self.directory / f"disk.{int(number)}.saved")

    def disk(self, number: str) -> Place:
        return Place(self.host, self.directory / f"disk.{int(number)}")

    @property
    def hypervisor(self) -> Hypervisor:
        return self.drivers.hypervisor(self.record.vm_mad, self.host, self.vm)

    @property
    def system(self) -> Transfer:
        return self.drivers.transfer(self.record.tm_mad)

    def transfer_of(self, disk: Vector) -> Transfer:
        """Who carries a disk: a volatile one is the system datastore's, another one its image's."""
        name, system = self.transfer_name(disk), disk.get("TM_MAD_SYSTEM", "")
        made = self.drivers.transfer(name, "" if system == name else system)
        for_disk = getattr(made, "for_disk", None)
        return cast("Transfer", for_disk(disk)) if for_disk else made

    def transfer_name(self, disk: Vector) -> str:
        return transfer_name(disk, self.record.tm_mad)

    def is_carried(self, transfer: str) -> bool:
        """Whether disks of that driver are carried between the front-end and the host."""
        return self.host in self.drivers.far and transfer not in _REACHED

    @property
    def directory_is_carried(self) -> bool:
        """Whether the VM's directory is the host's own, and another machine's."""
        return self.host in self.drivers.far and self.record.tm_mad not in registry.SHARED_TRANSFERS

    @property
    def networks(self) -> list[NetworkDriver]:
        names = sorted({nic["VN_MAD"] for nic in nics(self.vm) if nic.get("VN_MAD")})
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


def transfer_name(disk: Vector, system: str) -> str:
    """The driver of a disk where `system` is the system datastore's.

    Drivers of storages, and those of third parties, bring their images themselves to whatever system
    datastore; the others leave that to its driver.
    """
    if not disk.get("IMAGE_ID"):
        return system
    own = disk.get("TM_MAD", "")
    by_itself = own in registry.STORAGE_TRANSFERS or own not in registry.names(registry.Kind.TRANSFER)
    return own if by_itself else disk.get("TM_MAD_SYSTEM") or own


def here(drivers: Drivers, job: Job, record: History | None = None) -> On:
    """The VM of the job where `record` (usually its newest one) has it."""
    assert job.vm is not None
    used = record or job.vm.history
    assert used is not None
    return On(drivers, job.vm, used, job)


def require_off(on: On) -> None:
    """Raises DriverError when the VM runs: a start that was taken to have failed had not."""
    if any(domain.vm_id == on.vm.id for domain in on.hypervisor.domains()):
        raise DriverError(f"VM {on.vm.id} runs on {on.host}, and its disks cannot be touched from outside")


def nics(vm: VM) -> list[Vector]:
    """The interfaces of a VM and their aliases."""
    return vm.template.vectors("NIC") + vm.template.vectors("NIC_ALIAS")


def disk_of(on: On) -> Vector:
    """The disk that the effect names. Raises DriverError when the VM has none of that DISK_ID."""
    number = int(on.job.effect.arguments["disk"])
    disk = on.vm.disk(number)
    if disk is None:
        raise DriverError(f"VM {on.vm.id} has no disk {number}")
    return disk


def nic_of(on: On) -> Vector:
    """The interface or alias that the effect names. Raises DriverError when there is none of that NIC_ID."""
    number = str(on.job.effect.arguments["nic"])
    found = next((nic for nic in nics(on.vm) if nic.get("NIC_ID") == number), None)
    if found is None:
        raise DriverError(f"VM {on.vm.id} has no network interface {number}")
    return found


def size_of(disk: Vector) -> int:
    """MB, 0 when it is not known."""
    return int(disk.get("SIZE") or 0)


def format_of(disk: Vector) -> str:
    """The format of a disk's file, as its hypervisor opens it."""
    return disk.get("DRIVER") or disk.get("FORMAT") or "raw"


def bring(on: On, disk: Vector) -> None:
    """Gets the file of a disk to the host."""
    target = on.disk(disk["DISK_ID"])
    transfer = on.transfer_of(disk)
    if not disk.get("IMAGE_ID"):
        _make_volatile(transfer, disk, target)
        return
    source = Path(disk["SOURCE"])
    if disk.get("CLONE", "").upper() == "YES":
        grown = size_of(disk) if size_of(disk) > int(disk.get("ORIGINAL_SIZE") or 0) else 0
        transfer.clone(source, target, grown, format_of(disk))
    else:
        transfer.link(source, target, format_of(disk))


def _make_volatile(transfer: Transfer, disk: Vector, target: Place) -> None:
    if disk.get("TYPE", "").lower() == "swap":
        transfer.make_swap(size_of(disk), target)
    else:
        image_format = disk.get("FORMAT") or disk.get("DRIVER") or "raw"
        transfer.make_image(size_of(disk), image_format, disk.get("FS", ""), target)


def is_saved(disk: Vector) -> bool:
    """Whether what the guest wrote to the disk goes back to its image."""
    return bool(disk.get("IMAGE_ID")) and disk.get("SAVE", "").upper() == "YES"


def save_back(on: On, disk: Vector, host: str) -> None:
    """Returns a persistent disk, whose file is on `host` (empty: the front-end), to its image."""
    place = Place(host, on.disk(disk["DISK_ID"]).path)
    on.transfer_of(disk).save_back(place, Path(disk["SOURCE"]))


def reach(on: On) -> None:
    """Makes sure that the host of a guest that is going to run reaches its disks on storages."""
    for disk in on.vm.template.vectors("DISK"):
        transfer = on.transfer_of(disk)
        if isinstance(transfer, StorageTransfer):
            transfer.activate(on.disk(disk["DISK_ID"]))


def let_go(on: On) -> None:
    """The guest is off the host: its disks on storages are for another one."""
    for disk in on.vm.template.vectors("DISK"):
        transfer = on.transfer_of(disk)
        if isinstance(transfer, StorageTransfer):
            transfer.deactivate(on.disk(disk["DISK_ID"]))


def release(on: On, host: str) -> None:
    """Takes the disks of a VM off storages; persistent images stay. Files go with the directory."""
    for disk in on.vm.template.vectors("DISK"):
        name = on.transfer_name(disk)
        apart = name not in registry.FILE_TRANSFERS and not is_saved(disk)
        if apart or name in registry.STORAGE_TRANSFERS:
            on.transfer_of(disk).delete(Place(host, on.disk(disk["DISK_ID"]).path))


def write_context(on: On, *, without: str = "") -> bool:
    """Writes the CONTEXT image anew when the VM has one; answers whether it has.

    `without` is a prefix: what is about the interface that is being taken away is left out.
    """
    context = on.vm.template.vector("CONTEXT")
    if context is None or not context.get("DISK_ID"):
        return False
    made = context_of(on.vm, on.job.token)
    if on.host in on.drivers.far:
        files = [ContextFile(file.name, on.context_files / file.name) for file in made.files]
        made = Context(made.variables, files, made.token)
    if without:
        kept = {name: value for name, value in made.variables.items() if not name.startswith(without)}
        made = Context(kept, made.files, made.token)
    on.system.make_context(made, on.disk(context["DISK_ID"]))
    return True


def prepare_networks(on: On) -> None:
    """What is begun is undone when a driver refuses, unless the VM runs there already."""
    try:
        for network in on.networks:
            network.pre(on.vm)
    except DriverError:
        if not any(domain.vm_id == on.vm.id for domain in on.hypervisor.domains()):
            clean(on)
        raise


def clean(on: On) -> None:
    for network in on.networks:
        network.clean(on.vm)
