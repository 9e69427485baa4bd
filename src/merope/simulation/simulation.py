"""One cloud under simulation: the process, its database, its world, and what is asserted of them."""

import logging
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merope.core import lifecycle
from merope.core.methods import METHODS
from merope.daemon.fsck import CHECKS
from merope.drivers.hypervisor.base import DomainState
from merope.drivers.simulated.faults import NO_FAULTS, FaultRates, Faults
from merope.drivers.simulated.world import World
from merope.engine.places import Layout
from merope.engine.toolbox import SimulatedDrivers
from merope.model.effect import TABLE as EFFECTS
from merope.model.errors import ApiError
from merope.model.host import Host
from merope.model.phase import Phase
from merope.model.states import HostState, ImageState
from merope.model.vm import VM, History
from merope.model.vnet import VirtualNetwork
from merope.simulation import invariants, pins
from merope.simulation.agents import SimulatedAgents
from merope.simulation.disk import Disk
from merope.simulation.failures import Failures, unsettled
from merope.simulation.hands import SimulatedHands
from merope.simulation.loop import SimulatedLoop
from merope.simulation.portrait import difference, portrait
from merope.simulation.process import Process
from merope.simulation.watch import Actions, overdue

if TYPE_CHECKING:
    from merope.simulation.oneflow import OneFlow

LAYOUT = Layout(Path("/var/lib/one/datastores"))
#: The VM that a violation of the world is about, by id or by its directory.
_VM_OF = re.compile(r"VM (\d+)|/datastores/\d+/(\d+)")
#: Steps of the loop after which an engine that is still busy is taken to go round in circles.
PATIENCE = 20_000
#: With OneFlow, which evaluates the policies of its services from time to time.
_PATIENCE_WITH_SERVICES = 400_000
#: Seconds in which everything that was begun must have ended when nothing goes wrong any more.
SETTLING = 400_000.0
#: Looks at every host in the end.
_FEWEST_LOOKS, _LOOKS = 3, 20
#: Steps after which somebody looks after hosts that are off.
_SOMETIMES = 100


class Violation(AssertionError):  # noqa: N818 - what it is called in the trade
    """Something that must be true is not."""


class _Errors(logging.Handler):
    """Collects what the process logs with a traceback: a bug that it survived is a bug."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else ""
            self.found.append(f"{record.getMessage()}: {type(error).__name__}: {error} ({where})")


ERRORS = _Errors()


def listen() -> None:
    """Makes the process's log a source of violations; for the simulation's own processes only."""
    root = logging.getLogger("merope")
    root.propagate = False
    root.setLevel(logging.ERROR)
    root.handlers = [ERRORS]


@dataclass
class Base:
    """A cloud to begin with: what is stored and what is in the world."""

    disk: Disk
    world: bytes
    """The world, pickled: each schedule gets one of its own."""
    clock: float


@dataclass
class Weather:
    """How much goes wrong."""

    rates: FaultRates = NO_FAULTS
    commit_seconds: float = 0.004


@dataclass
class Simulation:
    """See the module. `trace` collects what happens, for a replay that is to be read."""

    seed: int
    base: Base
    weather: Weather = field(default_factory=Weather)
    trace: list[str] | None = None

    def __post_init__(self) -> None:
        ERRORS.found.clear()
        self.loop = SimulatedLoop(lambda: self.weather.commit_seconds)
        self.loop.clock = self.base.clock
        self.disk = self.base.disk.copy()
        self.disk.fails = self._write_fails
        self.world: World = pickle.loads(self.base.world)  # noqa: S301 - our own
        self.drivers = SimulatedDrivers(self.world, LAYOUT, distinct_sources=True)
        self.hands = self._hands(self.weather.rates)
        self.agents = SimulatedAgents(self.loop, self.world, self.seed)
        self.writes_to_fail = 0
        self.acknowledged = self.disk.index
        self.forgiven: set[int] = set()
        """VMs of which an administrator has said something that may not be true."""
        self.calls: dict[str, tuple[int, int]] = {}
        self.actions = Actions()
        self.failures = Failures()
        self.oneflow: OneFlow | None = None
        self._lives = 0
        self._checked: dict[invariants.Check, tuple[object, ...]] = {}
        self._in_trouble = False
        self.process = self._start()

    def _hands(self, rates: FaultRates) -> SimulatedHands:
        return SimulatedHands(self.loop, self.drivers, Faults(self.seed, rates), rates.timeout)

    def _start(self) -> Process:
        self._lives += 1
        self._checked.clear()
        self._in_trouble = False
        process = Process(self.loop, self.disk, self.hands, self.agents, self.seed * 1000 + self._lives)
        process.timetable.done = self.actions.note
        self.agents.hear = self._hear
        if self.oneflow is not None:
            self.oneflow.attend(process)
        process.start()
        return process

    def begin_services(self) -> None:
        """OneFlow is started beside the core, where it is installed (the extra `flow`)."""
        try:
            from merope.simulation.oneflow import OneFlow
        except ImportError:
            self.note("OneFlow is not installed")
            return

        self.oneflow = OneFlow(self)
        self.oneflow.attend(self.process)
        self.oneflow.start()

    def _hear(self, line: bytes) -> None:
        """What an agent sends comes in: no VM is put out that runs where it should."""
        pool = self.process.state.pools["vm_pool"]
        on = [vm.id for vm in invariants.every(self.process.state, VM) if vm.phase is Phase.RUNNING]
        self.process.receiver.take(line)
        for oid in set(on) - self.forgiven - self.hands.lost:
            vm, place = pool.parsed(oid), self.world.place(oid)
            if not isinstance(vm, VM) or vm.phase is not Phase.POWEROFF or vm.history is None:
                continue
            runs = place is not None and place[1].state is DomainState.RUNNING
            if runs and place is not None and place[0].name == vm.history.hostname:
                raise Violation(f"VM {oid} runs on its host, and an old report put it out")

    def note(self, sentence: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.clock - self.base.clock:12.3f}  {sentence}")

    def _write_fails(self) -> bool:
        if self.writes_to_fail <= 0:
            return False
        self.writes_to_fail -= 1
        return True

    # What can happen

    def request(self, name: str, arguments: list[Any], uid: int = 0) -> Any:
        """A call of the API; answers its result, or the ApiError."""
        return self.carried_out(name, arguments, uid)[0]

    def carried_out(self, name: str, arguments: list[Any], uid: int) -> tuple[Any, int]:
        """The result, and the change that must be stored before anybody is told."""
        method = METHODS[name]
        before = self.process.state.index
        result, index = self.process.request(method, arguments, uid)
        called, succeeded = self.calls.get(name, (0, 0))
        self.calls[name] = called + 1, succeeded + (not isinstance(result, ApiError))
        if not method.read_only:
            self.note(f"{name}{tuple(arguments)!r} by {uid} → {_short(result)}")
        if isinstance(result, ApiError):
            if index != before:
                raise Violation(f"{name}{tuple(arguments)!r} was refused and yet changed something")
            return result, index
        if name == "one.host.delete":
            # What is left on a host that nobody knows any more is for whoever took it away.
            effects = self.process.state.effects.values()
            self.forgiven.update(effect.oid for effect in effects if effect.host == arguments[0])
        if name == "one.vm.recover" and arguments[1] in (0, 1, 5):
            self.forgiven.add(int(arguments[0]))
        process = self.process

        def acknowledge(stored: bool) -> None:
            if stored:
                if self.disk.index < index:
                    raise Violation(f"change {index} was acknowledged, stored is {self.disk.index}")
                if process is self.process:
                    self.acknowledged = max(self.acknowledged, index)

        self.process.cloud.when_durable(index, acknowledge)
        return result, index

    def crash(self) -> None:
        """kill -9, and a new start."""
        self.note(f"CRASH: change {self.disk.index} of {self.process.state.index} was stored")
        self.loop.crash()
        if self.disk.index < self.acknowledged:
            raise Violation(f"change {self.acknowledged} was acknowledged, stored is {self.disk.index}")
        self.writes_to_fail = 0
        self.process = self._start()
        if self.oneflow is not None:
            self.oneflow.core_is_gone()

    def close(self) -> None:
        """Nothing of OneFlow is left for the garbage collector to stir up."""
        if self.oneflow is not None and self.oneflow.life is not None:
            self.oneflow.life.lane.end()

    def step(self, until: float = float("inf")) -> bool:
        """One step of the loop; False when there is none before `until`."""
        before = self.process.state.index
        if not self.loop.step(until):
            return False
        if ERRORS.found:
            raise Violation(ERRORS.found[0])
        trouble = bool(self.process.cloud.trouble)
        if trouble and self.process.state.index == self.disk.index and self.process.state.index <= before:
            self._taken_back()
        if self.trace is not None and self.process.state.index != before:
            self._note_vms()
        return True

    def _taken_back(self) -> None:
        if self._in_trouble:
            return
        self._in_trouble = True
        self.note("the write failed: everything since is taken back")
        self._checked.clear()
        self.compare("after a write that failed")

    def _note_vms(self) -> None:
        found = []
        for vm in invariants.every(self.process.state, VM):
            found.append(f"{vm.id}:{vm.phase.name}")
        ops = [f"{effect.id}={effect.op}:{effect.oid}" for effect in self.process.state.effects.values()]
        self.note(f"    [{self.process.state.index}] {' '.join(found)} | {' '.join(ops)}")

    # What must be true

    def compare(self, when: str) -> None:
        """The state in memory, all of it durable, is what a start would find."""
        found = difference(portrait(self.process.state), portrait(self.disk.loaded()))
        if found:
            raise Violation(f"{when}, memory (first) and database differ: {found[:1500]}")

    def check(self) -> None:
        """Everything that holds at any time."""
        state = self.process.state
        for check, tables in (invariants.CHECKS | pins.CHECKS).items():
            seen = tuple(
                tuple(state.effects) if table == EFFECTS else state.pools[table].last_index
                for table in tables
            )
            if self._checked.get(check) == seen:
                continue
            self._checked[check] = seen
            for sentence in check(state):
                raise Violation(f"{check.__name__}: {sentence}")
        for sentence in self.world.violations:
            if not self._is_forgiven(sentence):
                raise Violation(f"world: {sentence}")
        for sentence in self.failures.check(state, self.loop.now(), self.process.settings):
            raise Violation(f"failures of hosts: {sentence}")
        for vm, note, moment in self.actions.twice:
            raise Violation(f"VM {vm}: the action {note} of {moment} was carried out twice")
        if self._in_trouble and not self.process.cloud.trouble:
            self._in_trouble = False

    def _is_forgiven(self, sentence: str) -> bool:
        named = {int(first or second) for first, second in _VM_OF.findall(sentence)}
        return bool(named & (self.forgiven | self.hands.lost))

    # The end

    def settle(self) -> None:
        """Nothing goes wrong any more; everything that was begun must come to its end."""
        self.note("from here on nothing goes wrong")
        self.writes_to_fail = 0
        self.hands.faults = Faults(self.seed, FaultRates(timeout=self.weather.rates.timeout))
        self._all_hosts_return()
        self.world.deaf.clear()
        self.agents.reliable = True
        self.world.silent.clear()
        for host in list(invariants.every(self.process.state, Host)):
            if host.state == HostState.OFFLINE:
                self.request("one.host.status", [host.id, 0])
        end = self.loop.clock + SETTLING
        for number in range(PATIENCE if self.oneflow is None else _PATIENCE_WITH_SERVICES):
            if number % _SOMETIMES == 0:
                self._all_hosts_return()
            if not self.process.state.effects and self.process.idle and not self.loop.world_is_busy:
                break
            if not self.step(end):
                break
        effects = [f"{effect.op} of {effect.oid}" for effect in self.process.state.effects.values()]
        if effects:
            raise Violation(f"after {SETTLING:.0f} quiet seconds there are still {effects}")
        self.check()
        # Monitoring looks at every host a few times, and what it finds is dealt with; those that failed
        # again and again are watched for longer.
        for look in range(_LOOKS):
            if look >= _FEWEST_LOOKS and not any(unsettled(self.process.state)):
                break
            self.watch(90.0)
        if self.oneflow is not None:
            self._end_services(self.oneflow)
        self._rest()

    def watch(self, seconds: float) -> None:
        """Monitoring looks at every host, and so much time passes."""
        self._all_hosts_return()
        self.process.poller.start()
        self.agents.look()
        end = self.loop.clock + seconds
        while self.step(end):
            pass

    def _rest(self) -> None:
        while self.process.state.effects or not self.process.idle:
            self.step()
        self.check()
        self._check_rest()

    def _end_services(self, flow: "OneFlow") -> None:
        """They come to rest; then, with all that they have made, to their end."""
        from merope.simulation import services

        for sentence in filter(None, [services.come_to_rest(self, flow)]):
            raise Violation(sentence)
        self._rest()
        for sentence in services.at_rest(self, flow):
            raise Violation(f"services: {sentence}")
        self.note("every service is ended")
        for sentence in services.end(self, flow):
            raise Violation(f"after the end of services: {sentence}")

    def _all_hosts_return(self) -> None:
        """Also those that were switched off meanwhile, because they had not been heard yet."""
        for name in self.world.hosts:
            self.world.host_returns(name)

    def _check_rest(self) -> None:
        state = self.process.state
        for sentence in invariants.documents(state):
            raise Violation(f"documents: {sentence}")
        for sentence in unsettled(state):
            raise Violation(f"failures of hosts: {sentence}")
        for sentence in overdue(state, self.loop.now()):
            raise Violation(f"scheduled actions: {sentence}")
        for look in CHECKS:
            for finding in look(state):
                raise Violation(f"fsck: {finding.sentence}")
        for sentence in self._strays_of_others():
            raise Violation(f"left in the world: {sentence}")
        self.compare("at rest")
        self.disk.check_constraints()
        alive = set()
        for vm in invariants.every(state, VM):
            alive.add(vm.id)
            if vm.phase in lifecycle.WAITING or vm.phase is Phase.LCM_INIT:
                raise Violation(f"VM {vm.id} is {vm.phase.name} for ever")
            self._check_domain(vm)
        for sentence in self._forgotten_files():
            raise Violation(f"left in the world: {sentence}")
        strays = self.world.strays(alive | self.forgiven | self.hands.lost)
        if strays:
            raise Violation(f"left in the world: {strays}")
        for entry in state.pools["image_pool"].entries.values():
            pool = state.pools["image_pool"].parsed(entry.oid)
            if getattr(pool, "state", None) == ImageState.DELETE:
                raise Violation(f"image {entry.oid} is being deleted for ever")
        self._check_finished()

    def _strays_of_others(self) -> Iterator[str]:
        """Addresses that are in use and that their manager does not know of."""
        for network in invariants.every(self.process.state, VirtualNetwork):
            for ranged in network.ar_pool:
                if not ranged.attributes.get("IPAM_MAD"):
                    continue
                given = self.drivers.addresses.leases_of(ranged.attributes)
                for index, _ in ranged.leases:
                    if index not in given:
                        yield f"network {network.id}: address {index} is leased, and free for its manager"

    def _check_domain(self, vm: VM) -> None:
        if vm.id in self.forgiven:
            return
        place = self.world.place(vm.id)
        where = "" if place is None or place[1].state is not DomainState.RUNNING else place[0].name
        current = vm.history
        expected = current.hostname if current is not None and vm.phase is Phase.RUNNING else ""
        uncertain = (Phase.UNKNOWN, *lifecycle.FAILURES)
        if where != expected and vm.phase not in uncertain:
            raise Violation(f"VM {vm.id} is {vm.phase.name}; its domain is on {where or 'no host'}")

    def _forgotten_files(self) -> Iterator[str]:
        """Files of VMs on the own storage of hosts that they are not on: they would be taken for theirs."""
        vms = {vm.id: vm for vm in invariants.every(self.process.state, VM)}
        for owner, path in self.world.storage:
            vm = vms.get(int(path.parent.name)) if path.parent.name.isdigit() else None
            if vm is None or vm.id in self.forgiven | self.hands.lost or vm.phase in lifecycle.FAILURES:
                continue
            current = vm.history
            if owner in self.world.hosts and (current is None or current.hostname != owner):
                yield f"{path} on {owner}, VM {vm.id} is {vm.phase.name}"

    def _check_finished(self) -> None:
        records: dict[int, list[History]] = {}
        rows = self.disk.rows["history"]
        for entry in self.disk.archived_vms():
            records[entry.oid] = []
        for key in sorted(key for key in rows if isinstance(key, tuple)):
            if key[0] in records:
                body = str(rows[key]["body"])
                records[key[0]].append(History.from_xml(body))
        for vm_id, found in records.items():
            for sentence in invariants.chain(vm_id, found):
                raise Violation(f"finished VMs: {sentence}")
            if found and not found[-1].etime:
                raise Violation(f"finished VMs: the last record of VM {vm_id} has no end")


def _short(result: object) -> str:
    if isinstance(result, ApiError):
        return f"{int(result.code)} {result.message[:150]}"
    return repr(result)[:60]
