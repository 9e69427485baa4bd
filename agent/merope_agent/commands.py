"""Running a command of the host: bounded in time and in what it says, and ended with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import IO, Sequence

OUTPUT_LIMIT = 4 * 1024 * 1024
_SHOWN = 400


class CommandError(Exception):
    """Why there is no output, as a sentence."""


def is_there(command: str) -> bool:
    """Whether there is an executable of that name."""
    return any(os.access(os.path.join(path, command), os.X_OK) for path in os.get_exec_path())


def run(argv: Sequence[str], seconds: float, text: str = "", environ: dict[str, str] | None = None) -> str:
    """The standard output. Raises CommandError: not there, failed, too slow, too much to say."""
    with _scratch() as output, _scratch() as errors:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if text else subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=dict(os.environ, LC_ALL="C", **(environ or {})),
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"{argv[0]} cannot be run: {error.strerror}") from None
        late = False
        try:
            process.communicate(text.encode() if text else None, timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            # What it left behind would pile up, look after look.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if late:
            raise CommandError(f"{argv[0]} did not end within {seconds:g} seconds and was stopped")
        if process.returncode:
            errors.seek(0)
            said = errors.read(_SHOWN).decode("utf-8", "replace").strip()
            raise CommandError(f"{argv[0]} failed with status {process.returncode}: {said}")
        if output.seek(0, os.SEEK_END) > OUTPUT_LIMIT:
            raise CommandError(f"{argv[0]} says more than {OUTPUT_LIMIT} bytes")
        output.seek(0)
        return output.read().decode("utf-8", "replace")


def _scratch() -> IO[bytes]:
    """A file without a name."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("output"), "w+b")
    # It brings more along than all of the agent.
    import tempfile

    return tempfile.TemporaryFile()
