"""The plans of snapshots, of the whole guest and of one disk, and of what else is done to a disk in place."""

from pathlib import Path

from merope.drivers.datastore.base import Stored
from merope.drivers.diskimage import FORMATS
from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.drivers.transfer.local import LocalTransfer
from merope.engine.job import Job
from merope.engine.plans import carrying
from merope.engine.plans.base import Drivers, On, disk_of, format_of, here, require_off
from merope.engine.plans.image import stored
from merope.engine.plans.stages import Stage, Stages, Where, everywhere
from merope.model.phase import Phase


def _snapshot_create(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    number = int(job.effect.arguments["snapshot"])
    name = on.hypervisor.snapshot_create(on.vm, on.deploy_id, number, on.directory)
    return {"hypervisor_id": name}


def _snapshot_revert(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    on.hypervisor.snapshot_revert(on.vm, on.deploy_id, _name_of(on), on.directory)
    return {}


def _snapshot_delete(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    on.hypervisor.snapshot_delete(on.vm, on.deploy_id, _name_of(on), on.directory)
    return {}


def _name_of(on: On) -> str:
    """What the hypervisor calls the snapshot that the effect names."""
    number = str(on.job.effect.arguments["snapshot"])
    found = (each for each in on.vm.template.vectors("SNAPSHOT") if each.get("SNAPSHOT_ID") == number)
    snapshot = next(found, None)
    if snapshot is None:
        raise DriverError(f"VM {on.vm.id} has no snapshot {number}")
    return snapshot.get("HYPERVISOR_ID") or f"snap-{number}"


def _disk_snapshot_create(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    place, image_format = on.disk(disk["DISK_ID"]), format_of(disk)
    transfer = on.transfer_of(disk)
    number = int(job.effect.arguments["snapshot"])
    if on.vm.phase is not Phase.DISK_SNAPSHOT:
        require_off(on)
        transfer.snapshot_create(place, number, image_format)
        return {}
    live = transfer.snapshot_live(place, number, image_format)
    if live is None:
        return {}
    which = (on.vm, on.deploy_id, int(disk["DISK_ID"]))
    if live.chained:
        on.hypervisor.disk_continue(*which, live.path)
    else:
        on.hypervisor.disk_copy(*which, live.path, image_format)
    return {}


def _disk_snapshot_revert(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    number = int(job.effect.arguments["snapshot"])
    require_off(on)
    on.transfer_of(disk).snapshot_revert(on.disk(disk["DISK_ID"]), number, format_of(disk))
    return {}


def _disk_snapshot_delete(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    number = int(job.effect.arguments["snapshot"])
    if on.vm.phase is not Phase.DISK_SNAPSHOT_DELETE:
        require_off(on)
    on.transfer_of(disk).snapshot_delete(on.disk(disk["DISK_ID"]), number)
    return {}


def _disk_resize(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    size = int(job.effect.arguments["size"])
    if on.vm.phase is Phase.DISK_RESIZE:
        on.hypervisor.disk_resize(on.vm, on.deploy_id, int(disk["DISK_ID"]), size)
    else:
        host = "" if on.vm.phase is Phase.DISK_RESIZE_UNDEPLOYED else on.host
        place = Place(host, on.disk(disk["DISK_ID"]).path)
        if host:
            require_off(on)
        on.transfer_of(disk).resize(place, size, format_of(disk))
    return {}


def _save_as(drivers: Drivers, job: Job) -> dict[str, str]:
    """The image is there, made as large as the disk; its content is replaced."""
    on = here(drivers, job)
    assert job.image is not None
    disk = disk_of(on)
    transfer, snapshot = on.transfer_of(disk), int(job.effect.arguments["snapshot"])
    carried = on.is_carried(on.transfer_name(disk))
    image_format = job.image.fstype if job.image.fstype in FORMATS else format_of(disk)
    source = on.saved(disk["DISK_ID"]).path if carried else transfer.image_target(Path(job.image.source))
    if on.vm.phase is Phase.HOTPLUG_SAVEAS and snapshot < 0 and not transfer.copies_running:
        on.hypervisor.disk_copy(on.vm, on.deploy_id, int(disk["DISK_ID"]), source, image_format)
        return stored(Stored(job.image.source, image_format))
    if on.vm.phase is not Phase.HOTPLUG_SAVEAS:
        require_off(on)
    place, own_format = on.disk(disk["DISK_ID"]), format_of(disk)
    if not carried:
        transfer.copy_out(place, snapshot, own_format, source, image_format)
    elif isinstance(transfer, LocalTransfer):
        transfer.copy_beside(place, snapshot, own_format, on.saved(disk["DISK_ID"]), image_format)
    else:
        raise DriverError(f"disks of TM_MAD {on.transfer_name(disk)} on {on.host} cannot be saved as images")
    return stored(Stored(job.image.source, image_format))


PLANS: dict[str, Stages] = everywhere(
    Where.HOST,
    {
        "vm.snapshot_create": _snapshot_create,
        "vm.snapshot_revert": _snapshot_revert,
        "vm.snapshot_delete": _snapshot_delete,
        "vm.disk_snapshot_create": _disk_snapshot_create,
        "vm.disk_snapshot_revert": _disk_snapshot_revert,
        "vm.disk_snapshot_delete": _disk_snapshot_delete,
        "vm.disk_resize": _disk_resize,
    },
)
PLANS["vm.save_as"] = (
    Stage(Where.HOST, _save_as, undo=carrying.FORGET_SAVED.do),
    carrying.TAKE_SAVED,
    carrying.FORGET_SAVED,
)
