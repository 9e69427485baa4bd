"""onevdc: virtual data centres."""

from xml.etree.ElementTree import Element

from merope.cli import vdc_resources
from merope.cli.actions import delete_command, rename_command, update_command
from merope.cli.context import Context
from merope.cli.declare import Arg, Command, Tool, column, ids, one, word
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import Cell, View, count, text

#: What a VDC holds: kind, type of the document; in the order of the columns.
_RESOURCES = (("cluster", "CLUSTER"), ("host", "HOST"), ("vnet", "VNET"), ("datastore", "DATASTORE"))


def _page() -> tuple[int, Show]:
    from merope.cli.shows.groups import vdc

    return 18, vdc


def _create(ctx: Context) -> None:
    from merope.model.template import Template

    text = Template([("NAME", ctx.word("name"))]).to_text()
    ctx.print_id(ctx.client.number("one.vdc.allocate", text))


def _group_command(verb: str, help_text: str) -> Command:
    def run(ctx: Context) -> int:
        group = ctx.oid(kind="group")
        return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call(f"one.vdc.{verb}group", oid, group))

    return Command(
        f"{verb}group", help_text, run, (ids("vdc"), one("group")), examples=(f"{verb}group lab web",)
    )


def _resource_command(verb: str, kind: str) -> Command:
    def run(ctx: Context) -> int:
        zone = ctx.oid(kind="zone")
        member = vdc_resources.resource_id(ctx, zone, kind, ctx.argument(f"{kind}id", object))
        return ctx.for_each(
            ctx.ids(), lambda oid: ctx.client.call(f"one.vdc.{verb}{kind}", oid, zone, member)
        )

    what = f"a {kind} (or ALL of them) of a zone"
    help_text = f"give {what} to VDCs" if verb == "add" else f"take {what} from VDCs"
    member = Arg(f"{kind}id", vdc_resources.resource, kind)
    examples = (f"{verb}{kind} lab 0 3", f"{verb}{kind} 100,101 0 ALL")
    return Command(f"{verb}{kind}", help_text, run, (ids("vdc"), one("zone"), member), examples=examples)


def _members(name: str) -> Cell:
    def cell(vdc: Element, _: View) -> str:
        return vdc_resources.count(vdc, name)

    return cell


TOOL = Tool(
    "onevdc",
    "vdc",
    "virtual data centres: which groups may use which clusters, hosts, networks, datastores",
    (
        Command("create", "create a VDC", _create, (word("name"),), examples=("create lab",)),
        rename_command("vdc"),
        update_command("vdc"),
        delete_command("vdc"),
        _group_command("add", "let a group use VDCs"),
        _group_command("del", "let a group no longer use VDCs"),
        *(_resource_command(verb, kind) for kind, _ in _RESOURCES for verb in ("add", "del")),
        *list_commands("vdc", top=False),
        show_command("vdc", _page),
    ),
    (
        column("ID:4R~", "the VDC's id", text("ID")),
        column("NAME:15L+", "its name", text("NAME")),
        column("GROUPS:8R", "how many groups use it", count("GROUPS/ID")),
        *(
            column(f"{name}S:10R", f"how many {kind}s it has, ALL of a zone's", _members(name))
            for kind, name in _RESOURCES
        ),
    ),
)
