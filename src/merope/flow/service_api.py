"""/service: services over REST (spec drivers.yaml `oneflow.routes`)."""

import asyncio
from functools import partial
from typing import Any

from aiohttp import web

from merope.client.client import parse_document
from merope.flow import requests
from merope.flow.api import Api, Caller, action_of, number_of, oid_of, word_of
from merope.flow.documents import SERVICE, service_of
from merope.flow.service import Json, Role
from merope.model.template import Template, Vector
from merope.services.web import Refusal, answer, json_body

SCHEDULE_ACTIONS = (
    "terminate", "terminate-hard", "undeploy", "undeploy-hard", "hold", "release", "stop", "suspend",
    "resume", "reboot", "reboot-hard", "poweroff", "poweroff-hard", "snapshot-create", "snapshot-revert",
    "snapshot-delete", "disk-snapshot-create", "disk-snapshot-revert", "disk-snapshot-delete",
)  # fmt: skip
_MERGE = 1


class ServiceApi(Api):
    kind = SERVICE

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_get("/service", self.list)
        router.add_get("/service/{id}", self.show)
        router.add_delete("/service/{id}", self.delete)
        router.add_post("/service/{id}/action", self.act)
        router.add_post("/service/{id}/scale", self.scale)
        # As clients of before 5.12 scale.
        router.add_put("/service/{id}/role/{role}", self.put_role)
        router.add_post("/service/{id}/role/{role}/action", self.act_on_role)

    async def delete(self, request: web.Request) -> web.Response:
        caller, oid = await self._manages(request)
        service = service_of(await caller.document(oid, SERVICE))
        if not requests.undeploy(service, 0):
            await caller.call("one.document.delete", oid)
            return web.Response(status=204)
        await self._ask(oid, requests.undeploy)
        return web.Response(status=204)

    async def act(self, request: web.Request) -> web.Response:
        caller, oid = await self._manages(request)
        perform, params = await action_of(request)
        if perform in SCHEDULE_ACTIONS:
            service = service_of(await caller.document(oid, SERVICE))
            for role in service.roles:
                await self._schedule(caller, role, perform, params)
            return answer({"message": f"Action {perform} on service {oid}"}, 201)
        deed = {
            "recover": self._recover, "chown": self.chown, "chgrp": self.chgrp, "chmod": self.chmod,
            "rename": self.rename,
        }.get(perform)  # fmt: skip
        if deed is None:
            raise Refusal(400, f"Action {perform[:40]!r} is not known.")
        await deed(caller, oid, params)
        return web.Response(status=204)

    async def _recover(self, caller: Caller, oid: int, params: Json) -> None:
        if params.get("delete") not in (None, False, "false"):
            if oid in self.manager.keepers or self.manager.down:
                await self._ask(oid, requests.purge)
            else:
                await caller.call("one.document.delete", oid)
            return
        await self.manager.keeper(oid).recover()
        self.manager.wake(oid)

    async def scale(self, request: web.Request) -> web.Response:
        _, oid = await self._manages(request)
        await self._scale(oid, await _object(request))
        return web.Response(status=204)

    async def put_role(self, request: web.Request) -> web.Response:
        _, oid = await self._manages(request)
        body = await _object(request)
        await self._scale(oid, {**body, "role_name": request.match_info["role"]})
        return web.Response(status=204)

    async def _scale(self, oid: int, body: Json) -> None:
        name, size = word_of(body, "role_name"), number_of(body, "cardinality")
        force = body.get("force") in (True, "true", "yes")

        def change(service: Any, now: int) -> None:
            requests.scale(service, name, size, now, force=force)

        await self._ask(oid, change)

    async def act_on_role(self, request: web.Request) -> web.Response:
        caller, oid = await self._manages(request)
        perform, params = await action_of(request)
        name = request.match_info["role"]
        role = service_of(await caller.document(oid, SERVICE)).role(name)
        if role is None:
            raise Refusal(404, f"Service {oid} has no role {name[:64]!r}.")
        if perform not in SCHEDULE_ACTIONS:
            raise Refusal(400, f"Action {perform[:40]!r} is none of {', '.join(SCHEDULE_ACTIONS)}.")
        vms = await self._schedule(caller, role, perform, params)
        return answer({"message": f"Action {perform} on VMs {', '.join(map(str, vms))}"}, 201)

    async def _schedule(self, caller: Caller, role: Role, action: str, params: Json) -> list[int]:
        """Gives each VM the action for its time: `number` of them each `period` seconds, all at once without.

        The core does them, also when this server is not there.
        """
        spread = params.get("period") or params.get("number")
        period = number_of(params, "period") if params.get("period") else self.settings.action_period
        number = number_of(params, "number", 1) if params.get("number") else self.settings.action_number
        now = self.manager.now()
        vms = [node.vm_id for node in role.nodes]
        times = [now + (place // number * period if spread else 0) for place in range(len(vms))]
        arguments = str(params.get("args") or "")
        await asyncio.gather(
            *(self._plan(caller, vm, action, time, arguments) for vm, time in zip(vms, times, strict=True))
        )
        return vms

    async def _plan(self, caller: Caller, vm: int, action: str, time: int, arguments: str) -> None:
        document = parse_document(await caller.call("one.vm.info", vm, False))
        user = document.find("USER_TEMPLATE")
        planned = Template()
        for known in Template.from_element(user).vectors("SCHED_ACTION") if user is not None else ():
            planned.add("SCHED_ACTION", known)
        more = {"ARGS": arguments} if arguments else {}
        planned.add("SCHED_ACTION", Vector({"ACTION": action, "TIME": str(time), **more}))
        await caller.call("one.vm.update", vm, planned.to_text(), _MERGE)

    async def give(self, caller: Caller, oid: int, uid: int, gid: int) -> None:
        """The VMs go to the new owner with it."""
        vms = service_of(await caller.document(oid, SERVICE)).vm_ids
        await super().give(caller, oid, uid, gid)
        await asyncio.gather(*(caller.call("one.vm.chown", vm, uid, gid) for vm in vms))
        await self.manager.reread(oid)

    async def rename(self, caller: Caller, oid: int, params: Json) -> None:
        await super().rename(caller, oid, params)
        await self.manager.reread(oid)

    async def _manages(self, request: web.Request) -> tuple[Caller, int]:
        caller, oid = self.caller(request), oid_of(request)
        await caller.document(oid, SERVICE)
        await caller.may_manage(oid)
        return caller, oid

    async def _ask(self, oid: int, change: Any) -> None:
        keeper = self.manager.keeper(oid)
        await keeper.ask(partial(_now, change, self.manager.now))
        self.manager.wake(oid)


def _now(change: Any, now: Any, service: Any) -> None:
    change(service, now())


async def _object(request: web.Request) -> Json:
    body = await json_body(request)
    if not isinstance(body, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return body
