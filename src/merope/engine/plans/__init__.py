"""How each effect is carried out: which drivers, in which order, and what is undone when a step fails.

Source: spec drivers.yaml `vmm.steps`, `tm.sequences`. A plan is synchronous, and every step idempotent,
so a plan that was cut off is done again from its beginning.
"""

from merope.drivers.errors import DriverError
from merope.engine.job import Answer, Job
from merope.engine.plans import hotplug, image, market, network, snapshots, vm
from merope.engine.plans.base import Drivers, Plan

__all__ = ["PLANS", "Drivers", "Plan", "run"]

PLANS: dict[str, Plan] = {
    **vm.PLANS,
    **hotplug.PLANS,
    **snapshots.PLANS,
    **image.PLANS,
    **image.SNAPSHOT_PLANS,
    **network.PLANS,
    **market.PLANS,
}


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
