"""The plans of what is plugged into a VM and out of it: disks, interfaces, its context."""

from contextlib import suppress
from dataclasses import replace

from merope.drivers.errors import DriverError
from merope.drivers.network.base import NetworkDriver
from merope.engine.job import Job
from merope.engine.plans import carrying
from merope.engine.plans.base import (
    Drivers,
    On,
    bring,
    disk_of,
    here,
    is_saved,
    nic_of,
    require_off,
    save_back,
    write_context,
)
from merope.engine.plans.stages import Stage, Stages, Where, everywhere
from merope.model.phase import Phase
from merope.model.template import Vector
from merope.model.vm import VM


def _attach_disk(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    number, deploy_id = int(disk["DISK_ID"]), on.deploy_id
    if not on.hypervisor.has_disk(on.vm, deploy_id, number):
        # Nobody uses a file of that name: it is what an attempt that was given up has left.
        _take(on, disk)
        bring(on, disk)
    try:
        on.hypervisor.attach_disk(on.vm, deploy_id, number, on.directory)
    except DriverError:
        # Where the host cannot be asked, the disk may be in use, and stays.
        with suppress(DriverError):
            on.hypervisor.detach_disk(on.vm, deploy_id, number)
            _take(on, disk)
        raise
    return {}


def _take(on: On, disk: Vector) -> None:
    """The file of a disk that no guest has written to goes; the image that it may be stays."""
    on.transfer_of(disk).delete(on.disk(disk["DISK_ID"]))


def _detach_disk(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    on.hypervisor.detach_disk(on.vm, on.deploy_id, int(disk["DISK_ID"]))
    return {}


def _put_away(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    disk = disk_of(on)
    if is_saved(disk) and not on.is_carried(on.transfer_name(disk)):
        save_back(on, disk, on.host)
    else:
        _take(on, disk)
    return {}


def _prolog_attach(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    require_off(on)
    disk = disk_of(on)
    _take(on, disk)
    bring(on, disk)
    return {}


def _require_off(drivers: Drivers, job: Job) -> dict[str, str]:
    require_off(here(drivers, job))
    return {}


def _attach_nic(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    nic = nic_of(on)
    number, deploy_id = int(nic["NIC_ID"]), on.deploy_id
    try:
        for network, nic_id in _networks_of(on, nic):
            network.pre(on.vm, nic_id)
        if not _is_alias(nic):
            on.hypervisor.attach_nic(on.vm, deploy_id, number, on.directory)
        for network, nic_id in _networks_of(on, nic):
            network.post(on.vm, deploy_id, nic_id)
        _tell_guest(on, deploy_id)
    except DriverError:
        # A domain that does not run has nothing to be unplugged from; what is on the host goes all the same.
        if not _is_alias(nic):
            with suppress(DriverError):
                on.hypervisor.detach_nic(on.vm, deploy_id, number)
        with suppress(DriverError):
            _clean_nic(on, nic, deploy_id)
        raise
    return {}


def _detach_nic(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    nic = nic_of(on)
    deploy_id = on.deploy_id
    _unplug(on, nic, deploy_id)
    _tell_guest(on, deploy_id, without=_variables_of(nic))
    return {}


def _unplug(on: On, nic: Vector, deploy_id: str) -> None:
    if not _is_alias(nic):
        on.hypervisor.detach_nic(on.vm, deploy_id, int(nic["NIC_ID"]))
    _clean_nic(on, nic, deploy_id)


def _clean_nic(on: On, nic: Vector, deploy_id: str) -> None:
    """What the interface alone needed goes; that of an alias knows of one address less."""
    for network, nic_id in _networks_of(on, nic):
        if nic_id == int(nic["NIC_ID"]):
            network.clean(on.vm, nic_id)
        else:
            network.post(_without(on.vm, nic), deploy_id, nic_id)


def _networks_of(on: On, nic: Vector) -> list[tuple[NetworkDriver, int]]:
    """The drivers that are told of an interface, and of which: an alias is one more address of its NIC."""
    number = nic.get("PARENT_ID", "")
    told = [nic, *(each for each in on.vm.template.vectors("NIC") if each.get("NIC_ID") == number)]
    return [
        (on.drivers.network(each["VN_MAD"], on.host), int(each["NIC_ID"]))
        for each in told
        if each.get("VN_MAD")
    ]


def _without(vm: VM, alias: Vector) -> VM:
    """The VM as it is when the alias has gone."""
    template = vm.template.copy()
    for each in template.remove("NIC_ALIAS"):
        if isinstance(each, Vector) and each.get("NIC_ID") != alias["NIC_ID"]:
            template.add("NIC_ALIAS", each)
    return replace(vm, template=template)


def _is_alias(nic: Vector) -> bool:
    return bool(nic.get("PARENT_ID"))


def _variables_of(nic: Vector) -> str:
    """What the names of the interface's variables begin with in CONTEXT."""
    if _is_alias(nic):
        return f"ETH{nic['PARENT_ID']}_ALIAS{nic.get('ALIAS_ID', '')}_"
    return f"ETH{nic['NIC_ID']}_"


def _tell_guest(on: On, deploy_id: str, *, without: str = "") -> None:
    """What was plugged is in the context, as 5.12 does it: the image is written anew and shown again."""
    if on.vm.phase is not Phase.HOTPLUG_NIC_POWEROFF and write_context(on, without=without):
        on.hypervisor.renew_context(on.vm, deploy_id, on.directory)


def _update_conf(drivers: Drivers, job: Job) -> dict[str, str]:
    on = here(drivers, job)
    _tell_guest(on, on.deploy_id)
    return {}


_PUT_AWAY = (carrying.RETURN_ONE, Stage(Where.HOST, _put_away))

PLANS: dict[str, Stages] = {
    "vm.attach_disk": (carrying.SEND_ONE, Stage(Where.HOST, _attach_disk)),
    "vm.detach_disk": (Stage(Where.HOST, _detach_disk), *_PUT_AWAY),
    "vm.prolog_attach": (carrying.SEND_ONE, Stage(Where.HOST, _prolog_attach)),
    "vm.epilog_detach": (Stage(Where.HOST, _require_off), *_PUT_AWAY),
    **everywhere(
        Where.HOST,
        {
            "vm.attach_nic": _attach_nic,
            "vm.detach_nic": _detach_nic,
            "vm.update_conf": _update_conf,
        },
    ),
}
