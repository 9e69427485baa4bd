"""The plans of a VM's life: its disks are brought, it starts, it is saved, moved, ended and cleared away.

Source: spec drivers.yaml `vmm.steps`, `tm.sequences`.
"""

from collections.abc import Callable
from pathlib import Path

from merope.drivers.errors import DriverError
from merope.drivers.transfer.base import Place
from merope.engine.job import Job
from merope.engine.plans import carrying
from merope.engine.plans.base import (
    Drivers,
    On,
    bring,
    clean,
    here,
    is_saved,
    let_go,
    prepare_networks,
    reach,
    release,
    require_off,
    save_back,
    write_context,
)
from merope.engine.plans.stages import Stage, Stages, Where, everywhere
from merope.model.phase import Phase


def _prolog(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    for disk in on.vm.template.vectors("DISK"):
        bring(on, disk)
    for system in on.vm.template.vectors("OS"):
        for name in ("KERNEL", "INITRD"):
            if system.get(f"{name}_DS_SOURCE"):
                target = Place(on.host, on.directory / name.lower())
                transfer = drivers.transfer(system[f"{name}_DS_TM"])
                transfer.clone(Path(system[f"{name}_DS_SOURCE"]), target, 0, "raw")
    return {}


def _plug(on: On, start: Callable[[], str]) -> dict[str, str]:
    """Networks before, the domain, networks after; what was begun is undone when a step fails."""
    prepare_networks(on)
    try:
        deploy_id = start()
    except DriverError:
        clean(on)
        raise
    try:
        for network in on.networks:
            network.post(on.vm, deploy_id)
    except DriverError:
        on.hypervisor.cancel(deploy_id)
        clean(on)
        raise
    return {"deploy_id": deploy_id}


def _deploy(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    reach(on)
    write_context(on)
    return _plug(on, lambda: on.hypervisor.deploy(on.vm, on.directory))


def _restore(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    reach(on)
    return _plug(on, lambda: on.hypervisor.restore(on.vm, on.deploy_id, on.checkpoint, on.directory))


def _shutdown(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job, job.source)
    on.hypervisor.shutdown(on.deploy_id)
    clean(on)
    return {}


def _cancel(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job, job.source)
    on.hypervisor.cancel(on.deploy_id)
    clean(on)
    return {}


def _save(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job, job.source)
    on.hypervisor.save(on.deploy_id, on.checkpoint)
    clean(on)
    return {}


def _reboot(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    on.hypervisor.reboot(on.deploy_id)
    return {}


def _reset(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    on.hypervisor.reset(on.deploy_id)
    return {}


def _leave_for_good(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    # It may run although it should not (a start that was taken to have failed), and a guest that powered
    # itself off left its interfaces to whoever comes next.
    on.hypervisor.cancel(on.deploy_id)
    clean(on)
    return {}


def _epilog(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    _finish(on, on.host)
    return {}


def _epilog_local(drivers: Drivers, job: Job) -> dict[str, str]:
    """The VM's files came back to the front-end when it was stopped or undeployed."""
    on = here(drivers, job)
    _finish(on, "")
    return {}


def _finish(on: On, host: str) -> None:
    for disk in on.vm.template.vectors("DISK"):
        if is_saved(disk) and not (host and on.is_carried(on.transfer_name(disk))):
            save_back(on, disk, host)
    release(on, host)
    on.system.delete(Place(host, on.directory))


def _leave_off(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    require_off(on)
    clean(on)
    return {}


def _epilog_stop(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    if on.directory_is_carried:
        on.system.delete(on.place)
    else:
        on.system.move(on.place, Place("", on.directory))
    return {}


def _prolog_resume(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    if not on.directory_is_carried:
        on.system.move(Place("", on.directory), on.place)
    return {}


def _leave_for_migration(drivers: Drivers, job: Job) -> dict[str, str]:
    _leave(here(drivers, job, job.source))
    return {}


def _prolog_migrate(drivers: Drivers, job: Job) -> dict[str, str]:
    target, source = here(drivers, job), here(drivers, job, job.source)
    if source.place != target.place and not carrying.moves_by_carrier(drivers, job):
        target.system.move(source.place, target.place)
    return {}


def _leave(source: On) -> None:
    """What a VM still has on the host that it leaves: an UNKNOWN one may run there, or lie there failed."""
    if source.vm.phase is Phase.PROLOG_MIGRATE_UNKNOWN:
        source.hypervisor.cancel(source.deploy_id)
    require_off(source)
    clean(source)
    let_go(source)


def _is_left_all_the_same(job: Job, host: str) -> bool:
    """A host that cannot be reached does not stop a VM that rests; one of which nobody knows whether it runs
    there only when the host is known to be off."""
    assert job.vm is not None
    return job.vm.phase is not Phase.PROLOG_MIGRATE_UNKNOWN or host in job.off


def _has_host(job: Job) -> bool:
    """`local`: the host has nothing of the VM any more, and may be gone."""
    return not job.effect.arguments.get("local")


def _had_another_host(job: Job) -> bool:
    return job.source is not None and _has_host(job)


def _begins_anew_without(job: Job, host: str) -> bool:
    """A VM that is to begin anew does not wait for a host that is off, which is cleared when it is back; what
    is left of one that is gone waits for the host."""
    return job.effect.op == "vm.cleanup" and host in job.off


def _end(on: On) -> dict[str, str]:
    if on.job.effect.arguments.get("domain"):
        on.hypervisor.cancel(on.deploy_id)
    clean(on)
    return {}


def _delete(on: On) -> dict[str, str]:
    release(on, on.host)
    on.system.delete(on.place)
    return {}


def _delete_local(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    on.system.delete(Place("", on.directory))
    return {}


def _on_host(do: Callable[[On], dict[str, str]]) -> Stage:
    return Stage(
        Where.HOST,
        lambda drivers, job: do(here(drivers, job)),
        when=_has_host,
        forgives=_begins_anew_without,
    )


def _on_host_left(do: Callable[[On], dict[str, str]]) -> Stage:
    return Stage(
        Where.LEFT,
        lambda drivers, job: do(here(drivers, job, job.source)),
        when=_had_another_host,
        forgives=_begins_anew_without,
    )


_REMOVAL = (
    # Hosts may share the directory: nothing is deleted before the VM is off all of them.
    _on_host(_end),
    _on_host_left(_end),
    _on_host(_delete),
    _on_host_left(_delete),
    Stage(Where.FRONT_END, _delete_local),
)
"""Everything of a VM is taken off the host, off the other host of a migration, and off the front-end."""

PLANS: dict[str, Stages] = {
    **everywhere(
        Where.HOST,
        {
            "vm.restore": _restore,
            "vm.reboot": _reboot,
            "vm.reset": _reset,
        },
    ),
    **everywhere(Where.LEFT, {"vm.shutdown": _shutdown, "vm.cancel": _cancel, "vm.save": _save}),
    **everywhere(Where.FRONT_END, {"vm.epilog_local": _epilog_local}),
    "vm.deploy": (carrying.SEND_CONTEXT_FILES, Stage(Where.HOST, _deploy)),
    "vm.prolog": (carrying.SEND_ALL, Stage(Where.HOST, _prolog)),
    "vm.prolog_resume": (
        carrying.FROM_FRONT_END,
        Stage(Where.HOST, _prolog_resume),
        carrying.FORGET_HERE,
    ),
    "vm.epilog": (
        Stage(Where.HOST, _leave_for_good),
        carrying.RETURN_ALL,
        Stage(Where.HOST, _epilog),
    ),
    "vm.epilog_stop": (
        Stage(Where.HOST, _leave_off),
        carrying.TO_FRONT_END,
        Stage(Where.HOST, _epilog_stop),
    ),
    "vm.prolog_migrate": (
        Stage(Where.LEFT, _leave_for_migration, forgives=_is_left_all_the_same),
        carrying.BETWEEN_HOSTS,
        Stage(Where.HOST, _prolog_migrate),
        carrying.FORGET_LEFT,
    ),
    "vm.cleanup": _REMOVAL,
    "vm.delete": _REMOVAL,
}
