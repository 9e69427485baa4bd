"""The receiver's process: takes messages of agents, keeps figures, and tells the core what it has to know.

Started by `engine.receiver_process` (`python -m merope.monitor.receiver`), which speaks JSON to it, by lines.
The first line configures it (`Wanted`): it has secrets in it, which a command line would show. It holds
nothing that is not told again to its successor, so it may be killed at any time.
"""

import asyncio
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from merope.monitor import rsa
from merope.monitor.intake import Intake
from merope.monitor.outbox import Outbox
from merope.monitor.recorder import BATCH_SECONDS, Recorder
from merope.monitor.sessions import Sessions
from merope.store.location import File, Location, open_beside
from merope.store.server import Server
from merope_agent.message import LINE_LIMIT

log = logging.getLogger("merope.monitor")

FLUSH_SECONDS = 0.1
_DATAGRAM = 65535
#: Messages read in one go, before others have their turn.
_BURST = 256
_BUFFER_BYTES = 16 * 1024 * 1024
#: Bytes on their way to a core that does not read: then the newest of each is kept back.
_UNREAD_LIMIT = 8 * 1024 * 1024
_CONNECTIONS = 1000
_CONNECTION_SECONDS = 30.0
_NICENESS = 5
"""What was measured can wait for the calls that the core answers meanwhile."""
_COMMAND_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the receiver is configured. `port` 0 is any; `any_port` is whether another will do."""

    address: str
    port: int
    any_port: bool
    master: str
    private_key: str
    database: dict[str, Any]
    silence: float
    timer: float
    keep_host_seconds: int
    keep_vm_seconds: int
    keep_vm_every: int


class Receiver:
    """`tell` writes to the core, and says whether it may be given more."""

    def __init__(self, wanted: Wanted, tell: Callable[[bytes], None], unread: Callable[[], int]) -> None:
        self._wanted = wanted
        self._tell = tell
        self._unread = unread
        unwrap = rsa.unwrap_with(wanted.private_key) if wanted.private_key else None
        self.sessions = Sessions(bytes.fromhex(wanted.master), unwrap)
        self.outbox = Outbox()
        self._store = open_beside(location(wanted.database))
        self._threads = ThreadPoolExecutor(1, "rows")
        self._recorder = Recorder(
            self._store,
            self._threads,
            host_seconds=wanted.keep_host_seconds,
            vm_seconds=wanted.keep_vm_seconds,
            vm_every=wanted.keep_vm_every,
        )
        ahead = time.time() - time.monotonic()
        self._intake = Intake(self.sessions, self.outbox, self._recorder.record, lambda at: round(at + ahead))
        self._connections = 0

    async def serve(self, commands: asyncio.StreamReader) -> None:
        """Until the commands end. Raises OSError where nothing can be listened at."""
        loop = asyncio.get_running_loop()
        datagrams, listening = _listen(self._wanted)
        port = datagrams.getsockname()[1]
        loop.add_reader(datagrams, self._read_datagrams, datagrams)
        server = await asyncio.start_server(self._serve_connection, sock=listening, limit=LINE_LIMIT)
        self.outbox.say({"listening": port})
        tasks = [
            loop.create_task(work) for work in (self._flush_always(), self._write_always(), self._watch())
        ]
        try:
            while line := await commands.readline():
                await self._command(json.loads(line))
        finally:
            loop.remove_reader(datagrams)
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            datagrams.close()
            await loop.run_in_executor(None, self._recorder.flush)
            self._threads.shutdown()
            self._store.close()

    async def _command(self, command: dict[str, Any]) -> None:
        if "expect" in command:
            now = time.monotonic()
            self.sessions.expect(command["expect"], command["session"], now, command["began"])
        elif "start" in command:
            self.sessions.start(command["start"], command["began"])
        elif "wait" in command:
            self.sessions.wait(command["wait"], time.monotonic())
        elif "forget" in command:
            self.sessions.forget(command["forget"])
        elif "write" in command:
            await self._recorder.written()
            self.outbox.say({"written": command["write"]})
            self._flush()
        elif "count" in command:
            self._say_counts()

    def _read_datagrams(self, datagrams: socket.socket) -> None:
        now = time.monotonic()
        for _ in range(_BURST):
            try:
                line, sender = datagrams.recvfrom(_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # a sender that is not there any more
            answer = self._intake.take(line, now)
            if answer:
                with suppress(OSError):
                    datagrams.sendto(answer, sender)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= _CONNECTIONS:
                async with asyncio.timeout(_CONNECTION_SECONDS):
                    while line := await reader.readline():
                        writer.write(self._intake.take(line, time.monotonic()))
                        await writer.drain()
        except (TimeoutError, ValueError, OSError) as error:
            log.info("a connection was ended: %s", error or "it took too long")
        finally:
            self._connections -= 1
            writer.close()

    async def _flush_always(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._flush()

    def _flush(self) -> None:
        if self._unread() < _UNREAD_LIMIT:
            for line in self.outbox.lines():
                self._tell(line)

    async def _write_always(self) -> None:
        """Where little comes, what came is written all the same."""
        while True:
            await asyncio.sleep(BATCH_SECONDS)
            await self._recorder.written()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._wanted.timer)
            for host in self.sessions.fallen_silent(time.monotonic(), self._wanted.silence):
                self.outbox.say({"silent": host})
            self._say_counts()

    def _say_counts(self) -> None:
        counts = {reason.value: count for reason, count in self.sessions.refused.items()}
        self.outbox.say({"taken": self.sessions.taken, "refused": counts})


def _listen(wanted: Wanted) -> tuple[socket.socket, socket.socket]:
    """The sockets for datagrams and connections, at the same port. Raises OSError."""
    try:
        return _bound(wanted.address, wanted.port)
    except OSError as error:
        if not wanted.any_port:
            raise
        log.warning("port %d cannot be listened at (%s): another one is used", wanted.port, error.strerror)
    for _ in range(10):
        with suppress(OSError):
            return _bound(wanted.address, 0)
    return _bound(wanted.address, 0)


def _bound(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    family, _, _, _, place = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    datagrams = socket.socket(family, socket.SOCK_DGRAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        datagrams.bind((place[0], listening.getsockname()[1], *place[2:]))
    except OSError:
        listening.close()
        datagrams.close()
        raise
    for option in (getattr(socket, "SO_RCVBUFFORCE", 33), socket.SO_RCVBUF):
        # More than the system's limit is for root; what is there will do for fewer hosts.
        with suppress(OSError):
            datagrams.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
            break
    datagrams.setblocking(False)
    listening.setblocking(False)
    return datagrams, listening


def location(values: dict[str, Any]) -> Location:
    """What `described` made of one."""
    return File(Path(values["path"]), values["timeout_ms"]) if "path" in values else Server(**values)


def described(place: Location) -> dict[str, Any]:
    """A database's place for a line of JSON; has the password in it."""
    if isinstance(place, File):
        return {"path": str(place.path), "timeout_ms": place.timeout_ms}
    names = ("backend", "host", "port", "user", "password", "database", "connections")
    return {name: getattr(place, name) for name in names}


async def _main() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=_COMMAND_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), os.fdopen(os.dup(0), "rb"))
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(os.dup(1), "wb"))
    # Whatever a library prints must not get between the lines.
    os.dup2(2, 1)
    wanted = Wanted(**json.loads(await commands.readline()))
    receiver = Receiver(wanted, transport.write, transport.get_write_buffer_size)
    await receiver.serve(commands)


def main() -> int:
    os.umask(0o077)
    os.nice(_NICENESS)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        uvloop.run(_main())
    except (rsa.KeyFileError, OSError) as error:
        log.error("the receiver of monitoring cannot run: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
