"""The door speaks HTTP/1.1, and 1.0: framing, persistence, pipelining, pages, refusals."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.door_harness import (
    LOOPS,
    Gate,
    RawClient,
    RunningDoor,
    call,
    call_body,
    in_string,
    post,
    running_door,
)

from merope.api.backend import Outcome


@pytest.fixture(scope="module", params=sorted(LOOPS))
def door(request: pytest.FixtureRequest) -> Iterator[RunningDoor]:
    with running_door(loop=request.param) as running:
        yield running


@pytest.fixture
def client(door: RunningDoor) -> Iterator[RawClient]:
    with door.connect() as connected:
        yield connected


def test_a_connection_serves_one_request_after_the_other(client: RawClient) -> None:
    for text in ("a", "b", "c"):
        reply = client.ask(call("m", text))
        assert in_string(reply) == text
        assert reply.header("connection") is None


def test_a_connection_is_closed_where_the_client_asks_for_it(client: RawClient) -> None:
    reply = client.ask(post(call_body("m", "a"), "Connection: close"))
    assert reply.header("connection") == "close"
    assert client.closed()


def test_http_1_0_is_closed_after_one_reply(client: RawClient) -> None:
    reply = client.ask(post(call_body("m", "a"), version="1.0"))
    assert reply.header("connection") == "close"
    assert client.closed()


def test_http_1_0_is_kept_open_where_the_client_asks_for_it(client: RawClient) -> None:
    for text in ("a", "b"):
        reply = client.ask(post(call_body("m", text), "Connection: Keep-Alive", version="1.0"))
        assert reply.header("connection") == "keep-alive"
        assert in_string(reply) == text


def test_requests_sent_together_are_answered_in_order(client: RawClient) -> None:
    client.send(b"".join(call("m", f"number {number}") for number in range(200)))
    assert [in_string(client.reply()) for _ in range(200)] == [f"number {number}" for number in range(200)]


def test_what_follows_a_request_that_ends_the_connection_is_not_served(
    door: RunningDoor, client: RawClient
) -> None:
    client.send(post(call_body("m", "last"), "Connection: close") + call("m", "never served"))
    assert in_string(client.reply()) == "last"
    assert client.closed()
    assert all(params[-1] != "never served" for _, params, _ in door.backend.calls)


def test_a_request_may_arrive_byte_by_byte(client: RawClient) -> None:
    for byte in call("m", "piecemeal"):
        client.send(bytes([byte]))
    assert in_string(client.reply()) == "piecemeal"


def test_a_chunked_body_is_put_together(client: RawClient) -> None:
    body = call_body("m", "chunked")
    client.send(b"POST /RPC2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for start in range(0, len(body), 50):
        piece = body[start : start + 50]
        client.send(b"%x;extension\r\n%b\r\n" % (len(piece), piece))
    client.send(b"0\r\nTrailer: x\r\n\r\n")
    assert in_string(client.reply()) == "chunked"
    assert in_string(client.ask(call("m", "next"))) == "next"


def test_a_client_that_waits_for_100_continue_gets_it(client: RawClient) -> None:
    request = post(call_body("m", "late body"), "Expect: 100-continue")
    head, _, body = request.partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.reply(body=False).status == 100
    client.send(body)
    assert in_string(client.reply()) == "late body"


def test_a_body_that_is_there_needs_no_100_continue(client: RawClient) -> None:
    reply = client.ask(post(call_body("m", "a"), "Expect: 100-continue"))
    assert reply.status == 200


def test_100_continue_waits_for_the_reply_before_it() -> None:
    gate = Gate()
    with running_door(gate) as door, door.connect() as client:
        head, _, body = post(call_body("m", "b"), "Expect: 100-continue").partition(b"\r\n\r\n")
        client.send(call("m", "a") + head + b"\r\n\r\n")
        assert gate.arrived.acquire(timeout=5)
        gate.open(Outcome("first"))
        assert in_string(client.reply()) == "first"
        assert client.reply(body=False).status == 100
        client.send(body)
        assert gate.arrived.acquire(timeout=5)
        gate.open(Outcome("second"))
        assert in_string(client.reply()) == "second"


def test_another_expectation_is_refused(client: RawClient) -> None:
    assert client.ask(post(b"", "Expect: miracles")).status == 417


@pytest.mark.parametrize("split", [None, 90, 300])
def test_an_offered_upgrade_is_passed_over(client: RawClient, split: int | None) -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ")
    requests = post(call_body("m", "as if not offered"), *upgrade) + call("m", "next")
    client.send(requests[:split])
    if split is not None:
        client.send(requests[split:])
    assert in_string(client.reply()) == "as if not offered"
    assert in_string(client.reply()) == "next"


def test_a_gzipped_call_is_inflated(client: RawClient) -> None:
    reply = client.ask(post(gzip.compress(call_body("m", "small again")), "Content-Encoding: gzip"))
    assert in_string(reply) == "small again"


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"no gzip at all", "gzip", 400),
        (gzip.compress(b"<methodCall/>")[:-4], "gzip", 400),
        (gzip.compress(b"<methodCall/>") + b"more", "gzip", 400),
        (b"", "gzip", 400),
        (b"x", "br", 415),
    ],
    # Their own ids: gzip writes the time of day into what it makes.
    ids=["no gzip", "cut off", "more behind it", "empty", "brotli"],
)
def test_a_body_that_cannot_be_inflated_is_refused(
    client: RawClient, body: bytes, encoding: str, status: int
) -> None:
    reply = client.ask(post(body, f"Content-Encoding: {encoding}"))
    assert reply.status == status
    assert client.closed()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"POST /RPC2 HTTP/3.7\r\n\r\n", 400),
        (b"POST /RPC2 HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"POST /RPC2 HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /RPC2 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /RPC2 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1", 400),
        (b"POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /RPC2 HTTP/1.1\r\nHost: a\r\n\r\n", 411),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
    ids=[
        "a word",
        "TLS",
        "HTTP/3.7",
        "a space before the colon",
        "a negative length",
        "two lengths",
        "a length and chunks",
        "a chunk without a size",
        "compressed transfer",
        "no length",
        "a tunnel",
    ],
)
def test_what_is_no_http_request_is_refused_and_the_connection_closed(
    client: RawClient, request_bytes: bytes, status: int
) -> None:
    reply = client.ask(request_bytes)
    assert reply.status == status
    assert reply.header("connection") == "close"
    assert client.closed()


def test_requests_before_a_broken_one_are_answered_first(client: RawClient) -> None:
    client.send(call("m", "good") + b"bad\r\n\r\n")
    assert in_string(client.reply()) == "good"
    assert client.reply().status == 400


def test_a_call_that_is_no_xml_keeps_the_connection(client: RawClient) -> None:
    assert b"<i4>-503</i4>" in client.ask(post(b"hello")).body
    assert in_string(client.ask(call("m", "still here"))) == "still here"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_a_call(client: RawClient, method: str) -> None:
    reply = client.ask(f"{method} /RPC2 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert reply.status == 405
    assert reply.header("allow") == "POST"
    assert in_string(client.ask(call("m", "still here"))) == "still here"


def test_health_says_that_all_is_well(client: RawClient) -> None:
    reply = client.ask(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.status == 200
    assert json.loads(reply.body) == {"status": "ok"}


def test_a_head_request_gets_no_body(client: RawClient) -> None:
    client.send(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.reply(body=False).header("content-length") == "17"
    assert in_string(client.ask(call("m", "next"))) == "next"


def test_health_names_what_is_wrong() -> None:
    with running_door(check=lambda: "The database is read-only.") as door, door.connect() as client:
        reply = client.ask(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.status == 503
    assert json.loads(reply.body) == {"status": "unavailable", "reason": "The database is read-only."}


def test_metrics_count_calls_by_method_and_code() -> None:
    with running_door() as door, door.connect() as client:
        for _ in range(3):
            client.ask(call("one.vm.info", "a"))
        client.ask(post(b"no call"))
        reply = client.ask(b"GET /metrics?x=y HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.body.decode().splitlines()
    assert 'merope_rpc_calls_total{method="one.vm.info",code="0"} 3' in lines
    assert 'merope_rpc_calls_total{method="unknown",code="-503"} 1' in lines
    assert 'merope_rpc_seconds_count{method="one.vm.info"} 3' in lines
    assert 'merope_http_connections{state="open"} 1' in lines


@pytest.mark.parametrize("page", ["health", "metrics"])
def test_a_page_can_be_switched_off(page: str) -> None:
    off: dict[str, Any] = {page: False}
    with running_door(**off) as door, door.connect() as client:
        assert client.ask(f"GET /{page} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).status == 405


def test_a_client_that_has_sent_all_and_closed_its_side_is_still_answered() -> None:
    gate = Gate()
    with running_door(gate) as door, door.connect() as client:
        client.send(call("m", "a") + call("m", "b"))
        client.socket.shutdown(1)
        for text in ("first", "second"):
            assert gate.arrived.acquire(timeout=5)
            gate.open(Outcome(text))
            assert in_string(client.reply()) == text
        assert client.closed()
