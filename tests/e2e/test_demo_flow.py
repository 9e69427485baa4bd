"""`make demo-flow`: a service of real guests that grows by their load, shrinks, and heals."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.flow_cloud import free_ports
from tests.real.machine import why_not

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture
def home() -> Iterator[Path]:
    """Short enough for sockets; nothing of the demonstration is left."""
    place = Path(tempfile.mkdtemp(prefix="mrp-"))
    yield place / "home"
    subprocess.run([sys.executable, "-m", "merope.daemon.demo", "down", "--home", place / "home"], check=True)
    shutil.rmtree(place)


def test_a_service_of_real_guests_grows_shrinks_and_heals(home: Path) -> None:
    port, flow, gate = map(str, free_ports(3))
    ports = ["--port", port, "--oneflow-port", flow, "--onegate-port", gate]
    done = subprocess.run(
        [sys.executable, "-m", "merope.daemon.demo_flow", "--home", home, *ports],
        capture_output=True,
        text=True,
        env={**os.environ, "ONE_SERVICES": "core,oneflow,onegate"},
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = (
        "New state: RUNNING",
        "load is applied inside VM",
        "from 1 to 2 nodes",
        "from 2 to 1 nodes",
        "was ended behind the cloud's back",
        "New state: WARNING",
        "Recovered",
        "New state: DONE",
        "are gone",
    )
    places = [done.stdout.find(step) for step in steps]
    assert -1 not in places, done.stdout
    assert places == sorted(places)
