"""Plans about networks and what filters them."""

from merope.engine.job import Job
from merope.engine.plans.base import Drivers, Plan, here


def _update_rules(drivers: Drivers, job: Job) -> dict[str, str]:
    """What drivers do after a VM has started puts the rules of its document in force, as often as wanted."""
    on = here(drivers, job)
    for network in on.networks:
        network.post(on.vm, on.deploy_id)
    return {}


def _nothing(drivers: Drivers, job: Job) -> dict[str, str]:  # noqa: ARG001 - a Plan
    """The core asked for its next turn; nothing is to be done for it."""
    return {}


PLANS: dict[str, Plan] = {"vm.update_sg": _update_rules, "secgroup.spread": _nothing}
