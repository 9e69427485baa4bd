"""onehook: hooks, and what became of their executions."""

from merope.cli import values
from merope.cli.actions import create, delete_command, lock_commands, rename_command, update_command
from merope.cli.context import Context
from merope.cli.declare import FORMAT_OPTIONS, Command, Tool, column, file, flag, number, one, opt, ref
from merope.cli.errors import UsageError
from merope.cli.listing import list_commands, print_document
from merope.cli.schedule import epoch
from merope.cli.showing import Show, show_command
from merope.cli.view import text

_ANY_HOOK = -1
_OPEN = -1
#: Which executions one.hooklog.info answers with.
_ERRORS, _EVERYTHING, _SUCCESSES = -1, 0, 1


def _page() -> tuple[int, Show]:
    from merope.cli.shows.hook import show

    return 18, show


def _retry(ctx: Context) -> None:
    ctx.client.call("one.hook.retry", ctx.oid(), ctx.number("execid"))


def _log(ctx: Context) -> None:
    if ctx.flag("error") and ctx.flag("success"):
        raise UsageError("Only one of --error and --success can be given.")
    code = _ERRORS if ctx.flag("error") else _SUCCESSES if ctx.flag("success") else _EVERYTHING
    since, until = (_OPEN if (t := ctx.option(n, str)) is None else epoch(t) for n in ("since", "until"))
    hook = ctx.option_oid("hook-id", "hook", _ANY_HOOK)
    document = ctx.client.text("one.hooklog.info", since, until, hook, code)
    if print_document(ctx, document):
        return
    from merope.cli.page import Page
    from merope.cli.shows.hook import log
    from merope.client import parse_document

    records = parse_document(document, "one.hooklog.info").findall("HOOK_EXECUTION_RECORD")
    if records:
        log(Page(0, ctx.terminal.style, ctx.print), records)


TOOL = Tool(
    "onehook",
    "hook",
    "hooks: programs that run when something happens in the cloud",
    (
        Command(
            "create",
            "create a hook from a template file",
            create("hook"),
            (file(),),
            (flag("--dry", "print the template instead of sending it"),),
            ("create on-error.template",),
        ),
        delete_command("hook"),
        update_command("hook"),
        rename_command("hook"),
        *list_commands("hook"),
        show_command(
            "hook",
            _page,
            flag("--extended", "accepted as in 5.12, where it adds nothing"),
            opt("--execution", "exeid", "the record of one execution, with its output", "-e", values.natural),
        ),
        *lock_commands("hook"),
        Command("retry", "run a hook again as it ran then", _retry, (one("hook"), number("execid"))),
        Command(
            "log",
            "list executions of hooks",
            _log,
            (),
            (
                flag("--error", "those that failed"),
                flag("--success", "those that succeeded"),
                ref("--hook-id", "hook", "those of one hook"),
                opt("--since", "date", "from this time on (2026-09-23 14:15, 09/23/26, or an epoch)"),
                opt("--until", "date", "until this time"),
                *FORMAT_OPTIONS,
            ),
            ("log --since 09/19/26", "log --error", "log --hook-id 0"),
        ),
    ),
    (
        column("ID:4R~", "the hook's id", text("ID")),
        column("NAME:19L+", "its name", text("NAME")),
        column("TYPE:8L", "on what it runs: state, api", text("TYPE")),
    ),
)
