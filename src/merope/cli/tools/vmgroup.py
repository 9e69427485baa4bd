"""onevmgroup: groups of virtual machines whose roles are placed together or apart."""

from xml.etree.ElementTree import Element

from merope.cli.actions import (
    create,
    delete_command,
    lock_commands,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.declare import Command, Tool, column, file
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, group, text, user


def _page() -> tuple[int, Show]:
    from merope.cli.shows.groups import vm_group

    return 15, vm_group


def _machines(el: Element, _: View) -> str:
    members = [r.findtext("VMS", "") for r in el.iterfind("ROLES/ROLE")]
    return str(sum(len([m for m in of_role.split(",") if m]) for of_role in members))


def _roles(el: Element, _: View) -> str:
    return ", ".join(r.findtext("NAME", "") for r in el.iterfind("ROLES/ROLE"))


TOOL = Tool(
    "onevmgroup",
    "vmgroup",
    "groups of virtual machines: which run together, which apart",
    (
        Command(
            "create",
            "create a VM group from a template file",
            create("vmgroup"),
            (file(),),
            examples=("create tier.template",),
        ),
        delete_command("vmgroup"),
        *list_commands("vmgroup", top=False),
        show_command("vmgroup", _page),
        *ownership_commands("vmgroup"),
        update_command("vmgroup"),
        rename_command("vmgroup"),
        *lock_commands("vmgroup"),
    ),
    (
        column("ID:4R~", "the VM group's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
        column("VMS:4L", "how many machines its roles have", _machines),
        column("ROLES:36L", "its roles", _roles),
    ),
)
