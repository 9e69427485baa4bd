"""Listening, and closing without cutting anyone off."""

import os
import resource
import socket
import stat
import threading
from pathlib import Path

import pytest
from tests.api.door_harness import (
    LOOPS,
    EchoBackend,
    Gate,
    RawClient,
    call,
    call_body,
    in_string,
    post,
    running_door,
    wait_until,
)

from merope.api.backend import Outcome, Peer
from merope.api.server import Door, DoorError
from merope.api.settings import DoorSettings


async def test_the_limit_of_open_files_is_raised_as_far_as_allowed_and_the_rest_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    door = Door()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 100, before[1]))
        await door.start(EchoBackend(), DoorSettings(port=0, max_connections=10_000_000))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        await door.stop(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert f"Only {before[1]} files can be open where MAX_CONN" in caplog.text


async def test_a_port_in_use_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DoorError, match=f"Cannot listen on 127.0.0.1:{port}: another process listens"):
            await Door().start(EchoBackend(), DoorSettings(port=port))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (DoorSettings(host="192.0.2.1", port=0), "this machine has no such address"),
        (DoorSettings(host="no.such.host.invalid", port=0), "Cannot listen on no.such.host.invalid:0"),
        (DoorSettings(port=70000), "Cannot listen on 127.0.0.1:70000"),
        (DoorSettings(host=""), "neither an address nor a Unix socket"),
    ],
)
async def test_where_it_cannot_listen_it_says_so(settings: DoorSettings, words: str) -> None:
    with pytest.raises(DoorError) as caught:
        await Door().start(EchoBackend(), settings)
    assert words in str(caught.value)


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_it_listens_on_a_unix_socket_too(tmp_path: Path, loop: str) -> None:
    path = tmp_path / "door"
    with running_door(loop=loop, unix_path=path) as door:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(str(path))
            connected.settimeout(10)
            assert in_string(RawClient(connected).ask(call("m", "local"))) == "local"
        assert door.backend.calls[0][2] == Peer("", 0)
    assert not path.exists()


def test_a_dead_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with running_door(unix_path=path), socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(path))


async def test_a_living_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        with pytest.raises(DoorError, match="another process listens there already"):
            await Door().start(EchoBackend(), DoorSettings(host="", unix_path=path))
        assert path.is_socket()


async def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "door"
    path.write_text("precious")
    with pytest.raises(DoorError):
        await Door().start(EchoBackend(), DoorSettings(host="", unix_path=path))
    assert path.read_text() == "precious"


def test_the_umask_is_as_before(tmp_path: Path) -> None:
    before = os.umask(0o22)
    try:
        with running_door(unix_path=tmp_path / "door"):
            assert os.umask(0o22) == 0o22
    finally:
        os.umask(before)


@pytest.mark.parametrize("loop", sorted(LOOPS))
def test_what_was_asked_is_answered_before_the_end(loop: str) -> None:
    gate = Gate()
    with running_door(gate, loop=loop) as door, door.connect() as busy, door.connect() as idle:
        busy.send(call("m"))
        assert gate.arrived.acquire(timeout=5)
        stopping = threading.Thread(target=door.stop, args=(10,))
        stopping.start()
        assert idle.closed()
        with pytest.raises(ConnectionRefusedError):
            door.connect()
        gate.open(Outcome("answered"))
        reply = busy.reply()
        stopping.join(10)
        assert in_string(reply) == "answered"
        assert reply.header("connection") == "close"
        assert busy.closed()


def test_a_request_that_is_half_sent_is_answered_before_the_end() -> None:
    with running_door() as door, door.connect() as client:
        request = post(call_body("m", "whole"))
        client.send(request[:-1])
        wait_until(lambda: door.read(lambda hall: hall.received.value) > 0)
        stopping = threading.Thread(target=door.stop, args=(10,))
        stopping.start()
        client.send(request[-1:])
        assert in_string(client.reply()) == "whole"
        stopping.join(10)
        assert client.closed()


def test_what_lasts_too_long_is_cut_off_at_the_end() -> None:
    gate = Gate()
    with running_door(gate) as door, door.connect() as client:
        client.send(call("m"))
        assert gate.arrived.acquire(timeout=5)
        door.stop(0.05)
        assert client.closed()
        gate.open(Outcome("too late"))


def test_stopping_twice_is_stopping_once() -> None:
    with running_door() as door:
        door.stop(1)
        door.stop(1)
        with pytest.raises(ConnectionRefusedError):
            door.connect()


def test_one_that_waits_for_a_place_is_not_served_at_the_end() -> None:
    gate = Gate()
    with running_door(gate, max_connections=1) as door, door.connect() as first, door.connect() as second:
        first.send(call("m"))
        assert gate.arrived.acquire(timeout=5)
        second.send(call("m"))
        stopping = threading.Thread(target=door.stop, args=(10,))
        stopping.start()
        assert second.closed()
        gate.open(Outcome("answered"))
        assert in_string(first.reply()) == "answered"
        stopping.join(10)
        assert len(door.backend.calls) == 1
