"""Help from the declarations."""

import textwrap

from merope.cli.declare import GLOBAL_OPTIONS, Arg, Command, Opt, Tool
from merope.cli.parse import usage_line

_WIDTH = 100

_FORMATS = """\
## ARGUMENT FORMATS
   id, name      an object by its id or its name
   id_list       ids, ranges and names: 3   0..3   1,2   web,db
   file          a template's file, - for standard input; update opens $EDITOR without it
   filterflag    a, all: everything you may see   m, mine: what you own   g, group: also your groups'
                 G: your primary group's   a user's id or name: what that user owns

## WHICH CLOUD, AS WHOM
   --endpoint, ONE_XMLRPC, ~/.one/one_endpoint, else the cloud of the directory you are in
   --user and --password, the file named by ONE_AUTH, ~/.one/one_auth, else those of that cloud
"""


def synopsis(tool: Tool) -> str:
    return f"## SYNOPSIS\n\n{tool.name} <command> [<args>] [<options>]\n\n{_commands(tool)}"


def tool_help(tool: Tool) -> str:
    return (
        f"{tool.name}: {tool.help}\n\n{synopsis(tool)}\n"
        f"## OPTIONS OF EVERY COMMAND\n{_options(GLOBAL_OPTIONS)}\n\n{_FORMATS}\n"
        f"'{tool.name} <command> --help' explains a command."
    )


def command_help(tool: Tool, command: Command) -> str:
    prefix = tool.name if tool.run else f"{tool.name} {command.name}"
    parts = [
        f"{prefix}: {command.help}",
        "",
        usage_line(tool, command) if not tool.run else f"Usage: {tool.name} [options]",
    ]
    if command.options:
        parts += ["", "Options:", _options(command.options)]
    own = {o.short for o in command.options} | {o.name for o in command.options}
    inherited = tuple(
        o._replace(short="") if o.short in own else o for o in GLOBAL_OPTIONS if o.name not in own
    )
    parts += ["", "Options of every command:", _options(inherited)]
    parts += ["", "Examples:", *(f"   {tool.name} {e}".rstrip() for e in examples(tool, command))]
    return "\n".join(parts)


#: What stands for an argument in an example, where a list of objects (`0..3`) or an id (`0`) doesn't.
_SAMPLES = {
    "attr": "FREE_MEMORY",
    "file": "new.txt",
    "groupid": "users",
    "hostid": "node1",
    "ip": "10.1.0.17",
    "name": "web",
    "octet": "640",
    "path": "disk.img",
    "size": "10G",
    "type": "DATABLOCK",
    "userid": "ann",
    "username": "ann",
}


def examples(tool: Tool, command: Command) -> tuple[str, ...]:
    """Those declared, else one with a word for each argument that is needed."""
    if command.examples or tool.run:
        return command.examples or ("", "--json")
    return (" ".join([command.name, *(_sample(a) for a in command.args if not a.optional)]),)


def _sample(arg: Arg) -> str:
    if arg.many:
        return "0..3"
    return _SAMPLES.get(arg.name, "0" if arg.of or arg.read is not str else arg.name)


def _commands(tool: Tool) -> str:
    lines = ["## COMMANDS"]
    for command in tool.commands:
        if not command.hidden:
            lines.append(f"   {command.name:<22}{command.help}")
    return "\n".join(lines) + "\n"


def option_form(option: Opt) -> str:
    names = f"{option.short}, {option.name}" if option.short else f"    {option.name}"
    return f"{names} {option.value}".rstrip()


def _options(options: tuple[Opt, ...]) -> str:
    lines = []
    for option in options:
        form = option_form(option)
        text = textwrap.wrap(option.help, _WIDTH - 33)
        if len(form) > 28:
            lines.append(f"   {form}")
            form = ""
        lines.append(f"   {form:<30}{text[0]}")
        lines += [" " * 33 + line for line in text[1:]]
    return "\n".join(lines)
