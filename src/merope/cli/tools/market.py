"""onemarket: marketplaces."""

from xml.etree.ElementTree import Element

from merope.cli import formats
from merope.cli.actions import create, delete_command, ownership_commands, rename_command, update_command
from merope.cli.declare import Command, Tool, column, file
from merope.cli.listing import list_commands
from merope.cli.showing import Show, show_command
from merope.cli.view import View, count, group, text, user


def _page() -> tuple[int, Show]:
    from merope.cli.shows.market import market

    return 15, market


def _size(market: Element, _: View) -> str:
    return formats.size(formats.number(market.findtext("TOTAL_MB")), "M")


def _available(market: Element, _: View) -> str:
    total = formats.number(market.findtext("TOTAL_MB"))
    return f"{round(formats.number(market.findtext('FREE_MB')) * 100 / total)}%" if total else "-"


TOOL = Tool(
    "onemarket",
    "market",
    "marketplaces: where apps come from and are published",
    (
        Command(
            "create",
            "create a marketplace from a template file",
            create("market"),
            (file(),),
            examples=("create shelf.template",),
        ),
        delete_command("market"),
        *ownership_commands("market"),
        *list_commands("market", top=False),
        show_command("market", _page),
        update_command("market"),
        rename_command("market"),
    ),
    (
        column("ID:4R~", "the marketplace's id", text("ID")),
        column("NAME:15L+", "its name", text("NAME")),
        column("SIZE:10R", "its capacity", _size),
        column("AVAIL:10L", "how much of it is free", _available),
        column("APPS:6R", "how many apps it has", count("MARKETPLACEAPPS/ID")),
        column("MAD:7L", "its driver", text("MARKET_MAD")),
        column("ZONE:4R", "the zone that it belongs to", text("ZONE_ID")),
    ),
    (
        column("USER:8L", "its owner", user),
        column("GROUP:8L", "its group", group),
    ),
)
