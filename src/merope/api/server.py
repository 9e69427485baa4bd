"""The door as a whole: listens, serves, and closes without cutting anyone off."""

import asyncio
import errno
import logging
import os
import resource
import socket
from dataclasses import dataclass
from pathlib import Path

from merope.api.backend import Backend
from merope.api.hall import Hall, Health
from merope.api.http import Connection
from merope.api.metrics import Registry
from merope.api.settings import DoorSettings

log = logging.getLogger("merope.api")

OTHER_FILES = 512
"""Descriptors that the rest of the process may need."""


class DoorError(Exception):
    """The door cannot listen; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a door listens; `port` is 0 without TCP, `unix_path` None without a Unix socket."""

    host: str
    port: int
    unix_path: Path | None = None


class Door:
    """Serves XML-RPC over HTTP in the running loop."""

    def __init__(self, registry: Registry | None = None, health: Health | None = None) -> None:
        """`registry` is what /metrics shows, `health` what /health answers; both are optional."""
        self.registry = registry or Registry()
        self.health = health
        self.hall: Hall | None = None
        self.servers: list[asyncio.Server] = []
        self.address = Address("", 0)

    async def start(self, backend: Backend, settings: DoorSettings) -> Address:
        """Listen and serve; raise `DoorError` where that is not possible. A door is started once."""
        limit = _allow_files(settings.max_connections + settings.connection_backlog + OTHER_FILES)
        self.hall = hall = Hall(backend, settings, self.registry, self.health)
        try:
            if settings.host:
                await self._listen_tcp(hall, settings)
            if settings.unix_path is not None:
                await self._listen_unix(hall, settings.unix_path, settings.listen_backlog)
            if not self.servers:
                raise DoorError("The door has neither an address nor a Unix socket to listen on.")
        except DoorError:
            await self.stop(0)
            raise
        if limit:
            log.warning("%s", limit)
        return self.address

    async def stop(self, drain_seconds: float = 10.0) -> None:
        """Take no more connections, answer what has been asked, cut off what lasts longer than so."""
        for server in self.servers:
            server.close()
        self.servers.clear()
        if self.address.unix_path is not None:
            self.address.unix_path.unlink(missing_ok=True)
        if self.hall is not None:
            await self.hall.close(drain_seconds)
            self.hall = None

    async def _listen_tcp(self, hall: Hall, settings: DoorSettings) -> None:
        try:
            server = await hall.loop.create_server(
                lambda: Connection(hall),
                settings.host,
                settings.port,
                backlog=settings.listen_backlog,
                reuse_address=True,
            )
        except (OSError, OverflowError) as error:
            raise DoorError(_words(f"{settings.host}:{settings.port}", error)) from error
        self.servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        self.address = Address(host, port)

    async def _listen_unix(self, hall: Hall, path: Path, backlog: int) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_dead(path)
            _bind_private(listener, path)
            server = await hall.loop.create_unix_server(
                lambda: Connection(hall), sock=listener, backlog=backlog
            )
        except OSError as error:
            listener.close()
            raise DoorError(_words(str(path), error)) from error
        self.servers.append(server)
        self.address = Address(self.address.host, self.address.port, path)


def _bind_private(listener: socket.socket, path: Path) -> None:
    """Bind with mode 0600 from the file's first moment on: bind honours the umask."""
    listener.setblocking(False)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)


def _remove_dead(path: Path) -> None:
    """Remove a socket that nobody listens on; what else is there is left for bind to refuse."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


_REASONS = {
    errno.EADDRINUSE: "another process listens there already (is a cloud running? see `one status`)",
    errno.EACCES: "this user may not listen there",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def _words(place: str, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return f"Cannot listen on {place}: {_REASONS.get(number or 0, str(error))}."


def _allow_files(wanted: int) -> str:
    """Raise this process's limit of open files to `wanted`; give a sentence where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return ""
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed >= wanted:
        return ""
    return f"Only {allowed} files can be open where MAX_CONN and MAX_CONN_BACKLOG need {wanted} (ulimit -n)."
