"""`one completion`: shell completion, made from the table of commands."""

from collections.abc import Sequence
from typing import Protocol


class _Flag(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...


class _Command(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def help(self) -> str: ...
    @property
    def flags(self) -> Sequence[_Flag]: ...


def script(shell: str, commands: Sequence[_Command]) -> str:
    """What to source, for bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands)


def _flags(command: _Command) -> str:
    return " ".join(["--home", *(name for flag in command.flags for name in flag.names if name[:2] == "--")])


def _bash(commands: Sequence[_Command]) -> str:
    cases = "".join(f"    {c.name}) words='{_flags(c)}' ;;\n" for c in commands)
    names = " ".join(c.name for c in commands)
    return (
        "_one() {\n"
        '  local words current="${COMP_WORDS[COMP_CWORD]}"\n'
        '  case "${COMP_WORDS[1]}" in\n'
        f"{cases}"
        "  esac\n"
        f"  [ \"$COMP_CWORD\" -eq 1 ] && words='{names}'\n"
        '  case "${COMP_WORDS[COMP_CWORD-1]}" in\n'
        '    --home|--config) COMPREPLY=($(compgen -f -- "$current")); return ;;\n'
        "    --drivers) words=dummy ;;\n"
        "  esac\n"
        '  COMPREPLY=($(compgen -W "$words" -- "$current"))\n'
        "}\n"
        "complete -F _one one\n"
    )


def _zsh(commands: Sequence[_Command]) -> str:
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash(commands)


def _fish(commands: Sequence[_Command]) -> str:
    lines = ["complete -c one -f"]
    for command in commands:
        lines.append(f"complete -c one -n __fish_use_subcommand -a {command.name} -d '{command.help}'")
        lines += [
            f"complete -c one -n '__fish_seen_subcommand_from {command.name}' -l {name[2:]}"
            for name in _flags(command).split()
        ]
    return "\n".join(lines) + "\n"
