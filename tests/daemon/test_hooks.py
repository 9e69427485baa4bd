"""Hooks and events of a real core: its process, what it runs, real subscribers, and the core killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bench.crash import Sandbox, sandbox_in

from merope.client import OneError

zmq = pytest.importorskip("zmq", reason="needs pyzmq")
VM = "CPU=0.01\nMEMORY=1\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Cloud:
    """A sandbox with a publisher at a port of its own, and a hook that writes down what it is given."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.publisher, self.replier = free_port(), free_port()
        (sandbox.home / "oned.conf").write_text(
            f'HM_MAD = [ EXECUTABLE = "one_hm", ARGUMENTS = "-p {self.publisher} -l {self.replier}" ]\n'
            f"PORT = {sandbox.port}\n"
        )
        self.base = sandbox.home / "remotes" / "hooks"
        self.base.mkdir(parents=True)
        self.log = sandbox.home / "ran"
        sandbox.start()

    def script(self, name: str, text: str) -> None:
        path = self.base / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def hook(self, name: str, text: str) -> int:
        with self.sandbox.client() as client:
            return client.number("one.hook.allocate", f"NAME={name}\n{text}")

    def allocate(self) -> int:
        with self.sandbox.client() as client:
            return client.number("one.vm.allocate", VM, True)

    def records(self) -> list[ElementTree.Element]:
        with self.sandbox.client() as client:
            return list(ElementTree.fromstring(client.text("one.hooklog.info", -1, -1, -1, 0)))

    def lines(self) -> list[str]:
        return self.log.read_text().split("\n")[:-1] if self.log.exists() else []

    def one(self, *words: str) -> str:
        module = "from merope.cli.main import onehook; import sys; sys.exit(onehook())"
        env = {**os.environ, "ONE_XMLRPC": self.sandbox.endpoint, "ONE_AUTH": "oneadmin:opennebula"}
        done = subprocess.run(
            [sys.executable, "-c", module, *words], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with sandbox_in(tmp_path / "home") as sandbox:
        yield Cloud(sandbox)


@pytest.fixture
def sockets() -> Iterator[Callable[[int, int], Any]]:
    context = zmq.Context()
    made: list[Any] = []

    def connect(kind: int, port: int) -> Any:
        made.append(context.socket(kind))
        made[-1].setsockopt(zmq.RCVTIMEO, 10_000)
        made[-1].setsockopt(zmq.LINGER, 0)
        made[-1].connect(f"tcp://127.0.0.1:{port}")
        return made[-1]

    yield connect
    for one in made:
        one.close()
    context.term()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_hooks_on_calls_and_on_states_run_and_are_logged(cloud: Cloud) -> None:
    cloud.script("api.sh", f'echo "$1" | base64 -d >> {cloud.log}; echo out; echo err >&2; exit 4')
    cloud.script("state.sh", "cat")
    api = cloud.hook("api", 'TYPE=api\nCALL=one.vm.allocate\nCOMMAND=api.sh\nARGUMENTS="$API"')
    state = cloud.hook(
        "state",
        "TYPE=state\nRESOURCE=VM\nON=CUSTOM\nSTATE=HOLD\nLCM_STATE=LCM_INIT\nCOMMAND=state.sh\n"
        'ARGUMENTS="$TEMPLATE"\nARGUMENTS_STDIN=YES',
    )
    oid = cloud.allocate()
    until(lambda: len(cloud.records()) == 2)
    found = {int(record.findtext("HOOK_ID", "")): record for record in cloud.records()}
    assert found[api].findtext("EXECUTION_RESULT/CODE") == "4"
    assert b64decode(found[api].findtext("EXECUTION_RESULT/STDOUT", "")) == b"out\n"
    assert b64decode(found[api].findtext("EXECUTION_RESULT/STDERR", "")) == b"err\n"
    assert ElementTree.fromstring(cloud.log.read_text()).findtext("EXTRA/VM/ID") == str(oid)
    told = b64decode(b64decode(found[state].findtext("EXECUTION_RESULT/STDOUT", "")))
    assert ElementTree.fromstring(told).findtext("ID") == str(oid)


def test_the_program_of_hosts_in_error_is_there_by_its_name_in_5_12(cloud: Cloud) -> None:
    """This host is well: what the hook is about is the state that it gets into, whichever that is."""
    cloud.hook(
        "host_error",
        "TYPE=state\nRESOURCE=HOST\nSTATE=MONITORED\nREMOTE=no\n"
        'COMMAND="ft/host_error.rb"\nARGUMENTS="$TEMPLATE -m -p 5"',
    )
    with cloud.sandbox.client() as client:
        client.number("one.host.allocate", "node0", "dummy", "dummy", -1)
    until(lambda: len(cloud.records()) == 1)
    [record] = cloud.records()
    assert record.findtext("EXECUTION_RESULT/CODE") == "0"
    told = b64decode(record.findtext("EXECUTION_RESULT/STDOUT", "")).decode()
    assert told == "Host node0 (0) is not in ERROR any more: nothing is to be done.\n"


def test_a_hook_may_use_the_commands_and_the_api(cloud: Cloud) -> None:
    cloud.script("ask.sh", 'echo "$ONE_XMLRPC"; test -r "$ONE_AUTH" && echo may')
    cloud.hook("ask", "TYPE=api\nCALL=one.vm.allocate\nCOMMAND=ask.sh")
    cloud.allocate()
    until(lambda: len(cloud.records()) == 1)
    told = b64decode(cloud.records()[0].findtext("EXECUTION_RESULT/STDOUT", "")).decode()
    assert told.split() == [cloud.sandbox.endpoint, "may"]


def test_a_call_that_is_refused_runs_its_hook_and_one_that_only_looks_can_too(cloud: Cloud) -> None:
    cloud.script("note.sh", 'echo "$1" | base64 -d')
    for number, call in enumerate(("one.vm.rename", "one.system.version")):
        cloud.hook(f"h{number}", f'TYPE=api\nCALL={call}\nCOMMAND=note.sh\nARGUMENTS="$API"')
    with cloud.sandbox.client() as client:
        with pytest.raises(OneError):
            client.number("one.vm.rename", 99, "x")
        assert client.text("one.system.version")
    until(lambda: len(cloud.records()) == 2)
    told = [b64decode(r.findtext("EXECUTION_RESULT/STDOUT", "")) for r in cloud.records()]
    results = {ElementTree.fromstring(text).findtext("RESULT") for text in told}
    assert results == {"0", "1"}


def test_no_run_of_an_acknowledged_call_is_lost_when_the_core_is_killed(cloud: Cloud) -> None:
    cloud.script("slow.sh", f'sleep 0.3; echo "$MEROPE_HOOK_RUN" >> {cloud.log}')
    hook = cloud.hook("slow", "TYPE=api\nCALL=one.vm.allocate\nCOMMAND=slow.sh")
    for _ in range(40):
        cloud.allocate()
    cloud.sandbox.kill()
    before = len(cloud.lines())
    assert before < 40
    cloud.sandbox.start()
    until(lambda: len(set(cloud.lines())) == 40)
    with cloud.sandbox.client() as client:
        until(lambda: "<EXECUTION_ID>39<" in client.text("one.hook.info", hook))
    assert cloud.sandbox.fsck() == []
    # What ran when it was killed may have run twice: so many at most as run at a time.
    assert len(cloud.lines()) <= 40 + 10


def test_a_hook_that_hangs_holds_nothing_up_but_its_place(cloud: Cloud) -> None:
    cloud.script("hang.sh", "sleep 600")
    cloud.script("quick.sh", f"echo x >> {cloud.log}")
    cloud.hook("hang", "TYPE=api\nCALL=one.vm.allocate\nCOMMAND=hang.sh\nTIMEOUT=1")
    cloud.hook("quick", "TYPE=api\nCALL=one.vm.allocate\nCOMMAND=quick.sh")
    began = time.monotonic()
    cloud.allocate()
    assert time.monotonic() - began < 1
    until(lambda: len(cloud.lines()) == 1)
    until(lambda: {record.findtext("EXECUTION_RESULT/CODE") for record in cloud.records()} == {"0", "124"})


def test_onehook_creates_shows_and_retries(cloud: Cloud) -> None:
    cloud.script("try.sh", f'echo "$1" >> {cloud.log}; test -e {cloud.base}/ready')
    template = cloud.base / "try.template"
    template.write_text('NAME=try\nTYPE=api\nCALL=one.vm.allocate\nCOMMAND=try.sh\nARGUMENTS="first $API"\n')
    assert cloud.one("create", str(template)) == "ID: 0\n"
    cloud.allocate()
    until(lambda: len(cloud.records()) == 1)
    assert cloud.one("log", "--error").split("\n")[1].split()[-1] == "ERROR"
    (cloud.base / "ready").touch()
    cloud.one("retry", "try", "0")
    until(lambda: len(cloud.records()) == 2)
    assert cloud.lines() == ["first", "first"]
    [failed, again] = cloud.records()
    assert (failed.find("RETRY"), again.findtext("RETRY")) == (None, "yes")
    assert again.findtext("ARGUMENTS") == failed.findtext("ARGUMENTS")
    shown = cloud.one("show", "try")
    assert [line.split()[-1] for line in shown.split("\n") if "SUCCESS" in line or " ERROR" in line] == [
        "ERROR",
        "SUCCESS",
    ]
    assert "first <CALL_INFO><RESULT>1</RESULT>" in cloud.one("show", "try", "--execution", "1")


# The event bus


def test_a_subscriber_gets_every_event_with_keys_and_messages_of_5_12(
    cloud: Cloud, sockets: Callable[[int, int], Any]
) -> None:
    subscriber = sockets(zmq.SUB, cloud.publisher)
    for prefix in (b"EVENT API one.vm.allocate", b"EVENT VM ", b"EVENT API one.vm.rename 0"):
        subscriber.setsockopt(zmq.SUBSCRIBE, prefix)
    greet(cloud, subscriber)
    made = [cloud.allocate() for _ in range(30)]
    with cloud.sandbox.client() as client, pytest.raises(OneError):
        client.number("one.vm.rename", 9999, "x")
    keys: dict[tuple[str, bytes], ElementTree.Element] = {}
    while len(keys) < 61:
        key, message = subscriber.recv_multipart()
        keys[key.decode(), message] = ElementTree.fromstring(b64decode(message))
    named = [key for key, _ in keys]
    for oid in made:
        assert f"EVENT VM {oid}/HOLD/LCM_INIT " in named
    allocated = [body for (key, _), body in keys.items() if key == "EVENT API one.vm.allocate 1"]
    assert {body.findtext("CALL_INFO/EXTRA/VM/ID") for body in allocated} == {str(oid) for oid in made}
    assert named[-1] == "EVENT API one.vm.rename 0"


def test_no_event_and_no_run_is_missing_when_the_hook_manager_is_killed_in_the_middle(
    cloud: Cloud, sockets: Callable[[int, int], Any]
) -> None:
    cloud.script("note.sh", f'echo "$MEROPE_HOOK_RUN" >> {cloud.log}')
    cloud.hook("note", "TYPE=api\nCALL=one.vm.allocate\nCOMMAND=note.sh")
    subscriber = sockets(zmq.SUB, cloud.publisher)
    subscriber.setsockopt(zmq.SUBSCRIBE, b"EVENT API one.vm.allocate")
    greet(cloud, subscriber)
    made = [cloud.allocate() for _ in range(20)]
    until(lambda: len(cloud.lines()) > 0)
    os.kill(hook_manager(cloud.sandbox.pid), signal.SIGKILL)
    made += [cloud.allocate() for _ in range(20)]
    heard = [ElementTree.fromstring(b64decode(subscriber.recv_multipart()[1])) for _ in made]
    assert [body.findtext("CALL_INFO/EXTRA/VM/ID") for body in heard] == [str(oid) for oid in made]
    until(lambda: len(set(cloud.lines())) == len(made))


def hook_manager(core: int) -> int:
    """The process beside the core that runs hooks."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == core and b"hook_executor" in (entry / "cmdline").read_bytes():
                return int(entry.name)
    raise AssertionError("no process runs hooks")


def greet(cloud: Cloud, subscriber: Any) -> None:
    """Waits until the subscriptions have arrived: events before that go to nobody."""
    subscriber.setsockopt(zmq.SUBSCRIBE, b"EVENT API one.user.chgrp 0")
    subscriber.setsockopt(zmq.RCVTIMEO, 50)
    with cloud.sandbox.client() as client:
        for _ in range(200):
            with pytest.raises(OneError):
                client.number("one.user.chgrp", 9999, 0)
            try:
                subscriber.recv_multipart()
                break
            except zmq.Again:
                continue
    time.sleep(0.2)
    while subscriber.poll(0):
        subscriber.recv_multipart()
    subscriber.setsockopt(zmq.UNSUBSCRIBE, b"EVENT API one.user.chgrp 0")
    subscriber.setsockopt(zmq.RCVTIMEO, 10_000)


def test_a_retry_is_published_and_an_executor_outside_may_tell_its_result(
    cloud: Cloud, sockets: Callable[[int, int], Any]
) -> None:
    cloud.script("x.sh", "exit 0")
    hook = cloud.hook("x", 'TYPE=api\nCALL=one.vm.allocate\nCOMMAND=x.sh\nARGUMENTS="a b"')
    cloud.allocate()
    until(lambda: len(cloud.records()) == 1)
    subscriber = sockets(zmq.SUB, cloud.publisher)
    subscriber.setsockopt(zmq.SUBSCRIBE, b"RETRY")
    greet(cloud, subscriber)
    with cloud.sandbox.client() as client:
        client.number("one.hook.retry", hook, 0)
    key, message = subscriber.recv_multipart()
    body = ElementTree.fromstring(b64decode(message))
    assert (key, body.findtext("HOOK_ID")) == (b"RETRY", str(hook))
    assert b64decode(body.findtext("ARGUMENTS", "")) == b"a b"
    until(lambda: len(cloud.records()) == 2)
    outside = sockets(zmq.REQ, cloud.replier)
    result = (
        "<ARGUMENTS>z</ARGUMENTS><EXECUTION_RESULT><COMMAND>/y</COMMAND><STDOUT/><STDERR/>"
        "<CODE>5</CODE></EXECUTION_RESULT>"
    )
    for text in (b"nonsense", f"5 {hook} ".encode() + b64encode(result.encode())):
        outside.send(text)
        assert outside.recv() == b"ACK"
    until(lambda: len(cloud.records()) == 3)
    last = cloud.records()[-1]
    assert [last.findtext(f"EXECUTION_RESULT/{n}") for n in ("COMMAND", "CODE")] == ["/y", "5"]


def test_a_core_whose_ports_are_taken_works_without_the_bus(tmp_path: Path) -> None:
    with sandbox_in(tmp_path / "home") as sandbox, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (sandbox.home / "oned.conf").write_text(f'HM_MAD = [ ARGUMENTS = "-p {port} -l {free_port()}" ]\n')
        sandbox.start()
        with sandbox.client() as client:
            assert client.number("one.vm.allocate", VM, True) == 0
        log = sandbox.home / "core.log"
        until(lambda: f"no events are published at 127.0.0.1, ports {port}" in log.read_text())
