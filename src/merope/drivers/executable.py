"""Executables of third parties in the original's layout: `remotes/<kind>/<name>/<action>`.

They are run as they are: words, usually a document in base64 on standard input, the answer on standard
output, 0 for success. What went wrong is between two marks on standard error (spec drivers.yaml
`mad_protocol`). What an action is given is said where its kind is: `hypervisor/executable.py` and so on.
"""

import base64
import os
import re
from collections.abc import Sequence
from pathlib import Path

from merope.drivers import commands
from merope.drivers.commands import CommandError
from merope.drivers.errors import DriverError
from merope.model.template import Template, TemplateError

OUTPUT_LIMIT = 1024 * 1024
QUICK, LONG = 600.0, 86400.0
"""Seconds for what only changes something, and for what copies disks."""
_MESSAGE = re.compile(r"ERROR MESSAGE -+8<-+\n(.*?)\n?ERROR MESSAGE -+>8-+", re.DOTALL)
_LONGEST = 1000


class Executables:
    """The actions of one driver, in `directory`. `what` is its kind as errors call it."""

    def __init__(self, directory: Path, what: str) -> None:
        self.directory = directory
        self._what = what

    @property
    def name(self) -> str:
        return self.directory.name

    def has(self, action: str) -> bool:
        path = self.directory / action
        return path.is_file() and os.access(path, os.X_OK)

    def run(
        self,
        action: str,
        words: Sequence[str] = (),
        *,
        document: str = "",
        text: str = "",
        seconds: float = QUICK,
        secrets: Sequence[str] = (),
    ) -> str:
        """What the action printed. Its standard input is the `document` in base64, or the `text`.

        `secrets` are blotted out of errors. Raises DriverError: there is no such action, or it failed.
        """
        if not self.has(action):
            raise DriverError(f"the {self._what} {self.name} has no executable {action}, and cannot do that")
        self._check_owner(action)
        given = base64.b64encode(document.encode()).decode() + "\n" if document else text
        try:
            done = commands.run(
                [str(self.directory / action), *words],
                timeout=seconds,
                input=given,
                output_limit=OUTPUT_LIMIT,
                secrets=secrets,
            )
        except CommandError as error:
            if error.status is None:
                raise
            raise DriverError(f"{self.name}/{action}: {message_of(error)}") from error
        return done.stdout

    def template(self, action: str, words: Sequence[str], *, document: str = "") -> Template:
        """What the action printed, as the template that it has to be."""
        return read_template(f"{self.name}/{action}", self.run(action, words, document=document))

    def _check_owner(self, action: str) -> None:
        for path in (self.directory, self.directory / action):
            if path.stat().st_mode & 0o002:
                raise DriverError(f"anybody can write {path}, which is run with our rights: chmod o-w it")


def find(home: Path, kind: str, name: str) -> Path | None:
    """The directory of a driver of third parties, or None. `name` is a file's name, not a way elsewhere."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return None
    directory = home / "remotes" / kind / name
    return directory if directory.is_dir() else None


def message_of(error: CommandError) -> str:
    """What is between the marks, else the last lines, else the exit status."""
    marked = _MESSAGE.findall(error.stderr)
    text = marked[-1].strip() if marked else ""
    if not text:
        lines = [line for line in error.stderr.splitlines() if not line.startswith("ExitCode:")]
        text = " / ".join(line.strip() for line in lines[-5:] if line.strip())
    return text[:_LONGEST] or f"failed with exit status {error.status}"


def last_line(text: str) -> str:
    """The last line that is not blank: scripts may print others before their answer."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def read_template(what: str, text: str) -> Template:
    try:
        return Template.parse(text)
    except TemplateError as error:
        raise DriverError(f"{what} printed what is no template: {error}") from error
