"""onetemplate: templates of virtual machines."""

from merope.cli import formats, template_actions, values
from merope.cli.actions import (
    clone_command,
    delete_command,
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.declare import Command, Tool, column, file, flag, one, opt
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import group, text, user
from merope.cli.vm_options import TEMPLATE_OPTIONS

_RECURSIVE = flag("--recursive", "also the images that it uses")
_EXTENDED = flag("--extended", "with the attributes of its images")


def _page() -> tuple[int, Show]:
    from merope.cli.shows.plain import template

    return 15, template


TOOL = Tool(
    "onetemplate",
    "template",
    "templates of virtual machines",
    (
        Command(
            "create",
            "create a template from a file or from options",
            template_actions.create,
            (file(),),
            (
                opt("--name", "name", "the template's name", "-m"),
                *TEMPLATE_OPTIONS,
                flag("--dry", "print the template instead of sending it"),
            ),
            ("create web.template", "create --name web --cpu 1 --memory 512M --disk debian --nic private"),
        ),
        clone_command("template", _RECURSIVE, more=lambda ctx: (ctx.flag("recursive"),)),
        delete_command("template", _RECURSIVE)._replace(run=template_actions.delete),
        Command(
            "instantiate",
            "create machines from a template",
            template_actions.instantiate,
            (one("template"), file()),
            (
                opt("--name", "name", "the machines' name; %i is the number of each"),
                opt("--multiple", "x", "create so many machines", "-m", values.positive),
                flag("--hold", "keep them from being scheduled"),
                flag("--persistent", "with private copies of the template and its images"),
                opt("--user-inputs", "A=x,B=y", "answers to what the template asks", "", values.words),
                *TEMPLATE_OPTIONS,
            ),
            ("instantiate 0 --name web", "instantiate web --name 'web-%i' --multiple 3 --memory 1G"),
        ),
        *ownership_commands("template"),
        update_command("template"),
        rename_command("template"),
        *list_commands("template"),
        show_command("template", _page, _EXTENDED, more=lambda ctx: (ctx.flag("extended"),)),
        *lock_commands("template"),
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
