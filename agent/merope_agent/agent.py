"""The agent: a thread for each kind of message, that looks and tells, again and again."""

from __future__ import annotations

import random
import sys
import threading
import time
from typing import Callable, NamedTuple

from merope_agent import commands, custom, message
from merope_agent.config import Config
from merope_agent.probes import host
from merope_agent.probes.host import HostProbe
from merope_agent.probes.vms import FiguresProbe, StateProbe
from merope_agent.sender import Sender
from merope_agent.template import single

#: Python's own stacks would be 8 MB of address space each.
_STACK_BYTES = 256 * 1024
_RETRY_SECONDS = 5.0


class Probe(NamedTuple):
    """What goes into messages of a kind; `looks` are asked one after the other.

    A probe with `only_if_told` is silent when its own looks have nothing to tell, and no executable either.
    """

    kind: str
    looks: list[Callable[[], str]]
    only_if_told: bool = False


class Agent:
    """`serve` returns when the receiver says so."""

    def __init__(self, config: Config, sender: Sender | None = None) -> None:
        self._config = config
        self._sender = sender or Sender(config)
        self.host = HostProbe(config)
        self.states = StateProbe(config)
        self.figures = FiguresProbe(config)
        self.probes = [
            Probe(message.BEACON, []),
            Probe(message.SYSTEM, [self.host.system, lambda: host.parts(config), lambda: host.wild(config)]),
            Probe(message.VM_STATES, [lambda: self.states.report(time.monotonic())], only_if_told=True),
            Probe(message.FIGURES, [self.host.figures]),
            Probe(message.VM_FIGURES, [lambda: self.figures.report(time.monotonic())]),
        ]

    def serve(self) -> None:
        threading.stack_size(_STACK_BYTES)
        for probe in self.probes:
            threading.Thread(target=self._repeat, args=(probe,), name=probe.kind, daemon=True).start()
        self._sender.wait_for_stop()

    def _repeat(self, probe: Probe) -> None:
        period = self._config.periods[probe.kind]
        while not self.look(probe):
            time.sleep(min(period, _RETRY_SECONDS))
        # Agents that were started together do not go on together.
        time.sleep(random.uniform(0, period))
        due = time.monotonic()
        while True:
            # What took longer than its period is not made up for.
            wait = period if self.look(probe) else min(period, _RETRY_SECONDS)
            due = max(due + wait, time.monotonic())
            time.sleep(due - time.monotonic() if due > time.monotonic() else 0)

    def look(self, probe: Probe) -> bool:
        """Looks once, and tells; False where that could not be sent. Never raises."""
        clock = self._sender.clock()
        status, said = message.SUCCESS, []
        for ask in probe.looks:
            try:
                said.append(ask())
            except Exception as error:
                status = message.FAILURE
                said.append(single("ERROR", _sentence(error)))
        try:
            executed, wrong = custom.run(self._config, probe.kind)
            if status == message.FAILURE or executed or any(said) or not probe.only_if_told:
                payload = message.SEPARATOR.join(filter(None, said + executed))
                self._sender.send(probe.kind, payload, clock, status)
            for sentence in wrong:
                self._sender.send(message.LOG, single("MESSAGE", sentence), clock, "W")
        except Exception as error:
            print(f"{probe.kind}: {_sentence(error)}", file=sys.stderr, flush=True)
            return False
        return True


def _sentence(error: Exception) -> str:
    known = isinstance(error, (commands.CommandError, OSError))
    return str(error) if known else f"{type(error).__name__}: {error}"
