"""The plans of hosts that failed: they are switched off, and cleared when they are back."""

from merope.drivers.errors import DriverError
from merope.drivers.fencing.base import Power, Target, switched_off
from merope.drivers.transfer.base import Place
from merope.engine.job import Job
from merope.engine.plans.base import Drivers
from merope.engine.plans.stages import Stage, Stages, Where, everywhere


def _fence(drivers: Drivers, job: Job) -> dict[str, str]:
    """Each FENCING in turn, until one reads back that the host is off."""
    host = job.host
    assert host is not None
    failures = []
    for attributes in host.template.vectors("FENCING"):
        name = attributes.get("DRIVER", "")
        try:
            power = switched_off(drivers.fencing(name), Target(host.name, host.id, dict(attributes)))
        except DriverError as error:
            failures.append(f"{name}: {error}")
            continue
        if power is Power.OFF:
            return {"power": "off", "by": name}
        failures.append(f"{name}: it was switched off, and its power still reads {power.value}")
    raise DriverError("; ".join(failures) or "there is no FENCING in its attributes or its cluster's")


def _has_home(job: Job) -> bool:
    """Whether the VM is to run somewhere else now."""
    return bool(job.effect.arguments.get("home"))


def _look_at_home(drivers: Drivers, job: Job) -> dict[str, str]:
    """What is on the host to be cleared may be all that there is of the VM."""
    told = job.effect.arguments
    at_home = drivers.hypervisor(str(told["home_mad"]), str(told["home"])).domains()
    if not any(domain.vm_id == told["vm"] for domain in at_home):
        raise DriverError(f"VM {told['vm']} is not on {told['home']}, where it should be: it is left alone")
    return {}


def _clear(drivers: Drivers, job: Job) -> dict[str, str]:
    """Takes a VM off a host that is not its own any more. An older order of it comes too late from now on."""
    told, host = job.effect.arguments, job.host
    assert host is not None
    vm_id = int(told["vm"])
    with drivers.hold(vm_id, job.effect.id):
        hypervisor = drivers.hypervisor(str(told["vm_mad"]), host.name)
        for domain in hypervisor.domains():
            if domain.vm_id == vm_id:
                hypervisor.cancel(domain.deploy_id)
        if told["files"]:
            directory = drivers.layout.system_dir(int(told["ds"]), vm_id)
            drivers.transfer(str(told["tm_mad"])).delete(Place(host.name, directory))
    return {}


PLANS: dict[str, Stages] = {
    **everywhere(Where.FRONT_END, {"host.fence": _fence}),
    "host.clear": (Stage(Where.HOME, _look_at_home, when=_has_home), Stage(Where.ITSELF, _clear)),
}
