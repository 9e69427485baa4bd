"""oneflow: services, applications of many machines."""

from typing import Any
from xml.etree.ElementTree import Element

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import Command, Opt, Tool, column, flag, ids, number, one, opt, word
from merope.cli.flow import (
    body_of,
    delete,
    each,
    flow,
    ownership_commands,
    path,
    perform,
    print_json,
    state_of,
)
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, group, text, user

_KIND = "service"
_DONE = flag("--done", "also services that are over")
_SPREAD: tuple[Opt, ...] = (
    opt("--period", "x", "seconds between two groups of VMs", "-p", values.natural),
    opt("--number", "x", "VMs of a group", "-n", values.natural),
    opt("--args", "arg1,arg2", "arguments of the action, such as the name of a snapshot"),
)


def _page() -> tuple[int, Show]:
    from merope.cli.shows.flow import service

    return 20, service


def _state(document: Element, _: View) -> str:
    return state_of(body_of(document))


def _wanted(ctx: Context, document: Element) -> bool:
    return ctx.flag("done") or _state(document, View(ctx.client)) != "DONE"


def _scale(ctx: Context) -> None:
    body = {
        "role_name": ctx.word("role_name"),
        "cardinality": ctx.number("cardinality"),
        "force": ctx.flag("force"),
    }
    flow(ctx).ask("POST", path(_KIND, ctx.oid(), "scale"), body)


def _params(ctx: Context) -> dict[str, Any]:
    found = {
        "period": ctx.option("period", int),
        "number": ctx.option("number", int),
        "args": ctx.option("args", str),
    }
    return {name: value for name, value in found.items() if value is not None}


def _action(ctx: Context) -> None:
    told = perform(ctx, ctx.oid(), ctx.word("vm_action"), "role", ctx.word("role_name"), **_params(ctx))
    ctx.say(told["message"])


def _service_action(ctx: Context) -> None:
    ctx.say(perform(ctx, ctx.oid(), ctx.word("vm_action"), **_params(ctx))["message"])


TOOL = Tool(
    "oneflow",
    _KIND,
    "services: applications of many machines",
    (
        *list_commands(_KIND, _DONE, keep=_wanted, print_as=print_json),
        show_command(_KIND, _page, print_as=print_json),
        Command("delete", "end services; one that is over is removed", delete, (ids(_KIND),)),
        Command(
            "recover",
            "go on with services after a failure; with --delete, remove them whatever state they are in",
            each("recover", lambda ctx: {"delete": True} if ctx.flag("delete") else {}),
            (ids(_KIND),),
            (flag("--delete", "remove the service with all that is its own"),),
        ),
        Command(
            "scale",
            "give a role another number of VMs",
            _scale,
            (one(_KIND), word("role_name"), number("cardinality")),
            (flag("--force", "also outside of min_vms and max_vms"),),
            ("scale shop web 3",),
        ),
        *ownership_commands(_KIND),
        Command(
            "action",
            "do something to the VMs of a role: reboot, poweroff, snapshot-create …",
            _action,
            (one(_KIND), word("role_name"), word("vm_action")),
            _SPREAD,
            ("action shop web reboot --period 300 --number 2",),
        ),
        Command(
            "service-action",
            "do something to all VMs of a service",
            _service_action,
            (one(_KIND), word("vm_action")),
            _SPREAD,
        ),
    ),
    (
        column("ID:4R~", "the service's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
        column("STAT:8R~", "its state", _state),
    ),
)
