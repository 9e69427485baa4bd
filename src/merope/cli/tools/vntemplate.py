"""onevntemplate: templates of virtual networks."""

from merope.cli import formats, values, vnet_actions
from merope.cli.actions import (
    clone_command,
    create,
    delete_command,
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.context import Context
from merope.cli.declare import Command, Tool, column, file, flag, one, opt
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import group, text, user
from merope.cli.vm_create import parsed


def _page() -> tuple[int, Show]:
    from merope.cli.shows.plain import template

    return 15, template


def _instantiate(ctx: Context) -> None:
    """The file, with an address range of the options added; the network's name is an argument of its own."""
    template = parsed(ctx.read_template() or "")
    if vnet_actions.has_range_options(ctx):
        template.add("AR", vnet_actions.range_from_options(ctx))
    name = ctx.option("name", str) or template.get("NAME")
    template.remove("NAME")
    oid, text = ctx.oid(), template.to_text()
    for number in range(ctx.option("multiple", int) or 1):
        named = name.replace("%i", str(number))
        ctx.print_id(ctx.client.number("one.vntemplate.instantiate", oid, named, text), "VN")


TOOL = Tool(
    "onevntemplate",
    "vntemplate",
    "templates of virtual networks",
    (
        Command(
            "create",
            "create a template from a file",
            create("vntemplate"),
            (file(),),
            (flag("--dry", "print the template instead of sending it"),),
            ("create vlan.template",),
        ),
        clone_command("vntemplate"),
        delete_command("vntemplate"),
        Command(
            "instantiate",
            "create a network from a template",
            _instantiate,
            (one("vntemplate"), file()),
            (
                opt("--name", "name", "the network's name; %i is the number of each", "-n"),
                opt("--multiple", "x", "create so many networks", "", values.positive),
                *vnet_actions.RANGE_OPTIONS,
            ),
            ("instantiate vlan --name blue --ip 10.2.0.10 --size 50", "instantiate 0 blue.txt"),
        ),
        *ownership_commands("vntemplate"),
        update_command("vntemplate"),
        rename_command("vntemplate"),
        *list_commands("vntemplate"),
        show_command("vntemplate", _page, flag("--extended", "accepted as in 5.12, where it adds nothing")),
        *lock_commands("vntemplate"),
    ),
    (
        column("ID:4R~", "the template's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
        column(
            "REGTIME:15R",
            "when it was registered",
            lambda t, _: formats.date(formats.integer(t.findtext("REGTIME"))),
        ),
    ),
)
