"""What `/metrics` tells beyond the door's own counts: objects, commits, the engine, hooks, the scheduler."""

from collections.abc import Callable
from enum import IntEnum

from merope.api.metrics import Registry
from merope.engine.cloud import Cloud
from merope.engine.engine import Engine
from merope.engine.hooks import Hooks
from merope.model.state import Pool
from merope.model.states import HostState, ImageState, VmState

_GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_STATES: dict[str, type[IntEnum]] = {
    "vm_pool": VmState,
    "host_pool": HostState,
    "image_pool": ImageState,
}


class SchedulerMeasures:
    """What the scheduler counts of itself."""

    def __init__(self, registry: Registry) -> None:
        self.rounds = registry.histogram(
            "merope_scheduler_round_seconds", "Time from the beginning of a round until it is carried out."
        ).labels()
        self.planned = registry.counter(
            "merope_scheduler_planned_total", "VMs that rounds looked at."
        ).labels()
        placements = registry.counter(
            "merope_scheduler_placements_total", "Placements that were carried out or refused.", ("outcome",)
        )
        self.placed, self.refused = placements.labels("placed"), placements.labels("refused")
        self.waiting = registry.gauge("merope_scheduler_waiting", "VMs that want a host.").labels()


def measure(registry: Registry, cloud: Cloud, engine: Engine, hooks: Hooks) -> None:
    """Registers what can be asked of these when somebody looks."""
    _measure_objects(registry, cloud)
    _measure_commits(registry, cloud)
    flights = registry.gauge("merope_effects", "Operations on hosts.", ("state",))
    flights.labels("running").follow(lambda: engine.in_flight)
    flights.labels("waiting").follow(lambda: engine.waiting)
    flights.labels("retrying").follow(lambda: engine.retrying)
    runs = registry.gauge("merope_hook_runs", "Runs of hooks that are due.", ("state",))
    runs.labels("running").follow(lambda: hooks.running)
    runs.labels("waiting").follow(lambda: hooks.waiting)


def _measure_objects(registry: Registry, cloud: Cloud) -> None:
    objects = registry.gauge("merope_objects", "Live objects of each kind.", ("kind",))
    for pool in cloud.state.pools.values():
        objects.labels(pool.kind.api).follow(_length(pool))
    states = registry.gauge("merope_object_states", "Live objects by their state.", ("kind", "state"))
    for table, names in _STATES.items():
        pool = cloud.state.pools[table]
        for state in names:
            states.labels(pool.kind.api, state.name).follow(_in_state(pool, state))


def _measure_commits(registry: Registry, cloud: Cloud) -> None:
    changes = registry.gauge("merope_change_index", "Number of the last change.")
    changes.labels().follow(lambda: cloud.state.index)
    writable = registry.gauge("merope_writable", "1 while the database takes changes.")
    writable.labels().follow(lambda: 0 if cloud.trouble or cloud.superseded else 1)
    seconds = registry.histogram(
        "merope_commit_seconds", "Time that a group of changes took to be durable."
    ).labels()
    sizes = registry.histogram(
        "merope_commit_changes", "Changes of a group that was made durable.", bounds=_GROUP_SIZES
    ).labels()

    def committed(count: int, took: float) -> None:
        sizes.observe(count)
        seconds.observe(took)

    cloud.committed = committed


def _length(pool: Pool) -> Callable[[], float]:
    return lambda: len(pool)


def _in_state(pool: Pool, state: int) -> Callable[[], float]:
    return lambda: len(pool.by_state.get(state, ()))
