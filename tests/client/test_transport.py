"""The HTTP transport against a server on loopback that answers as it is told."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from merope.client.errors import BadAnswer, ConnectionFailed
from merope.client.transport import Endpoint, HttpTransport

Script = list[bytes | None]


def _response(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Answers the requests of each connection from its script; None closes without an answer."""

    def __init__(self, *connections: Script) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._scripts = list(connections)
        self._done = threading.Event()
        self.closed = [threading.Event() for _ in connections]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/RPC2"

    def _serve(self) -> None:
        for script, closed in zip(self._scripts, self.closed, strict=True):
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                for answer in script:
                    if not self._read_request(connection) or answer is None:
                        break
                    connection.sendall(answer)
            closed.set()
        self._done.wait(10)

    def _read_request(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.startswith(b"Content-Length"))
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return True

    def close(self) -> None:
        self._done.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*connections: Script) -> Server:
        servers.append(Server(*connections))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_a_request_is_a_post_of_xml_to_the_endpoint(serve: Callable[..., Server]) -> None:
    server = serve([_response(b"<ok/>")])
    with closing(HttpTransport(server.url)) as transport:
        assert transport.send(b"<call/>", False) == b"<ok/>"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /RPC2 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Type: text/xml" in head
    assert body == b"<call/>"


def test_two_requests_share_one_connection(serve: Callable[..., Server]) -> None:
    server = serve([_response(b"1"), _response(b"2")])
    with closing(HttpTransport(server.url)) as transport:
        assert [transport.send(b"a", False), transport.send(b"b", False)] == [b"1", b"2"]
    assert server.connections == 1


def test_a_server_that_closes_after_each_answer_is_reached_again(serve: Callable[..., Server]) -> None:
    server = serve([_response(b"1", "Connection: close")], [_response(b"2", "Connection: close")])
    with closing(HttpTransport(server.url)) as transport:
        assert [transport.send(b"a", False), transport.send(b"b", False)] == [b"1", b"2"]


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(serve: Callable[..., Server]) -> None:
    server = serve([_response(b"1")], [_response(b"2")])
    with closing(HttpTransport(server.url)) as transport:
        transport.send(b"a", False)
        assert server.closed[0].wait(5)
        assert transport.send(b"b", False) == b"2"


def test_a_reading_request_is_sent_again_when_a_kept_connection_breaks(serve: Callable[..., Server]) -> None:
    server = serve([_response(b"1"), None], [_response(b"2")])
    with closing(HttpTransport(server.url)) as transport:
        transport.send(b"a", True)
        assert transport.send(b"b", True) == b"2"


def test_a_writing_request_is_never_sent_twice(serve: Callable[..., Server]) -> None:
    server = serve([_response(b"1"), None], [_response(b"2")])
    with closing(HttpTransport(server.url)) as transport:
        transport.send(b"a", False)
        with pytest.raises(ConnectionFailed) as caught:
            transport.send(b"b", False)
    assert caught.value.sent
    assert len(server.requests) == 2


def test_a_chunked_answer_is_put_together(serve: Callable[..., Server]) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    server = serve([chunked, _response(b"next")])
    with closing(HttpTransport(server.url)) as transport:
        assert transport.send(b"a", False) == b"abcde"
        assert transport.send(b"b", False) == b"next"


def test_an_answer_without_a_length_ends_with_the_connection(serve: Callable[..., Server]) -> None:
    server = serve([b"HTTP/1.0 200 OK\r\n\r\nall of it"])
    with closing(HttpTransport(server.url)) as transport:
        assert transport.send(b"a", False) == b"all of it"


def test_a_compressed_answer_is_unpacked(serve: Callable[..., Server]) -> None:
    server = serve([_response(gzip.compress(b"<ok/>"), "Content-Encoding: gzip")])
    with closing(HttpTransport(server.url)) as transport:
        assert transport.send(b"a", False) == b"<ok/>"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_is_no_cloud_is_said_to_be_none(serve: Callable[..., Server], answer: bytes) -> None:
    server = serve([answer])
    with closing(HttpTransport(server.url)) as transport, pytest.raises(BadAnswer):
        transport.send(b"a", False)


@pytest.mark.parametrize(
    "cut", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"]
)
def test_an_answer_that_breaks_off_is_a_broken_connection(serve: Callable[..., Server], cut: bytes) -> None:
    server = serve([cut])
    with closing(HttpTransport(server.url)) as transport, pytest.raises(ConnectionFailed, match="broke"):
        transport.send(b"a", True)


def test_an_endpoint_where_nobody_listens_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = HttpTransport(f"http://127.0.0.1:{port}/RPC2")
    with pytest.raises(
        ConnectionFailed, match=rf"http://127\.0\.0\.1:{port}/RPC2: .*refused.*'one status'"
    ) as caught:
        transport.send(b"a", False)
    assert not caught.value.sent


def test_silence_ends_after_the_time_out(serve: Callable[..., Server]) -> None:
    server = serve([b""] * 2)
    with closing(HttpTransport(server.url, timeout=0.05)) as transport:
        with pytest.raises(ConnectionFailed, match="ONE_XMLRPC_TIMEOUT") as caught:
            transport.send(b"a", False)
        assert caught.value.sent


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://localhost:2633/RPC2", Endpoint(False, "localhost", 2633, "/RPC2")),
        ("https://cloud.example/one/RPC2", Endpoint(True, "cloud.example", 443, "/one/RPC2")),
        ("http://[::1]:2633/RPC2", Endpoint(False, "::1", 2633, "/RPC2")),
        (" HTTP://host ", Endpoint(False, "host", 80, "/")),
    ],
)
def test_an_endpoint_has_its_parts(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint


@pytest.mark.parametrize(
    "url", ["", "localhost:2633", "ftp://x/", "http://:1/", "http://h:port/", "http://h/a b"]
)
def test_what_is_no_endpoint_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConnectionFailed):
        HttpTransport(url)
