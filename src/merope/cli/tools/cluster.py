"""onecluster: clusters."""

from merope.cli.actions import delete_command, rename_command, update_command
from merope.cli.context import Context
from merope.cli.declare import Command, Tool, column, one, word
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import count, text

#: What a cluster holds: kind, the word in methods and commands.
_MEMBERS = (("host", "host"), ("datastore", "datastore"), ("vnet", "vnet"))


def _page() -> tuple[int, Show]:
    from merope.cli.shows.plain import cluster

    return 18, cluster


def _create(ctx: Context) -> None:
    ctx.print_id(ctx.client.number("one.cluster.allocate", ctx.word("name")))


def _member_command(verb: str, kind: str, name: str) -> Command:
    def run(ctx: Context) -> None:
        ctx.client.call(f"one.cluster.{verb}{name}", ctx.oid(), ctx.oid(kind=kind))

    text = f"put a {kind} into a cluster" if verb == "add" else f"take a {kind} out of a cluster"
    return Command(f"{verb}{name}", text, run, (one("cluster"), one(kind)))


TOOL = Tool(
    "onecluster",
    "cluster",
    "clusters: hosts that share networks and datastores",
    (
        Command("create", "create a cluster", _create, (word("name"),), examples=("create edge",)),
        delete_command("cluster"),
        *list_commands("cluster", top=False),
        show_command("cluster", _page, decrypt=True),
        *(_member_command(verb, kind, name) for kind, name in _MEMBERS for verb in ("add", "del")),
        update_command("cluster"),
        rename_command("cluster"),
    ),
    (
        column("ID:4R~", "the cluster's id", text("ID")),
        column("NAME:15L+", "its name", text("NAME")),
        column("HOSTS:10R", "how many hosts it has", count("HOSTS/ID")),
        column("VNETS:10R", "how many networks it has", count("VNETS/ID")),
        column("DATASTORES:10R", "how many datastores it has", count("DATASTORES/ID")),
    ),
)
