"""An engine on a small cloud: hands and a clock that do what the test says, and a store that can fail."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.core.vm_world import ANN
from tests.core.vm_world import Cloud as World

from merope.core.execute import execute
from merope.core.login import caller
from merope.core.methods import METHODS, Result
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Engine
from merope.engine.job import Answer, Job
from merope.model.change import Change, Put
from merope.model.phase import Phase
from merope.model.vm import VM
from merope.store.errors import InDoubtError, StoreError

SMALL = "CPU = 0.1\nMEMORY = 16\n"


class Store:
    """Keeps VMs and their records. `failures` writes fail; while `open` is not set, a write waits."""

    def __init__(self) -> None:
        self.failures = 0
        self.doubts = 0
        """Writes of which is not said whether they were made."""
        self.documents: dict[int, str] = {}
        self.records: dict[tuple[int, ...], str] = {}
        self.open = threading.Event()
        self.open.set()

    def commit(self, changes: Sequence[Change]) -> None:
        assert self.open.wait(10)
        if self.doubts:
            self.doubts -= 1
            raise InDoubtError("the connection was lost")
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        for operation in (operation for change in changes for operation in change.operations):
            if isinstance(operation, Put) and operation.table == "vm_pool" and isinstance(operation.key, int):
                self.documents[operation.key] = str(operation.row["body"])
            if isinstance(operation, Put) and operation.table == "history":
                assert isinstance(operation.key, tuple)
                self.records[operation.key] = str(operation.row["body"])

    def vm_document(self, oid: int) -> str | None:
        return self.documents.get(oid)

    def history(self, oid: int) -> list[str]:
        return [body for key, body in sorted(self.records.items()) if key[0] == oid]


@dataclass(eq=False)
class Started:
    """A job that the engine has started; `answer` is what its worker would say."""

    job: Job
    seconds: float
    done: Callable[[Answer], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    @property
    def what(self) -> tuple[str, int]:
        return (self.job.effect.op, self.job.effect.oid)


class Hands:
    """An executor whose jobs wait until the test answers them."""

    def __init__(self) -> None:
        self.started: list[Started] = []

    def submit(self, job: Job, seconds: float, done: Callable[[Answer], None]) -> Started:
        self.started.append(Started(job, seconds, done))
        return self.started[-1]

    @property
    def last(self) -> Started:
        return self.started[-1]

    @property
    def operations(self) -> list[tuple[str, int]]:
        return [started.what for started in self.started]


@dataclass(eq=False)
class Alarm:
    seconds: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """A timer whose alarms go off when the test says so."""

    def __init__(self) -> None:
        self.alarms: list[Alarm] = []

    def __call__(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        self.alarms.append(Alarm(seconds, callback))
        return self.alarms[-1]

    def ring(self) -> float:
        """Lets the oldest alarm go off; answers how long it was set to."""
        alarm = self.alarms.pop(0)
        if not alarm.cancelled:
            alarm.callback()
        return alarm.seconds


class Bench:
    """`call` a method and have it stored, `answer` what was started."""

    def __init__(self, limit: int = 15) -> None:
        self.world = World()
        self.store = Store()
        self.hands = Hands()
        self.clock = Clock()
        self.threads = ThreadPoolExecutor(1)
        self.cloud = Cloud(
            self.world.state,
            self.store,
            self.world.settings,
            now=lambda: self.world.now,
            random=lambda count: bytes(count),
            executor=self.threads,
        )
        self.engine = self.new_engine(limit)

    def new_engine(self, limit: int = 15) -> Engine:
        return Engine(self.cloud, self.hands, self.clock, limit=limit, finished=self.store)

    def ask(self, name: str, *arguments: Any, who: int = 0) -> Result:
        """A method, whose change is not stored yet."""
        declared = METHODS[name]
        known = caller(self.world.state, self.world.settings, who)
        assert known is not None
        complete = [*arguments, *(param.default for param in declared.params[len(arguments) :])]
        result, _ = self.cloud.execute(lambda tx: execute(tx, declared, complete), Inputs(known))
        return result

    async def call(self, name: str, *arguments: Any, who: int = 0) -> Result:
        result = self.ask(name, *arguments, who=who)
        await self.settle()
        return result

    async def settle(self) -> None:
        """Waits until everything is stored and has been told."""
        while not self.cloud.is_durable(self.world.state.index):
            await self.cloud.durable(self.world.state.index)

    async def answer(self, started: Started, ok: bool = True, message: str = "", **more: Any) -> None:
        started.done(Answer(ok, message, more.get("data", {}), more.get("retry_safe", False)))
        await self.settle()

    async def starting(self, host: int = 0) -> int:
        """A VM of ann's whose prolog has been started on a host."""
        oid = await self.call("one.vm.allocate", SMALL, False, who=ANN)
        assert isinstance(oid, int)
        await self.call("one.vm.deploy", oid, host)
        return oid

    async def running(self, host: int = 0) -> int:
        oid = await self.starting(host)
        for op in ("vm.prolog", "vm.deploy"):
            assert self.hands.last.what == (op, oid)
            await self.answer(self.hands.last, data={"deploy_id": f"one-{oid}"})
        return oid

    def vm(self, oid: int) -> VM:
        found = self.world.state.pools["vm_pool"].parsed(oid)
        assert isinstance(found, VM)
        return found

    def phase(self, oid: int) -> Phase:
        return self.world.phase(oid)

    def error(self, oid: int) -> str:
        return self.vm(oid).user_template.get("ERROR").partition(" : ")[2]
