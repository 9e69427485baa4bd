"""/service_template: templates of services over REST (spec drivers.yaml `oneflow.routes`)."""

import asyncio
import json

from aiohttp import web

from merope.flow.api import Api, Caller, action_of, oid_of, word_of
from merope.flow.beginning import begun
from merope.flow.documents import SERVICE, TEMPLATE, body_of, with_body
from merope.flow.schema import check, check_values
from merope.flow.service import Json
from merope.services.web import Refusal, json_body

_REPLACE = 0


class TemplateApi(Api):
    kind = TEMPLATE

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_get("/service_template", self.list)
        router.add_get("/service_template/{id}", self.show)
        router.add_post("/service_template", self.create)
        router.add_put("/service_template/{id}", self.replace)
        router.add_delete("/service_template/{id}", self.delete)
        router.add_post("/service_template/{id}/action", self.act)

    async def create(self, request: web.Request) -> web.Response:
        caller = self.caller(request)
        template = check(await json_body(request))
        oid = await caller.call("one.document.allocate", _text(template), TEMPLATE)
        return await self.shown(caller, oid, 201)

    async def replace(self, request: web.Request) -> web.Response:
        caller, oid = self.caller(request), oid_of(request)
        return await self._update(caller, oid, check(await json_body(request)))

    async def _update(self, caller: Caller, oid: int, template: Json) -> web.Response:
        known = await caller.document(oid, TEMPLATE)
        await caller.call("one.document.update", oid, with_body(_json(template)), _REPLACE)
        if template["name"] != known.findtext("NAME"):
            await caller.call("one.document.rename", oid, template["name"])
        return await self.shown(caller, oid)

    async def delete(self, request: web.Request) -> web.Response:
        caller, oid = self.caller(request), oid_of(request)
        await caller.document(oid, TEMPLATE)
        await caller.call("one.document.delete", oid)
        return web.Response(status=204)

    async def act(self, request: web.Request) -> web.Response:
        caller, oid = self.caller(request), oid_of(request)
        perform, params = await action_of(request)
        await caller.document(oid, TEMPLATE)
        match perform:
            case "instantiate":
                return await self._instantiate(caller, oid, params)
            case "update":
                return await self._merge(caller, oid, params)
            case "clone":
                return await self._clone(caller, oid, params)
        deed = {
            "chown": self.chown, "chgrp": self.chgrp, "chmod": self.chmod, "rename": self._renamed,
        }.get(perform)  # fmt: skip
        if deed is None:
            raise Refusal(400, f"Action {perform[:40]!r} is not known.")
        await deed(caller, oid, params)
        return await self.shown(caller, oid, 201)

    async def _renamed(self, caller: Caller, oid: int, params: Json) -> None:
        name = word_of(params, "name")
        await self.rename(caller, oid, params)
        body = body_of(await caller.document(oid, TEMPLATE))
        await caller.call("one.document.update", oid, with_body(_json({**body, "name": name})), _REPLACE)

    async def _merge(self, caller: Caller, oid: int, params: Json) -> web.Response:
        try:
            given = json.loads(word_of(params, "template_json"))
        except ValueError as error:
            raise Refusal(400, f"template_json is not JSON: {error}") from error
        if not isinstance(given, dict):
            raise Refusal(400, "template_json must be an object.")
        if params.get("append") not in (None, False, "false"):
            given = {**body_of(await caller.document(oid, TEMPLATE)), **given}
        return await self._update(caller, oid, check(given))

    async def _instantiate(self, caller: Caller, oid: int, params: Json) -> web.Response:
        merge = params.get("merge_template") or {}
        if not isinstance(merge, dict):
            raise Refusal(400, "merge_template must be an object.")
        template = check_values({**body_of(await caller.document(oid, TEMPLATE)), **merge})
        service = begun(template, self.settings.shutdown_action, self.manager.now())
        made = await caller.call("one.document.allocate", _text(service), SERVICE)
        await self.manager.adopt(made)
        return await self.shown(caller, made, 201, SERVICE)

    async def _clone(self, caller: Caller, oid: int, params: Json) -> web.Response:
        """`recursive`: VM templates are cloned too, with their images for "all"."""
        name, recursive = word_of(params, "name"), params.get("recursive")
        made = await caller.call("one.document.clone", oid, name)
        body = body_of(await caller.document(made, TEMPLATE))
        body["name"] = name
        if recursive not in (None, False, "", "none"):
            images = recursive not in ("templates", "recursive-templates")
            used = sorted({role["vm_template"] for role in body["roles"]})
            cloned = await asyncio.gather(
                *(caller.call("one.template.clone", vm, f"{name}-{vm}", images) for vm in used)
            )
            new = dict(zip(used, cloned, strict=True))
            body["roles"] = [{**r, "vm_template": new[r["vm_template"]]} for r in body["roles"]]
        await caller.call("one.document.update", made, with_body(_json(body)), _REPLACE)
        return await self.shown(caller, made, 201)


def _json(body: Json) -> str:
    return json.dumps(body, separators=(",", ":"))


def _text(body: Json) -> str:
    return with_body(_json(body), body["name"])
