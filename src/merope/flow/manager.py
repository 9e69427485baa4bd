"""All services of a cloud: each is tended when something has happened to it, or when its time has come.

Nothing is asked from time to time. After the core (or the way to it) was away, everything is read anew.
"""

import asyncio
import logging
import re
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from datetime import tzinfo
from html import unescape

from merope.client.client import parse_document
from merope.client.errors import ClientError, ConnectionFailed, OneError
from merope.flow.documents import owner_of, service_of, view_of
from merope.flow.keeper import Keeper
from merope.flow.loading import load
from merope.flow.requests import RequestError, UnavailableError
from merope.flow.service import Service
from merope.flow.settings import FlowSettings
from merope.flow.states import State
from merope.flow.world import World
from merope.services.core import Core, text

log = logging.getLogger("merope.flow")

#: Prefixes of the events that services want to hear of: of VMs, those that are a service's, so that the core
#: makes no message of the others.
STATES, UPDATES = "EVENT SERVICE ", "EVENT API one.vm.update 1"
DOCUMENTS = tuple(f"EVENT API one.document.{what} 1" for what in ("chown", "rename", "delete"))
#: Always; UPDATES only while a guest is waited for: all of them may update thousands of times a second.
SUBSCRIPTIONS = (STATES, *DOCUMENTS)
_STATE = re.compile(r"<STATE>(\w+)</STATE><LCM_STATE>(\w+)</LCM_STATE><RESOURCE_ID>(\d+)</RESOURCE_ID>")
#: So often the time between two attempts at one service is doubled: to a minute.
_DOUBLINGS = 6
_HEAD = 400
"""Characters of a message, in base64, that say which VM is in which state; its document follows."""
_FIRST_IN = re.compile(r"<POSITION>2</POSITION><TYPE>IN</TYPE><VALUE>(\d+)</VALUE>")
_READY = re.compile(r"""READY\s*=\s*["']?YES|<READY>(?:<!\[CDATA\[)?YES""", re.IGNORECASE)


class Manager:
    """Must be made within a running loop. `down` says why nothing is done, "" while all is well."""

    #: Between attempts to read everything, or to note what the core did not take; doubled each time.
    again_seconds = 1.0

    def __init__(self, core: Core, settings: FlowSettings, now: Callable[[], int], zone: tzinfo) -> None:
        self.world = World()
        self.keepers: dict[int, Keeper] = {}
        self.down = "the core has not been asked yet"
        self.reactions = 0
        self._core = core
        self.settings = settings
        self.now = now
        self._zone = zone
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._dirty: set[int] = set()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._setbacks: dict[int, int] = {}
        self._reading: asyncio.Task[None] | None = None
        self.want_updates: Callable[[bool], None] = lambda _: None
        self._waiting: set[int] = set()
        """Services with VMs that are not ready yet."""

    # Coming to know

    def read_all(self) -> None:
        """Forget everything, and read it from the core, as often as it takes."""
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read_all())

    async def _read_all(self) -> None:
        while True:
            try:
                self.down = self.down or "services are being read"
                await self._end_tasks()
                await self._read_once()
                break
            except ClientError as error:
                self._note_down(str(error))
                await asyncio.sleep(self.again_seconds)
        self._reading = None
        if self.down:
            self._note_down("the core was gone at once")
            self.read_all()

    async def _read_once(self) -> None:
        for keeper in self.keepers.values():
            keeper.forgotten = True
        self._waiting.clear()
        self.world.clear()
        services = await load(self._core, self.world, self.settings)
        self.keepers = {service.id: self._keeper(service, stored) for service, stored in services}
        self._setbacks.clear()
        self.down = ""
        log.info("%d services are looked after", len(services))
        for oid in self.keepers:
            self.wake(oid)

    def _note_down(self, why: str) -> None:
        if self.down != why:
            log.warning("services wait: %s", why)
        self.down = why

    async def _end_tasks(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._dirty.clear()
        # Not cancelled: whether an order was carried out is known when its answer has come.
        await asyncio.gather(*self._busy.values(), return_exceptions=True)

    def _keeper(self, service: Service, stored: str | None = None) -> Keeper:
        return Keeper(service, self._core, self.world, self.settings, self.now, self._zone, stored)

    @property
    def is_busy(self) -> bool:
        return bool(self._busy) or self._reading is not None

    async def settle(self) -> None:
        """Until nobody is busy: for tests and for an orderly end."""
        while self.is_busy:
            waiting = [*self._busy.values(), *([self._reading] if self._reading else [])]
            await asyncio.gather(*waiting, return_exceptions=True)

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None
        await self._end_tasks()

    # Events

    def hear(self, key: str, message: bytes) -> None:
        """An event of the core: its key and its message, in base64."""
        if key.startswith(STATES):
            self._hear_state(message)
        elif key.startswith(UPDATES):
            self._hear_update(message)
        elif key.startswith("EVENT API one.document."):
            self._hear_document(message)

    def _hear_state(self, message: bytes) -> None:
        if found := _STATE.search(b64decode(message[:_HEAD]).decode("utf-8", "replace")):
            vm = int(found[3])
            self.world.heard(vm, found[1], found[2])
            self._wake_of(vm)

    def _hear_update(self, message: bytes) -> None:
        told = b64decode(message).decode("utf-8", "replace")
        vm = _FIRST_IN.search(told)
        if vm is not None and _READY.search(unescape(told)):
            self.world.heard_ready(int(vm[1]))
            self._wake_of(int(vm[1]))

    def _hear_document(self, message: bytes) -> None:
        found = _FIRST_IN.search(b64decode(message).decode("utf-8", "replace"))
        if found is not None and int(found[1]) in self.keepers:
            task = asyncio.get_running_loop().create_task(self.reread(int(found[1])))
            task.add_done_callback(_log_fault)

    async def reread(self, oid: int) -> None:
        """A service may have another owner or name now, or be gone."""
        keeper = self.keepers.get(oid)
        if keeper is None:
            return
        async with keeper.lock:
            try:
                document = parse_document(await text(self._core, "", "one.document.info", oid))
            except OneError:
                keeper.forgotten = True
                self._drop(oid)
                return
            keeper.service.owner = owner_of(document)
            keeper.service.name = document.findtext("NAME", "")

    def _wake_of(self, vm: int) -> None:
        service = self.world.service_of.get(vm)
        if service is not None:
            self.wake(service)

    # Tending

    async def adopt(self, oid: int) -> None:
        """A service that has just been made. Raises ClientError."""
        if oid in self.keepers:
            return
        document = parse_document(await text(self._core, "", "one.document.info", oid))
        service = service_of(document)
        if oid not in self.keepers and service.state is not State.DONE:
            self.keepers[oid] = self._keeper(service)
            self.wake(oid)

    def keeper(self, oid: int) -> Keeper:
        """Raises RequestError."""
        if self.down:
            raise UnavailableError(f"Nothing can be done now: {self.down}.")
        found = self.keepers.get(oid)
        if found is None:
            raise RequestError(f"Service {oid} is over (DONE).")
        return found

    def wake(self, oid: int) -> None:
        """Something has happened to a service."""
        if self.down or oid not in self.keepers:
            return
        self._dirty.add(oid)
        if oid not in self._busy:
            task = asyncio.get_running_loop().create_task(self._tend(oid))
            self._busy[oid] = task

    async def _tend(self, oid: int) -> None:
        keeper = self.keepers[oid]
        try:
            while oid in self._dirty:
                self._dirty.discard(oid)
                self.reactions += 1
                due = await keeper.tend()
                self._setbacks.pop(oid, None)
                self._note_waiting(keeper)
                self._sleep(oid, due)
        except ConnectionFailed as error:
            self._note_down(str(error))
            asyncio.get_running_loop().call_soon(self.read_all)
        except OneError as error:
            self._try_again(oid, error)
        except Exception:
            log.exception("service %d cannot be looked after", oid)
        finally:
            self._busy.pop(oid, None)
        if keeper.forgotten or keeper.service.state is State.DONE:
            self._drop(oid)
        elif oid in self._dirty:
            self.wake(oid)

    def _try_again(self, oid: int, error: OneError) -> None:
        """The core did not take what was to be noted: its database is full, the document locked."""
        count = self._setbacks[oid] = self._setbacks.get(oid, 0) + 1
        log.warning("service %d waits: %s", oid, error.message)
        delay = self.again_seconds * 2 ** min(count - 1, _DOUBLINGS)
        self._cancel_timer(oid)
        self._timers[oid] = asyncio.get_running_loop().call_later(delay, self.wake, oid)

    def _note_waiting(self, keeper: Keeper) -> None:
        """Whether a guest of a service is waited for; then it must be heard."""
        service, views = keeper.service, self.world.views
        waits = service.ready_status_gate and any(
            not views[vm].ready for vm in service.vm_ids if vm in views and not views[vm].asked
        )
        (self._waiting.add if waits else self._waiting.discard)(service.id)
        self.want_updates(bool(self._waiting))

    async def look_who_is_ready(self) -> None:
        """Updates are heard from now on; what was said before is asked for. Raises ClientError."""
        services = [self.keepers[oid].service for oid in self._waiting if oid in self.keepers]
        for owner, vm in [(s.owner.uname, vm) for s in services for vm in s.vm_ids]:
            with suppress(OneError):
                document = parse_document(await text(self._core, owner, "one.vm.info", vm, False))
                if view_of(document).ready:
                    self.world.heard_ready(vm)
                    self._wake_of(vm)

    def _sleep(self, oid: int, due: int | None) -> None:
        self._cancel_timer(oid)
        if due is not None:
            delay = max(0.0, due - self.now())
            self._timers[oid] = asyncio.get_running_loop().call_later(delay, self.wake, oid)

    def _cancel_timer(self, oid: int) -> None:
        timer = self._timers.pop(oid, None)
        if timer is not None:
            timer.cancel()

    def _drop(self, oid: int) -> None:
        keeper = self.keepers.pop(oid, None)
        self._sleep(oid, None)
        self._dirty.discard(oid)
        self._waiting.discard(oid)
        self._setbacks.pop(oid, None)
        for vm in [] if keeper is None else keeper.service.vm_ids:
            self.world.forget(vm)


def _log_fault(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("a service could not be read again: %s", error)
