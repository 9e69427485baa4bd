"""The entry points of the commands: one for each tool, and `python -m merope.cli.main onevm …`."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from merope.cli.context import Context
from merope.cli.declare import Command, Tool
from merope.cli.errors import CliError, UsageError
from merope.cli.parse import Invocation, parse_command
from merope.cli.terminal import Terminal
from merope.client import Client, ClientError, HttpTransport, find_cloud, timeout_of

#: Command and the module under `tools` that declares it.
TOOLS = {
    "onevm": "vm",
    "onehost": "host",
    "onecluster": "cluster",
    "oneimage": "image",
    "onevnet": "vnet",
    "onedatastore": "datastore",
    "onetemplate": "template",
    "oneuser": "user",
    "onegroup": "group",
    "oneacl": "acl",
    "onesecgroup": "secgroup",
    "onezone": "zone",
    "oneacct": "acct",
    "oneshowback": "showback",
    "onevntemplate": "vntemplate",
    "onevrouter": "vrouter",
    "onevmgroup": "vmgroup",
    "onevdc": "vdc",
    "onehook": "hook",
    "onemarket": "market",
    "onemarketapp": "marketapp",
    "onelog": "log",
    "oneflow": "flow",
    "oneflow-template": "flow_template",
}

FAILED = 255
_HELP = ("-h", "--help", "help")
_INTERRUPTED = 130

Connect = Callable[[Invocation], Client]


def load_tool(name: str) -> Tool:
    module = import_module(f"merope.cli.tools.{TOOLS[name]}")
    tool: Tool = module.TOOL
    return tool


def run(
    name: str, words: Sequence[str], terminal: Terminal | None = None, connect: Connect | None = None
) -> int:
    """Run a command line; the result is the exit code (0, or 255 for any failure)."""
    terminal = terminal or Terminal.of_process()
    try:
        if words and words[0] in ("-V", "--version"):
            _print_version(terminal)
            return 0
        code = _run(load_tool(name), words, terminal, connect or connect_from_options)
        terminal.out.flush()
        return code
    except UsageError as e:
        terminal.warn(str(e))
        if e.usage:
            terminal.warn(e.usage)
    except (CliError, ClientError) as e:
        terminal.warn(str(e))
    return FAILED


def _run(tool: Tool, words: Sequence[str], terminal: Terminal, connect: Connect) -> int:
    if tool.run is not None:
        command: Command | None = Command(tool.name, tool.help, tool.run, options=tool.options)
    elif not words or (words[0] in _HELP and len(words) == 1):
        from merope.cli.help import tool_help

        terminal.print(tool_help(tool))
        return 0
    elif words[0] in _HELP:
        # `onevm help create` explains create, as `onevm create --help` does.
        words = (words[1], "--help")
        command = tool.command(words[0])
    elif words[0].startswith("-"):
        raise UsageError(f"The command comes before the options: {tool.name} <command> {words[0]} …")
    else:
        command = tool.command(words[0])
    if command is None:
        from merope.cli.help import synopsis

        terminal.warn(f"Command '{words[0]}' not found")
        terminal.warn(synopsis(tool))
        return FAILED
    return _run_command(parse_command(tool, command, words if tool.run else words[1:]), terminal, connect)


def _print_version(terminal: Terminal) -> None:
    from merope import COMPATIBLE_VERSION, __version__

    terminal.print(f"Merope {__version__} (OpenNebula {COMPATIBLE_VERSION} interfaces)")


def _run_command(invocation: Invocation, terminal: Terminal, connect: Connect) -> int:
    if "help" in invocation.options:
        from merope.cli.help import command_help

        terminal.print(command_help(invocation.tool, invocation.command))
        return 0
    if "version" in invocation.options:
        _print_version(terminal)
        return 0

    def connect_as_asked(asked: Invocation) -> Client:
        return connect(_with_password(asked, terminal))

    ctx = Context(invocation, connect_as_asked, terminal)
    try:
        return invocation.command.run(ctx) or 0
    finally:
        ctx.close()


def _with_password(invocation: Invocation, terminal: Terminal) -> Invocation:
    options = invocation.options
    if "user" in options and "password" not in options:
        options = {**options, "password": terminal.ask_password(f"Password of {options['user']}: ")}
    return invocation._replace(options=options)


def connect_from_options(invocation: Invocation) -> Client:
    import os

    def text(name: str) -> str | None:
        value = invocation.options.get(name)
        return value if isinstance(value, str) else None

    cloud = find_cloud(text("endpoint"), text("user"), text("password"))
    verify = os.environ.get("ONE_DISABLE_SSL_VERIFY", "") in ("", "0", "no", "false")
    timeout = timeout_of(os.environ)
    transport = HttpTransport(cloud.endpoint, timeout, verify, os.environ.get("ONE_CERT_DIR"))
    return Client(cloud.endpoint, cloud.auth, transport)


def main(name: str) -> int:
    """Run this process's command line."""
    try:
        return run(name, sys.argv[1:])
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python must not complain when it closes stdout.
        sys.stdout = None
        return 0


def __getattr__(name: str) -> Callable[[], int]:
    """The entry point of each tool, as the package declares them: `merope.cli.main:onevm`."""
    name = name.replace("_", "-")
    if name not in TOOLS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lambda: main(name)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TOOLS:
        sys.exit(f"Usage: python -m merope.cli.main <{'|'.join(TOOLS)}> …")
    del sys.argv[0]
    sys.exit(main(sys.argv[0]))
