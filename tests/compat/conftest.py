"""A sandbox cloud for clients of others, and those clients in environments of their own."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.compat import environments

#: Environment → what is installed in it: the client that 5.12 shipped, and the present one.
CLIENTS = {
    "pyone-5.12": ("setuptools", "pyone==5.12.0", "xmltodict==0.12.0"),
    "pyone-current": ("pyone", "setuptools"),
}


@dataclass(frozen=True)
class Sandbox:
    endpoint: str
    home: Path
    auth: str = "oneadmin:opennebula"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    home = tmp_path_factory.mktemp("cloud") / "home"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    one = [sys.executable, "-m", "merope.daemon.one"]
    where = ["--home", str(home)]
    subprocess.run([*one, "start", *where, "--port", str(port), "--drivers", "dummy"], check=True)
    try:
        yield Sandbox(f"http://127.0.0.1:{port}/RPC2", home)
    finally:
        subprocess.run([*one, "stop", *where], check=True)


@pytest.fixture(scope="session", params=sorted(CLIENTS))
def pyone_python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment with that pyone."""
    name: str = request.param
    return environments.python(name, *CLIENTS[name])
