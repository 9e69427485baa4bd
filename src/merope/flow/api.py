"""What both kinds of documents have in common over REST: seen, owned, named, by the rights of who asks."""

from typing import Any
from xml.etree.ElementTree import Element

from aiohttp import web

from merope.client.client import parse_document
from merope.flow.documents import pool_to_json, to_json
from merope.flow.manager import Manager
from merope.flow.service import Json
from merope.flow.settings import FlowSettings
from merope.services.core import ServerCore
from merope.services.web import Refusal, answer, json_body, session_of

_ALL = -2
_UNCHANGED = -1


class Caller:
    """Who asks; every call is theirs."""

    def __init__(self, core: ServerCore, session: str) -> None:
        self._core = core
        self._session = session

    async def call(self, method: str, *arguments: Any) -> Any:
        return await self._core.call_as(self._session, method, *arguments)

    async def document(self, oid: int, kind: int) -> Element:
        """Raises Refusal 404 for a document of another type."""
        found = parse_document(await self.call("one.document.info", oid))
        if found.findtext("TYPE") != str(kind):
            raise Refusal(404, f"Document {oid} is no {_NAMES[kind]}.")
        return found

    async def may_manage(self, oid: int) -> None:
        """Raises OneError where they may not: the core has no question, but a change of nothing."""
        await self.call("one.document.update", oid, "", 1)


_NAMES = {100: "service", 101: "service template"}


class Api:
    """Routes of one type of documents; `kind` is 100 or 101."""

    kind = 0

    def __init__(self, core: ServerCore, manager: Manager, settings: FlowSettings) -> None:
        self.core = core
        self.manager = manager
        self.settings = settings

    def caller(self, request: web.Request) -> Caller:
        return Caller(self.core, session_of(request))

    async def list(self, request: web.Request) -> web.Response:
        caller = self.caller(request)
        return answer(
            pool_to_json(await caller.call("one.documentpool.info", _ALL, _UNCHANGED, _UNCHANGED, self.kind))
        )

    async def show(self, request: web.Request) -> web.Response:
        return await self.shown(self.caller(request), oid_of(request))

    async def shown(self, caller: Caller, oid: int, status: int = 200, kind: int = 0) -> web.Response:
        return answer({"DOCUMENT": to_json(await caller.document(oid, kind or self.kind))}, status)

    async def chown(self, caller: Caller, oid: int, params: Json) -> None:
        uid = number_of(params, "owner_id")
        gid = number_of(params, "group_id") if params.get("group_id") is not None else _UNCHANGED
        await self.give(caller, oid, uid, gid)

    async def chgrp(self, caller: Caller, oid: int, params: Json) -> None:
        await self.give(caller, oid, _UNCHANGED, number_of(params, "group_id"))

    async def give(self, caller: Caller, oid: int, uid: int, gid: int) -> None:
        await caller.call("one.document.chown", oid, uid, gid)

    async def chmod(self, caller: Caller, oid: int, params: Json) -> None:
        octet = str(params.get("octet", ""))
        if len(octet) != 3 or any(digit not in "01234567" for digit in octet):
            raise Refusal(400, f"octet must be three octal digits, such as 640, not {octet[:20]!r}.")
        bits = [int(octet[who]) >> shift & 1 for who in range(3) for shift in (2, 1, 0)]
        await caller.call("one.document.chmod", oid, *bits)

    async def rename(self, caller: Caller, oid: int, params: Json) -> None:
        await caller.call("one.document.rename", oid, word_of(params, "name"))


async def action_of(request: web.Request) -> tuple[str, Json]:
    """`{"action": {"perform": …, "params": {…}}}`. Raises Refusal 400."""
    body = await json_body(request)
    action = body.get("action") if isinstance(body, dict) else None
    if not isinstance(action, dict) or not isinstance(action.get("perform"), str):
        raise Refusal(400, 'The body must be {"action": {"perform": …, "params": {…}}}.')
    params = action.get("params") or {}
    if not isinstance(params, dict):
        raise Refusal(400, "action.params must be an object.")
    return action["perform"], params


def oid_of(request: web.Request) -> int:
    """Raises Refusal 404 for what is no id."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Refusal(404, f"{text[:40]!r} is no id.")
    return int(text)


def number_of(params: Json, name: str, least: int = 0) -> int:
    """Raises Refusal 400."""
    text = str(params.get(name, ""))
    if not text.lstrip("-").isdecimal() or len(text) > 10 or int(text) < least:
        raise Refusal(400, f"{name} must be a whole number, {least} or more, not {text[:20]!r}.")
    return int(text)


def word_of(params: Json, name: str) -> str:
    """Raises Refusal 400."""
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(400, f"{name} is missing.")
    return value
