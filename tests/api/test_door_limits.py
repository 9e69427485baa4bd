"""Nothing that a client sends, or does not send, takes more than its share."""

import gzip
import threading
import time
from typing import Any

import pytest
from tests.api.door_harness import Gate, RawClient, call, call_body, in_string, post, running_door, wait_until

from merope.api.backend import Outcome


def is_too_large(body: bytes) -> bool:
    return b"<i4>-509</i4>" in body and b"MESSAGE_SIZE" in body


def can_send(client: RawClient) -> bool:
    try:
        client.send(b"x" * 1000)
    except (ConnectionResetError, BrokenPipeError):
        return False
    return True


def test_a_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    with running_door(message_size=10_000) as door, door.connect() as client:
        client.send(b"POST /RPC2 HTTP/1.1\r\nHost: a\r\nContent-Length: 10001\r\n\r\n")
        assert is_too_large(client.reply().body)
        assert client.closed()


def test_a_client_that_is_not_stopped_by_a_refusal_can_still_read_it() -> None:
    with running_door(message_size=10_000) as door, door.connect() as client:
        client.send(post(b"x" * 3_000_000))
        assert is_too_large(client.reply().body)


def test_a_client_that_goes_on_sending_after_a_refusal_is_cut_off() -> None:
    with running_door(header_size=100, linger_seconds=0.05) as door, door.connect() as client:
        client.send(b"x" * 200)
        assert client.reply().status == 400
        wait_until(lambda: not can_send(client))


def test_a_client_that_expects_100_continue_is_refused_instead() -> None:
    with running_door(message_size=10_000) as door, door.connect() as client:
        client.send(
            b"POST /RPC2 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10001\r\n\r\n"
        )
        assert is_too_large(client.reply().body)


def test_a_chunked_body_over_the_limit_is_refused() -> None:
    with running_door(message_size=100_000) as door, door.connect() as client:
        client.send(b"POST /RPC2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"186a1\r\n" + b"x" * 100_001)
        assert is_too_large(client.reply().body)


def test_a_small_body_that_inflates_beyond_the_limit_is_refused() -> None:
    with running_door(message_size=1_000_000) as door, door.connect() as client:
        bomb = gzip.compress(b"x" * 100_000_000)
        assert is_too_large(client.ask(post(bomb, "Content-Encoding: gzip")).body)


def test_a_body_at_the_limit_is_taken() -> None:
    body = call_body("m", "x" * 500_000)
    with running_door(message_size=len(body)) as door, door.connect() as client:
        assert len(in_string(client.ask(post(body)))) == 500_000


@pytest.mark.parametrize(
    "head",
    [
        b"POST /RPC2 HTTP/1.1\r\nX: " + b"a" * 5000,
        b"POST /RPC2 HTTP/1.1\r\nX: " + b"a" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"POST /" + b"a" * 5000,
        b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 2000,
    ],
    ids=["an endless line", "a long line", "a long target", "many lines"],
)
def test_headers_over_the_limit_are_refused(head: bytes) -> None:
    with running_door(header_size=4096) as door, door.connect() as client:
        client.send(head)
        assert client.reply().status == 431
        assert client.closed()


@pytest.mark.parametrize(
    "part",
    [b"P", b"POST /RPC2 HTTP/1.1\r\nHost: a\r\n", post(b"x" * 100)[:-1]],
    ids=["request line", "headers", "body"],
)
def test_a_request_that_does_not_end_is_refused_after_its_time(part: bytes) -> None:
    with running_door(read_seconds=0.05) as door, door.connect() as client:
        client.send(part)
        assert client.reply().status == 408
        assert client.closed()


def test_a_request_that_comes_in_drops_gets_no_more_time() -> None:
    with running_door(read_seconds=0.1) as door, door.connect() as client:
        client.send(b"POST /RPC2 HTTP/1.1\r\n")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.02):
                client.send(b"A: b\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert client.reply().status == 408
        finally:
            stop.set()
            thread.join()


def test_a_request_that_waited_behind_a_slow_call_has_its_full_time_then() -> None:
    gate = Gate()
    with running_door(gate, read_seconds=0.3) as door, door.connect() as client:
        request = post(call_body("m", "second"))
        client.send(call("m") + request[:-1])
        assert gate.arrived.acquire(timeout=5)
        time.sleep(0.4)
        gate.open(Outcome("first"))
        assert in_string(client.reply()) == "first"
        time.sleep(0.1)
        client.send(request[-1:])
        assert gate.arrived.acquire(timeout=5)
        gate.open(Outcome("second"))
        assert in_string(client.reply()) == "second"


def test_an_idle_connection_is_closed_after_its_time() -> None:
    with running_door(keepalive_seconds=0.05) as door, door.connect() as client:
        client.ask(call("m"))
        assert client.closed()


def test_a_connection_that_never_asks_anything_is_closed() -> None:
    with running_door(read_seconds=0.05) as door, door.connect() as client:
        assert client.closed()


def test_a_call_may_take_longer_than_any_time_out_of_the_connection() -> None:
    gate = Gate()
    limits: dict[str, Any] = {"read_seconds": 0.02, "keepalive_seconds": 0.02, "write_seconds": 0.02}
    with running_door(gate, **limits) as door, door.connect() as client:
        client.send(call("m"))
        assert gate.arrived.acquire(timeout=5)
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.reply()
        client.socket.settimeout(10)
        gate.open(Outcome("at last"))
        assert in_string(client.reply()) == "at last"


def test_a_connection_ends_after_its_number_of_requests() -> None:
    with running_door(keepalive_requests=3) as door, door.connect() as client:
        replies = [client.ask(call("m")) for _ in range(3)]
        assert [reply.header("connection") for reply in replies] == [None, None, "close"]
        assert client.closed()


def test_connections_beyond_the_limit_wait_for_a_place() -> None:
    gate = Gate()
    with running_door(gate, max_connections=2) as door:
        clients = [door.connect() for _ in range(5)]
        for client in clients:
            client.send(call("m"))
        for served in range(5):
            assert gate.arrived.acquire(timeout=5)
            assert door.guests() <= 2
            gate.open(Outcome(f"{served}"))
        assert sorted(in_string(client.reply()) for client in clients) == ["0", "1", "2", "3", "4"]
        for client in clients:
            client.socket.close()


def test_a_connection_that_has_waited_may_be_half_closed_by_then() -> None:
    gate = Gate()
    with running_door(gate, max_connections=1) as door, door.connect() as first, door.connect() as second:
        first.send(call("m"))
        assert gate.arrived.acquire(timeout=5)
        second.send(call("m"))
        second.socket.shutdown(1)
        gate.open(Outcome("first"))
        assert in_string(first.reply()) == "first"
        assert gate.arrived.acquire(timeout=5)
        gate.open(Outcome("second"))
        assert in_string(second.reply()) == "second"


def test_an_idle_connection_makes_room_for_one_that_waits() -> None:
    limits: dict[str, Any] = {"max_connections": 1, "keepalive_seconds": 3600}
    with running_door(**limits) as door, door.connect() as idle, door.connect() as other:
        idle.ask(call("m"))
        assert in_string(other.ask(call("m", "served"))) == "served"
        assert idle.closed()


def test_one_that_waited_and_went_away_leaves_no_trace() -> None:
    gate = Gate()
    with running_door(gate, max_connections=1) as door, door.connect() as first:
        first.send(call("m"))
        assert gate.arrived.acquire(timeout=5)
        door.connect().socket.close()
        wait_until(lambda: door.read(lambda hall: len(hall.waiting)) == 0)
        gate.open(Outcome("a"))
        assert first.reply().header("connection") is None


def test_a_connection_beyond_the_backlog_is_told_so() -> None:
    gate = Gate()
    with (
        running_door(gate, max_connections=1, connection_backlog=1) as door,
        door.connect() as first,
        door.connect() as second,
        door.connect() as third,
    ):
        first.send(call("m"))
        assert gate.arrived.acquire(timeout=5)
        second.send(call("m"))
        assert third.reply().status == 503
        assert third.closed()
        gate.open(Outcome("first"))
        assert in_string(first.reply()) == "first"
        assert gate.arrived.acquire(timeout=5)
        gate.open(Outcome("second"))
        assert in_string(second.reply()) == "second"


def test_a_thousand_connections_are_served_at_once() -> None:
    with running_door() as door:
        clients = [door.connect() for _ in range(1000)]
        for number, client in enumerate(clients):
            client.send(call("m", f"{number}"))
        answers = [in_string(client.reply()) for client in clients]
        assert answers == [f"{number}" for number in range(1000)]
        for client in clients:
            client.socket.close()


def test_large_bodies_share_a_budget_and_give_it_back() -> None:
    # The budget has room for one such body, and for no two: up to 64 KiB of each are not counted.
    body = call_body("m", "x" * 200_000)
    with running_door(message_budget=250_000) as door, door.connect() as first, door.connect() as second:

        def has_arrived() -> bool:
            before = door.read(lambda hall: hall.held_bytes)
            time.sleep(0.05)
            return before > 130_000 and before == door.read(lambda hall: hall.held_bytes)

        first.send(post(body)[:-1])
        wait_until(has_arrived)
        second.send(post(body)[:-1])
        assert second.reply().status == 503
        first.send(post(body)[-1:])
        assert len(in_string(first.reply())) == 200_000
        with door.connect() as third:
            assert len(in_string(third.ask(post(body)))) == 200_000
        assert door.read(lambda hall: hall.held_bytes) == 0


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_the_budget_is_given_back_when_a_client_goes(size: int) -> None:
    with running_door() as door:
        with door.connect() as client:
            client.send(post(b"x" * size)[:-1])
            wait_until(lambda: door.read(lambda hall: hall.held_bytes) > size - 70_000)
        wait_until(lambda: door.guests() == 0)
        assert door.read(lambda hall: hall.held_bytes) == 0


def test_a_hostile_call_of_megabytes_does_not_stop_the_others() -> None:
    hostile = b"<methodCall><methodName>m</methodName><params>" + b"<param><value/></param>" * 90_000
    with running_door() as door, door.connect() as attacker, door.connect() as client:
        attacker.send(post(hostile))
        slowest = 0.0
        for _ in range(100):
            began = time.perf_counter()
            client.ask(call("m"))
            slowest = max(slowest, time.perf_counter() - began)
        assert b"<i4>-503</i4>" in attacker.reply().body
    assert slowest < 0.5
