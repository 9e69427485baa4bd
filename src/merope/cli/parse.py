"""The command line against the declarations of a tool.

Options may stand anywhere among the arguments; `--` ends them.  Long options are never abbreviated, short
flags may be joined (`-xv`), a value may be joined too (`--name=x`, `-lID`).  Not argparse: its errors,
exit codes and treatment of `-6` and of optional values are not those that clients of 5.12 know.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from merope.cli.declare import GLOBAL_OPTIONS, Arg, Command, Opt, Tool
from merope.cli.errors import UsageError


class Invocation(NamedTuple):
    """`values` holds the arguments by name, `options` those that were given (a flag: True)."""

    tool: Tool
    command: Command
    values: dict[str, object]
    options: dict[str, object]


def parse_command(tool: Tool, command: Command, words: Sequence[str]) -> Invocation:
    """Raises UsageError."""
    usage = usage_line(tool, command)
    options, rest = parse_options((*command.options, *GLOBAL_OPTIONS), words)
    if "help" in options or "version" in options:
        return Invocation(tool, command, {}, options)
    needed = [a for a in command.args if not a.optional]
    if len(rest) < len(needed):
        missing = needed[len(rest)].name
        raise UsageError(f"Command '{command.name}' needs the argument <{missing}>.", usage)
    if len(rest) > len(command.args):
        raise UsageError(f"Command '{command.name}' takes no argument '{rest[len(command.args)]}'.", usage)
    values = {a.name: _read_argument(a, text, usage) for a, text in _assign(command.args, rest)}
    return Invocation(tool, command, values, options)


def _assign(args: tuple[Arg, ...], rest: list[str]) -> Iterator[tuple[Arg, str]]:
    """Words to arguments; with few words the optional arguments go without (`token-delete [user] token`)."""
    spare = len(rest) - sum(not a.optional for a in args)
    words = iter(rest)
    for arg in args:
        if arg.optional:
            if spare <= 0:
                continue
            spare -= 1
        yield arg, next(words)


def _read_argument(arg: Arg, text: str, usage: str) -> object:
    try:
        return arg.read(text)
    except ValueError as e:
        raise UsageError(f"{arg.name}: {e}.", usage) from e


def parse_options(declared: Sequence[Opt], words: Sequence[str]) -> tuple[dict[str, object], list[str]]:
    """What was given, by name without the dashes, and the other words.  Earlier declarations win."""
    names: dict[str, Opt] = {}
    for option in declared:
        names.setdefault(option.name, option)
        if option.short:
            names.setdefault(option.short, option)
    given: dict[str, object] = {}
    rest: list[str] = []
    queue = list(reversed(words))
    while queue:
        word = queue.pop()
        if word == "--":
            rest.extend(reversed(queue))
            break
        if len(word) < 2 or word[0] != "-":
            rest.append(word)
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            _take(names, name, value if equals else None, queue, given)
        else:
            _take_short(names, word, queue, given)
    return given, rest


def _take_short(names: dict[str, Opt], word: str, queue: list[str], given: dict[str, object]) -> None:
    option = names.get(word[:2])
    if option is None or option.value:
        _take(names, word[:2], word[2:] or None, queue, given)
        return
    given[key(option)] = True
    if len(word) > 2:
        queue.append("-" + word[2:])


def _take(
    names: dict[str, Opt], name: str, value: str | None, queue: list[str], given: dict[str, object]
) -> None:
    if (option := names.get(name)) is None:
        raise UsageError(f"invalid option: {name}")
    if not option.value:
        if value is not None:
            raise UsageError(f"needless argument: {name}={value}")
        given[key(option)] = True
        return
    if value is None:
        if option.value.startswith("["):
            # An optional value: the next word is it unless it is an option itself.
            value = queue.pop() if queue and not queue[-1].startswith("-") else ""
        elif queue:
            value = queue.pop()
        else:
            raise UsageError(f"missing argument: {name}")
    try:
        given[key(option)] = option.read(value)
    except ValueError as e:
        raise UsageError(f"invalid argument: {name} {value}: {e}.") from e


def key(option: Opt) -> str:
    return option.name.removeprefix("--")


def usage_line(tool: Tool, command: Command) -> str:
    parts = [f"[<{a.name}>]" if a.optional else f"<{a.name}>" for a in command.args]
    return " ".join(["Usage:", tool.name, command.name, "[options]", *parts])
