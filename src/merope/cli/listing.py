"""`list` and `top`: a pool as a table, as CSV or as a document."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from merope.cli import filters, table
from merope.cli.column_files import Selection, expanding, selection
from merope.cli.context import Context
from merope.cli.declare import FORMAT_OPTIONS, TABLE_OPTIONS, Arg, Column, Command, Opt
from merope.cli.errors import UsageError
from merope.cli.view import View
from merope.client import KINDS, Filter, parse_document

#: Seconds between two screens of `top`.
TOP_DELAY = 5.0
_CLEAR = "\x1b[H\x1b[2J"

_FILTERS = {
    "a": Filter.ALL,
    "all": Filter.ALL,
    "m": Filter.MINE,
    "mine": Filter.MINE,
    "g": Filter.MINE_AND_GROUPS,
    "group": Filter.MINE_AND_GROUPS,
    "G": Filter.PRIMARY_GROUP,
}

_FILTER_ARGUMENT = Arg("filterflag", optional=True)

Rows = Callable[[Element], list[Element]]


class Form(NamedTuple):
    """How a pool is listed (`list_commands`)."""

    rows: Rows | None
    keep: Callable[[Context, Element], bool] | None
    print_as: Callable[[Context, str], bool]


def list_commands(
    kind: str,
    *options: Opt,
    top: bool = True,
    state: Callable[[Context], int] | None = None,
    rows: Rows | None = None,
    keep: Callable[[Context, Element], bool] | None = None,
    print_as: Callable[[Context, str], bool] | None = None,
) -> tuple[Command, ...]:
    """`list` and, unless it is declined, `top`.

    `rows` finds the elements in the pool's document, `keep` says which of them are shown; `print_as` stands
    for `print_document`.
    """
    form = Form(rows, keep, print_as or print_document)
    label = KINDS[kind].label
    args = (_FILTER_ARGUMENT,) if KINDS[kind].pool_arguments else ()

    def fetch(ctx: Context) -> str:
        flag = _filter_flag(ctx)
        search = ctx.option("search", str) or ""
        return ctx.client.pool_text(kind, flag, state=state(ctx) if state else -1, search=search)

    def run_list(ctx: Context) -> None:
        _run(ctx, fetch, form, ctx.option("delay", float))

    def run_top(ctx: Context) -> None:
        _run(ctx, fetch, form, ctx.option("delay", float) or TOP_DELAY)

    commands = [
        Command(
            "list",
            f"list {label}s" + (" (filterflag: a all, m mine, g my groups', G, or a user)" if args else ""),
            run_list,
            args,
            (*options, *FORMAT_OPTIONS, *TABLE_OPTIONS),
            ("list -l ID,NAME", "list --csv", "list --json"),
        )
    ]
    if top:
        commands.append(
            Command("top", f"list {label}s again and again", run_top, args, (*options, *TABLE_OPTIONS))
        )
    return tuple(commands)


def _filter_flag(ctx: Context) -> int:
    if (word := ctx.optional_word("filterflag")) is None:
        return Filter.ALL
    if word in _FILTERS:
        return _FILTERS[word]
    return int(word) if word.isascii() and word.isdecimal() else ctx.names.one("user", word)


def _run(ctx: Context, fetch: Callable[[Context], str], form: Form, delay: float | None) -> None:
    if ctx.flag("describe"):
        describe(ctx)
        return
    while True:
        text = fetch(ctx)
        if delay is not None and ctx.terminal.width:
            ctx.terminal.out.write(_CLEAR)
        if not form.print_as(ctx, text):
            pool = parse_document(text, KINDS[ctx.kind].pool_method)
            members = form.rows(pool) if form.rows else pool.findall(KINDS[ctx.kind].root)
            if form.keep is not None:
                members = [member for member in members if form.keep(ctx, member)]
            print_table(ctx, members, pool)
        if delay is None:
            return
        ctx.terminal.out.flush()
        time.sleep(delay)


def print_document(ctx: Context, text: str) -> bool:
    """With --xml, --json or --yaml: print it so and say True."""
    from merope.cli import output

    if ctx.flag("xml"):
        ctx.print(output.pretty_xml(text))
        return True
    for name, form in output.FORMATS.items():
        if ctx.flag(name):
            ctx.print(form(parse_document(text)))
            return True
    return False


def print_table(ctx: Context, members: Sequence[Element], pool: Element | None = None) -> None:
    """The members as the options want them: which columns and rows, CSV, widths."""
    view = View(ctx.client, ctx.flag("numeric"))
    view.pool = pool
    known = selection(ctx.invocation.tool, ctx.terminal.environ)
    columns = _columns(ctx, known)
    members = _filtered(ctx, known.every, members, view)
    cells = [[c.value(m, view) for c in columns] for m in members]
    header = not ctx.flag("no-header")
    if ctx.flag("csv") or ctx.flag("csv-del"):
        lines = table.csv(columns, cells, ctx.option("csv-del", str) or ",", header)
    else:
        style, columns = _layout(ctx, columns, known.shares)
        lines = table.lines(columns, cells, style)
    for line in lines:
        ctx.print(line)


def describe(ctx: Context) -> None:
    for column in selection(ctx.invocation.tool, ctx.terminal.environ).every:
        ctx.print(f"{column.name:<20} {column.help}")


def _columns(ctx: Context, known: Selection) -> list[Column]:
    if wanted := ctx.option("list", list):
        by_name = table.require(known.every, wanted)
        return [by_name[name] for name in wanted]
    name = ctx.option("listconf", str)
    if name is None:
        return list(known.named.get(ctx.terminal.environ.get("ONE_LISTCONF", ""), known.default))
    selections = {"default": known.default, "all": known.every, **known.named}
    if name not in selections:
        raise UsageError(f"There is no selection of columns '{name}'; there are {', '.join(selections)}.")
    return list(selections[name])


def _filtered(
    ctx: Context, every: Sequence[Column], members: Sequence[Element], view: View
) -> Sequence[Element]:
    if (text := ctx.option("filter", str)) is None:
        return members
    conditions = filters.parse_filter(text)
    by_name = table.require(every, [c.column for c in conditions])
    used = {c.column: by_name[c.column].value for c in conditions}
    operator = ctx.option("operator", str) or "AND"
    return [
        m
        for m in members
        if filters.matches(conditions, {n: value(m, view) for n, value in used.items()}, operator)
    ]


def _layout(
    ctx: Context, columns: list[Column], configured: Mapping[str, float]
) -> tuple[table.Style, list[Column]]:
    width = ctx.terminal.width
    sizes = ctx.option("size", dict) or {}
    adjusted = ctx.option("adjust", list) or []
    table.require(columns, (*sizes, *adjusted))
    columns = [
        c._replace(size=sizes.get(c.name, c.size), adjust=c.adjust or c.name in adjusted) for c in columns
    ]
    if ctx.flag("no-expand"):
        width = 0
    elif (shares := ctx.option("expand", dict)) is not None:
        columns = table.share_width(columns, shares, width or _columns_of(ctx))
    elif width and (shares := expanding(columns, configured)):
        columns = table.share_width(columns, shares, width)
    return table.Style(width, ctx.terminal.colour, not ctx.flag("no-header")), columns


def _columns_of(ctx: Context) -> int:
    """The width to fill when the output is no terminal: what COLUMNS says, else 80."""
    text = ctx.terminal.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() else 80
