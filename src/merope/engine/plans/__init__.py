"""How each effect is carried out: which drivers, in which order, and what is undone when a step fails.

Source: spec drivers.yaml `vmm.steps`, `tm.sequences`. A plan is synchronous, and every step idempotent,
so a plan that was cut off is done again from its beginning.
"""

from contextlib import nullcontext

from merope.drivers.errors import DriverError
from merope.engine.job import Answer, Job
from merope.engine.plans import host, hotplug, image, market, moving, network, snapshots, vm
from merope.engine.plans.base import Drivers, Plan
from merope.engine.plans.stages import Stages, go_through
from merope.engine.plans.steps import go_in_steps

__all__ = ["PLANS", "Drivers", "Plan", "Stages", "run", "run_stage", "run_step"]

PLANS: dict[str, Stages] = {
    **vm.PLANS,
    **moving.PLANS,
    **host.PLANS,
    **hotplug.PLANS,
    **snapshots.PLANS,
    **image.PLANS,
    **image.SNAPSHOT_PLANS,
    **network.PLANS,
    **market.PLANS,
}


def run(drivers: Drivers, job: Job) -> Answer:
    """Carries a job out. What a driver says no to becomes a failed answer; anything else is a bug."""
    return _held(drivers, job, lambda drivers, job: go_through(PLANS[job.effect.op], drivers, job))


def run_stage(drivers: Drivers, job: Job, number: int, *, undo: bool = False) -> Answer:
    """One stage of a job, on the machine that it belongs to, or what undoes it."""
    stage = PLANS[job.effect.op][number]
    plan = stage.undo if undo else stage.do
    return Answer(True) if plan is None else _held(drivers, job, plan)


def run_step(drivers: Drivers, job: Job, number: int, wanted: str) -> Answer:
    """The steps of a stage's transfers; the `wanted` one is done. Nobody else may be at the VM."""
    return go_in_steps(PLANS[job.effect.op][number], drivers, job, wanted)


def _held(drivers: Drivers, job: Job, plan: Plan) -> Answer:
    try:
        with nullcontext() if job.vm is None else drivers.hold(job.vm.id, job.effect.id):
            return Answer(True, data=plan(drivers, job))
    except DriverError as error:
        return Answer(False, str(error), retry_safe=error.retry_safe)
