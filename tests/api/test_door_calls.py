"""What the door makes of a backend's answers: at once or later, good or bad, small or very large."""

import asyncio
import gzip
import logging
import zlib
from collections.abc import Awaitable

import pytest
from tests.api.door_harness import Gate, Reply, call, call_body, in_string, post, running_door, wait_until

from merope.api.backend import Fault, Outcome, Peer, Value, Wire

POOL = Wire(b"&lt;VM&gt;x&lt;/VM&gt;" * 1_000_000)
"""22 MB: many times what a socket holds."""


def test_a_backend_gets_method_parameters_and_peer() -> None:
    with running_door() as door, door.connect() as client:
        client.ask(call("one.vm.deploy", 3, True, "x"))
        method, params, peer = door.backend.calls[0]
        assert (method, params) == ("one.vm.deploy", ["oneadmin:opennebula", 3, True, "x"])
        assert peer == Peer("127.0.0.1", client.socket.getsockname()[1])


@pytest.mark.parametrize("size", [10, 100_000, 1_000_000])
def test_a_call_in_an_unusual_form_is_read_at_any_size(size: int) -> None:
    text = "a" * size
    body = call_body("m", text).replace(text.encode(), f"<![CDATA[{text}]]>".encode())
    with running_door() as door, door.connect() as client:
        assert in_string(client.ask(post(body))) == text
        assert in_string(client.ask(call("m", "next"))) == "next"


def test_work_in_a_thread_for_a_client_that_goes_away_disturbs_nobody() -> None:
    with running_door() as door, door.connect() as other:
        for body in (gzip.compress(b"no call" * 1_000_000), b"no gzip"):
            client = door.connect()
            client.send(post(body, "Content-Encoding: gzip"))
            client.reset()
        wait_until(lambda: door.guests() == 1)
        assert in_string(other.ask(call("m", "undisturbed"))) == "undisturbed"


def test_a_read_is_answered_while_another_client_s_write_waits() -> None:
    gate = Gate()

    def answer(method: str, params: list[Value], peer: Peer) -> Outcome | Awaitable[Outcome]:
        return Outcome("read") if method == "read" else gate(method, params, peer)

    with running_door(answer) as door, door.connect() as writer, door.connect() as reader:
        writer.send(call("write"))
        assert gate.arrived.acquire(timeout=5)
        assert in_string(reader.ask(call("read"))) == "read"
        gate.open(Outcome("written"))
        assert in_string(writer.reply()) == "written"


def test_a_client_s_next_call_waits_for_the_one_before_it() -> None:
    gate = Gate()

    def answer(method: str, params: list[Value], peer: Peer) -> Outcome | Awaitable[Outcome]:
        return Outcome("read") if method == "read" else gate(method, params, peer)

    with running_door(answer) as door, door.connect() as client:
        client.send(call("write") + call("read"))
        assert gate.arrived.acquire(timeout=5)
        assert [method for method, _, _ in door.backend.calls] == ["write"]
        gate.open(Outcome("written"))
        assert [in_string(client.reply()), in_string(client.reply())] == ["written", "read"]


def test_a_write_is_finished_though_its_client_has_gone() -> None:
    gate, done = Gate(), []

    async def write() -> Outcome:
        outcome = await gate("write", [], Peer("", 0))
        done.append(outcome)
        return outcome

    with running_door(lambda *_: write()) as door:
        client = door.connect()
        client.send(call("write"))
        assert gate.arrived.acquire(timeout=5)
        client.reset()
        wait_until(lambda: door.guests() == 0)
        gate.open(Outcome("written"))
        wait_until(lambda: bool(done))
        with door.connect() as other:
            metrics = other.ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").body.decode()
        assert 'merope_rpc_calls_total{method="write",code="0"} 1' in metrics


@pytest.mark.parametrize("later", [False, True])
def test_a_fault_may_be_raised_at_once_or_later(later: bool) -> None:
    async def fail() -> Outcome:
        await asyncio.sleep(0)
        raise Fault(-506, "Method 'm' not defined")

    def answer(method: str, params: list[Value], peer: Peer) -> Outcome | Awaitable[Outcome]:
        if later:
            return fail()
        raise Fault(-506, "Method 'm' not defined")

    with running_door(answer) as door, door.connect() as client:
        body = client.ask(call("made.up.by.a.client")).body
        metrics = client.ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").body
    assert b"<i4>-506</i4>" in body
    assert b'merope_rpc_calls_total{method="unknown",code="-506"} 1' in metrics
    assert b"made.up" not in metrics


@pytest.mark.parametrize("later", [False, True])
def test_a_bug_in_the_backend_is_logged_and_told_without_its_details(
    later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> Outcome:
        raise ZeroDivisionError("a detail")

    def answer(method: str, params: list[Value], peer: Peer) -> Outcome | Awaitable[Outcome]:
        if later:
            return fail()
        raise ZeroDivisionError("a detail")

    with caplog.at_level(logging.ERROR), running_door(answer) as door, door.connect() as client:
        body = client.ask(call("one.vm.info")).body
        assert client.ask(call("one.vm.info")).status == 200
    assert b"<string>[one.vm.info] Internal error; the log of the core says more.</string>" in body
    assert b"<i4>8192</i4>" in body
    assert "a detail" in caplog.text
    assert "opennebula" not in caplog.text


def test_a_large_reply_arrives_whole() -> None:
    with running_door(lambda *_: Outcome(POOL)) as door, door.connect() as client:
        client.send(call("a") + call("b"))
        for _ in range(2):
            assert in_string(client.reply()).encode() == POOL.pieces[0]


def test_a_large_reply_to_a_slow_client_holds_up_nobody_and_is_not_copied() -> None:
    def answer(method: str, params: list[Value], peer: Peer) -> Outcome:
        return Outcome(POOL if method == "pool" else "small")

    with running_door(answer) as door, door.connect() as slow, door.connect() as other:
        slow.send(call("pool") * 5)
        for _ in range(50):
            assert in_string(other.ask(call("m"))) == "small"
        metrics = other.ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").body
        assert b'merope_rpc_calls_total{method="pool",code="0"} 1' in metrics
        for _ in range(5):
            assert in_string(slow.reply()).encode() == POOL.pieces[0]


def test_a_client_that_takes_nothing_is_cut_off() -> None:
    with running_door(lambda *_: Outcome(POOL), write_seconds=0.05) as door, door.connect() as client:
        client.send(call("m"))
        wait_until(lambda: door.guests() == 0)
        with pytest.raises((AssertionError, ConnectionResetError)):
            client.reply()


def ask_gzip(text: str | Wire, accept: str = "gzip, deflate") -> Reply:
    with running_door(lambda *_: Outcome(text)) as door, door.connect() as client:
        return client.ask(post(call_body("m"), f"Accept-Encoding: {accept}"))


@pytest.mark.parametrize("size", [2_000, 2_000_000])
def test_a_reply_is_compressed_for_a_client_that_asks(size: int) -> None:
    reply = ask_gzip("a" * size)
    assert reply.header("content-encoding") == "gzip"
    assert len(reply.body) < size // 10
    assert b"<string>" + b"a" * size + b"</string>" in gzip.decompress(reply.body)


def test_a_cached_document_is_compressed_too() -> None:
    assert POOL.pieces[0] in zlib.decompress(ask_gzip(POOL).body, wbits=31)


@pytest.mark.parametrize("accept", ["identity", "gzip;q=0", "br, gzip; q=0.0", "notgzip", ""])
def test_a_reply_is_not_compressed_for_other_clients(accept: str) -> None:
    assert ask_gzip("a" * 2000, accept).header("content-encoding") is None


@pytest.mark.parametrize("accept", ["br, gzip", "GZIP", "x-gzip", "deflate;q=0.5, gzip;q=0.1"])
def test_a_client_asks_for_gzip_in_these_forms(accept: str) -> None:
    assert ask_gzip("a" * 2000, accept).header("content-encoding") == "gzip"


def test_a_reply_that_fits_a_packet_is_not_compressed() -> None:
    assert ask_gzip("a" * 900).header("content-encoding") is None


def test_replies_that_are_compressed_in_a_thread_stay_in_order() -> None:
    def answer(method: str, params: list[Value], peer: Peer) -> Outcome:
        return Outcome(POOL if method == "pool" else "small")

    with running_door(answer) as door, door.connect() as client:
        client.send(post(call_body("pool"), "Accept-Encoding: gzip") + call("m"))
        assert client.reply().header("content-encoding") == "gzip"
        assert in_string(client.reply()) == "small"
