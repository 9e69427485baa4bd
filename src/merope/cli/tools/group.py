"""onegroup: groups of users."""

from merope.cli import account
from merope.cli.actions import delete_command, update_command
from merope.cli.context import Context
from merope.cli.declare import Command, Tool, column, ids, one, opt, word
from merope.cli.listing import list_commands
from merope.cli.quotas import join_quotas
from merope.cli.showing import Show, show_command
from merope.cli.view import count, text


def _page() -> tuple[int, Show]:
    from merope.cli.shows.account import group

    return 15, group


def _admin(method: str, help_text: str) -> Command:
    def run(ctx: Context) -> int:
        user = ctx.oid(kind="user")
        return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call(f"one.group.{method}", oid, user))

    return Command(method, help_text, run, (ids("group"), one("user")))


_CELLS = account.QuotaCells("GROUP", vms="{:>3} / {:>3}", cpu="{:>4} / {:>4}")

TOOL = Tool(
    "onegroup",
    "group",
    "groups of users",
    (
        Command(
            "create",
            "create a group, with the rule that lets its users create things",
            account.create_group,
            (word("group_name", optional=True),),
            (
                opt("--name", "name", "the group's name", "-n"),
                opt("--admin_user", "name", "create a user who administers the group", "-u"),
                opt(
                    "--admin_password",
                    "password",
                    "that user's password (it is asked for when it is not given)",
                    "-p",
                ),
                opt("--admin_driver", "driver", "that user's authentication driver", "-d"),
                opt("--resources", "res_str", f"what users may create (default {account.RESOURCES})", "-r"),
            ),
            ("create web", "create web --resources VM+IMAGE --admin_user bob"),
        ),
        update_command("group"),
        delete_command("group"),
        *list_commands("group", top=False, rows=lambda pool: join_quotas(pool, "GROUP")),
        show_command("group", _page, optional=True),
        _admin("addadmin", "make a user administrator of groups"),
        _admin("deladmin", "take administration of groups from a user"),
        *account.quota_commands("group"),
    ),
    (
        column("ID:4R~", "the group's id", text("ID")),
        column("NAME:15L+", "its name", text("NAME")),
        column("USERS:5R", "how many users it has", count("USERS/ID")),
        column("VMS:9R", "machines of its users / limit", _CELLS.machines),
        column("MEMORY:17R", "memory of these machines / limit", _CELLS.memory),
        column("CPU:11R", "CPU of these machines / limit", _CELLS.processors),
    ),
)
