"""The words in which the commands are declared: tools, sub-commands, arguments, options, columns.

A tool (`onevm`) is data.  The parser, the help, the shell completion and the table engine walk it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import Element

from merope.cli import values

if TYPE_CHECKING:
    from merope.cli.context import Context
    from merope.cli.view import View

#: What a sub-command does; the result is the exit code (None: 0).
Run = Callable[["Context"], int | None]


class Arg(NamedTuple):
    """A positional argument.

    `read` turns the word into a value (ValueError says what was expected).  With `of` (a key of
    `merope.client.KINDS`) the word is an id or a name, with `many` a list of these.
    """

    name: str
    read: Callable[[str], object] = str
    of: str = ""
    many: bool = False
    optional: bool = False


class Opt(NamedTuple):
    """An option; `value` names its value in the help ("" for a flag, "[x]" when it may be left out)."""

    name: str
    help: str
    short: str = ""
    value: str = ""
    read: Callable[[str], object] = str
    of: str = ""


class Command(NamedTuple):
    """A sub-command; `hidden` keeps an old name working without showing it."""

    name: str
    help: str
    run: Run
    args: tuple[Arg, ...] = ()
    options: tuple[Opt, ...] = ()
    examples: tuple[str, ...] = ()
    hidden: bool = False


class Column(NamedTuple):
    """A column of a list: `size` characters, `left` aligned or right, filling the terminal (`expand`),
    as wide as its content (`adjust`), never cut (`whole`)."""

    name: str
    size: int
    left: bool
    expand: bool
    adjust: bool
    whole: bool
    help: str
    value: Callable[[Element, "View"], str]


class Tool(NamedTuple):
    """A command such as `onevm`: its object kind, its sub-commands, the columns of its list.

    `columns` are shown by default, `more` with -l; `rows` finds the listed elements in the pool's
    document (None: those of the kind); `show` prints one object.
    """

    name: str
    kind: str
    help: str
    commands: tuple[Command, ...]
    columns: tuple[Column, ...] = ()
    more: tuple[Column, ...] = ()
    options: tuple[Opt, ...] = ()
    run: Run | None = None

    def command(self, name: str) -> Command | None:
        return next((c for c in self.commands if c.name == name), None)


def column(layout: str, text: str, value: Callable[[Element, "View"], str]) -> Column:
    """`layout` is NAME:<size><L|R> and any of + (expand), ~ (adjust to the content), ! (never cut)."""
    name, _, form = layout.partition(":")
    flags = form.lstrip("0123456789")
    size = int(form[: len(form) - len(flags)])
    return Column(name, size, flags[0] == "L", "+" in flags, "~" in flags, "!" in flags, text, value)


def ids(kind: str) -> Arg:
    """A list of objects: ids, ranges and names (`0..3`, `1,2`, `web,db`)."""
    return Arg(f"{kind}id_list", values.id_list, kind, many=True)


def one(kind: str, name: str = "", optional: bool = False) -> Arg:
    """One object by id or name."""
    return Arg(name or f"{kind}id", values.id_or_name, kind, optional=optional)


def word(name: str, optional: bool = False) -> Arg:
    return Arg(name, optional=optional)


def number(name: str) -> Arg:
    return Arg(name, values.natural)


def part(name: str) -> Arg:
    """A part of the command's object by id or name (`merope.cli.parts`)."""
    return Arg(name, values.id_or_name)


def file(optional: bool = True) -> Arg:
    """A template's file; "-" is standard input."""
    return Arg("file", optional=optional)


def flag(name: str, text: str, short: str = "") -> Opt:
    return Opt(name, text, short)


def opt(name: str, value: str, text: str, short: str = "", read: Callable[[str], object] = str) -> Opt:
    return Opt(name, text, short, value, read)


def ref(name: str, kind: str, text: str, short: str = "") -> Opt:
    """An option that names an object by id or name."""
    return Opt(name, text, short, "id|name", values.id_or_name, kind)


GLOBAL_OPTIONS = (
    flag("--verbose", "say what is being done", "-v"),
    flag("--help", "show this help", "-h"),
    flag("--version", "show the version", "-V"),
    opt("--user", "name", "connect as this user (the password is asked for when it is not given)"),
    opt("--password", "password", "the user's password or token; other users may see it in the process list"),
    opt("--endpoint", "url", "the cloud's endpoint, such as http://localhost:2633/RPC2"),
)

FORMAT_OPTIONS = (
    flag("--xml", "print the document as XML", "-x"),
    flag("--json", "print the document as JSON", "-j"),
    flag("--yaml", "print the document as YAML", "-y"),
)

TABLE_OPTIONS = (
    opt("--list", "x,y,z", "the columns to show", "-l", values.upper_list),
    opt("--listconf", "name", "a named selection of columns (default, all, those of your column file)", "-c"),
    opt("--delay", "seconds", "repeat the list, that many seconds apart", "-d", values.seconds),
    opt("--filter", "x,y,z", "show rows where COLUMN=value; also !=, > and <", "-f"),
    opt(
        "--operator", "op", "AND (default): a row fulfils every filter; OR: any of them", "", values.operator
    ),
    flag("--csv", "print comma-separated values"),
    opt("--csv-del", "char", "the separator of --csv"),
    flag("--no-header", "leave the heading out"),
    flag("--no-pager", "accepted for compatibility: no pager is ever started"),
    opt("--adjust", "x,y,z", "make these columns as wide as their content", "", values.upper_list),
    opt("--size", "x=n,y=n", "set the width of columns", "-s", values.sizes),
    opt("--expand", "[x=n,y=n]", "fill the terminal's width, with shares for the columns", "", values.shares),
    flag("--no-expand", "don't fill the terminal's width"),
    flag("--numeric", "show users and groups by their ids", "-n"),
    flag("--describe", "explain the columns"),
)
