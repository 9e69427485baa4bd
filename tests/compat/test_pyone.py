"""Stock pyone, the one of 5.12 and the present one, drives a cloud and understands every answer."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.compat.conftest import Sandbox

SESSION = Path(__file__).with_name("pyone_session.py")


@pytest.fixture(scope="module")
def saw(sandbox: Sandbox, pyone_python: Path) -> dict[str, Any]:
    command = [str(pyone_python), str(SESSION), sandbox.endpoint, sandbox.auth]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_it_sees_the_compatible_version(saw: dict[str, Any]) -> None:
    assert saw["version"] == "5.12.0"


def test_a_host_that_it_adds_is_monitored(saw: dict[str, Any]) -> None:
    assert (saw["host_state"], saw["host_hypervisor"]) == (2, "dummy")


def test_a_vm_that_it_allocates_reads_back(saw: dict[str, Any]) -> None:
    assert (saw["vm_name"], saw["vm_state"], saw["vm_memory"]) == ("from-pyone", 2, "64")


def test_an_attribute_with_markup_comes_back_as_it_was_sent(saw: dict[str, Any]) -> None:
    assert saw["user_template"] == "blue & <green>"


def test_a_locked_vm_refuses_changes_with_an_exception(saw: dict[str, Any]) -> None:
    assert saw["locked"] == 4
    assert saw["locked_refusal"] == "OneAuthorizationException"


def test_a_released_vm_runs(saw: dict[str, Any]) -> None:
    assert saw["running"] == 3


def test_pools_list_the_vm(saw: dict[str, Any]) -> None:
    assert saw["in_pool"] is True
    assert saw["in_extended_pool"] is True


@pytest.mark.parametrize(
    ("what", "exception"),
    [
        ("no_exists", "OneNoExistsException"),
        ("action", "OneActionException"),
        ("authentication", "OneAuthenticationException"),
    ],
)
def test_errors_arrive_as_its_exceptions(saw: dict[str, Any], what: str, exception: str) -> None:
    assert saw[what] == exception


def test_every_default_object_is_there(saw: dict[str, Any]) -> None:
    assert saw["datastores"] == ["default", "files", "system"]
    assert saw["users"] == ["oneadmin", "serveradmin"]
    assert saw["groups"] == ["oneadmin", "users"]
    assert saw["zone"] == "OpenNebula"
    assert saw["acl_rules"] >= 6


def test_a_network_that_it_adds_has_no_lease_taken(saw: dict[str, Any]) -> None:
    assert saw["leases"] == 0


def test_a_terminated_vm_is_done_and_still_readable(saw: dict[str, Any]) -> None:
    assert saw["done"] == 6


def test_a_document_is_copied(saw: dict[str, Any]) -> None:
    assert saw["document"] == "{}"


def test_documents_and_hooks_are_read_by_who_knows_them(saw: dict[str, Any], pyone_python: Path) -> None:
    # The pyone of 5.12 has no classes for a pool of documents and for hooks.
    known = "pyone-5.12" not in pyone_python.parts
    assert (saw["documents"], saw["hook"]) == ((True, "api") if known else (False, ""))


def test_a_vm_in_a_role_keeps_its_group(saw: dict[str, Any]) -> None:
    assert (saw["role"], saw["group_refusal"]) == ("AFFINED", "OneActionException")


def test_a_network_is_made_of_a_template(saw: dict[str, Any]) -> None:
    assert saw["instance"] == "b0"
