"""Runs the commands that drivers need: argument vectors only, bounded in time and in output."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from merope.drivers.errors import DriverError

OUTPUT_LIMIT = 16 * 1024 * 1024
"""Bytes that a command may write on standard output before it is stopped."""
_STDERR_KEPT = 64 * 1024
_LAST_LINES = 5
_CHUNK = 64 * 1024
_GRACE = 1.0
"""Seconds that the pipes may stay open after the command itself has ended."""


class CommandError(DriverError):
    """A command that ran and failed. `status` is its exit status, negative for a signal, None where it was
    stopped; `stderr` its last words."""

    def __init__(self, message: str, status: int | None, stderr: str) -> None:
        super().__init__(message)
        self.status = status
        self.stderr = stderr


@dataclass(frozen=True, slots=True)
class CompletedCommand:
    """What a command that succeeded has written; `stderr` is at most its last 64 KiB."""

    stdout: str
    stderr: str
    code: int = 0


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    input: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output_limit: int = OUTPUT_LIMIT,
    secrets: Sequence[str] = (),
    accepted: Collection[int] = (0,),
) -> CompletedCommand:
    """Runs `argv` in a process group of its own and waits for it, `timeout` seconds at most.

    `env` is added to this process's environment (LC_ALL is C). `secrets` must not be in `argv` and are
    blotted out of errors. Raises DriverError when the command is not installed, and CommandError when it
    exits with a status not `accepted`, is ended by a signal, writes more than `output_limit` bytes or takes
    too long; in the last two cases it and all that it started are killed.
    """
    if any(secret and secret in word for secret in secrets for word in argv):
        raise ValueError(f"{_name(argv)}: a secret must not be an argument; every process can read it")
    try:
        process = subprocess.Popen(  # noqa: S603 - a vector, never a shell
            argv,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            cwd=cwd,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise DriverError(_not_started(argv, cwd), retry_safe=True) from error
    except OSError as error:
        raise DriverError(f"{_name(argv)} cannot be started: {error.strerror}", retry_safe=True) from error
    with process:
        try:
            exchange = _Exchange(process, _encoded(input), output_limit)
            failure = exchange.within(timeout)
        finally:
            if process.poll() is None:
                _kill_group(process.pid)
                process.wait()
    stderr = _blotted(exchange.stderr.decode("utf-8", "replace"), secrets)
    if failure is not None:
        raise CommandError(f"{_name(argv)} {failure}{said(stderr)}", None, stderr)
    if process.returncode not in accepted:
        message = f"{_name(argv)} {_status(process.returncode)}{said(stderr)}"
        raise CommandError(message, process.returncode, stderr)
    return CompletedCommand(exchange.stdout.decode("utf-8", "replace"), stderr, process.returncode)


class _Exchange:
    """Feeds the input and collects the output of one process without blocking on any of them."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes, output_limit: int) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._process = process
        self._pending = memoryview(data)
        self._limit = output_limit
        self._selector = selectors.DefaultSelector()
        for stream, events in (
            (process.stdout, selectors.EVENT_READ),
            (process.stderr, selectors.EVENT_READ),
            (process.stdin, selectors.EVENT_WRITE),
        ):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, events)

    def within(self, timeout: float) -> str | None:
        """Goes on until every pipe is closed and the process has ended; else says what went wrong."""
        deadline = time.monotonic() + timeout
        with self._selector:
            while self._selector.get_map():
                if self._process.poll() is not None:
                    deadline = min(deadline, time.monotonic() + _GRACE)
                ready = self._selector.select(min(max(deadline - time.monotonic(), 0), _GRACE))
                for key, _ in ready:
                    self._serve(key.fileobj)  # type: ignore[arg-type]
                if len(self.stdout) > self._limit:
                    _kill_group(self._process.pid)
                    return f"wrote more than {self._limit} bytes and was stopped"
                if not ready and time.monotonic() >= deadline:
                    return self._out_of_time(timeout)
        try:
            self._process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return self._out_of_time(timeout)
        return None

    def _out_of_time(self, timeout: float) -> str | None:
        """A command that has ended but left a child holding its pipes is done, without the child."""
        ended = self._process.poll() is not None
        _kill_group(self._process.pid)
        return None if ended else f"did not finish within {timeout:g} seconds and was killed"

    def _serve(self, stream: IO[bytes]) -> None:
        if stream is self._process.stdin:
            self._feed(stream)
            return
        data = os.read(stream.fileno(), _CHUNK)
        if not data:
            self._close(stream)
        elif stream is self._process.stdout:
            self.stdout += data
        else:
            self.stderr += data
            del self.stderr[:-_STDERR_KEPT]

    def _feed(self, stdin: IO[bytes]) -> None:
        try:
            written = os.write(stdin.fileno(), self._pending[:_CHUNK])
        except BrokenPipeError:
            written = len(self._pending)
        self._pending = self._pending[written:]
        if not self._pending:
            self._close(stdin)

    def _close(self, stream: IO[bytes]) -> None:
        self._selector.unregister(stream)
        stream.close()


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _encoded(data: str | bytes | None) -> bytes:
    return data.encode() if isinstance(data, str) else data or b""


def _name(argv: Sequence[str]) -> str:
    return Path(argv[0]).name


def _not_started(argv: Sequence[str], cwd: Path | None) -> str:
    if cwd is not None and not cwd.is_dir():
        return f"{_name(argv)} cannot be started: the directory {cwd} does not exist"
    return f"{_name(argv)} is not installed on this machine"


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"failed with exit status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


def said(stderr: str) -> str:
    """The last lines of what a command said, to follow a sentence about it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return ": " + " / ".join(lines[-_LAST_LINES:]) if lines else ""


def _blotted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
