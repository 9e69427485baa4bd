"""Talks to the supervisor of a cloud over its socket."""

import json
import socket
from contextlib import suppress
from typing import Any

from merope.daemon.layout import Layout


class NotRunning(Exception):  # noqa: N818  it says what is so, and need not be an error
    """No supervisor answers for this cloud."""


def ask(layout: Layout, do: str, service: str | None = None, timeout: float = 10.0) -> dict[str, Any]:
    """The supervisor's answer to a request. Raises NotRunning, and TimeoutError after `timeout` seconds."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            with layout.short_socket_path() as path:
                client.connect(path)
            client.sendall(json.dumps({"do": do, "service": service}).encode())
            reply = b"".join(iter(lambda: client.recv(65536), b""))
    except TimeoutError:
        raise
    except OSError as error:
        raise NotRunning(str(layout.home)) from error
    if not reply:
        raise NotRunning(str(layout.home))
    answer: dict[str, Any] = json.loads(reply)
    return answer


def supervisor_pid(layout: Layout) -> int | None:
    """The pid of the supervisor that lives, also of one that does not answer yet."""
    import fcntl

    with suppress(OSError, ValueError), layout.supervisor_pid.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read())
    return None


def answers(host: str, port: int, login: str) -> bool:
    """Whether the API is there: GET /health gives 200 and one.system.version a method response."""
    return b" 200 " in _http(host, port, "GET /health", b"")[:20] and b"<methodResponse>" in _http(
        host, port, "POST /RPC2", _version_call(login)
    )


def _version_call(login: str) -> bytes:
    escaped = login.replace("&", "&amp;").replace("<", "&lt;")
    return (
        "<?xml version='1.0'?><methodCall><methodName>one.system.version</methodName><params><param><value>"
        f"<string>{escaped}</string></value></param></params></methodCall>"
    ).encode()


def _http(host: str, port: int, request: str, body: bytes) -> bytes:
    """One request, by hand: the library for it takes longer to load than a cloud to answer."""
    head = f"{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    if body:
        head += f"Content-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
    try:
        with socket.create_connection((host.strip("[]"), port), timeout=5) as connection:
            connection.sendall(head.encode() + b"\r\n" + body)
            return b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return b""
