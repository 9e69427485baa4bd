"""docs/reference/commands.md from the declared commands: what each is called with, and its columns."""

from merope.cli.declare import FORMAT_OPTIONS, GLOBAL_OPTIONS, TABLE_OPTIONS, Arg, Command, Opt, Tool
from merope.cli.main import TOOLS, load_tool
from merope.cli.vm_options import TEMPLATE_OPTIONS

_INTRODUCTION = """\
# Commands

Generated from the declarations in `src/merope/cli/tools` by `make generate`. `<command> <sub-command> --help`
explains every option and shows examples; [cli.md](../cli.md) tells where commands find their cloud and how
they print.

A `…_list` is ids, ranges and names (`0..3`, `1,2`, `web,db`); a single object is an
id or a name. `[file]` is a template's file, `-` standard input; `update` opens `$EDITOR` without it.
"""


def markdown() -> str:
    parts = [_INTRODUCTION]
    for title, options in (
        ("Options of every command", GLOBAL_OPTIONS),
        ("Options of lists, pages and documents", FORMAT_OPTIONS),
        ("Options of lists", TABLE_OPTIONS),
        ("Template options", TEMPLATE_OPTIONS),
    ):
        rows = [f"| `{_form(o)}` | {_cell(o.help)} |" for o in options]
        parts.append("\n".join([f"## {title}\n", "| option | |", "| --- | --- |", *rows]) + "\n")
    parts += [_tool(load_tool(name)) for name in TOOLS]
    return "\n".join(parts)


def _tool(tool: Tool) -> str:
    lines = [f"## {tool.name}\n", f"{tool.help[0].upper()}{tool.help[1:]}.\n"]
    if tool.run:
        lines += ["| option | |", "| --- | --- |"]
        lines += [f"| `{_form(o)}` | {_cell(o.help)} |" for o in _own(tool.options)]
    else:
        lines += ["| sub-command | | options |", "| --- | --- | --- |"]
        lines += [_command(c) for c in tool.commands if not c.hidden]
    if tool.columns:
        shown = ", ".join(f"`{c.name}`" for c in tool.columns)
        more = ", ".join(f"`{c.name}`" for c in tool.more)
        lines.append(f"\nColumns: {shown}" + (f"; more with `-l`: {more}." if more else "."))
    return "\n".join(lines) + "\n"


def _command(command: Command) -> str:
    words = " ".join([command.name, *(_argument(a) for a in command.args)])
    own = _own(command.options)
    common = TEMPLATE_OPTIONS if set(TEMPLATE_OPTIONS) <= set(own) else ()
    options = "<br>".join(f"`{_form(o)}`" for o in own if o not in common)
    if common:
        options += "<br>template options"
    return f"| `{words}` | {_cell(command.help)} | {options} |"


def _argument(arg: Arg) -> str:
    return f"[{arg.name}]" if arg.optional else arg.name


def _own(options: tuple[Opt, ...]) -> list[Opt]:
    """Without those that every list has."""
    common = {o.name for o in (*FORMAT_OPTIONS, *TABLE_OPTIONS)}
    return [o for o in options if o.name not in common]


def _form(option: Opt) -> str:
    names = f"{option.short}, {option.name}" if option.short else option.name
    return _cell(f"{names} {option.value}".rstrip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
