"""What most sub-commands do, said once: call a method for each object, send a template, rename, chmod …"""

from collections.abc import Callable
from xml.etree.ElementTree import Element

from merope.cli import values
from merope.cli.context import Context
from merope.cli.declare import Arg, Command, Opt, Run, file, flag, ids, one, word
from merope.cli.errors import CliError
from merope.client import KINDS
from merope.client.wire import Argument

APPEND = flag("--append", "add to what is there instead of replacing it", "-a")
OWN = -1  # "keep" in chown


def api(kind: str, method: str) -> str:
    return f"one.{KINDS[kind].api}.{method}"


def each(method: str, *more: Argument, verb: str = "") -> Run:
    """Call `one.<kind>.<method>`(id, *more) for every object of the list."""

    def run(ctx: Context) -> int:
        def act(oid: int) -> None:
            ctx.say(f"{KINDS[ctx.kind].root} {oid}: {verb or method}")
            ctx.client.call(api(ctx.kind, method), oid, *more)

        return ctx.for_each(ctx.ids(), act)

    return run


def each_command(
    kind: str, name: str, text: str, method: str = "", *more: Argument, example: str = ""
) -> Command:
    examples = (f"{name} {example}",) if example else ()
    return Command(name, text, each(method or name, *more, verb=name), (ids(kind),), examples=examples)


def delete_command(kind: str, *options: Opt) -> Command:
    return Command(
        "delete",
        f"delete {KINDS[kind].label}s",
        each("delete"),
        (ids(kind),),
        options,
        ("delete 3", "delete 3..5,7"),
    )


def rename_command(kind: str) -> Command:
    def run(ctx: Context) -> None:
        ctx.client.call(api(kind, "rename"), ctx.oid(), ctx.word("name"))

    return Command("rename", f"give a {KINDS[kind].label} another name", run, (one(kind), word("name")))


def ownership_commands(kind: str) -> tuple[Command, ...]:
    """chown, chgrp and chmod."""
    label = KINDS[kind].label

    def chown(ctx: Context) -> int:
        uid, gid = ctx.oid(kind="user"), ctx.optional_oid("groupid", "group")
        return ctx.for_each(
            ctx.ids(), lambda oid: ctx.client.call(api(kind, "chown"), oid, uid, OWN if gid is None else gid)
        )

    def chgrp(ctx: Context) -> int:
        gid = ctx.oid(kind="group")
        return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call(api(kind, "chown"), oid, OWN, gid))

    def chmod(ctx: Context) -> int:
        bits = ctx.argument("octet", list)
        more = (ctx.flag("recursive"),) if kind == "template" else ()
        return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call(api(kind, "chmod"), oid, *bits, *more))

    recursive = (flag("--recursive", "also the images that the template uses"),) if kind == "template" else ()
    return (
        Command("chgrp", f"change the group of {label}s", chgrp, (ids(kind), one("group"))),
        Command(
            "chown",
            f"change the owner (and group) of {label}s",
            chown,
            (ids(kind), one("user"), one("group", optional=True)),
            examples=("chown 0..3 ann web",),
        ),
        Command(
            "chmod",
            f"change the permissions of {label}s",
            chmod,
            (ids(kind), Arg("octet", values.octet)),
            recursive,
            ("chmod 5 640",),
        ),
    )


_LEVELS = (("use", 1), ("manage", 2), ("admin", 3), ("all", 4))


def lock_commands(kind: str) -> tuple[Command, ...]:
    label = KINDS[kind].label

    def lock(ctx: Context) -> None:
        level = next((level for name, level in _LEVELS if ctx.flag(name)), 1)
        ctx.client.call(api(kind, "lock"), ctx.oid(), level)

    def unlock(ctx: Context) -> None:
        ctx.client.call(api(kind, "unlock"), ctx.oid())

    options = (
        flag("--use", "forbid every operation (the default)"),
        flag("--manage", "forbid manage and admin operations"),
        flag("--admin", "forbid admin operations"),
        flag("--all", "the level that 5.12's --all sends"),
    )
    return (
        Command("lock", f"lock a {label} against operations", lock, (one(kind),), options),
        Command("unlock", f"unlock a {label}", unlock, (one(kind),)),
    )


def update_command(kind: str, section: str = "TEMPLATE") -> Command:
    """Replace (or with --append extend) an object's template from a file or in the editor."""
    label = KINDS[kind].label

    def run(ctx: Context) -> None:
        oid = ctx.oid()
        text = ctx.read_template()
        if text is None:
            # What is added is written from nothing, what is replaced starts from what is there.
            before = "" if ctx.flag("append") else template_text(ctx.client.info(kind, oid), section)
            text = ctx.terminal.edit(before)
        if text is None:
            ctx.say("Nothing was changed.")
            return
        ctx.client.call(api(kind, "update"), oid, text, int(ctx.flag("append")))

    return Command(
        "update",
        f"edit the template of a {label}, or replace it by a file",
        run,
        (one(kind), file()),
        (APPEND,),
        ("update 0 new.txt", "update 0 --append -"),
    )


def template_text(document: Element, section: str = "TEMPLATE") -> str:
    """A document's template in the language in which it is edited."""
    from merope.model.template import Template

    element = document.find(section)
    return "" if element is None else Template.from_element(element).to_text()


def create(kind: str, *more: Callable[[Context], Argument]) -> Run:
    """Allocate from a template file (print it with --dry); `more` are the method's further arguments."""

    def run(ctx: Context) -> None:
        text = ctx.read_template()
        if text is None:
            if ctx.terminal.interactive:
                raise CliError("A template file is needed ('-' reads it from standard input).")
            text = ctx.terminal.read_file("-")
        if ctx.flag("dry"):
            ctx.print(text.rstrip("\n"))
            return
        arguments = [m(ctx) for m in more]
        ctx.print_id(ctx.client.number(api(kind, "allocate"), text, *arguments))

    return run


def clone_command(
    kind: str, *options: Opt, more: Callable[[Context], tuple[Argument, ...]] | None = None
) -> Command:
    def run(ctx: Context) -> None:
        extra = more(ctx) if more else ()
        ctx.print_id(ctx.client.number(api(kind, "clone"), ctx.oid(), ctx.word("name"), *extra))

    return Command("clone", f"copy a {KINDS[kind].label}", run, (one(kind), word("name")), options)
