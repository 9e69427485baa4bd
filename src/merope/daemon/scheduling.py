"""The scheduler's place in the cloud: woken by changes, it plans on a snapshot and has the plan carried out.

A plan is only a proposal: each placement is a command of its own, checked again by the core.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from functools import partial

from merope.api.metrics import Registry
from merope.core import vm_deploy
from merope.core.transaction import SYSTEM, Archived, Transaction
from merope.daemon import vm_groups
from merope.daemon.measures import SchedulerMeasures
from merope.daemon.sights import Sights
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Handle, Timer
from merope.model.change import Change
from merope.model.errors import ApiError
from merope.model.settings import SchedulerSettings
from merope.model.template import Vector
from merope.model.vm import VM
from merope.scheduler.plan import plan
from merope.scheduler.reasons import Code, explain, told
from merope.scheduler.snapshot import Limits, Placement, Plan

log = logging.getLogger("merope.scheduler")

_TOLD = ("SCHED_MESSAGE", "SCHED_REASON")
#: VMs times hosts that are planned at once in the loop; more goes to a thread.
INLINE_LIMIT = 20_000
#: Seconds after which figures in the reason why a VM waits are brought up to date.
RETELL_SECONDS = 60
#: Seconds that others wait at most while views are made and placements carried out.
SLICE_SECONDS = 0.004
#: Seconds that a round may take without a rest after it, and the longest rest.
SHORT_SECONDS, REST_SECONDS = 0.005, 2.0
#: Reasons that may be gone in the next round, whatever changes.
_PASSING = frozenset(
    {
        Code.DISPATCH_LIMIT,
        Code.VM_LIMIT,
        Code.HOST_LIMIT,
        Code.NOT_DISPATCHED,
        Code.GROUP_WAITS,
        Code.GROUP_NO_ROOM,
    }
)


class Scheduling:
    """One per leader. `limits` of a plan: woken by events, it needs none to be fair to others.

    A round looks at VMs that are new, and at all that wait after a change which may have opened something
    for them, and every SCHED_INTERVAL. After a round that took long it rests as long, so that a cloud in
    which hosts come and go by the hundred has half of its time for other things.
    """

    def __init__(
        self,
        cloud: Cloud,
        settings: SchedulerSettings,
        limits: Limits,
        after: Timer,
        executor: Executor,
        call_soon: Callable[[Callable[[], None]], object],
        clock: Callable[[], float],
        measures: SchedulerMeasures | None = None,
    ) -> None:
        self._cloud = cloud
        self._settings = settings
        self._after = after
        self._executor = executor
        self._call_soon = call_soon
        self._clock = clock
        self._measures = measures or SchedulerMeasures(Registry())
        self._sights = Sights(cloud, settings, limits)
        self._said: dict[int, tuple[frozenset[Code], int]] = {}
        self._work: deque[Callable[[], None]] = deque()
        self._awaited: Handle | None = None
        self._urgent = False
        self._busy = False
        self._again = False
        self._stopped = False
        self._began = 0.0
        self._resting_until = 0.0
        self._whole_due = 0.0
        self._measures.waiting.follow(lambda: len(self._sights.waiting))
        cloud.subscribe(self._changed)

    def stop(self) -> None:
        self._stopped = True
        if self._awaited is not None:
            self._awaited.cancel()

    def _changed(self, change: Change) -> None:
        if self._sights.note(change):
            self.wake()

    def wake(self) -> None:
        """Plans soon, when anything waits for a host."""
        if self._stopped or self._urgent:
            return
        if self._busy:
            self._again = True
            return
        self._await(max(self._resting_until - self._clock(), 0.0), urgent=True)

    def _await(self, seconds: float, *, urgent: bool) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
        self._urgent = urgent
        self._awaited = self._after(seconds, self._run)

    def _run(self) -> None:
        """Brings the views up to date, a slice at a time, and plans."""
        self._awaited, self._urgent = None, False
        if self._stopped:
            return
        now = self._clock()
        everything = now >= self._whole_due
        if not self._busy:
            self._busy, self._began = True, now
            if everything:
                self._sights.recheck()
        if not self._sights.refresh(self._end_of_slice()):
            self._awaited = self._after(0.0, self._run)
            return
        chosen = self._sights.choose(everything=everything)
        if everything:
            self._whole_due = now + self._settings.sched_interval
            self._said = {oid: said for oid, said in self._said.items() if oid in self._sights.waiting}
        if not chosen:
            self._finished()
            return
        self._measures.planned.inc(len(chosen))
        snapshot = self._sights.snapshot(chosen)
        if len(snapshot.vms) * max(len(snapshot.hosts), 1) <= INLINE_LIMIT:
            self._carry_out(plan(snapshot))
            return
        self._executor.submit(plan, snapshot).add_done_callback(
            lambda future: self._call_soon(lambda: self._planned(future, chosen))
        )

    def _end_of_slice(self) -> Callable[[], bool]:
        end = self._clock() + SLICE_SECONDS
        return lambda: self._clock() > end

    def _planned(self, future: "Future[Plan]", chosen: set[int]) -> None:
        try:
            self._carry_out(future.result())
        except Exception:
            log.exception("planning failed")
            self._sights.again(chosen)
            self._finished()

    def _finished(self) -> None:
        """The round is over: the next one comes when something changes, or it is time to look at all."""
        self._busy = False
        if self._stopped:
            return
        took = self._clock() - self._began
        rest = min(took, REST_SECONDS) if took > SHORT_SECONDS else 0.0
        self._resting_until = self._clock() + rest
        if self._again:
            self._again = False
            self._await(rest, urgent=True)
        elif self._sights.waiting:
            self._await(max(self._whole_due - self._clock(), rest), urgent=False)

    # Carrying a plan out

    def _carry_out(self, decided: Plan) -> None:
        self._work.extend(partial(self._place, placement) for placement in decided.placements)
        for vm_id, reasons in decided.reasons.items():
            codes = frozenset(reason.code for reason in reasons)
            if not _PASSING.isdisjoint(codes):
                self._sights.again((vm_id,))
            if self._is_news(vm_id, codes):
                self._work.append(partial(self._say, vm_id, explain(reasons), told(reasons)))
        self._work.extend(partial(self._say, *warning) for warning in decided.warnings.items())
        self._go_on()

    def _go_on(self) -> None:
        """Does what is to be done, and lets others have their turn in between."""
        is_late = self._end_of_slice()
        while self._work and not self._stopped:
            self._work.popleft()()
            if self._work and is_late():
                self._awaited = self._after(0.0, self._go_on)
                return
        self._work.clear()
        self._awaited = None
        self._measures.rounds.observe(self._clock() - self._began)
        self._finished()

    def _is_news(self, vm_id: int, codes: frozenset[Code]) -> bool:
        """Figures change with every placement: they are told again once in a while, other reasons at once."""
        now = self._cloud.now()
        known, told = self._said.get(vm_id, (None, 0))
        if codes == known and now - told < RETELL_SECONDS:
            return False
        self._said[vm_id] = (codes, now)
        return True

    def _place(self, placement: Placement) -> None:
        live, cold = bool(self._settings.live_rescheds), self._settings.cold_migrate_mode

        def command(tx: Transaction) -> int:
            vm_id, host, store = placement.vm_id, placement.host_id, placement.datastore_id
            vm_groups.check(tx, vm_id, host)
            if placement.migrate:
                return vm_deploy.migrate(tx, vm_id, host, live, True, store, cold)
            done = vm_deploy.deploy(tx, vm_id, host, True, store, _chosen(placement))
            for name in _TOLD:
                tx.edit(VM, vm_id).user_template.remove(name)
            return done

        try:
            self._cloud.execute(command, Inputs(caller=SYSTEM))
            self._said.pop(placement.vm_id, None)
            self._measures.placed.inc()
        except ApiError as error:
            log.info("virtual machine %d was not placed: %s", placement.vm_id, error.message)
            self._sights.again((placement.vm_id,))
            self._measures.refused.inc()
        except Archived:
            log.info("virtual machine %d has ended before it was placed", placement.vm_id)

    def _say(self, vm_id: int, sentence: str, parts: Iterable[Mapping[str, str]] = ()) -> None:
        """SCHED_MESSAGE in the user template, and SCHED_REASON for each reason; written again only when
        it says something else."""
        vm = self._cloud.state.pools["vm_pool"].parsed(vm_id)
        if not isinstance(vm, VM):
            return
        said = vm.user_template.get("SCHED_MESSAGE").partition(" : ")[2]
        if said == sentence:
            return

        def command(tx: Transaction) -> int:
            when = datetime.fromtimestamp(tx.now, UTC).strftime("%a %b %d %H:%M:%S %Y")
            user = tx.edit(VM, vm_id).user_template
            user.set("SCHED_MESSAGE", f"{when} : {sentence}")
            user.remove("SCHED_REASON")
            for part in parts:
                user.add("SCHED_REASON", Vector(part))
            return vm_id

        self._cloud.execute(command, Inputs(internal=True))


def _chosen(placement: Placement) -> str:
    """The last argument of one.vm.deploy: the networks of NICs that were left to the scheduler."""
    return "".join(
        f'NIC=[NIC_ID="{nic}",NETWORK_MODE="auto",NETWORK_ID="{network}"]\n'
        for nic, network in placement.networks
    )
