"""What Prometheus and Grafana are given: the metrics of a cloud, and the files that look at them."""

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.compat.conftest import Sandbox

from merope.client import Client

PACKAGING = Path(__file__).parents[2] / "packaging"
DASHBOARD = PACKAGING / "grafana" / "merope.json"
RULES = PACKAGING / "prometheus" / "merope.rules.yml"
NAMES = re.compile(r"\bmerope_[a-z_]+\b")


@pytest.fixture(scope="module")
def text(sandbox: Sandbox) -> str:
    with Client(sandbox.endpoint, sandbox.auth) as client:
        client.number("one.host.allocate", "node0", "dummy", "dummy", -1)
        client.number("one.vm.allocate", "CPU=1\nMEMORY=1\n", True)
    with urllib.request.urlopen(sandbox.endpoint.replace("/RPC2", "/metrics")) as answer:
        body: bytes = answer.read()
    return body.decode()


def value(text: str, sample: str) -> float:
    return float(next(line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(sample + " ")))


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ('merope_object_states{kind="vm",state="HOLD"}', 1),
        ('merope_objects{kind="host"}', 1),
        ('merope_rpc_calls_total{method="one.host.allocate",code="0"}', 1),
        ("merope_writable", 1),
        ("merope_scheduler_waiting", 0),
    ],
)
def test_a_cloud_tells_what_it_has_and_does(text: str, sample: str, expected: int) -> None:
    assert value(text, sample) == expected


def test_every_change_is_counted_with_the_time_that_it_took(text: str) -> None:
    assert value(text, "merope_commit_changes_sum") >= 2
    assert value(text, "merope_commit_seconds_count") == value(text, "merope_commit_changes_count")
    assert value(text, "merope_commit_seconds_sum") > 0


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def test_the_dashboard_has_panels_that_do_not_overlap() -> None:
    places = [tuple(panel["gridPos"][side] for side in "xy") for panel in panels()]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in panels()}) > 10


@pytest.mark.parametrize("source", [DASHBOARD, RULES], ids=["dashboard", "alerts"])
def test_whatever_is_looked_at_is_there(text: str, source: Path) -> None:
    there = set(NAMES.findall(text))
    asked = set(NAMES.findall(source.read_text()))
    assert asked
    assert asked <= there


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed"
)
def test_prometheus_accepts_the_alerts_and_the_metrics(text: str) -> None:
    checked = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout + lint.stderr
