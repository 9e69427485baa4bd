"""A manager on a fake core under a fake clock: what the tests of services tell their stories in."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any

from tests.flow.fake_core import FakeCore

from merope.flow.documents import service_of
from merope.flow.manager import Manager
from merope.flow.requests import purge, scale, undeploy
from merope.flow.service import Service
from merope.flow.settings import FlowSettings
from merope.flow.states import State

START = 1_700_000_000


def role(name: str = "web", cardinality: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "cardinality": cardinality, "vm_template": 0, **more}


def body(*roles: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "shop", "deployment": "straight", "roles": list(roles or (role(),)), **more}


@dataclass
class FlowWorld:
    core: FakeCore = field(default_factory=FakeCore)
    settings: FlowSettings = field(default_factory=FlowSettings)
    zone: tzinfo = UTC
    now: int = START

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.manager = Manager(self.core, self.settings, lambda: self.now, self.zone)
        self.manager.again_seconds = 0.0
        self.core.hear = self.manager.hear

    async def begin(self, *services: dict[str, Any]) -> None:
        for service in services:
            self.core.add_document(service["name"], json.dumps(service))
        self.manager.read_all()
        await self.rest()

    def restart(self) -> None:
        """The process is gone, and another one begins."""
        self.core.events.clear()
        self._begin()
        self.manager.read_all()

    async def rest(self) -> None:
        """Until nobody has anything to do; VMs come up meanwhile."""
        for _ in range(200):
            await self.settle()
            if not (self.core.step() or self.core.events):
                return
        raise AssertionError("the world does not come to rest")

    async def settle(self) -> None:
        """Events are heard and answered, until there are none; VMs stay as they are."""
        while True:
            self.core.deliver()
            await self.manager.settle()
            if not self.core.events:
                return

    async def wait(self, seconds: int) -> None:
        """Time passes, and whoever waited for it wakes."""
        self.now += seconds
        for oid in list(self.manager.keepers):
            self.manager.wake(oid)
        await self.rest()

    def service(self, oid: int = 0) -> Service:
        """As it is stored."""
        from merope.client.client import parse_document

        return service_of(parse_document(self.core.documents[oid].xml()))

    def states(self, oid: int = 0) -> tuple[State, dict[str, State]]:
        service = self.service(oid)
        return service.state, {role.name: role.state for role in service.roles}

    def log(self, oid: int = 0) -> list[str]:
        return [entry["message"] for entry in self.service(oid).log]

    async def scale(self, name: str, cardinality: int, *, force: bool = False) -> None:
        await self.manager.keeper(0).ask(lambda s: scale(s, name, cardinality, self.now, force=force))
        self.manager.wake(0)

    async def undeploy(self) -> None:
        await self.manager.keeper(0).ask(lambda s: undeploy(s, self.now))
        self.manager.wake(0)

    async def purge(self) -> None:
        await self.manager.keeper(0).ask(lambda s: purge(s, self.now))
        self.manager.wake(0)

    async def recover(self) -> None:
        await self.manager.keeper(0).recover()
        self.manager.wake(0)


def run(story: Any) -> Any:
    return asyncio.run(story)
