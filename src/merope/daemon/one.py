"""The command `one`: start and stop a cloud, look at it, keep it safe.

The table of commands is the only list of them; help and completion follow from it. What a command
needs is imported when it runs, so that each starts fast.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from merope.daemon.layout import Layout, default_home

if TYPE_CHECKING:
    from merope.daemon.start import Wanted

Handler = Callable[[argparse.Namespace], int]
_DEFAULT_LINES = 50
_NOT_RUNNING = 3


@dataclass(frozen=True)
class Flag:
    """An option of a command."""

    names: tuple[str, ...]
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    number: bool = False


@dataclass(frozen=True)
class Command:
    """A command: a function of this module, or `module:function` that takes the rest of the command line."""

    name: str
    help: str
    does: Handler | str
    flags: tuple[Flag, ...] = ()
    argument: str | None = None


HOME = Flag(("--home",), "directory of the cloud (default: ./var, or $ONE_LOCATION/var)", "DIR")
START_FLAGS = (
    Flag(("--port",), "port of the API (default: 2633)", "N", number=True),
    Flag(("--listen",), "address of the API (default: 127.0.0.1)", "ADDRESS"),
    Flag(("--config",), "oned.conf to use (default: that in the home, if any)", "FILE"),
    Flag(("--drivers",), "dummy: a sandbox on simulated drivers, oneadmin:opennebula", choices=("dummy",)),
    Flag(("--oneflow-port",), "port of OneFlow (default: 2474; 0: do not start it)", "N", number=True),
    Flag(("--onegate-port",), "port of OneGate (default: 5030; 0: do not start it)", "N", number=True),
)


def _layout(args: argparse.Namespace) -> Layout:
    return Layout.at(args.home or default_home())


def _start(args: argparse.Namespace) -> int:
    from merope.daemon import start

    print(start.start(_layout(args), _wanted(args), args.supervisor or start.SUPERVISOR, args.foreground))
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from merope.daemon import start

    layout = _layout(args)
    options = start.prepare(layout, _wanted(args))
    print(f"The cloud in {layout.home} can start at {options.endpoint}")
    return 0


def _restart(args: argparse.Namespace) -> int:
    from merope.daemon import control, start

    layout = _layout(args)
    if args.service:
        answer = control.ask(layout, "restart", args.service)
        print(answer.get("error") or f"{args.service} restarts")
        return 1 if "error" in answer else 0
    print(start.restart(layout, _wanted(args), args.supervisor or start.SUPERVISOR))
    return 0


def _stop(args: argparse.Namespace) -> int:
    from merope.daemon import start

    layout = _layout(args)
    print(f"The cloud in {layout.home} " + ("has stopped" if start.stop(layout) else "does not run"))
    return 0


def _status(args: argparse.Namespace) -> int:
    from merope.daemon import status

    return status.show(_layout(args), args.json, _NOT_RUNNING)


def _logs(args: argparse.Namespace) -> int:
    from merope.daemon import logs

    lines = _DEFAULT_LINES if args.lines is None else args.lines
    return logs.show(_layout(args), args.service, lines, args.follow)


def _config(args: argparse.Namespace) -> int:
    from merope.daemon import config_show

    layout, wanted = _layout(args), _wanted(args)
    style = "json" if args.json else "yaml" if args.yaml else "table"
    return config_show.show(layout, wanted, style, args.diff)


def _completion(args: argparse.Namespace) -> int:
    from merope.daemon import completion

    print(completion.script(args.shell, COMMANDS), end="")
    # By name: no module may import the commands, which stand on top of everything.
    others = importlib.import_module("merope.cli.completion")
    print(others.completion_script(args.shell), end="")
    return 0


def _wanted(args: argparse.Namespace) -> "Wanted":
    from merope.daemon import start

    config = Path(args.config) if args.config else None
    return start.Wanted(args.port, args.listen, config, args.drivers, args.oneflow_port, args.onegate_port)


JSON = Flag(("--json", "-j"), "as JSON")
COMMANDS = (
    Command(
        "start",
        "start the cloud, and return when it answers",
        _start,
        (*START_FLAGS, Flag(("--foreground",), "stay in the foreground")),
    ),
    Command(
        "prepare", "make and check what a start needs, and start nothing (for systemd)", _prepare, START_FLAGS
    ),
    Command("stop", "let it finish what it is doing, then end it", _stop),
    Command(
        "restart",
        "stop and start it with the options it had; or one service of it",
        _restart,
        START_FLAGS,
        argument="service",
    ),
    Command("status", "which services run (exit status 3: none)", _status, (JSON,)),
    Command(
        "logs",
        "the end of the logs, of one service or of all",
        _logs,
        (
            Flag(("-f", "--follow"), "go on with what comes"),
            Flag(("-n", "--lines"), f"lines of the end (default: {_DEFAULT_LINES})", "N", number=True),
        ),
        argument="service",
    ),
    Command(
        "config",
        "the configuration in force, and where each value came from",
        _config,
        (
            *START_FLAGS,
            JSON,
            Flag(("--yaml", "-y"), "as YAML"),
            Flag(("--diff",), "only what is not a default"),
        ),
    ),
    Command("backup", "save the database and the secrets", "merope.store.maintenance:main"),
    Command("restore", "put a backup back", "merope.store.maintenance:main"),
    Command("fsck", "check the database, and repair it if asked to", "merope.store.maintenance:main"),
    Command("host-check", "what hosts lack, and the command that mends it", "merope.daemon.host_check:main"),
    Command(
        "network-diff",
        "which rules of VMs' NICs would change on their hosts",
        "merope.daemon.network_diff:main",
    ),
    Command("tm-debug", "the steps of a VM's failed transfer, one by one", "merope.daemon.tm_debug:main"),
    Command("simulate", "run the core through random faults, by seeds", "merope.simulation:main"),
    Command("demo", "a cloud with a real machine: up, down", "merope.daemon.demo:main"),
    Command(
        "completion",
        "completion of this and all other commands, to be sourced",
        _completion,
        argument="shell",
    ),
)
# These get the name of the command as their first argument, and the home: they serve more than one.
_NAMED = "merope.store.maintenance:main"


def main(argv: Sequence[str] | None = None, supervisor: Sequence[str] = ()) -> int:
    """Run one command and return the exit status; `supervisor` is the command that tests start instead."""
    words = list(sys.argv[1:] if argv is None else argv)
    elsewhere = next((c for c in COMMANDS if words[:1] == [c.name] and isinstance(c.does, str)), None)
    try:
        if elsewhere:
            return _run_elsewhere(elsewhere, words[1:])
        args = _parser().parse_args(words)
        args.supervisor = supervisor
        status: int = args.does(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read this has gone: nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _explain(error)
    return status


def _explain(error: Exception) -> int:
    """Say what is wrong in a sentence; a bug keeps its traceback."""
    from merope.daemon.control import NotRunning
    from merope.daemon.start import StartError

    if isinstance(error, StartError):
        print(f"one: {error}", file=sys.stderr)
        return error.status
    if isinstance(error, NotRunning):
        print(f"one: no cloud runs in {error}", file=sys.stderr)
        return _NOT_RUNNING
    raise error


def _run_elsewhere(command: Command, rest: list[str]) -> int:
    assert isinstance(command.does, str)
    module, _, function = command.does.partition(":")
    if command.does == _NAMED:
        rest = [command.name, *rest]
        if "--home" not in rest:
            rest += ["--home", str(default_home())]
    return int(getattr(importlib.import_module(module), function)(rest))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="one", description="Start and stop a cloud, and look after it.")
    chosen = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = chosen.add_parser(command.name, help=command.help, description=command.help)
        sub.set_defaults(does=command.does)
        if command.argument == "shell":
            sub.add_argument("shell", choices=("bash", "zsh", "fish"))
        elif command.argument:
            sub.add_argument(command.argument, nargs="?")
        for flag in (HOME, *command.flags):
            _add(sub, flag)
    return parser


def _add(parser: argparse.ArgumentParser, flag: Flag) -> None:
    if flag.metavar is None and flag.choices is None:
        parser.add_argument(*flag.names, action="store_true", help=flag.help)
    else:
        kind = int if flag.number else str
        parser.add_argument(
            *flag.names, metavar=flag.metavar, choices=flag.choices, type=kind, help=flag.help
        )


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
