"""A sandbox cloud for clients of others, and those clients in environments of their own."""

import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[2] / ".venv" / "compat"
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
    """The interpreter of an environment with that pyone; made once, skipped where the index is not there."""
    name: str = request.param
    place = ENVIRONMENTS / name
    python = place / "bin" / "python"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        # The suite runs in several processes, each of which has a session.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
            install = [str(python), "-m", "pip", "install", "-q", *CLIENTS[name]]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"{name} could not be installed: {done.stderr.strip().splitlines()[-1]}")
            (place / "ready").touch()
    return python
