"""The agents of hosts: which there are to be, what they report, and what is done when one falls silent."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from merope.core import host_monitor
from merope.core.host_monitor import Found, Measured
from merope.core.transaction import Transaction
from merope.engine.cloud import Cloud, Inputs
from merope.engine.companion import Said
from merope.engine.engine import Handle, Timer
from merope.engine.moments import Moments
from merope.model.change import Change, Put
from merope.model.host import Host
from merope.model.states import HostState
from merope.model.template import Template, Vector

log = logging.getLogger("merope.monitor")

PATIENCE = 3
"""Attempts to start an agent, and reports in a row in which a host could not say what its VMs do."""
RETRY_SECONDS = 5.0
_MARGIN = 1.0
"""Seconds by which a report may be older than its own clock and the network let one think."""

Started = Callable[[str], None]
"""Gets why an agent was not started, as a sentence; empty where it was."""


class Place(NamedTuple):
    """A host, as far as its agent is concerned: there are many, and whole documents would take a lot."""

    id: int
    name: str
    im_mad: str


class Starter(Protocol):
    """Starts and ends the agents of hosts. `done` is called once, in the caller's thread."""

    def start(self, host: Place, session: str, done: Started, /) -> None: ...

    def stop(self, host: Place, /) -> None:
        """Does what it can: an agent that nobody expects is told to end when it reports."""
        ...


class Receiver(Protocol):
    """Who takes in what agents send."""

    def start(self) -> None: ...

    def tell(self, what: Said, /) -> None: ...


@dataclass(slots=True)
class Watch:
    """What is known of a host's agent. `asked` is when its start was ordered, by the receiver's clock,
    `began` the same once it runs: its own clock began no earlier, so that a report is taken for too old,
    never for news."""

    host: Place
    session: str
    state: object
    asked: float = 0.0
    began: float | None = None
    attempts: int = 0
    failures: int = 0
    """Reports in a row in which the host could not say what its VMs do."""
    silent: bool = False
    """Nothing has been heard since it was started because nothing had been heard."""
    retry: Handle | None = None


class Agents:
    """`has_agent` says which hosts have one; `clock` is that of the receiver (CLOCK_MONOTONIC, seconds)."""

    def __init__(
        self,
        cloud: Cloud,
        receiver: Receiver,
        starter: Starter,
        after: Timer,
        has_agent: Callable[[Host], bool],
        *,
        silence: float,
        clock: Callable[[], float] = time.monotonic,
        new_session: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._cloud = cloud
        self._receiver = receiver
        self._starter = starter
        self._after = after
        self._has_agent = has_agent
        self._silence = silence
        self._new_session = new_session
        self._clock = clock
        self._moments = Moments(clock, cloud.state.index)
        self._watches: dict[int, Watch] = {}
        self._listening = False
        self._port = 0
        self._stopped = True
        self.refused: dict[str, int] = {}
        """How many messages were not believed, by the reason."""
        self.taken = 0
        cloud.subscribe(self._changed)

    @property
    def number(self) -> int:
        return len(self._watches)

    @property
    def number_silent(self) -> int:
        """Those that were started again because nothing was heard, and have not been heard since."""
        return sum(watch.silent for watch in self._watches.values())

    def start(self) -> None:
        self._stopped = False
        for oid in list(self._cloud.state.pools["host_pool"].entries):
            self._begin(oid)

    def stop(self) -> None:
        self._stopped = True
        for watch in self._watches.values():
            _cancel(watch)

    def greeting(self) -> Iterator[Said]:
        """What a receiver that has just been started has to know."""
        self._listening = False
        for oid, watch in self._watches.items():
            yield {"expect": oid, "session": watch.session, "began": watch.began}

    def hear(self, said: Said) -> None:
        """What the receiver says."""
        if self._stopped:
            return
        if "figures" in said:
            self._take_figures(said["figures"])
            return
        for word, take in _WORDS.items():
            if word in said:
                take(self, said)

    # Which agents there are

    def _changed(self, change: Change) -> None:
        self._moments.note(change.index)
        if self._stopped:
            return
        for operation in change.operations:
            if operation.table != "host_pool" or not isinstance(operation.key, int):
                continue
            watch = self._watches.get(operation.key)
            if not isinstance(operation, Put):
                self._end(operation.key)
            elif watch is None or operation.row.get("name") != watch.host.name:
                self._begin(operation.key)
            else:
                self._state_changed(watch, operation.row.get("state"))

    def _state_changed(self, watch: Watch, state: object) -> None:
        """A host that is enabled goes through INIT, also where it was on."""
        before, watch.state = watch.state, state
        if state == HostState.OFFLINE:
            self._end(watch.host.id)
        elif state == HostState.INIT and before != HostState.INIT:
            self._begin(watch.host.id)

    def _begin(self, oid: int) -> None:
        """Expects a new agent of a host, and has it started."""
        host = self._host(oid)
        if host is None or host.state == HostState.OFFLINE or not self._has_agent(host):
            self._end(oid)
            return
        before = self._watches.get(oid)
        watch = self._watches[oid] = Watch(
            Place(host.id, host.name, host.im_mad), self._new_session(), host.state
        )
        if before is not None:
            _cancel(before)
            watch.silent, watch.failures = before.silent, before.failures
        self._receiver.start()
        self._receiver.tell({"expect": oid, "session": watch.session, "began": None})
        if self._listening:
            self._try(watch)

    def _try(self, watch: Watch) -> None:
        watch.retry = None
        watch.attempts += 1
        watch.asked = self._clock()
        self._receiver.tell({"start": watch.host.id, "began": watch.asked})
        self._starter.start(watch.host, watch.session, lambda reason: self._started(watch, reason))

    def _started(self, watch: Watch, reason: str) -> None:
        oid = watch.host.id
        if self._stopped or self._watches.get(oid) is not watch:
            return
        if not reason:
            watch.attempts, watch.began = 0, watch.asked
            self._receiver.tell({"wait": oid})
            return
        log.warning("the agent of host %d was not started: %s", oid, reason)
        if watch.attempts < PATIENCE:
            watch.retry = self._after(RETRY_SECONDS, lambda: self._try(watch))
            return
        watch.attempts = 0
        self._execute(lambda tx: int(host_monitor.lost(tx, oid, reason)))
        watch.retry = self._after(self._silence, lambda: self._try(watch))

    def _end(self, oid: int) -> None:
        watch = self._watches.pop(oid, None)
        if watch is not None:
            _cancel(watch)
            self._receiver.tell({"forget": oid})
            self._starter.stop(watch.host)

    def _host(self, oid: int) -> Host | None:
        found = self._cloud.state.pools["host_pool"].parsed(oid)
        return found if isinstance(found, Host) else None

    # What is heard

    def _listens(self, said: Said) -> None:
        """Agents can be started: there is a place where they can report."""
        before, self._port = self._port, said["listening"]
        self._listening = True
        if before not in (0, self._port):
            # They report to where nobody is any more.
            for oid in list(self._watches):
                self._begin(oid)
            return
        for watch in self._watches.values():
            if watch.began is None and watch.retry is None and not watch.attempts:
                self._try(watch)

    def _fell_silent(self, said: Said) -> None:
        """It is started again, once; then its host is given up, until it is heard of."""
        oid = said["silent"]
        watch = self._watches.get(oid)
        if watch is None or watch.began is None:
            return  # an agent that is being started has nothing to say
        if not watch.silent:
            log.warning("nothing was heard of the agent of host %d: it is started again", oid)
        else:
            reason = (
                f"nothing has come from its agent for {self._silence:.0f} seconds, though it was started "
                "again: does the network let it reach the front-end (NETWORK of monitord.conf, UDP and TCP)?"
            )
            self._execute(lambda tx: int(host_monitor.lost(tx, oid, reason)))
        watch.silent = True
        self._begin(oid)

    def _heard_again(self, said: Said) -> None:
        """Who was given up has a lot to tell, and says it when it starts."""
        oid = said["heard"]
        watch = self._watches.get(oid)
        if watch is not None:
            watch.silent = False
            self._begin(oid)

    def _take_system(self, said: Said) -> None:
        oid = said["system"]
        watch = self._watches.get(oid)
        if watch is None:
            return
        watch.silent = False
        if said["error"]:
            log.warning("host %d: %s", oid, said["error"])
        if watch.failures < PATIENCE and said["total_cpu"] > 0:
            measured = _measured(said)
            self._execute(lambda tx: int(host_monitor.take(tx, oid, measured)))

    def _take_states(self, said: Said) -> None:
        oid = said["states"]
        watch = self._watches.get(oid)
        if watch is None:
            return
        watch.silent = False
        if said["error"]:
            self._no_states(watch, said["error"])
            return
        watch.failures = 0
        found = Found(
            {int(vm): state for vm, state in said["vms"].items()},
            said["others"],
            complete=said["complete"],
            missing=said["missing"],
            since=self._moments.at(said["at"] - _MARGIN),
        )
        self._execute(lambda tx: int(host_monitor.take_states(tx, oid, found)))

    def _no_states(self, watch: Watch, reason: str) -> None:
        watch.failures += 1
        oid = watch.host.id
        log.warning("host %d cannot say what its VMs do: %s", oid, reason)
        if watch.failures == PATIENCE:
            self._execute(lambda tx: int(host_monitor.lost(tx, oid, reason)))

    def _take_figures(self, figures: list[tuple[str, int, str]]) -> None:
        state = self._cloud.state
        for table, oid, document in figures:
            if oid in state.pools[table].entries:
                state.set_monitoring(table, oid, document)

    def _take_counts(self, said: Said) -> None:
        self.taken, self.refused = said["taken"], said["refused"]

    def _execute(self, command: Callable[[Transaction], int]) -> None:
        self._cloud.execute(command, Inputs(internal=True))


_WORDS: dict[str, Callable[[Agents, Said], None]] = {
    "listening": Agents._listens,
    "silent": Agents._fell_silent,
    "heard": Agents._heard_again,
    "system": Agents._take_system,
    "states": Agents._take_states,
    "taken": Agents._take_counts,
}
#: What goes into the host's share, and is shown there.
_PARTS = frozenset(("CORE", "MEMORY_NODE", "HUGEPAGE", "PCI"))
_DISK = ("DS_LOCATION_TOTAL_MB", "DS_LOCATION_USED_MB", "DS_LOCATION_FREE_MB")


def _cancel(watch: Watch) -> None:
    if watch.retry is not None:
        watch.retry.cancel()
        watch.retry = None


def _measured(said: Said) -> Measured:
    template, parts = Template(), Template()
    for name, value in said["attributes"]:
        into = parts if name in _PARTS else template
        into.add(name, Vector(value) if isinstance(value, dict) else value)
    total, used, free = (template.get_int(name, 0) or 0 for name in _DISK)
    for name in _DISK:
        template.remove(name)
    return Measured(said["total_cpu"], said["total_memory"], template, (total, used, free), topology=parts)


def reports_by_agent(drivers: Any, host: Host) -> bool:
    """Whether a host's IM_MAD is one of those whose probes run on the host (monitord.conf, IM_MAD)."""
    section = drivers.get(host.im_mad)
    return section is not None and section.get("EXECUTABLE") == "one_im_ssh" and host.im_mad != "dummy"
