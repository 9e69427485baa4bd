"""The core as a process: started, in trouble, refused, stopped."""

import contextlib
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench.crash import Sandbox, sandbox_in

from merope.client import OneError

VM = "CPU=0.01\nMEMORY=1\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox_in(tmp_path / "home") as made:
        made.start()
        yield made


def health(sandbox: Sandbox) -> tuple[int, str]:
    address = sandbox.endpoint.replace("/RPC2", "/health")
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_core_on_the_same_home_is_refused_and_the_first_goes_on(sandbox: Sandbox) -> None:
    done = subprocess.run(sandbox.words("merope.daemon.core"), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f"is in use by process {sandbox.pid}: stop that cloud first" in done.stderr
    with sandbox.client() as client:
        assert client.number("one.vm.allocate", VM, True) == 0


def test_a_locked_database_refuses_writes_answers_reads_and_is_well_again_later(sandbox: Sandbox) -> None:
    with sandbox.client() as client:
        oid = client.number("one.vm.allocate", VM, True)
        with contextlib.closing(sqlite3.connect(sandbox.home / "one.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OneError, match="another process holds it locked"):
                client.number("one.vm.rename", oid, "other")
            assert "<NAME>one-0</NAME>" in client.text("one.vm.info", oid)
            assert "<NAME>one-0</NAME>" in client.text("one.vmpool.info", -2, -1, -1, -1)
            code, told = health(sandbox)
            assert code == 503
            assert "another process holds it locked" in told
            other.execute("ROLLBACK")
        until(lambda: health(sandbox)[0] == 200)
        client.number("one.vm.rename", oid, "other")
        assert "<NAME>other</NAME>" in client.text("one.vm.info", oid)
    assert sandbox.fsck() == []


def test_it_ends_when_it_is_asked_to_and_keeps_what_it_has_told(sandbox: Sandbox) -> None:
    with sandbox.client() as client:
        oid = client.number("one.vm.allocate", VM, True)
    assert sandbox.stop() == 0
    assert not (sandbox.home / "one.db-wal").exists()
    sandbox.start()
    with sandbox.client() as client:
        assert f"<ID>{oid}</ID>" in client.text("one.vm.info", oid)
