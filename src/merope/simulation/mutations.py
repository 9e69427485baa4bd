"""Known bugs that can be switched on, to show that the simulation would find them.

Each takes the place of something in the running code for as long as a schedule runs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from merope.core import (
    check_topology,
    host_evacuation,
    host_failure,
    host_limits,
    host_recovery,
    host_return,
    host_topology,
    image_use,
    ipam,
    quota,
    results,
    vm_nics,
    vm_steps,
)
from merope.core.transaction import Transaction
from merope.daemon.timetable import Timetable
from merope.drivers.fencing.base import Power, Target
from merope.drivers.simulated.fencing import SimulatedFencing
from merope.drivers.simulated.world import World
from merope.engine import cloud as cloud_module
from merope.engine import engine as engine_module
from merope.engine import jobs
from merope.engine.cloud import Cloud
from merope.engine.engine import Engine
from merope.engine.moments import Moments
from merope.engine.plans import host as host_plans
from merope.model import pci, pinning
from merope.model import schedule as scheduled
from merope.model.address_range import AddressRange
from merope.model.addressing import Answers
from merope.model.change import Change, Put
from merope.model.host import Host
from merope.model.leases import Leases
from merope.model.quota import Quotas, Usage
from merope.model.state import State
from merope.model.template import Vector
from merope.model.topology import Node
from merope.model.vm import VM
from merope.monitor.window import Window
from merope.simulation.disk import Disk
from merope.store.parts import Parts, Plan
from merope.store.sqlite import SqliteStore

Patch = tuple[object, str, object]
Mutation = Callable[[], list[Patch]]


def _nothing(*_: object) -> None:
    """In the place of what should have been done."""


def capacity_released_twice() -> list[Patch]:
    """a host's capacity is given back once more than it was taken"""
    original = vm_steps.release_capacity

    def release(tx: Transaction, vm: VM, host_id: int) -> None:
        original(tx, vm, host_id)
        if tx.find(Host, host_id) is not None:
            tx.edit(Host, host_id).host_share.cpu_usage -= vm_steps.capacity(vm)[0]

    return [(vm_steps, "release_capacity", release)]


def lease_kept() -> list[Patch]:
    """a finished VM keeps its addresses"""
    return [(vm_nics, "release", _nothing)]


def lease_given_twice() -> list[Patch]:
    """an address that is in use is given again"""

    def give(self: Leases, index: int, owner: int) -> None:
        self._owners[index] = owner
        self._texts = None

    def allocate(self: AddressRange, owner: int, index: int | None = None) -> int | None:
        self.leases.give(index or 0, owner)
        return index or 0

    return [(Leases, "give", give), (AddressRange, "allocate", allocate)]


def effect_kept() -> list[Patch]:
    """an effect stays in the outbox after its answer was taken"""
    return [(Transaction, "complete_effect", _nothing)]


def quota_not_refunded() -> list[Patch]:
    """what a VM took of its owner's quotas is not given back"""
    return [(quota, "refund", _nothing)]


def quota_forgets_cents() -> list[Patch]:
    """quotas lose what is less than a whole CPU when they give back"""
    original = Quotas.subtract

    def subtract(self: Quotas, delta: Usage) -> None:
        whole = Usage()
        whole.amounts = {key: [part // 100 * 100 for part in parts] for key, parts in delta.amounts.items()}
        original(self, whole)

    return [(Quotas, "subtract", subtract)]


def late_answer_accepted() -> list[Patch]:
    """an answer is taken whoever waits for it, and for what"""
    seen: dict[int, Any] = {}

    def take(tx: Transaction, effect_id: int, ok: bool, message: str = "", data: Any = None) -> bool:
        effect = tx.state.effects.get(effect_id) or seen.get(effect_id)
        if effect is None:
            return False
        seen[effect_id] = effect
        tx.complete_effect(effect_id)
        results._HANDLERS[effect.op](tx, effect, ok, message, data or {})
        return True

    def answered(self: Engine, running: Any, answer: Any) -> None:
        self._deliver(running, answer)

    return [(engine_module, "take_result", take), (Engine, "_answered", answered)]


def undo_skipped() -> list[Patch]:
    """what could not be stored stays in memory"""
    return [(cloud_module, "undo", _nothing)]


def undo_in_the_wrong_order() -> list[Patch]:
    """what could not be stored is taken back from its beginning instead of its end"""
    return [(cloud_module, "reversed", list)]


def fence_off() -> list[Patch]:
    """hosts take orders that are older than what they have seen"""
    return [(World, "fence", _nothing)]


def told_before_durable() -> list[Patch]:
    """an answer goes out before what it says is stored"""
    return [(Cloud, "is_durable", lambda *_: True)]


def effects_not_resumed() -> list[Patch]:
    """after a start nobody looks at what was under way"""
    return [(Engine, "resume", _nothing)]


def write_half_done() -> list[Patch]:
    """a group of changes that fails has stored its first one"""
    original = Disk.commit

    def commit(self: Disk, changes: Any) -> None:
        before = self.fails
        if len(changes) > 0 and before():
            self.fails = lambda: False
            original(self, changes[:1])
            self.fails = lambda: True
        else:
            self.fails = lambda: False
        try:
            original(self, changes)
        finally:
            self.fails = before

    return [(Disk, "commit", commit)]


def ids_forgotten() -> list[Patch]:
    """nobody remembers which ids have been given"""
    return [(State, "_put_last_oid", lambda *_: lambda: None)]


def row_not_written() -> list[Patch]:
    """the real database keeps what it should remove (with --sqlite)"""
    return [(SqliteStore, "commit", _puts_only(SqliteStore.commit))]


def chunk_not_written() -> list[Patch]:
    """the real database keeps chunks of long lists as they were (with --sqlite)"""
    original = Parts.plan

    def plan(self: Parts, changes: Any) -> Plan:
        made = original(self, changes)
        made.put = [row for row in made.put if row[:3] not in {known[:3] for known in made.removed}]
        made.removed = []
        return made

    return [(Parts, "plan", plan)]


def action_not_marked() -> list[Patch]:
    """a scheduled action that was carried out is not marked as done"""
    return [(scheduled, "write", _nothing)]


def actions_forgotten() -> list[Patch]:
    """after a start nobody knows of the actions that were scheduled before"""
    return [(Timetable, "start", _nothing)]


def managed_address_freed() -> list[Patch]:
    """what an address manager gave for a request that succeeded is returned as if it were not used"""
    everything = (Answers, "unused", lambda answers: list(answers.asked.values()))
    return [everything, (ipam, "_is_known", lambda *_: False)]


def app_keeps_its_image() -> list[Patch]:
    """an image that was offered in a marketplace counts as being copied for ever"""
    return [(image_use, "end_clone", lambda *_, **__: None)]


def cpu_given_twice() -> list[Patch]:
    """a CPU that a VM has for itself is given again"""
    original = pinning.fit

    def fit(nodes: list[Node], demand: Any, vms_thread: int = 1, near: Any = ()) -> Any:
        return original(check_topology.recounted(nodes, [], vms_thread), demand, vms_thread, near)

    return [(pinning, "fit", fit)]


def cpus_kept() -> list[Patch]:
    """a VM that has left a host keeps its CPUs there"""
    return [(host_topology, "give_back", _nothing)]


def source_kept() -> list[Patch]:
    """a migration that has arrived leaves its CPUs and devices taken where it came from"""
    return [(host_topology, "leave_source", _nothing)]


def device_given_twice() -> list[Patch]:
    """a PCI device that a VM has is given again"""
    original = pci.choose

    def choose(devices: Sequence[Vector], wanted: Sequence[pci.Wanted], *more: Any) -> Any:
        return original([Vector({**device, "VMID": pci.FREE}) for device in devices], wanted, *more)

    return [(pci, "choose", choose)]


def reports_taken_again() -> list[Patch]:
    """what an agent said is taken again when it comes again, and for what is true now"""
    return [(Window, "admit", lambda *_: True), (Moments, "at", lambda self, _: self._indexes[-1])]


def recovered_unconfirmed() -> list[Patch]:
    """VMs leave a host that could not be confirmed to be off"""
    return [(host_recovery, "_unconfirmed", host_recovery._is_off)]


def command_taken_for_truth() -> list[Patch]:
    """a host counts as off when its controller was told, whatever its power reads"""

    def told(driver: SimulatedFencing, target: Target) -> Power:
        driver.power_state(target)
        return Power.OFF

    return [(host_plans, "switched_off", told)]


def moved_from_anywhere() -> list[Patch]:
    """an UNKNOWN VM may leave a host of which nobody knows whether it is off"""
    return [(host_failure, "check_leaving", _nothing), (jobs, "is_off", lambda *_: True)]


def storm_ignored() -> list[Patch]:
    """hosts are switched off however many fail at a time"""
    return [(host_limits, "too_many", lambda *_: "")]


def host_not_cleared() -> list[Patch]:
    """a host that is back keeps what it had of VMs that are elsewhere now"""
    return [(host_return, "_cleared", lambda _, failure, *__: (replace(failure, left=()), ""))]


def recovery_forgotten() -> list[Patch]:
    """a host that is off keeps its VMs, and they don't say why"""
    return [(host_evacuation, "leave", lambda *_: False)]


def _puts_only(original: Callable[[SqliteStore, Sequence[Change]], None]) -> Callable[..., None]:
    def commit(self: SqliteStore, changes: Sequence[Change]) -> None:
        kept = [
            Change(change.index, change.time, tuple(one for one in change.operations if isinstance(one, Put)))
            for change in changes
        ]
        original(self, kept)

    return commit


def vms_not_found_again() -> list[Patch]:
    """OneFlow makes VMs anew that it made and could not note"""
    from merope.flow import loading

    return [(loading, "adopt", _nothing)]


def order_believed_over_events() -> list[Patch]:
    """OneFlow takes a VM for what it ordered, whatever it has heard of it since"""
    from merope.flow.world import World as Views

    return [(Views, "heard_since", lambda *_: False)]


def note_not_tried_again() -> list[Patch]:
    """OneFlow gives a service up when the core cannot store what it notes"""
    from merope.flow.manager import Manager

    return [(Manager, "_try_again", _nothing)]


def networks_made_twice() -> list[Patch]:
    """OneFlow does not look for a network that it made and could not note"""
    from merope.flow.actions import Hands

    async def none(*_: object) -> None:
        return None

    return [(Hands, "_own_network", none)]


def networks_kept() -> list[Patch]:
    """OneFlow leaves the networks that it made for a service when that ends"""
    from merope.flow import machine, service_table
    from merope.flow.states import State as Stage

    table = machine.ROWS_OF_SERVICE
    rows = [row for row in table[Stage.UNDEPLOYING] if row.does is not service_table._drop_networks]
    return [(machine, "ROWS_OF_SERVICE", {**table, Stage.UNDEPLOYING: rows})]


TABLE: dict[str, Mutation] = {
    mutation.__name__.replace("_", "-"): mutation
    for mutation in (
        capacity_released_twice,
        lease_kept,
        lease_given_twice,
        effect_kept,
        quota_not_refunded,
        quota_forgets_cents,
        late_answer_accepted,
        undo_skipped,
        undo_in_the_wrong_order,
        fence_off,
        told_before_durable,
        effects_not_resumed,
        write_half_done,
        ids_forgotten,
        row_not_written,
        chunk_not_written,
        action_not_marked,
        actions_forgotten,
        managed_address_freed,
        app_keeps_its_image,
        cpu_given_twice,
        cpus_kept,
        source_kept,
        device_given_twice,
        reports_taken_again,
        recovered_unconfirmed,
        command_taken_for_truth,
        moved_from_anywhere,
        storm_ignored,
        host_not_cleared,
        recovery_forgotten,
        vms_not_found_again,
        order_believed_over_events,
        note_not_tried_again,
        networks_made_twice,
        networks_kept,
    )
}


@contextmanager
def switched_on(name: str | None) -> Iterator[None]:
    """The bug of that name is there while the block runs; None for none."""
    with ExitStack() as stack:
        for target, attribute, replacement in TABLE[name]() if name else ():
            stack.enter_context(patch.object(target, attribute, replacement, create=True))
        yield
