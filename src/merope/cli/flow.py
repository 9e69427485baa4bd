"""What `oneflow` and `oneflow-template` have in common: read from the core, asked of OneFlow."""

import json
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import Arg, Command, Run, ids, one, word
from merope.cli.errors import CliError
from merope.cli.listing import print_document
from merope.client import KINDS, find_flow
from merope.client.rest import RestClient

#: 5.12's states of services and roles.
STATES = (
    "PENDING", "DEPLOYING", "RUNNING", "UNDEPLOYING", "WARNING", "DONE", "FAILED_UNDEPLOYING",
    "FAILED_DEPLOYING", "SCALING", "FAILED_SCALING", "COOLDOWN",
)  # fmt: skip
_PATHS = {"service": "/service", "service_template": "/service_template"}


def flow(ctx: Context) -> RestClient:
    return RestClient(find_flow(), ctx.client.cloud.auth)


def path(kind: str, oid: int, *more: str) -> str:
    from urllib.parse import quote

    return "/".join([f"{_PATHS[kind]}/{oid}", *(quote(part, safe="") for part in more)])


def body_of(document: Element) -> dict[str, Any]:
    """The JSON of a document, {} where there is none."""
    try:
        found = json.loads(document.findtext("TEMPLATE/BODY", ""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def state_of(body: dict[str, Any]) -> str:
    number = body.get("state")
    return STATES[number] if isinstance(number, int) and 0 <= number < len(STATES) else str(number or "")


def perform(ctx: Context, oid: int, action: str, *where: str, **params: Any) -> Any:
    body = {"action": {"perform": action, "params": params}}
    return flow(ctx).ask("POST", path(ctx.kind, oid, *where, "action"), body)


def each(action: str, params: Callable[[Context], dict[str, Any]] = lambda _: {}) -> Run:
    """Perform an action on each object of the list."""

    def run(ctx: Context) -> int:
        given = params(ctx)
        return ctx.for_each(ctx.ids(), lambda oid: perform(ctx, oid, action, **given))

    return run


def delete(ctx: Context) -> int:
    return ctx.for_each(ctx.ids(), lambda oid: flow(ctx).ask("DELETE", path(ctx.kind, oid)))


def print_json(ctx: Context, document: str) -> bool:
    """As `print_document`, but BODY is shown as what it is in JSON and YAML, as OneFlow answers it."""
    if ctx.flag("xml") or not (ctx.flag("json") or ctx.flag("yaml")):
        return print_document(ctx, document)
    from merope.cli import output
    from merope.client import parse_document

    plain = output.plain(parse_document(document))
    _unfold(plain)
    if ctx.flag("json"):
        ctx.print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        ctx.print(output.yaml_of(plain))
    return True


def _unfold(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _unfold(item)
    elif isinstance(value, dict):
        if isinstance(text := value.get("BODY"), str):
            value["BODY"] = json.loads(text)
        else:
            for item in value.values():
                _unfold(item)


def read_json(ctx: Context, argument: str = "file") -> Any:
    """The JSON of a file argument. Raises CliError."""
    text = ctx.read_template(argument)
    return None if text is None else parsed(text, ctx.word(argument))


def parsed(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CliError(f"{source} is not JSON: {error}") from error


def ownership_commands(kind: str) -> tuple[Command, ...]:
    """chgrp, chown, chmod and rename."""
    label = KINDS[kind].label

    def owner(ctx: Context) -> dict[str, Any]:
        gid = ctx.optional_oid("groupid", "group")
        return {"owner_id": ctx.oid(kind="user"), **({} if gid is None else {"group_id": gid})}

    def octet(ctx: Context) -> dict[str, Any]:
        bits = ctx.argument("octet", list)
        digits = (4 * bits[i] + 2 * bits[i + 1] + bits[i + 2] for i in (0, 3, 6))
        return {"octet": "".join(map(str, digits))}

    def rename(ctx: Context) -> None:
        perform(ctx, ctx.oid(), "rename", name=ctx.word("name"))

    own = (ids(kind), one("user"), one("group", optional=True))
    return (
        Command(
            "chgrp",
            f"change the group of {label}s",
            each("chgrp", lambda ctx: {"group_id": ctx.oid(kind="group")}),
            (ids(kind), one("group")),
        ),
        Command("chown", f"change the owner (and group) of {label}s", each("chown", owner), own),
        Command(
            "chmod",
            f"change the permissions of {label}s",
            each("chmod", octet),
            (ids(kind), Arg("octet", values.octet)),
            examples=("chmod 5 640",),
        ),
        Command("rename", f"give a {label} another name", rename, (one(kind), word("name"))),
    )
