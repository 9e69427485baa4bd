"""From a line that an agent sent to what is told and kept: no sockets, no clock."""

import logging
from collections.abc import Callable
from typing import Any

from merope.model.figures import host_document, vm_document
from merope.model.template import Template
from merope.monitor import reports
from merope.monitor.outbox import Outbox
from merope.monitor.sessions import Reason, Refused, Sessions, Taken
from merope_agent import message
from merope_agent.message import Message

log = logging.getLogger("merope.monitor")

Keep = Callable[[str, int, int, str], None]
"""Keeps a document: table, id, time, text."""
_NOISY = (Reason.MALFORMED, Reason.FORGED)
#: What describes a host besides its numbers; of each kind there may be many.
_SYSTEM = frozenset(("TOTALCPU", "TOTALMEMORY"))


class Intake:
    """`wall` turns seconds of our clock into an epoch."""

    def __init__(self, sessions: Sessions, outbox: Outbox, keep: Keep, wall: Callable[[float], int]) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._keep = keep
        self._wall = wall

    def take(self, line: bytes, now: float) -> bytes:
        """Takes a line in; answers what is to be sent back. Whatever a line says, the next one is heard."""
        try:
            taken = self._sessions.take(line, now)
        except Refused as refusal:
            log.log(
                logging.DEBUG if refusal.reason in _NOISY else logging.INFO,
                "a message was refused: %s",
                refusal,
            )
            return refusal.answer
        host = taken.message.host
        if self._sessions.heard_again(host):
            self._outbox.say({"heard": host})
        try:
            _TAKERS[taken.message.kind](self, taken)
        except KeyError:
            log.info("host %d sent a %s, which nobody knows", host, taken.message.kind)
        except ValueError as error:
            self._complain(host, [f"{taken.message.kind} makes no sense: {error}"])
        return b""

    def _beacon(self, taken: Taken) -> None:
        """That it came is all it says."""

    def _system(self, taken: Taken) -> None:
        found = reports.read(taken.message.payload)
        self._complain(taken.message.host, found.wrong)
        facts = {
            "at": taken.at,
            "error": _error(taken.message, found.template),
            "total_cpu": found.template.get_int("TOTALCPU", 0),
            "total_memory": found.template.get_int("TOTALMEMORY", 0),
            "attributes": [pair for pair in found.template.items() if pair[0] not in _SYSTEM],
        }
        self._outbox.report("system", taken.message.host, facts)

    def _states(self, taken: Taken) -> None:
        found = reports.read(taken.message.payload)
        self._complain(taken.message.host, found.wrong)
        states = reports.states(found.template)
        facts: dict[str, Any] = {
            "at": taken.at,
            "error": _error(taken.message, found.template),
            "vms": states.vms,
            "others": states.others,
            # A list of which a part could not be read is not all of them.
            "complete": states.complete and not found.wrong,
            "missing": states.missing,
        }
        self._outbox.report("states", taken.message.host, facts)

    def _figures(self, taken: Taken) -> None:
        found = reports.read(taken.message.payload)
        self._complain(taken.message.host, found.wrong)
        if taken.message.status == message.SUCCESS:
            host, time = taken.message.host, self._wall(taken.at)
            self._note(
                "host_pool", host, time, host_document(host, time, reports.host_figures(found.template))
            )

    def _vm_figures(self, taken: Taken) -> None:
        if taken.message.status != message.SUCCESS:
            return
        wrong: list[str] = []
        time = self._wall(taken.at)
        for oid, figures in reports.vm_figures(taken.message.payload, wrong):
            self._note("vm_pool", oid, time, vm_document(oid, time, figures))
        self._complain(taken.message.host, wrong)

    def _log(self, taken: Taken) -> None:
        text = reports.read(taken.message.payload).template.get("MESSAGE")
        self._complain(taken.message.host, [text] if text else [])

    def _note(self, table: str, oid: int, time: int, document: str) -> None:
        self._outbox.figures(table, oid, document)
        self._keep(table, oid, time, document)

    def _complain(self, host: int, sentences: list[str]) -> None:
        for sentence in sentences:
            log.warning("host %d: %s", host, sentence)


def _error(said: Message, template: Template) -> str:
    """Why its sender could not find out; empty where it could."""
    if said.status == message.SUCCESS:
        return ""
    return template.get("ERROR") or f"{said.kind} {said.status}"


_TAKERS: dict[str, Callable[[Intake, Taken], None]] = {
    message.BEACON: Intake._beacon,
    message.SYSTEM: Intake._system,
    message.VM_STATES: Intake._states,
    message.FIGURES: Intake._figures,
    message.VM_FIGURES: Intake._vm_figures,
    message.LOG: Intake._log,
}
