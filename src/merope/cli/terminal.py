"""The world around a command: what it prints to, reads from, and the editor it opens.

One small class, so that tests give their own streams, width and editor.
"""

import os
import re
import sys
from collections.abc import Mapping
from typing import TextIO

from merope.cli.errors import CliError
from merope.cli.table import Style

#: What would steer the terminal, or show a text in another order than it is in; but not our own colours.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\x1b(?!\\[[0-9;]*m)"
)


def _harmless(text: str) -> str:
    """A text of somebody else's, as it may stand on a terminal."""
    return _STEERING.sub("\ufffd", text)


class Terminal:
    """`width` in characters; 0: the output is no terminal (or its width is not known)."""

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        into: TextIO,
        environ: Mapping[str, str],
        width: int = 0,
        interactive: bool = False,
        colour: bool = False,
    ) -> None:
        self.out = out
        self.err = err
        self.into = into
        self.environ = environ
        self.width = width
        self.interactive = interactive
        self.colour = colour

    @classmethod
    def of_process(cls) -> "Terminal":
        is_terminal = sys.stdout.isatty()
        width = os.get_terminal_size(sys.stdout.fileno()).columns if is_terminal else 0
        colour = is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        return cls(sys.stdout, sys.stderr, sys.stdin, os.environ, width, sys.stdin.isatty(), colour)

    @property
    def style(self) -> Style:
        return Style(self.width, self.colour)

    def print(self, text: str = "") -> None:
        self.out.write((_harmless(text) if self.out.isatty() else text) + "\n")

    def warn(self, text: str) -> None:
        self.err.write((_harmless(text) if self.err.isatty() else text) + "\n")

    def read_file(self, path: str) -> str:
        """The text of a file, of standard input for "-".  Raises CliError."""
        if path == "-":
            return self.into.read()
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else str(e)
            raise CliError(f"{path} cannot be read: {why}.") from e

    def ask(self, question: str) -> str:
        """A line from the person at the terminal.  Raises CliError when nobody sits there."""
        if not self.interactive:
            raise CliError(f"{question.rstrip(': ')} is needed, and nobody sits at a terminal to give it.")
        self.err.write(question)
        self.err.flush()
        line = self.into.readline()
        if not line:
            raise CliError("The input ended.")
        return line.rstrip("\n")

    def ask_password(self, question: str = "Password: ") -> str:
        """A line that is not shown while it is typed."""
        if not self.interactive:
            raise CliError(
                "A password is needed, and nobody sits at a terminal to type it: use --stdin or --read-file."
            )
        import getpass

        return getpass.getpass(question)

    def edit(self, text: str, suffix: str = ".template") -> str | None:
        """What the person made of `text` in $EDITOR (a temporary file, mode 600); None when unchanged."""
        import shlex
        import subprocess
        import tempfile

        command = self.environ.get("EDITOR") or self.environ.get("VISUAL") or "vi"
        descriptor, path = tempfile.mkstemp(prefix="merope-", suffix=suffix)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            try:
                result = subprocess.run([*shlex.split(command), path], check=False)  # noqa: S603
            except (OSError, ValueError) as e:
                raise CliError(f"The editor '{command}' cannot be started: {e}. Set EDITOR.") from e
            if result.returncode != 0:
                raise CliError(f"The editor '{command}' failed ({result.returncode}); nothing was changed.")
            edited = self.read_file(path)
        finally:
            os.unlink(path)
        return None if edited == text else edited
