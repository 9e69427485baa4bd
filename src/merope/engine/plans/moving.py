"""The plan of live migration: what the target must have before, and what the source has no more afterwards.

Disks on a host's own storage are copied by the hypervisor while the guest writes to them; what none writes
to is carried. Source: spec drivers.yaml `tm.commands` premigrate, postmigrate, failmigrate.
"""

from collections.abc import Iterator
from contextlib import suppress

from merope.drivers import registry
from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.engine.job import Job
from merope.engine.plans.base import Drivers, On, clean, format_of, here, let_go, prepare_networks, reach
from merope.engine.plans.carrying import moves_by_carrier, own_storage
from merope.engine.plans.stages import Stage, Stages, Where
from merope.model.template import Vector


def _has_arrived(job: Job) -> bool:
    """Whether it is only asked if the VM has arrived: its source is off."""
    return bool(job.effect.arguments.get("arrived"))


def _is_to_move(job: Job) -> bool:
    return not _has_arrived(job)


def _moves_files(job: Job) -> bool:
    return own_storage(job) and _is_to_move(job)


def _is_there(target: On) -> bool:
    return any(domain.vm_id == target.vm.id for domain in target.hypervisor.domains())


def _prepare(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    if moves_by_carrier(drivers, job) and list(_copied(on)) and on.vm.template.vectors("SNAPSHOT"):
        raise DriverError(
            f"VM {on.vm.id} cannot move live: its snapshots are in disks that are its host's own (TM_MAD "
            f"{on.record.tm_mad}), and would be lost; delete them, or migrate it without --live"
        )
    reach(on)
    prepare_networks(on)
    return {}


def _undo(drivers: Drivers, job: Job) -> dict[str, str]:
    """What was brought for a guest that has not come goes; where it has come after all, it needs it."""
    on = here(drivers, job)
    clean(on)
    if not _is_there(on):
        with suppress(DriverError):
            let_go(on)
        if moves_by_carrier(drivers, job):
            on.system.delete(on.place)
    return {}


def _copied(on: On) -> Iterator[Vector]:
    """The disks that are files of the host's own and that the guest can write to."""
    for disk in on.vm.template.vectors("DISK"):
        name = on.transfer_name(disk)
        in_file = name not in registry.STORAGE_TRANSFERS or disk.get("DISK_TYPE", "").upper() == "FILE"
        if in_file and name not in registry.SHARED_TRANSFERS and not _is_read_only(disk):
            yield disk


def _is_read_only(disk: Vector) -> bool:
    return "CDROM" in disk.get("TYPE", "").upper() or disk.get("READONLY", "").upper() == "YES"


def _send(drivers: Drivers, job: Job) -> dict[str, str]:
    """Done again, it leaves alone what is there: the guest may have come, and the answer been lost."""
    target, source = here(drivers, job), here(drivers, job, job.source)
    if not moves_by_carrier(drivers, job):
        return {}
    carrier = drivers.carrier
    if not carrier.has(source.place):
        return {}
    copied = {f"disk.{int(disk['DISK_ID'])}": format_of(disk) for disk in _copied(source)}
    for path in carrier.names(source.place):
        to = Place(target.host, target.directory / path)
        if path not in copied and not path.startswith(".") and not carrier.has(to):
            carrier.copy(Place(source.host, source.directory / path), to)
    for name, image_format in copied.items():
        to = Place(target.host, target.directory / name)
        if not carrier.has(to):
            size = carrier.disk_size(Place(source.host, source.directory / name), image_format)
            carrier.make_disk(to, image_format, size)
    return {}


def _migrate(drivers: Drivers, job: Job) -> dict[str, str]:
    source, target = here(drivers, job, job.source), here(drivers, job)
    copied = [disk["TARGET"] for disk in _copied(source)] if moves_by_carrier(drivers, job) else []
    source.hypervisor.migrate(source.deploy_id, target.host, copied)
    clean(source)
    # A device that is still being closed is let go when the VM comes back or ends.
    with suppress(DriverError):
        let_go(source)
    return {}


def _settle(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    if _has_arrived(job) and not _is_there(on):
        clean(on)
        return {"arrived": "no"}
    for network in on.networks:
        network.post(on.vm, on.deploy_id)
    return {}


def _forget(drivers: Drivers, job: Job) -> dict[str, str]:
    if moves_by_carrier(drivers, job):
        source = here(drivers, job, job.source)
        source.system.delete(source.place)
    return {}


def _whatever(job: Job, host: str) -> bool:  # noqa: ARG001 - a condition
    """The VM has left: what is still on a host that cannot be reached any more is in nobody's way."""
    return True


PLANS: dict[str, Stages] = {
    "vm.migrate": (
        Stage(Where.HOST, _prepare, undo=_undo, when=_is_to_move),
        Stage(Where.FRONT_END, _send, when=_moves_files),
        Stage(Where.LEFT, _migrate, when=_is_to_move),
        Stage(Where.HOST, _settle),
        Stage(Where.LEFT, _forget, when=_moves_files, forgives=_whatever),
    ),
}
