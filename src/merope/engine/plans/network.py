"""Plans about networks and what filters them."""

from merope.engine.job import Job
from merope.engine.plans.base import Drivers, here
from merope.engine.plans.stages import Stages, Where, everywhere
from merope.model.addressing import attributes_of


def _update_rules(drivers: Drivers, job: Job) -> dict[str, str]:
    """The rules of the VM's document are put in force, as often as wanted."""
    on = here(drivers, job)
    for network in on.networks:
        network.update(on.vm, on.deploy_id, int(job.effect.arguments["secgroup"]))
    return {}


def _nothing(drivers: Drivers, job: Job) -> dict[str, str]:  # noqa: ARG001 - a Plan
    """The core asked for its next turn; nothing is to be done for it."""
    return {}


def _free(drivers: Drivers, job: Job) -> dict[str, str]:
    given = job.effect.arguments
    attributes = attributes_of(str(given["range"]))
    manager = drivers.ipam(attributes["IPAM_MAD"], job.effect.id)
    manager.free(attributes, int(given["index"]), int(given["size"]))
    return {}


def _unregister(drivers: Drivers, job: Job) -> dict[str, str]:
    attributes = attributes_of(str(job.effect.arguments["range"]))
    drivers.ipam(attributes["IPAM_MAD"], job.effect.id).unregister(attributes)
    return {}


PLANS: dict[str, Stages] = {
    **everywhere(Where.HOST, {"vm.update_sg": _update_rules}),
    **everywhere(
        Where.FRONT_END,
        {"secgroup.spread": _nothing, "ipam.free": _free, "ipam.unregister": _unregister},
    ),
}
