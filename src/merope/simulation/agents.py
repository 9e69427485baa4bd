"""The agents of the simulated hosts, and a receiver that lives and dies with the process.

What agents send is late, comes twice, in another order, or not at all. They are in the world, outlive the
process that started them, and report to whichever there is.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from merope.drivers.errors import DriverError
from merope.drivers.simulated.world import World
from merope.engine.agents import Agents, Place, Started
from merope.engine.companion import Said
from merope.model.host import Host
from merope.monitor.intake import Intake
from merope.monitor.outbox import Outbox
from merope.monitor.sessions import Sessions
from merope.simulation.loop import SimulatedLoop
from merope_agent import message
from merope_agent.message import Message
from merope_agent.sealing import Keys, session_secret
from merope_agent.template import singles, vector

MASTER = bytes(32)
SILENCE = 600.0
_LATEST = 60.0


def has_agent(host: Host) -> bool:
    """Every second host; the others are asked by the core."""
    return host.id % 2 == 1


@dataclass
class _Agent:
    host: int
    name: str
    session: str
    began: float
    sequence: int = 0


class SimulatedReceiver:
    """What the receiver's process does, without a process."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._sessions = Sessions(MASTER)
        self._outbox = Outbox()
        self._intake = Intake(self._sessions, self._outbox, lambda *_: None, int)
        self.agents: Agents | None = None

    def start(self) -> None:
        """It is there already."""

    def tell(self, what: Said) -> None:
        if "expect" in what:
            self._sessions.expect(what["expect"], what["session"], self._loop.time(), what["began"])
        elif "start" in what:
            self._sessions.start(what["start"], what["began"])
        elif "wait" in what:
            self._sessions.wait(what["wait"], self._loop.time())
        else:
            self._sessions.forget(what["forget"])

    def take(self, line: bytes) -> None:
        self._intake.take(line, self._loop.time())
        self._pass_on()

    def watch(self) -> None:
        for host in self._sessions.fallen_silent(self._loop.time(), SILENCE):
            self._outbox.say({"silent": host})
        self._pass_on()

    def _pass_on(self) -> None:
        assert self.agents is not None
        for said in self._outbox.lines():
            self.agents.hear(json.loads(said))


class SimulatedAgents:
    """Starts agents, and lets them look; `reliable` says whether messages come as they were sent."""

    def __init__(self, loop: SimulatedLoop, world: World, seed: int) -> None:
        self._loop = loop
        self._world = world
        self._chance = Random(seed)  # noqa: S311 - reproducible is what it is to be
        self._agents: dict[int, _Agent] = {}
        self.reliable = False
        self.hear: Callable[[bytes], None] = lambda _: None
        """Who listens now."""

    def start(self, host: Place, session: str, done: Started) -> None:
        agent = _Agent(host.id, host.name, session, 0.0)

        def begin() -> None:
            try:
                self._world.host(agent.name)
            except DriverError as error:
                done(str(error))
                return
            agent.began = self._loop.time()
            self._agents[agent.host] = agent
            self._look(agent)
            done("")

        self._loop.call_later(0.3, begin)

    def stop(self, host: Place) -> None:
        self._agents.pop(host.id, None)

    def look(self) -> None:
        """Every agent looks at its host, and tells."""
        for agent in list(self._agents.values()):
            self._look(agent)

    def _look(self, agent: _Agent) -> None:
        host = self._world.hosts.get(agent.name)
        if host is None or not host.up:
            return
        capacity = {"TOTALCPU": host.total_cpu, "TOTALMEMORY": host.total_memory}
        states = singles({"SYNC_STATE": "yes", "MISSING_STATE": "POWEROFF"}) + "".join(
            vector(
                "VM",
                {
                    "ID": -1 if domain.vm_id is None else domain.vm_id,
                    "DEPLOY_ID": domain.deploy_id,
                    "STATE": domain.state.value,
                },
            )
            for where, domain in self._world.domains()
            if where is host
        )
        self._send(agent, message.SYSTEM, singles(capacity))
        self._send(agent, message.VM_STATES, states)

    def _send(self, agent: _Agent, kind: str, payload: str) -> None:
        agent.sequence += 1
        now = self._loop.time()
        clock = round((now - agent.began) * 1000)
        said = Message(
            kind, message.SUCCESS, agent.host, int(now), payload, agent.session, agent.sequence, clock
        )
        secret = session_secret(MASTER, agent.host, agent.session)
        line = message.pack(said, Keys.of(secret))
        for delay in self._ways():
            self._loop.world_later(delay, lambda: self.hear(line))

    def _ways(self) -> list[float]:
        """How long the message is on its way; once for each time that it comes."""
        if self.reliable:
            return [0.01]
        way = self._chance.random()
        if way < 0.1:
            return []
        late = self._chance.random() * _LATEST
        if way < 0.3:
            return [late]
        return [0.01, late] if way < 0.4 else [0.01]
