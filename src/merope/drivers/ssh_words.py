"""Words for the shell of another machine, and names of hosts: the only place where they are escaped."""

import re
from collections.abc import Sequence

from merope.drivers.errors import DriverError

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:_-]{0,253}[A-Za-z0-9])?", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_@+:,./-]+", re.ASCII)


def host_name(name: str) -> str:
    """`name`, checked to be a name or an address and no option of a program. Raises DriverError."""
    if not _HOST.fullmatch(name):
        raise DriverError(f"'{name}' is not the name of a host")
    return name


def shell_line(words: Sequence[str]) -> str:
    """The line that a POSIX shell (or fish) takes for exactly these words. Raises DriverError for NUL."""
    if any("\0" in word for word in words):
        raise DriverError("a word of a command cannot have a NUL character in it")
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """Backslashes stand outside of the quotes: between them, fish takes them for more than themselves."""
    if _PLAIN.fullmatch(word):
        return word
    return "'" + word.replace("\\", "\0").replace("'", "'\\''").replace("\0", "'\\\\'") + "'"
