"""A whole cloud answers the recorded requests of 5.12 byte for byte, but for Connection, Date and Server.

The recording is read from ../shared/examples beside the repository. (tests/api has the door alone.)
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.compat.api import Api
from tests.compat.conftest import Sandbox

RECORDING = Path(__file__).resolve().parents[3] / "shared" / "examples" / "wire.txt"
#: Exchanges about objects that a later release brings.
LATER = {"document (cut)"}
GET = "GET"
#: Headers that tell who answers and when; the connection is kept here, which HTTP/1.1 allows.
OURS = {b"connection", b"date", b"server"}


@dataclass(frozen=True)
class Exchange:
    title: str
    request: bytes
    status: bytes
    headers: tuple[bytes, ...]
    body: bytes


def _exchanges() -> list[Exchange]:
    if not RECORDING.exists():
        return []
    found = []
    for part in RECORDING.read_bytes().split(b"\n=== ")[1:]:
        title, _, rest = part.partition(b"\n")
        request = b""
        if rest.startswith(b"> "):
            request, _, rest = rest[2:].partition(b"\n")
        head, _, body = rest.partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        body = body.partition(b"[connection closed by the server]")[0]
        found.append(Exchange(title.decode(), request, status, _kept(headers), body))
    return found


def _kept(headers: list[bytes]) -> tuple[bytes, ...]:
    return tuple(line for line in headers if line.partition(b":")[0].lower() not in OURS)


EXCHANGES = [exchange for exchange in _exchanges() if exchange.title not in LATER | {GET}]


@pytest.fixture(scope="module")
def prepared(sandbox: Sandbox) -> Sandbox:
    """A cloud in which the recorded calls succeed as they did: with a template 0."""
    if not EXCHANGES:
        pytest.skip("examples/wire.txt of ../shared is not there")
    one = Api(sandbox.endpoint)
    one("one.template.allocate", 'NAME="web"\nCPU="1"\nMEMORY="64"')
    one("one.user.allocate", "ann", "secret", "", [])
    one.close()
    return sandbox


def _post(request: bytes) -> bytes:
    if not request:
        return b"GET /RPC2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head = (
        "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(request)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + request


def _answer(sandbox: Sandbox, data: bytes) -> bytes:
    place = urlsplit(sandbox.endpoint)
    assert place.hostname is not None
    assert place.port is not None
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(data)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.title)
def test_a_recorded_request_is_answered_as_it_was(prepared: Sandbox, exchange: Exchange) -> None:
    head, _, body = _answer(prepared, _post(exchange.request)).partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert status == exchange.status
    assert _kept(headers) == exchange.headers
    assert body == exchange.body


def test_what_is_no_post_is_refused_as_it_was_with_a_page_of_ours(prepared: Sandbox) -> None:
    # The recorded page names the server that it came from.
    recorded = next(exchange for exchange in _exchanges() if exchange.title == GET)
    head, _, body = _answer(prepared, _post(b"")).partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == recorded.status
    assert b"POST" in body
