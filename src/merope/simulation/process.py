"""The process that runs the cloud: everything that is gone when it is killed."""

from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import UTC
from random import Random
from typing import Any, ParamSpec, TypeVar

from merope.core import commands, ipam
from merope.core.execute import execute
from merope.core.ipam import Asked
from merope.core.login import caller
from merope.core.methods import METHODS, Method, Result
from merope.core.transaction import ALL_ARCHIVED, ONEADMIN, Archived, Transaction
from merope.daemon.scheduling import Scheduling
from merope.engine.agents import Agents
from merope.engine.cloud import Cloud, Inputs
from merope.engine.engine import Engine
from merope.engine.hook_executor import Request
from merope.engine.hooks import Hooks
from merope.engine.host_watch import HostWatch
from merope.engine.polling import Poller
from merope.model.addressing import Answers, Question, Told
from merope.model.errors import ApiError, Code
from merope.model.hook import Execution
from merope.model.host import Host
from merope.model.settings import SchedulerSettings, Settings
from merope.scheduler.snapshot import Limits
from merope.simulation.agents import SILENCE, SimulatedAgents, SimulatedReceiver, has_agent
from merope.simulation.disk import Disk
from merope.simulation.hands import SimulatedHands
from merope.simulation.loop import SimulatedLoop
from merope.simulation.preparations import prepared
from merope.simulation.watch import Watched

P = ParamSpec("P")
T = TypeVar("T")

#: The first zone of a federation, so that there can be others. Lists are long soon.
SETTINGS = replace(Settings(), password_kdf_cost=1, federation_mode="MASTER", long_list=2)
#: Each host has its own storage.
APART = replace(
    SETTINGS, tm_mad_conf={**SETTINGS.tm_mad_conf, "dummy": {**SETTINGS.tm_mad_conf["dummy"], "SHARED": "NO"}}
)
KNOWN = commands.MODULES
#: The hook of hosts that fail, by the name that 5.12 has for it.
HOST_ERROR = "ft/host_error.rb"


class Threads(Executor):
    """A pool of threads that is none: the work is done in a later step."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        self._loop.call_later(0.001, work)
        return future


class QuickHooks:
    """Runs hooks in no time, and they succeed. That of hosts that fail does what the real one does."""

    def __init__(self, loop: SimulatedLoop, recover: Callable[[int], None]) -> None:
        self._loop = loop
        self._recover = recover

    def submit(self, request: Request, done: Callable[[Execution], None]) -> None:
        def run() -> None:
            if request.command == HOST_ERROR:
                document = b64decode(request.arguments.partition(" ")[0]).decode()
                self._recover(Host.from_xml(document).id)
            done(Execution(request.command, request.arguments))

        self._loop.call_later(0.001, run)


class Process:
    """Started on what `disk` holds; it goes on with whatever its predecessor had not finished."""

    def __init__(
        self, loop: SimulatedLoop, disk: Disk, hands: SimulatedHands, starter: SimulatedAgents, seed: int
    ) -> None:
        self.disk = disk
        self._hands = hands
        self._now = loop.now
        self.state = disk.loaded()
        self.settings = SETTINGS if hands.shared_storage else APART
        threads = Threads(loop)
        self.cloud = Cloud(
            self.state,
            disk,
            self.settings,
            now=loop.now,
            random=Random(seed).randbytes,  # noqa: S311 - reproducible is what it is to be
            executor=threads,
        )
        self.engine = Engine(self.cloud, hands, loop.call_later, limit=4, finished=disk)
        hooks = QuickHooks(loop, self._recover)
        self.hooks = Hooks(self.cloud, hooks, loop.call_later, most=4, seconds=0)
        self.host_watch = HostWatch(self.cloud, loop.call_later)
        self.poller = Poller(
            self.cloud,
            hands,
            loop.call_later,
            host_seconds=1500.0,
            datastore_seconds=90_000.0,
            market_seconds=90_000.0,
            has_agent=has_agent,
        )
        self.receiver = SimulatedReceiver(loop)
        chance = Random(-seed)  # noqa: S311 - as above
        self.agents = self.receiver.agents = Agents(
            self.cloud,
            self.receiver,
            starter,
            loop.call_later,
            has_agent,
            silence=SILENCE,
            clock=loop.time,
            new_session=lambda: chance.randbytes(4).hex(),
        )
        self.timetable = Watched(self.cloud, loop.call_later, UTC)
        self.scheduling = Scheduling(
            self.cloud,
            SchedulerSettings(),
            Limits(),
            loop.call_later,
            threads,
            loop.call_soon_threadsafe,
            loop.time,
        )

    def start(self) -> None:
        self.engine.resume()
        self.hooks.resume()
        self.host_watch.start()
        self.poller.start()
        self.agents.start()
        self.agents.hear({"listening": 1})
        self.scheduling.wake()
        self.timetable.start()

    def _recover(self, host_id: int) -> None:
        """As `host_error -m -p 1`."""
        self.request(METHODS["one.host.recover"], [host_id, "migrate", False, 1, True], ONEADMIN)

    @property
    def idle(self) -> bool:
        """Whether everything that was done is durable."""
        return self.cloud.is_durable(self.state.index)

    def request(self, method: Method, arguments: list[Any], uid: int) -> tuple[Result | ApiError, int]:
        """What the door does with a call: the answer, and the change that it waits for."""
        who = caller(self.state, self.settings, uid)
        if who is None:
            return ApiError(Code.AUTHENTICATION, "not authenticated"), self.state.index
        inputs: dict[str, Any] = {"archive": {}, "archived_vms": None, "addresses": Answers()}
        answers: Answers = inputs["addresses"]

        def command(tx: Transaction) -> Result:
            return execute(tx, method, arguments)

        while True:
            found = prepared(method.prepare, self.disk, self._now(), arguments)
            given = Inputs(who, 7, prepared=found, **inputs)
            answers.begin()
            try:
                run = self.cloud.look if method.read_only else self.cloud.execute
                result, index = run(command, given)
            except ApiError as error:
                index = self.state.index
                self._return(list(answers.asked.values()))
                return error, index
            except Asked as asked:
                answers.asked[asked.question.key] = asked.question, self._hands.ask(asked.question)
            except Archived as missing:
                if not self.idle:
                    # The door waits until what it looks for is stored, and runs the command again then.
                    return ApiError(Code.INTERNAL, "later"), self.state.index
                if missing.oid == ALL_ARCHIVED:
                    inputs["archived_vms"] = self.disk.archived_vms()
                else:
                    archived = self.disk.archived_vms(missing.oid)
                    inputs["archive"][missing.table, missing.oid] = archived[0] if archived else None
            else:
                self.cloud.when_durable(index, lambda stored: self._settle(answers, stored))
                return result, index

    def _settle(self, answers: Answers, stored: bool) -> None:
        self._return(answers.unused() if stored else list(answers.asked.values()))

    def _return(self, pairs: list[tuple[Question, Told]]) -> None:
        """Address managers get back what they gave in vain."""
        given = [pair for pair in pairs if pair[1].ok]

        def command(tx: Transaction) -> int:
            for question, told in given:
                ipam.give_up(tx, question, told)
            return 0

        if given:
            self.cloud.execute(command, Inputs(internal=True))
