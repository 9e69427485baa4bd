"""Where the simulation's jobs are carried out: in a world of hosts, with all that can go wrong on the way.

An operation that has begun goes on whatever becomes of the process that asked for it: that is what hosts
are like. What protects them from orders that come too late is the epoch that each order carries.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from merope.drivers.simulated.faults import Fault, Faults, Plan
from merope.engine import plans, probes
from merope.engine.job import Answer, Job
from merope.engine.toolbox import SimulatedDrivers
from merope.model.addressing import Question, Told
from merope.simulation.loop import Event, SimulatedLoop

#: What address managers and marketplaces do ends with the process that asked for it, if not before.
_PROMPT = ("ipam", "marketapp")


class _Call:
    """One operation that was asked for. Cancelled, it has nobody who listens: a host may be at it still."""

    def __init__(self) -> None:
        self.answers: list[Event] = []
        self.cancelled = False

    def cancel(self) -> None:
        for event in self.answers:
            event.cancel()
        self.cancelled = True


class SimulatedHands:
    """An engine.Executor and a polling.Prober that break things as `faults` says.

    Late and repeated answers reach the engine: that it does not take them twice is part of what is tried.
    """

    def __init__(
        self, loop: SimulatedLoop, drivers: SimulatedDrivers, faults: Faults, typical: float
    ) -> None:
        self.loop = loop
        self.drivers = drivers
        self.faults = faults
        self.typical = typical
        """`faults.timeout` in seconds: later than that is after the caller has given up."""
        self._migrations: set[int] = set()
        self.lost: set[int] = set()
        """VMs that may be on either of two hosts, because a live migration was cut off: when it fails at the
        second attempt too, the core takes the VM to be where it was, until monitoring finds it elsewhere."""

    @property
    def shared_storage(self) -> bool:
        return self.drivers.world.shared_storage

    def submit(self, job: Job, timeout: float, done: Callable[[Answer], None]) -> _Call:
        # A worker gets a copy: what becomes of the objects in the meantime is not its business.
        order = job.to_json()
        effect = job.effect
        plan = self.faults.next(effect.op, f"{effect.oid}")
        if plan.fault is Fault.STALLED and effect.op.partition(".")[0] in _PROMPT:
            plan = replace(plan, delay=0.0, executions=0, answers=())
        if effect.op == "vm.migrate" and (plan.fault is not Fault.NONE or effect.id in self._migrations):
            self.lost.add(effect.oid)
        if effect.op == "vm.migrate":
            self._migrations.add(effect.id)

        def act() -> Answer:
            return plans.run(self.drivers, Job.from_json(order))

        return self._carry_out(plan, timeout, act, done, repeats=True)

    def probe(self, request: dict[str, Any], timeout: float, done: Callable[[Answer], None]) -> _Call:
        plan = self.faults.next("probe", str(request.get("host", "")))
        return self._carry_out(
            plan, timeout, lambda: probes.answer(self.drivers, request), done, repeats=False
        )

    def ask(self, question: Question) -> Told:
        """The word of an address manager. Where it did what it says it did not, it knows more than we do."""
        plan = self.faults.next("ipam.ask", f"{question.network_id}")
        request = {"probe": "ipam", "request": 0, "action": question.action}
        request |= {"attributes": dict(question.attributes), "index": question.index, "size": question.size}
        answer = probes.answer(self.drivers, request) if plan.executions else Answer(False, plan.error)
        if plan.error or not plan.answers:
            return Told(False, plan.error or "no answer")
        return Told(answer.ok, answer.message, answer.data)

    def _carry_out(
        self,
        plan: Plan,
        timeout: float,
        act: Callable[[], Answer],
        done: Callable[[Answer], None],
        *,
        repeats: bool,
    ) -> _Call:
        call = _Call()
        told: list[bool] = []
        life = self.loop.lives

        def tell(answer: Answer) -> None:
            if not told or repeats:
                told.append(True)
                done(answer)

        def give_up() -> None:
            if not told:
                tell(Answer(False, f"the operation did not end within {timeout:.0f} seconds and was stopped"))

        def execute() -> None:
            answer = act()
            tell_all(Answer(False, plan.error) if plan.error else answer)

        def tell_all(answer: Answer) -> None:
            if life != self.loop.lives or call.cancelled:
                return
            for later in plan.answers:
                call.answers.append(self.loop.call_later(self._seconds(later, timeout), tell, answer))

        delay = self._seconds(plan.delay, timeout)
        for number in range(plan.executions):
            self.loop.world_later(delay, act if number else execute)
        if not plan.executions:
            call.answers.append(self.loop.call_later(delay, tell_all, Answer(False, plan.error)))
        call.answers.append(self.loop.call_later(timeout, give_up))
        return call

    def _seconds(self, planned: float, timeout: float) -> float:
        """What is late is late by this operation's time-out."""
        return planned * timeout / self.typical if planned >= self.typical else planned
