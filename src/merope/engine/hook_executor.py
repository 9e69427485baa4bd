"""The process that runs hooks: reads one run a line, answers one line each, and outlives no core.

Started by `engine.hook_process` as the leader of a session; `python -m merope.engine.hook_executor PLACES
PARENT`, where PLACES is the JSON of a `Places`. Every word goes to a program as a word: no shell on this
machine reads what somebody wrote, and what goes to a host's shell is quoted.

Source: spec drivers.yaml `hm`.
"""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from merope.drivers.errors import DriverError
from merope.drivers.ssh import Ssh, SshSettings
from merope.engine.processes import end_with

OUTPUT_LIMIT = 64 * 1024
"""Bytes of each stream of a hook that are kept; the rest is read and dropped."""
LINE_LIMIT = 256 * 1024 * 1024
NOT_STARTED, NOT_FOUND, NOT_REACHED, TIMED_OUT = 126, 127, 255, 124
_QUOTED = re.compile(r"['\"\\]")
_WORD = re.compile(r"""(?:[^\s'"\\]++|'[^']*+'|"(?:[^"\\]|\\.)*+"|\\.|['"\\])+""", re.DOTALL)
_GRACE = 1.0
"""Seconds that what a hook left behind may hold its pipes after the hook itself has ended."""
_SSH_GRACE = 5
"""Seconds that a host has to end a hook before the line to it is cut."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where commands are here and on hosts, what hooks are given in their environment, how many run, the
    cloud's home, and the fields of its `SshSettings`."""

    base: str
    remote_base: str
    environment: dict[str, str]
    concurrency: int
    home: str
    ssh: dict[str, Any] = field(default_factory=dict)

    @property
    def hosts(self) -> Ssh:
        return Ssh(Path(self.home), SshSettings(**self.ssh))


@dataclass(frozen=True, slots=True)
class Request:
    """One run: `seconds` 0 is no limit; `host` is where a `remote` one is run."""

    id: int
    command: str
    arguments: str = ""
    on_stdin: bool = False
    remote: bool = False
    host: str = ""
    seconds: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class RefusedError(Exception):
    """A hook that cannot be started: the exit status that is logged, and why, as a sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def words_of(request: Request, places: Places) -> list[str]:
    """The command and its arguments, where they run. Raises RefusedError.

    A command that is no absolute path is one below the base, and stays there.
    """
    first, *more = _words(request.command) or [""]
    words = [*more, *([] if request.on_stdin else _words(request.arguments))]
    base = places.remote_base if request.remote else places.base
    path = Path(first) if first.startswith("/") else _below(base, first, resolve=not request.remote)
    if not request.remote:
        if not path.is_file():
            raise RefusedError(NOT_FOUND, f"{path} is not there.")
        if not os.access(path, os.X_OK):
            raise RefusedError(NOT_STARTED, f"{path} cannot be executed: its mode does not allow it.")
        return [str(path), *words]
    if not request.host:
        raise RefusedError(NOT_REACHED, "The hook runs on a host, and this event is about no host.")
    return [str(path), *words]


async def _over_ssh(request: Request, places: Places, words: list[str]) -> list[str]:
    """What runs the words on the request's host, and ends them there when their time is over."""
    if request.seconds:
        words = ["timeout", "-k", "2", str(request.seconds), *words]
    try:
        argv = places.hosts.argv(request.host, words)
        await asyncio.to_thread(places.hosts.connect, request.host)
    except DriverError as error:
        raise RefusedError(NOT_REACHED, f"The hook was not run: {error}.") from error
    return argv


def _below(base: str, command: str, *, resolve: bool) -> Path:
    """Links are followed where they can be looked at."""
    root, path = Path(base), Path(os.path.normpath(Path(base) / command))
    if resolve:
        root, path = root.resolve(), path.resolve()
    if not command or path == root or not path.is_relative_to(root):
        raise RefusedError(NOT_FOUND, f"COMMAND {command!r} is not below {base}.")
    return path


def _words(text: str) -> list[str]:
    """As a shell would split them: 5.12 gives them to one. What is no quoting is split at blanks."""
    if not _QUOTED.search(text):
        return text.split()
    # shlex takes quadratic time, and a document may be a word of megabytes: it gets the quoted ones only.
    words = _WORD.findall(text)
    try:
        return [part for word in words for part in (shlex.split(word) if _QUOTED.search(word) else [word])]
    except ValueError:
        return text.split()


async def run(request: Request, places: Places) -> dict[str, Any]:
    """What is told of a run: id, command, code, stdout and stderr (both in base64)."""
    command = " ".join(_words(request.command))
    try:
        argv = words_of(request, places)
        command = f"{request.host}: {argv[0]}" if request.remote else argv[0]
        if request.remote:
            argv = await _over_ssh(request, places, argv)
        code, stdout, stderr = await _carry_out(request, places, argv)
    except RefusedError as refusal:
        code, stdout, stderr = refusal.code, b"", f"{refusal}\n".encode()
    except OSError as error:
        code, stdout, stderr = NOT_STARTED, b"", _not_started(error).encode()
    return {
        "id": request.id,
        "command": command,
        "code": code,
        "stdout": b64encode(stdout).decode(),
        "stderr": b64encode(stderr).decode(),
    }


def _not_started(error: OSError) -> str:
    advice = " Let the hook have them on its standard input: ARGUMENTS_STDIN=YES." if error.errno == 7 else ""
    return f"The command cannot be started: {error.strerror}.{advice}\n"


async def _carry_out(request: Request, places: Places, argv: list[str]) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE if request.on_stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **places.environment, "MEROPE_HOOK_RUN": str(request.id)},
        process_group=0,
    )
    kept = (bytearray(), bytearray())
    streams = [
        asyncio.create_task(_collect(stream, into))
        for stream, into in zip((process.stdout, process.stderr), kept, strict=True)
    ]
    feeding = asyncio.create_task(_feed(process.stdin, request.arguments.encode()))
    late = False
    limit = request.seconds + _SSH_GRACE if request.seconds and request.remote else request.seconds
    try:
        await asyncio.wait_for(_ended(process), limit or None)
    except TimeoutError:
        late = True
        _kill_group(process.pid)
        await _ended(process)
    await asyncio.wait(streams, timeout=_GRACE)
    for task in (feeding, *streams):
        task.cancel()
    await asyncio.gather(feeding, *streams, return_exceptions=True)
    # What the hook left behind may hold the pipes for as long as it lives; we do not.
    process._transport.close()  # type: ignore[attr-defined]
    late = late or (request.remote and request.seconds > 0 and process.returncode == TIMED_OUT)
    if late:
        kept[1].extend(f"The hook did not end within {request.seconds} seconds and was stopped.\n".encode())
    code = TIMED_OUT if late else process.returncode or 0
    # A signal's number is not a status; shells say 128 and it.
    return (code if code >= 0 else 128 - code), bytes(kept[0]), bytes(kept[1])


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Returns when the process itself has ended: `wait` waits for whoever holds its pipes, too."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    while process.returncode is None:  # noqa: ASYNC110 - the loop is about to say so
        await asyncio.sleep(0.001)


async def _collect(stream: asyncio.StreamReader | None, into: bytearray) -> None:
    assert stream is not None
    while chunk := await stream.read(OUTPUT_LIMIT):
        into.extend(chunk[: OUTPUT_LIMIT - len(into)])


async def _feed(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    if stream is None:
        return
    with suppress(ConnectionError):
        stream.write(data)
        await stream.drain()
    stream.close()


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


async def serve(places: Places) -> None:
    """Until the requests end."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(places.concurrency, "connecting"))
    requests = asyncio.StreamReader(limit=LINE_LIMIT)
    source = os.fdopen(os.dup(0), "rb")
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), source)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    free = asyncio.Semaphore(places.concurrency)
    running: set[asyncio.Task[None]] = set()

    async def answer(request: Request) -> None:
        try:
            reply = await run(request, places)
        finally:
            free.release()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()

    while line := await requests.readline():
        await free.acquire()
        task = loop.create_task(answer(Request(**json.loads(line))))
        running.add(task)
        task.add_done_callback(running.discard)


def main(argv: list[str]) -> int:
    os.umask(0o077)
    end_with(int(argv[1]))
    if sys.version_info < (3, 12):
        # What later versions do by themselves: no thread for each process that is waited for.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(serve(Places(**json.loads(argv[0]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
