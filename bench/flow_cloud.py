"""A cloud on simulated drivers with OneFlow and OneGate, all three as processes, at ports of its own."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merope.client import Client

ADMIN = "oneadmin:opennebula"
TEMPLATE = 'NAME="app"\nCPU="0.01"\nMEMORY="16"\nCONTEXT=[TOKEN="YES"]\n'


@dataclass(frozen=True)
class Cloud:
    home: Path
    port: int
    flow_port: int
    gate_port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/RPC2"

    @property
    def flow_url(self) -> str:
        return f"http://127.0.0.1:{self.flow_port}"

    @property
    def gate_url(self) -> str:
        return f"http://127.0.0.1:{self.gate_port}"

    def client(self, auth: str = ADMIN) -> Client:
        return Client(self.endpoint, auth, timeout=30)

    def flow(self, method: str, path: str, body: Any = None, auth: str = ADMIN) -> tuple[int, Any]:
        coded = base64.b64encode(auth.encode()).decode()
        data = None if body is None else json.dumps(body).encode()
        return ask(method, self.flow_url + path, data, {"Authorization": f"Basic {coded}"} if auth else {})

    def one(self, *words: str) -> None:
        run_one(self.home, *words)

    def service(self, oid: int) -> dict[str, Any]:
        body: dict[str, Any] = self.flow("GET", f"/service/{oid}")[1]["DOCUMENT"]["TEMPLATE"]["BODY"]
        return body

    def until_state(self, oid: int, state: int) -> dict[str, Any]:
        found: dict[str, Any] = until(lambda: body if (body := self.service(oid))["state"] == state else None)
        return found


def ask(
    method: str, url: str, data: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and body, which is JSON where it can be."""
    request = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, _read(reply.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, _read(refusal.read())


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def until(condition: Callable[[], Any]) -> Any:
    """The first value of `condition` that counts as true."""
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def run_one(home: Path, *words: str) -> None:
    environment = {**os.environ, "ONE_SERVICES": "core,oneflow,onegate"}
    subprocess.run(
        [sys.executable, "-m", "merope.daemon.one", words[0], "--home", str(home), *words[1:]],
        check=True,
        env=environment,
    )


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def cloud_in(home: Path, flow_conf: str = "", gate_conf: str = "") -> Iterator[Cloud]:
    """Two hosts and a template 0 are there. Somebody else has the port of the cloud's events."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield from _cloud_in(home, flow_conf, gate_conf, other.getsockname()[1])


def _cloud_in(home: Path, flow_conf: str, gate_conf: str, publisher: int) -> Iterator[Cloud]:
    port, flow, gate, replier = free_ports(4)
    home.mkdir(mode=0o700)
    (home / "oned.conf").write_text(
        f'HM_MAD = [ EXECUTABLE = "one_hm", ARGUMENTS = "-p {publisher} -l {replier}" ]\n'
        f'ONEGATE_ENDPOINT = "http://127.0.0.1:{gate}"\n'
    )
    (home / "oneflow-server.conf").write_text(flow_conf)
    (home / "onegate-server.conf").write_text(gate_conf + f":oneflow_server: http://127.0.0.1:{flow}\n")
    ports = ("--port", str(port), "--oneflow-port", str(flow), "--onegate-port", str(gate))
    run_one(home, "start", "--drivers", "dummy", *ports)
    try:
        cloud = Cloud(home, port, flow, gate)
        with cloud.client() as client:
            for name in ("h0", "h1"):
                client.number("one.host.allocate", name, "dummy", "dummy", -1)
            client.number("one.template.allocate", TEMPLATE)
        until(lambda: answers(cloud.flow_url))
        until(lambda: answers(cloud.gate_url))
        yield cloud
    finally:
        run_one(home, "stop")


def answers(url: str) -> bool:
    try:
        return ask("GET", f"{url}/health")[0] == 200
    except OSError:
        return False
