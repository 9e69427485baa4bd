"""The package `opennebula` of npm, unmodified, drives a cloud."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.compat import environments
from tests.compat.conftest import Sandbox

SESSION = Path(__file__).with_name("node_session.js")


@pytest.fixture(scope="module")
def saw(sandbox: Sandbox) -> dict[str, Any]:
    modules = environments.node("node-opennebula", "opennebula") / "node_modules"
    # Its XML-RPC library is of a time before Node.js warned of what it uses.
    command = ["node", "--no-deprecation", str(SESSION), sandbox.endpoint, sandbox.auth]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_it_sees_the_compatible_version(saw: dict[str, Any]) -> None:
    assert saw["version"] == "5.12.0"


def test_what_it_makes_reads_back(saw: dict[str, Any]) -> None:
    assert (saw["host"], saw["leases"], saw["template"]) == ("node", "0", "64")


def test_a_machine_runs_with_its_name_and_address(saw: dict[str, Any]) -> None:
    assert saw["machine"] == {"name": "a (b), c", "ip": "192.0.2.1"}
    assert saw["listed"] == ["0"]


def test_a_machine_is_changed(saw: dict[str, Any]) -> None:
    assert saw["changed"] == {"name": "renamed", "colour": "blue & <green>"}


def test_a_locked_machine_is_not_ended(saw: dict[str, Any]) -> None:
    assert "VM is locked" in saw["locked"]


def test_a_template_is_instantiated(saw: dict[str, Any]) -> None:
    assert saw["instance"] == 1


def test_lists_of_one_and_of_many_are_lists(saw: dict[str, Any]) -> None:
    assert sorted(saw["users"]) == ["oneadmin", "serveradmin"]


def test_refusals_arrive_as_its_errors(saw: dict[str, Any]) -> None:
    assert saw["nobody"] == "[one.vm.info] Error getting virtual machine [4711]."
    assert "couldn't be authenticated" in saw["stranger"]
