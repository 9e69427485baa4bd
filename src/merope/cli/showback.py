"""The costs that `oneshowback` lists and computes."""

import re
import time
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.cli import table
from merope.cli.context import Context
from merope.cli.declare import Column, column
from merope.cli.listing import describe, print_document, print_table
from merope.cli.schedule import epoch
from merope.cli.values import id_or_name
from merope.cli.view import text
from merope.client import Filter, parse_document, whole

_TITLE_WIDTH = 80
_OPEN = (-1, -1)
_MONTH = re.compile(r"(0?[1-9]|1[0-2])/(\d{4})")

COLUMNS: tuple[Column, ...] = (
    column("USER_NAME:8L", "the machine's owner", text("UNAME")),
    column("GROUP_NAME:8L", "its group", text("GNAME")),
    column("VM_ID:6R", "the machine's id", text("VMID")),
    column("VM_NAME:15L", "its name", text("VMNAME")),
    column("MONTH:5R", "the month", text("MONTH")),
    column("YEAR:5R", "and its year", text("YEAR")),
    column("HOURS:6R", "how long it ran", text("HOURS")),
    column("COST:15R", "what that cost", text("TOTAL_COST")),
)

MORE_COLUMNS: tuple[Column, ...] = (
    column("UID:4R~", "the id of the owner", text("UID")),
    column("GID:4R", "the id of the group", text("GID")),
)


def calculate(ctx: Context) -> None:
    ctx.client.call("one.vmpool.calculateshowback", *_month(ctx, "start"), *_month(ctx, "end"))


def show(ctx: Context) -> None:
    if ctx.flag("describe"):
        describe(ctx)
        return
    user = ctx.option("userfilter", str)
    whose = Filter.ALL if user is None else ctx.names.one("user", id_or_name(user))
    document = ctx.client.text("one.vmpool.showback", whose, *_month(ctx, "start"), *_month(ctx, "end"))
    records = parse_document(document, "one.vmpool.showback")
    if (group := ctx.option("group", str)) is not None:
        gid = str(ctx.names.one("group", id_or_name(group)))
        for record in [r for r in records if r.findtext("GID") != gid]:
            records.remove(record)
        document = ElementTree.tostring(records, encoding="unicode")
    if print_document(ctx, document):
        return
    if ctx.flag("csv"):
        print_table(ctx, records.findall("SHOWBACK"))
        return
    for (year, month), costs in _months(records):
        title = f"# Showback for {month}/{year}"
        ctx.print(table.heading(f"{title:<{_TITLE_WIDTH}}", ctx.terminal.style))
        ctx.print()
        print_table(ctx, costs)
        ctx.print()


def _months(records: Element) -> list[tuple[tuple[int, int], list[Element]]]:
    """The costs of each month, in the order of time."""
    months: dict[tuple[int, int], list[Element]] = {}
    for record in records.iterfind("SHOWBACK"):
        key = (whole(record, "YEAR", 0), whole(record, "MONTH", 0))
        months.setdefault(key, []).append(record)
    return sorted(months.items())


def _month(ctx: Context, option: str) -> tuple[int, int]:
    """Month and year of an option, (-1, -1) without it."""
    when = ctx.option(option, str)
    if when is None:
        return _OPEN
    if match := _MONTH.fullmatch(when):
        return int(match[1]), int(match[2])
    day = time.localtime(epoch(when))
    return day.tm_mon, day.tm_year
