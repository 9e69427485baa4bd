"""`show`: fetch one object, print its document or its page."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from merope.cli.context import Context
from merope.cli.declare import FORMAT_OPTIONS, Arg, Command, Opt, flag, one
from merope.cli.listing import print_document
from merope.client import KINDS, parse_document
from merope.client.wire import Argument

if TYPE_CHECKING:
    from merope.cli.page import Page

#: Prints the page of an object: (context, page, document).
Show = Callable[[Context, "Page", Element], None]

_DECRYPT = flag("--decrypt", "show encrypted attributes in clear (administrators only)")


def show_command(
    kind: str,
    load: Callable[[], tuple[int, Show]],
    *options: Opt,
    decrypt: bool = False,
    optional: bool = False,
    more: Callable[[Context], tuple[Argument, ...]] | None = None,
    print_as: Callable[[Context, str], bool] = print_document,
) -> Command:
    """`load` imports the page's module when it is needed and gives the width of its labels and its
    function; `optional`: without an argument the caller's own object is shown (id -1)."""
    label = KINDS[kind].label

    def run(ctx: Context) -> None:
        oid = ctx.optional_oid(f"{kind}id")
        arguments = more(ctx) if more else ((True,) if ctx.flag("decrypt") else ())
        text = ctx.client.info_text(kind, -1 if oid is None else oid, *arguments)
        if print_as(ctx, text):
            return
        from merope.cli.page import Page

        width, show = load()
        show(ctx, Page(width, ctx.terminal.style, ctx.print), parse_document(text))

    declared = (*((_DECRYPT,) if decrypt else ()), *options, *FORMAT_OPTIONS)
    argument: Arg = one(kind, optional=optional)
    return Command(
        "show", f"show everything about a {label}", run, (argument,), declared, ("show 0", "show 0 --json")
    )
