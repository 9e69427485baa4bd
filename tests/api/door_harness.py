"""A real door on a loopback port, in a thread with its own loop, and a raw client for it."""

import asyncio
import re
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import dumps

import uvloop

from merope.api.backend import Outcome, Peer, Value
from merope.api.hall import Hall, Health
from merope.api.server import Door
from merope.api.settings import DoorSettings

SESSION = "oneadmin:opennebula"
SHARED = Path(__file__).resolve().parents[3] / "shared"

Answer = Callable[[str, list[Value], Peer], Outcome | Awaitable[Outcome]]


@dataclass
class EchoBackend:
    """Answers by `answer`, else with the last parameter as it came; remembers the calls."""

    answer: Answer | None = None
    calls: list[tuple[str, list[Value], Peer]] = field(default_factory=list)

    def call(self, method: str, params: list[Value], peer: Peer) -> Outcome | Awaitable[Outcome]:
        self.calls.append((method, params, peer))
        if self.answer is not None:
            return self.answer(method, params, peer)
        last = params[-1] if params else ""
        return Outcome(last if isinstance(last, bool | int | str) else repr(last))


class Gate:
    """A backend whose answers wait until `open` is called, from any thread."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Outcome]] = []
        self.arrived = threading.Semaphore(0)
        self.loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, method: str, params: list[Value], peer: Peer) -> Awaitable[Outcome]:
        self.loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = self.loop.create_future()
        self.waiting.append(future)
        self.arrived.release()
        return future

    def open(self, outcome: Outcome) -> None:
        """Answer the oldest call."""
        future = self.waiting.pop(0)
        assert self.loop is not None
        self.loop.call_soon_threadsafe(future.set_result, outcome)


@dataclass
class RunningDoor:
    door: Door
    backend: EchoBackend
    port: int
    loop: asyncio.AbstractEventLoop

    def connect(self) -> "RawClient":
        return RawClient(socket.create_connection(("127.0.0.1", self.port), timeout=10))

    def read(self, look: Callable[[Hall], float]) -> float:
        """Give what `look` finds in the door's loop."""

        async def run() -> float:
            assert self.door.hall is not None
            return look(self.door.hall)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def guests(self) -> int:
        """Give the number of connections that have a place."""
        return int(self.read(lambda hall: len(hall.guests)))

    def stop(self, drain_seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(self.door.stop(drain_seconds), self.loop).result(20)


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


@contextmanager
def running_door(
    answer: Answer | None = None, *, loop: str = "uvloop", check: Health | None = None, **limits: Any
) -> Iterator[RunningDoor]:
    """Run a door with these settings; a failure inside its loop fails the test."""
    settings = DoorSettings(**{"host": "127.0.0.1", "port": 0, "tick_seconds": 0.02, **limits})
    event_loop = LOOPS[loop]()
    errors: list[dict[str, Any]] = []
    event_loop.set_exception_handler(lambda _loop, context: errors.append(context))
    thread = threading.Thread(target=event_loop.run_forever, name="door-under-test")
    thread.start()
    backend = EchoBackend(answer)
    door = Door(health=check)
    try:
        address = asyncio.run_coroutine_threadsafe(door.start(backend, settings), event_loop).result(10)
        yield RunningDoor(door, backend, address.port, event_loop)
    finally:
        asyncio.run_coroutine_threadsafe(door.stop(0), event_loop).result(10)
        event_loop.call_soon_threadsafe(event_loop.stop)
        thread.join(10)
        event_loop.close()
    assert errors == []


@dataclass
class Reply:
    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*(.*?)\r?$", self.head)
        return found[1].decode() if found else None


class RawClient:
    """Speaks bytes, and reads replies as RFC 9112 says: by their Content-Length."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.buffer = b""

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Go away without a word (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def more(self) -> bool:
        data = self.socket.recv(1 << 20)
        self.buffer += data
        return bool(data)

    def reply(self, *, body: bool = True) -> Reply:
        """Read one reply; `body` False for one that has only a head."""
        while b"\r\n\r\n" not in self.buffer:
            assert self.more(), f"the connection was closed after {self.buffer!r}"
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        reply = Reply(int(head.split(b" ", 2)[1]), head + b"\r\n", b"")
        length = int(reply.header("content-length") or 0) if body else 0
        parts, have = [self.buffer], len(self.buffer)
        while have < length:
            parts.append(self.socket.recv(1 << 20))
            assert parts[-1], f"the connection was closed {length - have} bytes before the end"
            have += len(parts[-1])
        whole = b"".join(parts)
        reply.body, self.buffer = whole[:length], whole[length:]
        return reply

    def closed(self) -> bool:
        """Wait until the server closes; False when it sends anything instead."""
        try:
            return not self.buffer and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def ask(self, request: bytes) -> Reply:
        self.send(request)
        return self.reply()


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Look again and again for what another thread is about to do."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.001)


def call_body(method: str, *params: Any) -> bytes:
    return dumps((SESSION, *params), method).encode()


def post(body: bytes, *headers: str, version: str = "1.1", target: str = "/RPC2") -> bytes:
    """Give a whole request with a Content-Length."""
    lines = [f"POST {target} HTTP/{version}", "Host: localhost", "Content-Type: text/xml", *headers]
    return ("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])).encode() + body


def call(method: str, *params: Any) -> bytes:
    return post(call_body(method, *params))


def in_string(reply: Reply) -> str:
    """Give the string in a success."""
    found = re.search(rb"<boolean>1</boolean></value>\r\n<value><string>(.*)</string>", reply.body, re.DOTALL)
    assert found is not None, reply.body
    return found[1].decode()
