"""The programs that change a host's network: argument vectors, as root."""

import os
import shutil
from collections.abc import Callable, Sequence

from merope.drivers.commands import run
from merope.drivers.errors import DriverError

_TIME_LIMIT = 60.0
_PLACES = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Such programs are not on the path of everybody who may run them by sudo."""

Tool = Callable[..., str]
"""`run_tool`, or what stands for it in tests."""


def run_tool(arguments: Sequence[str], text: str = "") -> str:
    """A program with its arguments and `text` on its standard input, by sudo when we are not root.

    Answers its output. Raises DriverError with its words, and with the command that failed.
    """
    command = list(arguments) if os.geteuid() == 0 else ["sudo", "-n", *arguments]
    try:
        return run(command, timeout=_TIME_LIMIT, input=text or None, env={"PATH": _PLACES}).stdout
    except DriverError as error:
        raise DriverError(f"{' '.join(arguments)}: {error}", retry_safe=error.retry_safe) from error


def is_installed(program: str) -> bool:
    return shutil.which(program, path=_PLACES) is not None
