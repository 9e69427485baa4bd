"""OneGate as a server: who asks is a guest, known by its token; it acts in the name of its VM's owner."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element

import aiohttp
from aiohttp import web

from merope.client.async_client import AsyncClient
from merope.client.client import parse_document
from merope.client.errors import OneError
from merope.client.rest import basic
from merope.gate import shapes
from merope.gate.actions import call_of
from merope.gate.guests import Guest, Guests
from merope.gate.settings import GateSettings
from merope.model.template import Template, TemplateError
from merope.services.core import ServerCore
from merope.services.web import Counted, Refusal, answer, application, serve, tls

log = logging.getLogger("merope.gate")

_REPLACE, _MERGE = 0, 1
_DELETE = "2"
_SEPARATORS = re.compile(r"[\s,;&]+")


class GateServer:
    """Must be made within a running loop. `login` is "serveradmin:password" of the server's user."""

    def __init__(self, settings: GateSettings, login: str) -> None:
        self._settings = settings
        self._core = ServerCore(AsyncClient(settings.one_xmlrpc, settings.concurrency), login)
        self._guests = Guests(self._core, settings.vm_rate, settings.vm_burst)
        self._counted = Counted("onegate")
        self._changing: dict[int, asyncio.Lock] = {}
        self._flow: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        app = application(self._counted, lambda: "", self._metrics, max_body=self._settings.max_body)
        router = app.router
        router.add_get("/", self._links)
        router.add_get("/vm", self._own_vm)
        router.add_put("/vm", self._update_own)
        router.add_get("/vms/{id}", self._vm)
        router.add_put("/vms/{id}", self._update)
        router.add_post("/vms/{id}/action", self._act)
        router.add_get("/service", self._service)
        router.add_put("/service/role/{role}", self._scale)
        router.add_get("/vrouter", self._vrouter)
        router.add_get("/vnet/{id}", self._vnet)
        return app

    def _metrics(self) -> Iterator[str]:
        yield "# TYPE merope_onegate_up gauge"
        yield "merope_onegate_up 1"

    async def run(self) -> None:
        """Until the process is asked to end. Raises OSError where the port is taken."""
        settings = self._settings
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as self._flow:
            secure = tls(settings.ssl_cert, settings.ssl_key)
            most = settings.max_connections
            await serve(self.application(), settings.host, settings.port, secure, most)
        await self._core.close()

    # Who asks, for what

    async def _guest(self, request: web.Request, *permission: str) -> Guest:
        if permission in self._settings.forbidden:
            raise Refusal(403, f"{'/'.join(permission)} is not enabled.")
        return await self._guests.of(request.headers, request.remote or "")

    async def _info(self, guest: Guest, vm: int) -> Element:
        return parse_document(str(await self._core.call(guest.owner, "one.vm.info", vm, False)))

    async def _fellow(self, guest: Guest, request: web.Request) -> tuple[int, Element]:
        """The VM that a path names, which must be of the guest's service. Raises Refusal."""
        text = request.match_info["id"]
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise Refusal(404, f"{text[:40]!r} is no id of a VM.")
        vm = int(text)
        document = await self._info(guest, vm)
        service = document.findtext("USER_TEMPLATE/SERVICE_ID", "")
        if vm != guest.vm and (guest.service is None or service != str(guest.service)):
            raise Refusal(403, f"VM {vm} is not of the service of VM {guest.vm}.")
        return vm, document

    # VMs

    async def _links(self, request: web.Request) -> web.Response:
        await self._guest(request)
        base = self._settings.ssl_server or f"{request.scheme}://{request.host}"
        links = {
            name: f"{base.rstrip('/')}/{name.removesuffix('_info')}" for name in ("vm_info", "service_info")
        }
        return answer(links)

    async def _own_vm(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "vm", "show")
        return answer(shapes.vm(await self._info(guest, guest.vm)))

    async def _vm(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "vm", "show_by_id")
        return answer(shapes.vm((await self._fellow(guest, request))[1]))

    async def _update_own(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "vm", "update")
        return await self._change(guest, guest.vm, request)

    async def _update(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "vm", "update_by_id")
        vm, _ = await self._fellow(guest, request)
        return await self._change(guest, vm, request)

    async def _change(self, guest: Guest, vm: int, request: web.Request) -> web.Response:
        body = await request.text()
        if request.query.get("type") == _DELETE:
            given = request.query.get("data", "") or body
            await self._erase(guest, vm, [n for n in _SEPARATORS.split(given.removeprefix("data=")) if n])
        else:
            await self._add(guest, vm, body)
        return web.Response(status=200)

    async def _add(self, guest: Guest, vm: int, body: str) -> None:
        try:
            template = Template.parse(body)
        except TemplateError as error:
            raise Refusal(400, f"The body is no list of NAME = value: {error}") from error
        if not template:
            raise Refusal(400, "The body has no attribute; NAME = value is expected.")
        self._check(template.names())
        async with self._alone(vm):
            await self._core.call(guest.owner, "one.vm.update", vm, template.to_text(), _MERGE)

    async def _erase(self, guest: Guest, vm: int, names: list[str]) -> None:
        """The core has no call for it: what is there is written again without them."""
        if not names:
            raise Refusal(400, "The names of attributes are expected.")
        self._check(names)
        async with self._alone(vm):
            document = await self._info(guest, vm)
            user = document.find("USER_TEMPLATE")
            template = Template() if user is None else Template.from_element(user)
            for name in names:
                template.remove(name.upper())
            await self._core.call(guest.owner, "one.vm.update", vm, template.to_text(), _REPLACE)

    def _check(self, names: list[str]) -> None:
        restricted = self._settings.restricted_attrs
        # What may not be done now may not be done later either.
        restricted |= {"SCHED_ACTION"} if self._settings.restricted_actions else set()
        if bad := [name for name in names if name.upper() in restricted]:
            raise Refusal(403, f"Attribute {bad[0][:64].upper()} cannot be changed by guests.")

    @asynccontextmanager
    async def _alone(self, vm: int) -> AsyncIterator[None]:
        """Changes of one VM one after the other: one that erases writes what it has read."""
        lock = self._changing.setdefault(vm, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._changing.get(vm) is lock:
                del self._changing[vm]

    async def _act(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "vm", "action_by_id")
        action = (await _object(request)).get("action")
        params = action.get("params") or {} if isinstance(action, dict) else None
        if not isinstance(action, dict) or not isinstance(params, dict):
            raise Refusal(400, 'The body must be {"action": {"perform": …, "params": {…}}}.')
        vm, _ = await self._fellow(guest, request)
        perform = str(action.get("perform", ""))
        method, arguments = call_of(vm, perform, params, self._settings.restricted_actions)
        await self._core.call(guest.owner, method, *arguments)
        return web.Response(status=204)

    # Services

    async def _service(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "service", "show")
        oid = _service_of(guest)
        document = parse_document(str(await self._core.call(guest.owner, "one.document.info", oid)))
        try:
            body = json.loads(document.findtext("TEMPLATE/BODY", ""))
        except ValueError as error:
            raise Refusal(404, f"Document {oid} is no service.") from error
        ids = [int(node["deploy_id"]) for role in body.get("roles", ()) for node in role.get("nodes", ())]
        found = await asyncio.gather(*(self._seen(guest, vm) for vm in ids))
        vms = {vm: seen for vm, seen in zip(ids, found, strict=True) if seen is not None}
        return answer(shapes.service(oid, document.findtext("NAME", ""), body, vms))

    async def _seen(self, guest: Guest, vm: int) -> Element | None:
        try:
            return await self._info(guest, vm)
        except OneError:
            return None

    async def _scale(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "service", "change_cardinality")
        oid = _service_of(guest)
        body = {**_cardinality(await request.text()), "role_name": request.match_info["role"]}
        headers = {"Authorization": basic(self._core.session_of(guest.owner))}
        url = f"{self._settings.oneflow_server.rstrip('/')}/service/{oid}/scale"
        assert self._flow is not None
        try:
            async with self._flow.post(url, json=body, headers=headers) as reply:
                told = await reply.text()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refusal(503, "OneFlow does not answer; try again later.") from error
        if status >= 400:
            raise Refusal(status, _message(told))
        return web.Response(status=200)

    # Routers and networks

    async def _router_of(self, guest: Guest) -> Element:
        vm = await self._info(guest, guest.vm)
        # Never of the user template: guests write that one themselves.
        oid = vm.findtext("TEMPLATE/VROUTER_ID") or ""
        if not oid.isdecimal():
            raise Refusal(400, f"VM {guest.vm} is of no virtual router.")
        return parse_document(str(await self._core.call(guest.owner, "one.vrouter.info", int(oid))))

    async def _vrouter(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "vrouter", "show")
        return answer(shapes.vrouter(await self._router_of(guest)))

    async def _vnet(self, request: web.Request) -> web.Response:
        guest = await self._guest(request, "vnet", "show_by_id")
        wanted = request.match_info["id"]
        router = await self._router_of(guest)
        reached = {nic.findtext("NETWORK_ID", "") for nic in router.iterfind("TEMPLATE/NIC")}
        if wanted not in reached:
            raise Refusal(403, f"Network {wanted[:20]!r} is none of the router's.")
        return answer(
            shapes.vnet(parse_document(str(await self._core.call(guest.owner, "one.vn.info", int(wanted)))))
        )


def _service_of(guest: Guest) -> int:
    if guest.service is None:
        raise Refusal(400, f"VM {guest.vm} is of no service.")
    return guest.service


def _cardinality(body: str) -> dict[str, Any]:
    """JSON, or `cardinality = 3`. Raises Refusal 400."""
    try:
        found = json.loads(body)
    except ValueError:
        match = re.fullmatch(r"\s*cardinality\s*=\s*\"?(\d{1,9})\"?\s*", body, re.IGNORECASE)
        found = {"cardinality": int(match[1])} if match else None
    if not isinstance(found, dict) or "cardinality" not in found:
        raise Refusal(400, 'The body must be {"cardinality": number}.')
    return {name: found[name] for name in ("cardinality", "force") if name in found}


def _message(told: str) -> str:
    try:
        return str(json.loads(told)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "OneFlow refused."


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return body
