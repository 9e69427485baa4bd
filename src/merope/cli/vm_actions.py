"""What `onevm` does with machines that are there: actions, deployment, migration, recovery, snapshots."""

from collections.abc import Callable

from merope.cli import parts, schedule
from merope.cli.context import Context
from merope.cli.declare import Arg, Command, flag, ids
from merope.cli.errors import UsageError
from merope.cli.vm_options import capacity_from_options
from merope.client.wire import Argument

_HARD = flag("--hard", "at once, without asking the guest")

#: --option of recover: the operation's number (spec xmlrpc one.vm.recover).
_RECOVER = (
    ("failure", 0, "the operation failed"),
    ("success", 1, "the operation succeeded"),
    ("retry", 2, "try the operation again"),
    ("delete", 3, "delete the machine"),
    ("recreate", 4, "delete the machine and begin anew"),
    ("delete-db", 5, "delete the machine from the database only"),
)
RECOVER_OPTIONS = (
    *(flag(f"--{name}", text) for name, _, text in _RECOVER),
    flag("--interactive", "show what is wrong and ask what to do, until it is right"),
)


def action(name: str, text: str, scheduled: bool = True) -> Command:
    """An action of one.vm.action for each machine, at once or scheduled."""

    def run(ctx: Context) -> int:
        return perform(ctx, ctx.ids(), f"{name}-hard" if ctx.flag("hard") else name)

    options = schedule.OPTIONS if scheduled else ()
    examples = (f"{name} 0..3", f"{name} web --schedule '2026-09-23 14:15'" if scheduled else f"{name} web")
    return Command(name, text, run, (ids("vm"),), options, examples)


def hard_action(name: str, text: str) -> Command:
    command = action(name, text)
    return command._replace(options=(_HARD, *command.options))


def perform(ctx: Context, machines: list[int], name: str) -> int:
    def now(oid: int) -> None:
        ctx.say(f"VM {oid}: {name}")
        ctx.client.call("one.vm.action", name, oid)

    return _now_or_later(ctx, machines, name, now)


def _now_or_later(
    ctx: Context,
    machines: list[int],
    name: str,
    now: Callable[[int], None],
    arguments: tuple[Argument, ...] = (),
) -> int:
    later = schedule.action_from_options(ctx, name, arguments)
    if later is None:
        return ctx.for_each(machines, now)
    planned = later

    def plan(oid: int) -> None:
        schedule.add_action(ctx, oid, planned)
        ctx.print(f"VM {oid}: {name} scheduled at {planned['TIME']}")

    return ctx.for_each(machines, plan)


def snapshot(name: str, text: str, args: tuple[Arg, ...]) -> Command:
    """A snapshot's operation: the method is the command's name without dashes, called for each machine."""
    method = f"one.vm.{name.replace('-', '')}"
    more = tuple(a.name for a in args[1:])

    def run(ctx: Context) -> int:
        machines = ctx.ids() if args[0].many else [ctx.oid()]
        values = tuple(parts.arguments(ctx, machines[0], [n for n in more if ctx.has(n)]))
        # The name of a snapshot may be left out on the command line, but not in the call.
        sent = values if len(values) == len(more) else (*values, "")

        def now(oid: int) -> None:
            ctx.say(f"VM {oid}: {name}")
            ctx.client.call(method, oid, *sent)

        return _now_or_later(ctx, machines, name, now, values)

    return Command(name, text, run, args, schedule.OPTIONS)


def deploy(ctx: Context) -> int:
    host = ctx.oid(kind="host")
    datastore = ctx.optional_oid("datastoreid", "datastore")
    path = ctx.option("file", str)
    extra = ctx.terminal.read_file(path) if path else ""
    enforce = ctx.flag("enforce")

    def act(oid: int) -> None:
        ctx.say(f"VM {oid}: deploying in host {host}")
        ctx.client.call("one.vm.deploy", oid, host, enforce, -1 if datastore is None else datastore, extra)

    return ctx.for_each(ctx.ids(), act)


def migrate(ctx: Context) -> int:
    if ctx.flag("live") + ctx.flag("poff") + ctx.flag("poff-hard") > 1:
        raise UsageError("Only one of --live, --poff and --poff-hard can be given.")
    host = ctx.oid(kind="host")
    datastore = ctx.optional_oid("datastoreid", "datastore")
    way = 2 if ctx.flag("poff-hard") else int(ctx.flag("poff"))
    live, enforce = ctx.flag("live"), ctx.flag("enforce")

    def act(oid: int) -> None:
        ctx.say(f"VM {oid}: migrating to host {host}")
        ctx.client.call(
            "one.vm.migrate", oid, host, live, enforce, -1 if datastore is None else datastore, way
        )

    return ctx.for_each(ctx.ids(), act)


def recover(ctx: Context) -> int:
    chosen = [number for name, number, _ in _RECOVER if ctx.flag(name)]
    if ctx.flag("interactive") and len(chosen) < 2:
        from merope.cli.vm_recovery import interactive

        return ctx.for_each(ctx.ids(), lambda oid: interactive(ctx, oid, *chosen))
    if len(chosen) != 1:
        names = ", ".join(f"--{name}" for name, *_ in _RECOVER)
        raise UsageError(f"Exactly one of {names} must be given.")
    return ctx.for_each(ctx.ids(), lambda oid: ctx.client.call("one.vm.recover", oid, chosen[0]))


def resize(ctx: Context) -> None:
    path = ctx.option("file", str)
    text = ctx.terminal.read_file(path) if path else capacity_from_options(ctx)
    if not text.strip():
        raise UsageError("At least one of --cpu, --vcpu, --memory and --file must be given.")
    ctx.client.call("one.vm.resize", ctx.oid(), text, ctx.flag("enforce"))


def save(ctx: Context) -> None:
    from merope.cli.vm_save import save as save_as_template

    save_as_template(ctx)
