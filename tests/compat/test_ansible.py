"""The modules of community.general, unmodified, in a playbook against a sandbox: each object is made, asked
for again (which changes nothing), changed and removed."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.compat import environments
from tests.compat.conftest import Sandbox

PLAYBOOK = Path(__file__).with_name("ansible") / "cloud.yml"

CHANGED = """
    host_made host_changed host_disabled host_enabled network_made network_changed image_made image_cloned
    image_renamed image_persistent image_disabled template_made template_changed machines_made machine_off
    machine_configured machine_on other_off other_saved machines_gone template_absent network_absent
    host_absent
""".split()
UNCHANGED = """
    host_again network_again image_again template_again machines_again template_absent_again
    image_absent_again
""".split()


@pytest.fixture(scope="module")
def answers(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each task of the playbook registered."""
    python = environments.ansible()
    place = tmp_path_factory.mktemp("ansible")
    user, _, password = sandbox.auth.partition(":")
    told = place / "answers.json"
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(place),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(python.parents[1] / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "ONE_URL": sandbox.endpoint,
        "ONE_USERNAME": user,
        "ONE_PASSWORD": password,
    }
    command = [str(python.with_name("ansible-playbook")), "-e", f"answers={told}", str(PLAYBOOK)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False, cwd=place
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(told.read_text())
    return found


@pytest.mark.parametrize("task", CHANGED)
def test_a_task_that_makes_a_difference_says_so(answers: dict[str, Any], task: str) -> None:
    assert answers[task]["changed"] is True


@pytest.mark.parametrize("task", UNCHANGED)
def test_a_task_whose_object_is_as_it_should_be_changes_nothing(answers: dict[str, Any], task: str) -> None:
    assert answers[task]["changed"] is False


def test_an_image_reads_back_as_it_was_asked_for(answers: dict[str, Any]) -> None:
    image = answers["image_made"]
    assert (image["name"], image["state"], image["running_vms"]) == ("disk", "READY", 0)


def test_images_are_found_by_an_expression(answers: dict[str, Any]) -> None:
    found = {image["name"]: image for image in answers["images_seen"]["images"]}
    assert sorted(found) == ["disk", "disk-3"]
    assert (found["disk-3"]["state"], found["disk-3"]["persistent"]) == ("DISABLED", 1)


def test_the_machines_that_were_counted_run_with_their_attributes(answers: dict[str, Any]) -> None:
    machines = answers["machines_made"]["instances"]
    assert sorted(machine["vm_name"] for machine in machines) == ["web-00", "web-01"]
    assert {machine["state"] for machine in machines} == {"ACTIVE"}
    assert {machine["lcm_state"] for machine in machines} == {"RUNNING"}
    assert {machine["attributes"]["COLOUR"] for machine in machines} == {"blue"}
    assert {machine["mode"] for machine in machines} == {"640"}
    assert {network["name"] for machine in machines for network in machine["networks"]} == {"net"}


def test_the_machines_that_were_there_already_are_the_same(answers: dict[str, Any]) -> None:
    before, after = answers["machines_made"], answers["machines_again"]
    assert sorted(before["tagged_instances"], key=str) == sorted(after["tagged_instances"], key=str)


def test_a_configuration_is_told_back(answers: dict[str, Any]) -> None:
    (machine,) = answers["machine_configured"]["instances"]
    assert machine["updateconf"]["OS"]["ARCH"] == "x86_64"


def test_a_machine_that_was_off_runs_again(answers: dict[str, Any]) -> None:
    (machine,) = answers["machine_on"]["instances"]
    assert (machine["state"], machine["lcm_state"]) == ("ACTIVE", "RUNNING")
