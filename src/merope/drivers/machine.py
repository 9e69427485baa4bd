"""The machine that the commands of a storage run on: this one, or a bridge that is reached by SSH.

A datastore whose storage the front-end does not reach names hosts that do in BRIDGE_LIST.
"""

import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from merope.drivers import commands
from merope.drivers.commands import CommandError, CompletedCommand, said
from merope.drivers.errors import DriverError
from merope.drivers.localhost import is_local
from merope.drivers.ssh import Ssh, UnreachableError

_TIMEOUT = 24 * 3600.0
"""Seconds: a copy may move terabytes; the engine has the time-out of the operation."""


@dataclass(frozen=True, slots=True)
class Machine:
    """`host` is empty for this machine."""

    host: str = ""
    ssh: Ssh | None = None

    def run(
        self, argv: Sequence[str], *, accepted: Collection[int] = (0,), idempotent: bool = True
    ) -> CompletedCommand:
        """Raises CommandError for a status that is not `accepted`, UnreachableError, DriverError."""
        if self.ssh is None:
            return commands.run(argv, timeout=_TIMEOUT, accepted=accepted)
        try:
            return self.ssh.run(self.host, argv, timeout=_TIMEOUT, idempotent=idempotent)
        except CommandError as error:
            if error.status is not None and error.status in accepted:
                return CompletedCommand("", error.stderr, error.status)
            raise

    def feed(self, source: Path, argv: Sequence[str]) -> None:
        """Runs a command whose standard input is a file of the machine that this runs on."""
        with source.open("rb") as reading:
            self._stream(argv, stdin=reading.fileno(), stdout=subprocess.DEVNULL)

    def fill(self, argv: Sequence[str], target: Path) -> None:
        """Runs a command whose standard output becomes a file of the machine that this runs on."""
        with target.open("wb") as writing:
            self._stream(argv, stdin=subprocess.DEVNULL, stdout=writing.fileno())

    def _stream(self, argv: Sequence[str], *, stdin: int, stdout: int) -> None:
        """When it takes too long, this worker is stopped, and the command with it."""
        if self.ssh is None:
            words = list(argv)
        else:
            self.ssh.connect(self.host)
            words = self.ssh.argv(self.host, argv)
        with tempfile.TemporaryFile() as told:
            try:
                done = subprocess.run(  # noqa: S603 - a vector
                    words, stdin=stdin, stdout=stdout, stderr=told, check=False
                )
            except FileNotFoundError as error:
                raise DriverError(f"{words[0]} is not installed on this machine", retry_safe=True) from error
            if done.returncode != 0:
                told.seek(0)
                stderr = told.read().decode(errors="replace")
                message = f"{Path(argv[0]).name} failed with exit status {done.returncode}{said(stderr)}"
                raise CommandError(message, done.returncode, stderr)


HERE = Machine()


def bridge(listed: str, number: int, ssh: Ssh | None) -> Machine:
    """One of the hosts of a BRIDGE_LIST, others for other numbers; the next when that cannot be reached.

    This machine where the list is empty. Raises UnreachableError when none can be reached.
    """
    hosts = listed.replace(",", " ").split()
    unreached: UnreachableError | None = None
    for step in range(len(hosts)):
        host = hosts[(number + step) % len(hosts)]
        if is_local(host):
            return HERE
        if ssh is None:
            raise DriverError(f"the host {host} of BRIDGE_LIST is asked by the front-end only")
        try:
            ssh.connect(host)
        except UnreachableError as error:
            unreached = error
        else:
            return Machine(host, ssh)
    if unreached is not None:
        raise unreached
    return HERE
