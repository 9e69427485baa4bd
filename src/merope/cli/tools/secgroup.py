"""onesecgroup: security groups."""

from merope.cli.actions import (
    clone_command,
    create,
    delete_command,
    ownership_commands,
    rename_command,
    update_command,
)
from merope.cli.context import Context
from merope.cli.declare import Command, Tool, column, file, flag, one
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import count, group, text, user


def _page() -> tuple[int, Show]:
    from merope.cli.shows.plain import security_group

    return 15, security_group


def _commit(ctx: Context) -> None:
    ctx.client.call("one.secgroup.commit", ctx.oid(), ctx.flag("recover"))


TOOL = Tool(
    "onesecgroup",
    "secgroup",
    "security groups: which traffic reaches virtual machines",
    (
        Command(
            "create",
            "create a security group from a template file",
            create("secgroup"),
            (file(),),
            examples=("create web.template",),
        ),
        clone_command("secgroup"),
        delete_command("secgroup"),
        *ownership_commands("secgroup"),
        update_command("secgroup"),
        rename_command("secgroup"),
        Command(
            "commit",
            "bring the rules to all machines of the group again",
            _commit,
            (one("secgroup"),),
            (flag("--recover", "only to machines that have old rules or failed", "-r"),),
        ),
        *list_commands("secgroup", top=False),
        show_command("secgroup", _page),
    ),
    (
        column("ID:4R~", "the security group's id", text("ID")),
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
        column("NAME:15L+", "its name", text("NAME")),
        column("UPDATED:8R", "machines that have its rules", count("UPDATED_VMS/ID")),
        column("OUTDATED:8R", "machines that have older rules", count("OUTDATED_VMS/ID")),
        column("ERROR:8R", "machines where the update failed", count("ERROR_VMS/ID")),
    ),
)
