"""A wire to a database server that a test can cut at the worst moment."""

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from merope.store.server import Server

_SOCKETS = {"mysql": "{}", "postgresql": "{}/.s.PGSQL.5432"}


class Wire:
    """Stands between a client and a server's socket.

    `cut_at_commit` says what happens to the next COMMIT: "before" it is lost with the connection, "after"
    it is carried out and its answer is lost, "hang" it is lost and the server does not notice that its
    client has gone. `writes` counts requests with a
    value in them. `open` False: nobody gets through any more.
    """

    def __init__(self, server: Server, directory: Path) -> None:
        self._far = _SOCKETS[server.backend].format(server.host)
        near = directory / "wire"
        if server.backend == "postgresql":
            near.mkdir()
        self.server = replace(server, host=str(near))
        self._path = Path(_SOCKETS[server.backend].format(near))
        self.cut_at_commit = ""
        self.open = True
        self.stays_shut = False
        """Whether a cut shuts the wire."""
        self.writes = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> "Wire":
        self._listener.bind(str(self._path))
        self._listener.listen(16)
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        _end(self._listener)
        for one in (self._listener, *self._sockets):
            one.close()
        for thread in self._threads:
            thread.join(5)

    def cut(self) -> None:
        """Ends every connection that there is."""
        for one in self._sockets:
            _end(one)

    def _begin(self, work: object, *arguments: object) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            self._sockets += [near, far]
            try:
                if not self.open:
                    raise OSError
                far.connect(self._far)
            except OSError:
                near.close()
                continue
            lost = threading.Event()
            self._begin(self._requests, near, far, lost)
            self._begin(self._answers, near, far, lost)

    def _requests(self, near: socket.socket, far: socket.socket, lost: threading.Event) -> None:
        while data := _received(near):
            self.writes += data.count(b"value-")
            if b"COMMIT" in data:
                how, self.cut_at_commit = self.cut_at_commit, ""
                if how and self.stays_shut:
                    self.open = False
                if how == "after":
                    lost.set()
                elif how:
                    if how == "before":
                        _end(far)
                    _end(near)
                    return
            try:
                far.sendall(data)
            except OSError:
                return
        if not lost.is_set():
            _end(far)

    def _answers(self, near: socket.socket, far: socket.socket, lost: threading.Event) -> None:
        while data := _received(far):
            if lost.is_set():
                break
            try:
                near.sendall(data)
            except OSError:
                break
        _end(near)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 20)
    except OSError:
        return b""


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
