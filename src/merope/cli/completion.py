"""Completion scripts for bash, zsh and fish, generated from the declarations."""

from collections.abc import Sequence

from merope.cli.declare import GLOBAL_OPTIONS, Command, Opt, Tool
from merope.cli.errors import UsageError
from merope.cli.main import TOOLS, load_tool


def completion_script(shell: str) -> str:
    """The script that a shell (`bash`, `zsh` or `fish`) sources for every tool.  Raises UsageError."""
    scripts = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if shell not in scripts:
        raise UsageError(f"There is completion for {', '.join(scripts)}, not for {shell}.")
    return scripts[shell]([load_tool(name) for name in TOOLS])


def _option_words(options: Sequence[Opt]) -> str:
    names = {o.name for o in options} | {o.short for o in options if o.short}
    return " ".join(sorted(names, key=lambda n: (not n.startswith("--"), n)))


def _words_of(command: Command) -> str:
    return _option_words((*command.options, *GLOBAL_OPTIONS))


def _tool_words(tool: Tool) -> str:
    if tool.run is not None:
        return _option_words((*tool.options, *GLOBAL_OPTIONS))
    return " ".join([c.name for c in tool.commands if not c.hidden] + ["--help", "--version"])


def _bash(tools: Sequence[Tool]) -> str:
    lines = ["# Completion of the Merope commands for bash."]
    for tool in tools:
        function = f"_merope_{tool.name}"
        lines += [
            f"{function}() {{",
            '    local word="${COMP_WORDS[COMP_CWORD]}" words=""',
        ]
        if tool.run is not None:
            lines.append(f'    words="{_tool_words(tool)}"')
        else:
            lines += [
                '    if [ "$COMP_CWORD" -eq 1 ]; then',
                f'        words="{_tool_words(tool)}"',
                "    else",
            ]
            lines.append('        case "${COMP_WORDS[1]}" in')
            lines += [f'            {c.name}) words="{_words_of(c)}" ;;' for c in tool.commands]
            lines += ["        esac", "    fi"]
        lines += [
            '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
            "}",
            f"complete -o bashdefault -o default -F {function} {tool.name}",
        ]
    return "\n".join(lines) + "\n"


def _zsh(tools: Sequence[Tool]) -> str:
    lines = [f"#compdef {' '.join(t.name for t in tools)}", "# Completion of the Merope commands for zsh."]
    for tool in tools:
        function = f"_merope_{tool.name}"
        lines.append(f"{function}() {{")
        if tool.run is not None:
            lines.append(f"    compadd -- {_tool_words(tool)}")
        else:
            lines += ["    local -a commands", "    commands=("]
            lines += [f"        {_quoted(f'{c.name}:{c.help}')}" for c in tool.commands if not c.hidden]
            lines += [
                "    )",
                "    if (( CURRENT == 2 )); then",
                "        _describe command commands",
                "        return",
                "    fi",
                '    case "$words[2]" in',
            ]
            lines += [f"        {c.name}) compadd -- {_words_of(c)} ;;" for c in tool.commands]
            lines += ["    esac", "    _files"]
        lines += ["}", f"compdef {function} {tool.name}"]
    return "\n".join(lines) + "\n"


def _fish(tools: Sequence[Tool]) -> str:
    lines = ["# Completion of the Merope commands for fish."]
    for tool in tools:
        everywhere = f"complete -c {tool.name}"
        if tool.run is not None:
            lines += [f"{everywhere} {_fish_option(o)}" for o in (*tool.options, *GLOBAL_OPTIONS)]
            continue
        lines += [f"{everywhere} {_fish_option(o)}" for o in GLOBAL_OPTIONS]
        for command in tool.commands:
            if command.hidden:
                continue
            name, text = command.name, _quoted(command.help)
            lines.append(f"{everywhere} -n __fish_use_subcommand -f -a {name} -d {text}")
            seen = f"-n '__fish_seen_subcommand_from {name}'"
            lines += [f"{everywhere} {seen} {_fish_option(o)}" for o in command.options]
    return "\n".join(lines) + "\n"


def _fish_option(option: Opt) -> str:
    short = f"-s {option.short[1:]} " if option.short else ""
    takes_value = " -r" if option.value and not option.value.startswith("[") else ""
    return f"{short}-l {option.name[2:]}{takes_value} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
