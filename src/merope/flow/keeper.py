"""Keeps one service going: what `machine.decide` says is stored first, and done then.

So whoever starts after a crash finds in the document at least what was begun; what was made and not noted yet
is found again by its name (`loading.py`).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from copy import deepcopy
from datetime import tzinfo
from typing import Any
from xml.etree.ElementTree import Element

from merope.client.client import parse_document
from merope.client.errors import OneError
from merope.flow import elasticity, outcomes, requests
from merope.flow.actions import Hands
from merope.flow.documents import with_body
from merope.flow.machine import decide
from merope.flow.service import Role, Service
from merope.flow.settings import FlowSettings
from merope.flow.states import Phase, State
from merope.flow.turn import Action, Forget, MakeNetwork
from merope.flow.world import World
from merope.model.errors import Code
from merope.services.core import Core, text

log = logging.getLogger("merope.flow")

_REPLACE = 0
#: Turns of one service without a pause; more would be a mistake of ours that never ends.
_MOST_TURNS = 1000


class Keeper:
    """One service. `changed` is called when its VMs are others; only one turn or request at a time."""

    def __init__(
        self,
        service: Service,
        core: Core,
        world: World,
        settings: FlowSettings,
        now: Callable[[], int],
        zone: tzinfo,
        stored: str | None = None,
    ) -> None:
        """`stored` is the body that the document has, None where it is the service's."""
        self.service = service
        self.lock = asyncio.Lock()
        self.forgotten = False
        self._core = core
        self._world = world
        self._settings = settings
        self._hands = Hands(core, world, settings)
        self._now = now
        self._zone = zone
        self._stored = service.to_text() if stored is None else stored
        self._mine: set[int] = set()

    async def tend(self) -> int | None:
        """Brings the service on; when it is to be looked at again (epoch), None for when something happens.

        Raises ConnectionFailed where the core is not there: then all is to be read anew; OneError where it
        did not take what was to be noted: then that is to be tried again.
        """
        async with self.lock:
            for _ in range(_MOST_TURNS):
                if self.forgotten or not await self._turn():
                    break
            else:
                log.error("service %d does not come to rest", self.service.id)
            return self._next_look()

    async def ask(self, change: Callable[[Service], object]) -> None:
        """A request of somebody's, stored before it is answered; what `change` raises is passed on.

        Raises OneError where it could not be stored: then it is not done.
        """
        async with self.lock:
            if self.forgotten:
                raise requests.UnavailableError(f"Service {self.service.id} is gone, or is being read anew.")
            before = deepcopy(self.service)
            try:
                change(self.service)
                await self._store()
            except (OneError, ValueError):
                self.service = before
                raise

    async def recover(self) -> None:
        """Raises RequestError."""

        def change(service: Service) -> None:
            for vm in requests.recover(service, self._world.views, self._now()):
                if (view := self._world.views.get(vm)) is not None:
                    self._world.views[vm] = view._replace(asked=False, seen=False)

        await self.ask(change)

    async def _turn(self) -> bool:
        """Whether there is more to do."""
        turn = decide(self.service, self._world.views, self._now(), self._settings.default_cooldown)
        self._drop_others()
        await self._prepare(turn.actions)
        await self._store()
        if not turn.actions:
            wished = await self._consult_policies()
            await self._store()
            return wished
        results = await _all(self._hands.do(self.service, action) for action in turn.actions)
        for action, outcome in zip(turn.actions, results, strict=True):
            outcomes.apply(self.service, self._world.views, action, outcome, self._now())
            if isinstance(action, MakeNetwork) and outcome.refusal:
                self._network(action.name).pop("after", None)
            if isinstance(action, Forget) and not outcome.refusal:
                self.forgotten = True
        return not self.forgotten

    async def _prepare(self, actions: list[Action]) -> None:
        """Notes from which id on a network is one that was made now."""
        for action in actions:
            if isinstance(action, MakeNetwork) and "after" not in self._network(action.name):
                self._network(action.name)["after"] = await self._hands.newest_network(self.service)

    def _network(self, name: str) -> dict[str, Any]:
        return next(network.given for network in self.service.networks if network.name == name)

    def _drop_others(self) -> None:
        """Views of VMs that have left the service."""
        known = set(self.service.vm_ids)
        for vm in self._mine - known:
            self._world.forget(vm)
        self._mine = known

    async def _store(self) -> None:
        body = self.service.to_text()
        if body == self._stored:
            return
        try:
            await self._core.call("", "one.document.update", self.service.id, with_body(body), _REPLACE)
        except OneError as error:
            if error.code != Code.NO_EXISTS:
                raise
            # Somebody removed the document: nothing can be noted any more, so nothing more is done.
            self.forgotten = True
        self._stored = body

    # Policies

    async def _consult_policies(self) -> bool:
        """At most one role is scaled at a time, and none while the service is not well."""
        if self.service.state is not State.RUNNING:
            return False
        now, interval = self._now(), self._settings.autoscaler_interval
        for role in self.service.roles:
            wish = elasticity.minimum(role)
            if wish is None and now >= role.cooldown_end:
                due = elasticity.expressions_due(role, now, interval)
                attributes = self.service.custom_attrs_values
                average = elasticity.averages(await self._running(role), attributes) if due else None
                wish = elasticity.wished(role, now, average, self._zone, interval)
            if wish is not None:
                requests.set_cardinality(
                    self.service, role, wish.cardinality, now, wish.reason, wish.cooldown
                )
                return True
        return False

    async def _running(self, role: Role) -> list[Element]:
        """The documents of the VMs that run."""
        views = self._world.views
        ids = [n.vm_id for n in role.live if n.vm_id in views and views[n.vm_id].phase is Phase.UP]
        found = await _all(self._document(vm) for vm in ids)
        return [document for document in found if document is not None]

    async def _document(self, vm: int) -> Element | None:
        try:
            owner = self.service.owner.uname
            return parse_document(await text(self._core, owner, "one.vm.info", vm, False))
        except OneError:
            return None

    def _next_look(self) -> int | None:
        now, service = self._now(), self.service
        times = [role.cooldown_end for role in service.roles if role.state is State.COOLDOWN]
        if service.state is State.RUNNING:
            for role in service.roles:
                due = elasticity.next_look(role, now, self._zone, self._settings.autoscaler_interval)
                if due is not None:
                    times.append(max(due, role.cooldown_end))
        return min(times, default=None)


async def _all(doings: Any) -> list[Any]:
    """Their results; all are waited for, then the first fault is raised."""
    pending: list[Coroutine[Any, Any, Any]] = list(doings)
    results = await asyncio.gather(*pending, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
