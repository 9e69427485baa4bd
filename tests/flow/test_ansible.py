"""one_service of community.general, unmodified, against OneFlow: begun, asked for again, scaled, ended."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.flow_cloud import ADMIN, Cloud, cloud_in
from tests.compat import environments

DONE = 5
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    community.general.one_service: {api_url: URL, api_username: oneadmin, api_password: opennebula}
  tasks:
    - community.general.one_service: {template_name: shop, service_name: mine, wait: true}
      register: begun
    - community.general.one_service: {template_name: shop, service_name: mine, unique: true}
      register: again
    - community.general.one_service: {service_name: mine, mode: 640}
      register: opened
    - community.general.one_service: {service_name: mine, role: web, cardinality: 2, force: true, wait: true}
      register: scaled
    - community.general.one_service: {service_name: mine, state: absent}
      register: ended
    - copy:
        dest: '{{ answers }}'
        content: '{{ {"begun": begun, "again": again, "opened": opened, "scaled": scaled, "ended": ended} }}'
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_in(tmp_path_factory.mktemp("ansible") / "home", ":default_cooldown: 0\n") as made:
        yield made


def test_the_module_of_ansible_drives_services(cloud: Cloud, tmp_path: Path) -> None:
    python = environments.ansible()
    roles = [{"name": "web", "vm_template": 0}]
    assert cloud.flow("POST", "/service_template", {"name": "shop", "roles": roles}, ADMIN)[0] == 201
    playbook, told = tmp_path / "services.yml", tmp_path / "answers.json"
    playbook.write_text(PLAYBOOK.replace("URL", cloud.flow_url))
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(python.parents[1] / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
    }
    command = [str(python.with_name("ansible-playbook")), "-e", f"answers={told}", str(playbook)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(told.read_text())
    assert {task: answer["changed"] for task, answer in found.items()} == {
        "begun": True, "again": False, "opened": True, "scaled": True, "ended": True,
    }  # fmt: skip
    assert (found["begun"]["service_name"], found["begun"]["state"]) == ("mine", "RUNNING")
    assert [role["name"] for role in found["begun"]["roles"]] == ["web"]
    assert found["opened"]["mode"] == 640
    oid = int(found["begun"]["service_id"])
    assert cloud.service(oid)["roles"][0]["cardinality"] == 2
    assert cloud.until_state(oid, DONE)["state"] == DONE
