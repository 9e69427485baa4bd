"""The accounting records of `oneacct`: chosen, grouped by user, printed."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.cli import formats, table
from merope.cli.context import Context
from merope.cli.declare import Column, column
from merope.cli.errors import UsageError
from merope.cli.listing import describe, print_document, print_table
from merope.cli.schedule import epoch
from merope.cli.values import id_or_name
from merope.cli.view import Cell, View, text
from merope.client import Filter, parse_document

_TITLE_WIDTH = 80
_OPEN = -1


def _action(record: Element, _: View) -> str:
    from merope.cli.shows.vm_sections import action_name

    return action_name(record.findtext("ACTION"))


def _moment(name: str) -> Cell:
    return lambda record, _: formats.date(formats.integer(record.findtext(name)))


def _memory(record: Element, _: View) -> str:
    return formats.size(formats.number(record.findtext("VM/TEMPLATE/MEMORY")), "M")


def _network(name: str) -> Cell:
    def cell(record: Element, _: View) -> str:
        return formats.size(formats.number(record.findtext(f"VM/MONITORING/{name}")) / 1024, "K")

    return cell


def _disk(record: Element, _: View) -> str:
    """What the disks take, their snapshots too (MB)."""
    total = sum(
        formats.number(d.findtext("SIZE")) + formats.number(d.findtext("DISK_SNAPSHOT_TOTAL_SIZE"))
        for d in record.iterfind("VM/TEMPLATE/DISK")
    )
    return formats.size(total, "M")


COLUMNS: tuple[Column, ...] = (
    column("VID:4R", "the machine's id", text("OID")),
    column("HOSTNAME:15L", "the host", text("HOSTNAME")),
    column("ACTION:16L", "what ended the record", _action),
    column("START_TIME:14R", "when it began", _moment("STIME")),
    column("END_TIME:14R", "when it ended", _moment("ETIME")),
    column("MEMORY:6R", "the machine's memory", _memory),
    column("CPU:3R", "its CPUs", text("VM/TEMPLATE/CPU")),
    column("NETRX:6R", "what it received", _network("NETRX")),
    column("NETTX:6R", "what it sent", _network("NETTX")),
    column("DISK:6R", "what its disks take", _disk),
)

MORE_COLUMNS: tuple[Column, ...] = (
    column("UID:4R", "the machine's owner", text("VM/UID")),
    column("SEQ:3R", "the number of the record of the machine", text("SEQ")),
)


def run(ctx: Context) -> None:
    if ctx.flag("describe"):
        describe(ctx)
        return
    start, end = (_epoch(ctx, name) for name in ("start", "end"))
    document = ctx.client.text("one.vmpool.accounting", _filter(ctx), start, end)
    records = parse_document(document, "one.vmpool.accounting")
    chosen = _chosen(ctx, records)
    if len(chosen) < len(records):
        keep = set(map(id, chosen))
        for record in list(records):
            if id(record) not in keep:
                records.remove(record)
        document = ElementTree.tostring(records, encoding="unicode")
    if print_document(ctx, document):
        return
    if ctx.flag("csv"):
        print_table(ctx, chosen)
        return
    _print_tables(ctx, chosen, start, end)


def _epoch(ctx: Context, name: str) -> int:
    when = ctx.option(name, str)
    return _OPEN if when is None else epoch(when)


def _filter(ctx: Context) -> int:
    if (user := ctx.option("userfilter", str)) is None:
        return Filter.ALL
    return ctx.names.one("user", id_or_name(user))


def _chosen(ctx: Context, records: Element) -> list[Element]:
    """What --group, --host and --xpath leave."""
    chosen = records.findall("HISTORY")
    if (group := ctx.option("group", str)) is not None:
        name = "GID" if group.isdecimal() else "GNAME"
        chosen = [r for r in chosen if r.findtext(f"VM/{name}") == group]
    if (host := ctx.option("host", str)) is not None:
        name = "HID" if host.isdecimal() else "HOSTNAME"
        chosen = [r for r in chosen if r.findtext(name) == host]
    if (xpath := ctx.option("xpath", str)) is not None:
        chosen = [r for r in chosen if _fulfils(r, xpath)]
    return chosen


def _fulfils(record: Element, xpath: str) -> bool:
    """The expressions of 5.12 begin at the document (HISTORY[...]) or at the record."""
    around = Element("HISTORY_RECORDS")
    around.append(record)
    relative = xpath.removeprefix("/HISTORY_RECORDS/").removeprefix("//")
    try:
        return any(node.find(relative) is not None for node in (around, record))
    except (SyntaxError, KeyError, TypeError) as e:
        # ElementPath trips over some unfinished expressions instead of refusing them.
        raise UsageError(f"--xpath: '{xpath}' cannot be understood: {e}.") from e


def _print_tables(ctx: Context, records: Sequence[Element], start: int, end: int) -> None:
    if start != _OPEN or end != _OPEN:
        period = f"{_time(start)} to {_time(end)}"
        _title(ctx, f"# Showing active history records from {period}")
    for uid, of_user in _grouped(records, "VM/UID"):
        _title(ctx, f"# User {uid}")
        parts: Iterable[Sequence[Element]] = (of_user,)
        if ctx.flag("split"):
            parts = (of_machine for _, of_machine in _grouped(of_user, "OID"))
        for part in parts:
            if ctx.flag("split"):
                _title(ctx, f"# VM {part[0].findtext('OID')} {part[0].findtext('VM/NAME', '')}")
            print_table(ctx, part)
            ctx.print()


def _grouped(records: Sequence[Element], path: str) -> list[tuple[str, list[Element]]]:
    """Records by what is at `path`, in the order of the ids."""
    groups: dict[str, list[Element]] = {}
    for record in records:
        groups.setdefault(record.findtext(path, ""), []).append(record)
    return sorted(groups.items(), key=lambda item: formats.integer(item[0]))


def _title(ctx: Context, title: str) -> None:
    ctx.print(table.heading(f"{title:<{_TITLE_WIDTH}}", ctx.terminal.style))
    ctx.print()


def _time(moment: int) -> str:
    import time

    return "-" if moment == _OPEN else time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(moment))
