"""What `/metrics` tells beyond the door's own counts: objects, commits, the engine, hooks, the scheduler."""

import re
from collections.abc import Callable
from enum import IntEnum
from functools import partial

from merope.api.metrics import Registry
from merope.engine.agents import Agents
from merope.engine.cloud import Cloud
from merope.engine.engine import Engine
from merope.engine.hooks import Hooks
from merope.engine.host_watch import HostWatch
from merope.model.host_failure import Stage
from merope.model.state import Pool
from merope.model.states import HostState, ImageState, VmState

_GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_TIME = re.compile(r"<TIMESTAMP>(\d+)</TIMESTAMP>")
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


def measure_hosts(registry: Registry, cloud: Cloud, agents: Agents, watch: HostWatch) -> None:
    """How hosts are heard, and how far those are that have failed."""
    heard = registry.gauge("merope_agents", "Agents of hosts.", ("state",))
    heard.labels("heard").follow(lambda: agents.number - agents.number_silent)
    heard.labels("silent").follow(lambda: agents.number_silent)
    messages = registry.gauge("merope_agent_messages_refused", "Messages that were not believed.")
    messages.labels().follow(lambda: sum(agents.refused.values()))
    age = registry.gauge("merope_host_figures_age_seconds", "Age of the oldest last figures of a host.")
    age.labels().follow(lambda: _oldest(cloud))
    stages = registry.gauge("merope_hosts_failed", "Hosts that have failed.", ("stage",))
    for stage in Stage:
        if stage is not Stage.GOOD:
            stages.labels(stage.value.lower()).follow(partial(watch.in_stage, stage))


def fencing_counts(registry: Registry) -> Callable[[str], None]:
    """What is told the result of each attempt to switch a host off."""
    counted = registry.counter(
        "merope_fencing_total",
        "Hosts that were to be switched off; held: too many had failed.",
        ("result",),
    )
    return lambda result: counted.labels(result).inc()


def _oldest(cloud: Cloud) -> float:
    """Of hosts that are measured; 0 where there is none."""
    figures, measured = cloud.state.monitoring["host_pool"], cloud.state.pools["host_pool"].by_state
    times = (_TIME.search(figures.get(oid, "")) for oid in measured.get(HostState.MONITORED, ()))
    oldest = min((int(found[1]) for found in times if found), default=None)
    return 0 if oldest is None else max(cloud.now() - oldest, 0)


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
