"""Who holds a pid and who holds a port."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from merope.daemon.process import Identity, kill_group, port_holder

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_pid_file_names_the_process_that_wrote_it(tmp_path: Path) -> None:
    me = Identity.of(os.getpid())
    assert me
    me.write(tmp_path / "pid")
    assert Identity.read(tmp_path / "pid") == me


def test_a_pid_that_belongs_to_another_process_now_is_not_believed(tmp_path: Path) -> None:
    me = Identity.of(os.getpid())
    assert me
    Identity(me.pid, me.began - 1).write(tmp_path / "pid")
    assert Identity.read(tmp_path / "pid") is None


@pytest.mark.parametrize("content", ["", "x y", "12", "999999999 1"])
def test_a_damaged_pid_file_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    assert Identity.read(tmp_path / "pid") is None


def test_a_process_that_is_over_but_not_reaped_does_not_live(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    assert identity
    assert identity.alive
    kill_group(sleeper.pid)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.alive


def test_a_process_with_a_strange_name_is_told_apart_too(tmp_path: Path) -> None:
    script = tmp_path / "a) R 1 ("
    script.write_text("#!/bin/sh\nsleep 300\n")
    script.chmod(0o700)
    with subprocess.Popen([script], start_new_session=True) as process:
        identity = Identity.of(process.pid)
        kill_group(process.pid)
    assert identity
    assert identity.pid == process.pid


def test_a_process_that_does_not_listen_is_killed_in_the_end() -> None:
    deaf = "from signal import *; signal(SIGTERM, SIG_IGN); print(flush=True); pause(); pause()"
    with subprocess.Popen(
        [sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        identity = Identity.of(process.pid)
        assert identity
        identity.end(patience=0.05)
        assert process.wait() == -signal.SIGKILL


def test_a_free_port_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert port_holder("127.0.0.1", port) is None


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = port_holder("127.0.0.1", server.getsockname()[1])
    assert holder
    assert holder.endswith(f", pid {os.getpid()}")


def test_an_address_that_is_not_of_this_machine_is_told() -> None:
    holder = port_holder("192.0.2.1", 2633)
    assert holder
    assert "nobody can listen at 192.0.2.1" in holder
