"""The stages of a plan: each on one machine, so that it can be carried out by a worker there.

Most plans are one stage on the VM's host. What has to do with several machines is cut where it goes from one
to another; a stage that has been done is undone when a later one fails. Each is idempotent, and the whole is
begun anew from its first stage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from merope.drivers.errors import DriverError
from merope.engine.job import Job
from merope.engine.plans.base import Drivers, Plan


class Where(Enum):
    """The machine of a stage: the front-end, the VM's host, the host that a migration leaves (which is the
    VM's own where nothing is left), the host that the job is about, or the one that its effect calls home."""

    FRONT_END = auto()
    HOST = auto()
    LEFT = auto()
    ITSELF = auto()
    HOME = auto()


def _always(job: Job) -> bool:  # noqa: ARG001 - a condition
    return True


def _never(job: Job, host: str) -> bool:  # noqa: ARG001 - a condition
    return False


@dataclass(frozen=True, slots=True)
class Stage:
    """`forgives`: that the stage's host, of which it is told the name, cannot be reached hinders nobody."""

    where: Where
    do: Plan
    undo: Plan | None = None
    when: Callable[[Job], bool] = _always
    forgives: Callable[[Job, str], bool] = _never

    def host(self, job: Job) -> str:
        """The name of the stage's host; empty for the front-end."""
        if self.where is Where.HOME:
            return str(job.effect.arguments["home"])
        if self.where is Where.ITSELF and job.host is not None:
            return job.host.name
        if self.where is Where.FRONT_END or job.vm is None or job.vm.history is None:
            return ""
        left = job.source if self.where is Where.LEFT else None
        return (left or job.vm.history).hostname


Stages = tuple[Stage, ...]


def everywhere(where: Where, plans: dict[str, Plan]) -> dict[str, Stages]:
    """Plans of one stage each."""
    return {op: (Stage(where, plan),) for op, plan in plans.items()}


def go_through(stages: Stages, drivers: Drivers, job: Job) -> dict[str, str]:
    """All stages, on drivers that reach every machine. Raises DriverError."""
    found: dict[str, str] = {}
    done: list[Stage] = []
    for stage in stages:
        if not stage.when(job):
            continue
        try:
            found |= stage.do(drivers, job)
        except DriverError as error:
            if error.retry_safe and stage.forgives(job, stage.host(job)):
                continue
            for each in reversed(done):
                if each.undo is not None:
                    each.undo(drivers, job)
            raise
        done.append(stage)
    return found
