"""OneFlow beside the simulated core: its real manager, in a process of its own that can be killed.

What it asks of the core goes over a connection that takes time and breaks when either of them dies; what the
core publishes comes some time later, and what is published while nobody is connected is lost.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from html import unescape
from random import Random
from typing import TYPE_CHECKING, Any

from merope.client.client import Scalar
from merope.client.errors import ClientError, ConnectionFailed, OneError
from merope.core import hook_matching
from merope.core.methods import METHODS, Pieces
from merope.flow.documents import SERVICE, with_body
from merope.flow.manager import SUBSCRIPTIONS, UPDATES, Manager
from merope.flow.requests import RequestError, UnavailableError
from merope.flow.settings import FlowSettings
from merope.model.change import Change
from merope.model.errors import ApiError, Code
from merope.model.stored_document import StoredDocument
from merope.model.vm import VM
from merope.simulation.loop import Lane
from merope.simulation.process import Process

if TYPE_CHECKING:
    from merope.simulation.simulation import Simulation

#: Seconds between two attempts at a request that has to wait until something is stored.
_LATER = 0.05
#: Seconds until what is subscribed to anew is heard.
_SUBSCRIBING = 0.05
_DOCUMENTS = ("one.document.delete", "one.document.update", "one.document.clone")
#: What happens to a process at a call: before it, when the core has carried it out, when that is stored.
BEFORE, DONE, STORED = MOMENTS = ("before", "done", "stored")


@dataclass
class Blow:
    """A process is killed `calls` calls from now."""

    calls: int
    moment: str


class OneFlow:
    """OneFlow in all its lives. `own_blow` and `core_blow`: when the next steps kill it, or the core."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self.chance = Random(f"oneflow {simulation.seed}")  # noqa: S311 - reproducible is what it is to be
        self.settings = FlowSettings(
            default_cooldown=self.chance.choice((0, 5, 60)), autoscaler_interval=self.chance.choice((10, 90))
        )
        self.own_blow: Blow | None = None
        self.core_blow: Blow | None = None
        self.away_until = 0.0
        """The core does not answer before."""
        self.kills = 0
        self._ended: list[FlowLife] = []
        self.life: FlowLife | None = None

    def start(self) -> None:
        if self.life is None:
            self.life = FlowLife(self)
            self.life.connect(max(0.0, self.away_until - self.loop.clock))

    def kill(self) -> None:
        """kill -9; the supervisor starts it again."""
        if self.life is None:
            return
        self.kills += 1
        self._simulation.note("OneFlow is killed")
        self.life.lane.end()
        self._ended.append(self.life)
        self.life = None
        self.loop.world_later(self.chance.choice((0.5, 3.0, 30.0)), self.start)

    def is_beyond(self, method: str, arguments: list[Any]) -> bool:
        """Whether a call takes away, behind OneFlow's back, what it knows its services and their VMs by."""
        if method in _DOCUMENTS:
            pool = self._simulation.process.state.pools["document_pool"]
            document = pool.parsed(arguments[0])
            return isinstance(document, StoredDocument) and document.type == SERVICE
        vm = self._simulation.process.state.pools["vm_pool"].parsed(arguments[0]) if arguments else None
        return method == "one.vm.update" and arguments[2] == 0 and isinstance(vm, VM) and _of_service(vm)

    def is_ours(self, network: str) -> bool:
        """Whether that is a name of a network that is made for a service."""
        return re.fullmatch(r"(Own|Part)\(service_\d+\)", network) is not None

    @property
    def loop(self) -> Any:
        return self._simulation.loop

    @property
    def simulation(self) -> "Simulation":
        return self._simulation

    # The core as it is seen from here

    def attend(self, process: Process) -> None:
        """A core has come up: what it publishes is heard by whoever is connected."""
        process.cloud.heard = self._heard
        process.cloud.subscribe(self._changed)

    def core_is_gone(self) -> None:
        self.away_until = self.loop.clock + self.chance.choice((0.1, 2.0, 60.0))
        if self.life is not None:
            self.life.lose(self.away_until - self.loop.clock)

    def _heard(self, key: str) -> bool:
        return self.life is not None and key.startswith(self.life.subscribed)

    def _changed(self, change: Change) -> None:
        life = self.life
        if life is None:
            return
        for event in change.events:
            for key in filter(self._heard, event.keys):
                life.lane.call_later(life.delay, life.hear, key, hook_matching.as_base64(event))

    def send(self, life: "FlowLife", user: str, method: str, arguments: tuple[Any, ...], answer: Any) -> None:
        """A request is on its way; it arrives also when its sender dies meanwhile."""
        self.loop.call_later(life.latency, self._arrive, life, user, method, arguments, answer)

    def _arrive(
        self, life: "FlowLife", user: str, method: str, arguments: tuple[Any, ...], answer: Any
    ) -> None:
        blow = self._due(self.core_blow)
        if blow == BEFORE:
            self._strike_core()
            return
        complete = [*arguments, *(param.default for param in METHODS[method].params[len(arguments) :])]
        process = self._simulation.process
        result, index = self._simulation.carried_out(method, complete, self._uid(user))
        if isinstance(result, ApiError) and result.message == "later":
            self.loop.call_later(_LATER, self._arrive, life, user, method, arguments, answer)
            return
        if blow == DONE:
            self._strike_core()
            return

        def told(stored: bool) -> None:
            lost = ApiError(Code.INTERNAL, "The change could not be stored and was not made.")
            life.lane.call_later(life.latency, life.answer, answer, method, result if stored else lost)

        process.cloud.when_durable(index, told)
        if blow == STORED:
            process.cloud.when_durable(index, lambda _: self.loop.call_soon(self._strike_core))

    @staticmethod
    def _due(blow: Blow | None) -> str:
        if blow is None:
            return ""
        blow.calls -= 1
        return blow.moment if blow.calls < 0 else ""

    def _strike_core(self) -> None:
        self.core_blow = None
        self._simulation.crash()

    def _uid(self, user: str) -> int:
        """The service itself is never removed, as serveradmin may be."""
        entries = self._simulation.process.state.pools["user_pool"].entries.values()
        return next((entry.oid for entry in entries if entry.name == user), -1) if user else 0


def _of_service(vm: VM) -> bool:
    return bool(vm.user_template.get("SERVICE_ID"))


class FlowLife:
    """One process. It is the `Core` of its own manager."""

    def __init__(self, flow: OneFlow) -> None:
        self._flow = flow
        self.lane = Lane(flow.loop)
        self.latency = flow.chance.choice((0.0005, 0.004, 0.02))
        self.delay = flow.chance.choice((0.0005, 0.004, 0.03))
        """Seconds of a message one way, and of an event."""
        self.subscribed: tuple[str, ...] = ()
        self.manager = Manager(self, flow.settings, flow.loop.now, UTC)
        self.manager.want_updates = self._want_updates
        self._wanted = False
        self._calls: list[Any] = []

    @property
    def busy(self) -> bool:
        return bool(self._calls or self.manager.is_busy)

    async def call(self, user: str, method: str, *arguments: Any) -> Scalar:
        flow = self._flow
        answer = self.lane.create_future()
        if flow.loop.clock < flow.away_until:
            self.lane.call_later(
                self.latency, self._fail, answer, ConnectionFailed("core", "connection refused")
            )
            return await answer  # type: ignore[no-any-return]
        blow = flow._due(flow.own_blow)
        self._calls.append(answer)
        if blow != BEFORE:
            flow.send(self, user, method, arguments, answer)
        if blow:
            flow.own_blow = None
            waits = {BEFORE: 0.0, DONE: self.latency * 1.5, STORED: 3.0}[blow]
            # It dies between two of its own steps, with this call under way.
            flow.loop.world_later(waits, lambda: flow.kill() if flow.life is self else None)
        try:
            return await answer  # type: ignore[no-any-return]
        finally:
            self._calls.remove(answer)

    def answer(self, future: Any, method: str, result: object) -> None:
        if isinstance(result, ApiError):
            self._fail(future, OneError(int(result.code), f"[{method}] {result.message}", result.oid))
        elif not future.done():
            future.set_result(_on_the_wire(result))

    @staticmethod
    def _fail(future: Any, error: Exception) -> None:
        if not future.done():
            future.set_exception(error)

    # Events

    def hear(self, key: str, message: bytes) -> None:
        if key.startswith(self.subscribed):
            self.manager.hear(key, message)

    def lose(self, seconds: float) -> None:
        """The connections are gone, for so many seconds."""
        self.subscribed = ()
        self._wanted = False
        for call in self._calls:
            self.lane.call_later(self.latency, self._fail, call, ConnectionFailed("core", "is gone", True))
        self.lane.call_later(self.delay, self._deaf)
        self.connect(seconds)

    def _deaf(self) -> None:
        if not self.subscribed:
            self.manager.down = "the core's events are not heard"

    def connect(self, seconds: float) -> None:
        self.lane.call_later(seconds + _SUBSCRIBING, self._connected, self._flow.loop.lives)

    def _connected(self, life: int) -> None:
        if life == self._flow.loop.lives:
            self.subscribed = SUBSCRIPTIONS
            self.manager.read_all()

    def _want_updates(self, wanted: bool) -> None:
        if wanted != self._wanted and self.subscribed:
            self._wanted = wanted
            self.lane.call_later(_SUBSCRIBING, self._subscribe_to_updates)

    def _subscribe_to_updates(self) -> None:
        if not self.subscribed:
            return
        self.subscribed = (*SUBSCRIPTIONS, UPDATES) if self._wanted else SUBSCRIPTIONS
        if self._wanted:
            self.lane.create_task(self._look())

    async def _look(self) -> None:
        with suppress(ClientError):
            await self.manager.look_who_is_ready()

    # Requests of people

    def do(self, what: Callable[["FlowLife"], Any]) -> None:
        """Begins a request; that it is refused, or that the core or this process dies, is an answer too."""

        async def asked() -> None:
            with suppress(ClientError, RequestError):
                await what(self)

        self.lane.call_soon(lambda: self.lane.create_task(asked()))

    async def instantiate(self, owner: str, body: str, name: str) -> None:
        if self.manager.down:
            raise UnavailableError(self.manager.down)
        made = await self.call(owner, "one.document.allocate", with_body(body, name), SERVICE)
        await self.manager.adopt(int(made))


def _on_the_wire(result: object) -> Scalar:
    """What a client reads: documents come escaped for XML-RPC, long ones in pieces."""
    if isinstance(result, Pieces):
        result = b"".join(result.parts)
    return unescape(result.decode()) if isinstance(result, bytes) else result  # type: ignore[return-value]


__all__ = ["BEFORE", "DONE", "MOMENTS", "STORED", "Blow", "FlowLife", "OneFlow"]
