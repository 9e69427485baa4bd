"""onevrouter: virtual routers."""

from merope.cli import parts, values
from merope.cli.actions import (
    create,
    delete_command,
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.context import Context
from merope.cli.declare import Command, Tool, column, file, flag, one, opt, part
from merope.cli.errors import UsageError
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.template_actions import extra_template
from merope.cli.view import group, text, user
from merope.cli.vm_options import TEMPLATE_OPTIONS, network
from merope.model.template import Template, Vector


def _page() -> tuple[int, Show]:
    from merope.cli.shows.vrouter import show

    return 15, show


def _instantiate(ctx: Context) -> None:
    """Machines of the router from a VM template, which must have VROUTER=YES."""
    router, template = ctx.oid(), ctx.oid(kind="template")
    count = ctx.option("multiple", int) or 1
    name = ctx.option("name", str) or ""
    extra = extra_template(ctx, template)
    ctx.say(f"VROUTER {router}: {count} machines of template {template}")
    ctx.client.call("one.vrouter.instantiate", router, count, template, name, ctx.flag("hold"), extra)


def _attach(ctx: Context) -> None:
    path, reference = ctx.option("file", str), ctx.option("network", str)
    if path:
        text = ctx.terminal.read_file(path)
    elif reference:
        nic: Vector = network(reference)
        if address := ctx.option("ip", str):
            nic["IP"] = address
        if ctx.flag("float"):
            nic["FLOATING_IP"] = "YES"
        text = Template([("NIC", nic)]).to_text()
    else:
        raise UsageError("--network or --file must be given.")
    ctx.client.call("one.vrouter.attachnic", ctx.oid(), text)


def _detach(ctx: Context) -> None:
    oid = ctx.oid()
    ctx.client.call("one.vrouter.detachnic", oid, parts.number(ctx, oid, "nicid"))


TOOL = Tool(
    "onevrouter",
    "vrouter",
    "virtual routers: machines that connect networks",
    (
        Command(
            "create",
            "create a virtual router from a template file",
            create("vrouter"),
            (file(),),
            examples=("create edge.template",),
        ),
        Command(
            "instantiate",
            "create machines of a router from a template",
            _instantiate,
            (one("vrouter"), one("template"), file()),
            (
                opt("--name", "name", "the machines' name; %i is the number of each"),
                opt("--multiple", "x", "create so many machines", "-m", values.positive),
                flag("--hold", "keep them from being scheduled"),
                opt("--user-inputs", "A=x,B=y", "answers to what the template asks", "", values.words),
                *TEMPLATE_OPTIONS,
            ),
            ("instantiate edge vrouter-image --multiple 2",),
        ),
        delete_command("vrouter"),
        *ownership_commands("vrouter"),
        update_command("vrouter"),
        rename_command("vrouter"),
        Command(
            "nic-attach",
            "add a network interface to a router and its machines",
            _attach,
            (one("vrouter"),),
            (
                opt("--file", "file", "a template with the interface", "-f"),
                opt("--network", "id|name", "the network", "-n"),
                opt("--ip", "ip", "ask for this address", "-i"),
                flag("--float", "let the router have an address of its own there (a floating one)"),
            ),
            ("nic-attach edge --network private --float",),
        ),
        Command(
            "nic-detach",
            "take a network interface away from a router and its machines",
            _detach,
            (one("vrouter"), part("nicid")),
        ),
        *list_commands("vrouter"),
        show_command("vrouter", _page, flag("--all", "show all attributes of the template")),
        *lock_commands("vrouter"),
    ),
    (
        column("ID:4R~", "the router's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
    ),
)
