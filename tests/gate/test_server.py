"""OneGate as a process beside a core on simulated drivers, asked by guests with tokens of their own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bench.flow_cloud import Cloud, ask, cloud_in, until

from merope.model.onegate_token import onegate_token

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "guest" / "onegate"
SHELL_CLIENT = ROOT / "guest" / "root" / "sbin" / "onegate"
CONF = """
:vm_rate: 20
:vm_burst: 40
:max_body: 4096
:restricted_actions:
  - recover
"""
RUNNING = 2


@dataclass(frozen=True)
class Guest:
    cloud: Cloud
    vm: int
    token: str

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, Any]:
        own = {"X-ONEGATE-VMID": str(self.vm), "X-ONEGATE-TOKEN": self.token}
        data = None if body is None else body.encode()
        return ask(method, self.cloud.gate_url + path, data, {**own, **headers})

    @property
    def user_template(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/vm")[1]["VM"]["USER_TEMPLATE"]
        return found

    @property
    def environment(self) -> dict[str, str]:
        own = {"ONEGATE_ENDPOINT": self.cloud.gate_url, "VMID": str(self.vm), "TOKENTXT": self.token}
        return {**os.environ, **own}


def guest(cloud: Cloud, vm: int) -> Guest:
    """What its CONTEXT disk has: the token is made as 5.12 makes it."""
    with cloud.client() as client:
        document = client.info("vm", vm)
        user = client.info("user", int(document.findtext("TEMPLATE/CREATED_BY", "-1")))
    password = user.findtext("TEMPLATE/TOKEN_PASSWORD", "")
    return Guest(cloud, vm, onegate_token(vm, int(document.findtext("STIME", "0")), password))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    flow_conf = ":default_cooldown: 0\n"
    with cloud_in(tmp_path_factory.mktemp("gate") / "home", flow_conf, CONF) as made:
        yield made


@pytest.fixture(scope="module")
def service(cloud: Cloud) -> tuple[int, list[Guest]]:
    roles = [{"name": "web", "vm_template": 0, "cardinality": 2, "max_vms": 3}]
    template = {"name": "shop", "roles": roles}
    made = cloud.flow("POST", "/service_template", template)[1]["DOCUMENT"]["ID"]
    action = {"action": {"perform": "instantiate"}}
    oid = int(cloud.flow("POST", f"/service_template/{made}/action", action)[1]["DOCUMENT"]["ID"])
    body = cloud.until_state(oid, RUNNING)
    return oid, [guest(cloud, node["deploy_id"]) for node in body["roles"][0]["nodes"]]


@pytest.fixture(scope="module")
def alone(cloud: Cloud) -> Guest:
    """A VM of no service."""
    with cloud.client() as client:
        return guest(cloud, client.number("one.template.instantiate", 0, "alone", False, "", False))


Service = tuple[int, list[Guest]]


def test_a_guest_sees_its_own_vm(service: Service) -> None:
    oid, (first, _) = service
    status, seen = first.ask("GET", "/vm")
    assert status == 200
    assert set(seen["VM"]) == {"NAME", "ID", "STATE", "LCM_STATE", "USER_TEMPLATE", "TEMPLATE"}
    assert (seen["VM"]["STATE"], seen["VM"]["LCM_STATE"]) == ("3", "3")
    assert seen["VM"]["USER_TEMPLATE"] == {"ROLE_NAME": "web", "SERVICE_ID": str(oid)}
    assert seen["VM"]["TEMPLATE"] == {"NIC": []}


def test_attributes_are_set_and_erased(alone: Guest) -> None:
    assert alone.ask("PUT", "/vm", "APP_LOAD = 9.7\nREADY=YES")[0] == 200
    assert alone.user_template == {"APP_LOAD": "9.7", "READY": "YES"}
    assert alone.ask("PUT", "/vm?type=2", "APP_LOAD")[0] == 200
    assert alone.user_template == {"READY": "YES"}
    alone.ask("PUT", "/vm", 'A="1"\nB="2"')
    assert alone.ask("PUT", "/vm?type=2&data=A,B,READY", "")[0] == 200
    assert alone.user_template == {}


def test_fellows_of_a_service_see_and_change_each_other(service: Service) -> None:
    _, (first, second) = service
    assert first.ask("PUT", f"/vms/{second.vm}", "ACTIVE=YES")[0] == 200
    assert first.ask("GET", f"/vms/{second.vm}")[1]["VM"]["USER_TEMPLATE"]["ACTIVE"] == "YES"
    assert first.ask("PUT", f"/vms/{second.vm}?type=2", "ACTIVE")[0] == 200
    assert "ACTIVE" not in second.user_template


def test_a_guest_sees_its_service(service: Service) -> None:
    oid, (first, second) = service
    seen = first.ask("GET", "/service")[1]["SERVICE"]
    assert (seen["id"], seen["name"], seen["state"]) == (str(oid), "shop", RUNNING)
    (role,) = seen["roles"]
    assert (role["name"], role["cardinality"], role["state"]) == ("web", 2, RUNNING)
    assert [node["deploy_id"] for node in role["nodes"]] == [first.vm, second.vm]
    assert [node["running"] for node in role["nodes"]] == [True, True]
    assert role["nodes"][0]["vm_info"]["VM"]["ID"] == str(first.vm)


def test_links_are_told(service: Service) -> None:
    _, (first, _) = service
    url = first.cloud.gate_url
    assert first.ask("GET", "/")[1] == {"vm_info": f"{url}/vm", "service_info": f"{url}/service"}


def test_an_action_is_done_to_a_fellow(service: Service) -> None:
    _, (first, second) = service
    for perform, params, state in (("poweroff", {"hard": True}, "8"), ("resume", {}, "3")):
        action = json.dumps({"action": {"perform": perform, "params": params}})
        assert first.ask("POST", f"/vms/{second.vm}/action", action)[0] == 204
        until(lambda state=state: second.ask("GET", "/vm")[1]["VM"]["STATE"] == state)  # type: ignore[misc]
    until(lambda: second.ask("GET", "/vm")[1]["VM"]["LCM_STATE"] == "3")


def test_a_guest_scales_its_service(service: Service) -> None:
    oid, (first, _) = service
    cloud = first.cloud
    assert first.ask("PUT", "/service/role/web", '{"cardinality": 3}')[0] == 200
    until(
        lambda: len(cloud.service(oid)["roles"][0]["nodes"]) == 3 and cloud.service(oid)["state"] == RUNNING
    )
    status, refusal = first.ask("PUT", "/service/role/web", "cardinality = 4")
    assert (status, "at most 3 VMs" in refusal["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("PUT", "/vm", "SERVICE_ID=7", 403, "SERVICE_ID cannot be changed"),
        ("PUT", "/vm", "<T><ROLE_NAME>x</ROLE_NAME></T>", 403, "ROLE_NAME cannot be changed"),
        ("PUT", "/vm", "sched_requirements=x", 403, "SCHED_REQUIREMENTS cannot be changed"),
        ("PUT", "/vm?type=2", "SERVICE_ID", 403, "SERVICE_ID cannot be changed"),
        ("PUT", "/vm?type=2", "service_id", 403, "SERVICE_ID cannot be changed"),
        ("PUT", "/vm", "SCHED_ACTION=[ACTION=recover]", 403, "SCHED_ACTION cannot be changed"),
        ("PUT", "/vm", "no template", 400, "is no list of NAME = value"),
        ("PUT", "/vm", "", 400, "has no attribute"),
        ("PUT", "/vm", "A=" + "x" * 5000, 413, "Too Large"),
        ("POST", "/vms/{fellow}/action", "{", 400, "is not JSON"),
        ("POST", "/vms/{fellow}/action", "[]", 400, "must be a JSON object"),
        ("POST", "/vms/{fellow}/action", '{"action": {"perform": "format"}}', 400, "'format' is none of"),
        ("POST", "/vms/{fellow}/action", '{"action": {"perform": "recover"}}', 403, "recover is restricted"),
        ("GET", "/vms/{alone}", None, 403, "is not of the service"),
        ("PUT", "/vms/{alone}", "A=1", 403, "is not of the service"),
        ("GET", "/vms/99999", None, 404, "99999"),
        ("GET", "/vms/x", None, 404, "is no id"),
        ("PUT", "/service/role/no", '{"cardinality": 1}', 400, "has no role 'no'"),
        ("PUT", "/service/role/web", '{"size": 1}', 400, "must be"),
        ("GET", "/vrouter", None, 400, "is of no virtual router"),
        ("DELETE", "/vm", None, 405, "Method Not Allowed"),
    ],
)
def test_what_a_guest_may_not_is_refused(
    service: Service, alone: Guest, method: str, path: str, body: str | None, status: int, says: str
) -> None:
    _, (first, second) = service
    answer, refusal = first.ask(method, path.format(fellow=second.vm, alone=alone.vm), body)
    assert (answer, says in refusal["error"]["message"]) == (status, True), refusal


def test_a_guest_of_no_service_has_none_and_no_fellows(service: Service, alone: Guest) -> None:
    _, (first, _) = service
    assert alone.ask("GET", "/service")[0] == 400
    assert alone.ask("PUT", "/service/role/web", '{"cardinality": 1}')[0] == 400
    assert alone.ask("GET", f"/vms/{first.vm}")[0] == 403


@pytest.mark.parametrize(
    "headers", [{}, {"X-ONEGATE-VMID": "0"}, {"X-ONEGATE-TOKEN": "x"}, {"X-ONEGATE-VMID": "a"}]
)
def test_without_a_token_nothing_is_shown(cloud: Cloud, headers: dict[str, str]) -> None:
    assert ask("GET", f"{cloud.gate_url}/vm", None, headers)[0] == 401


def test_wrong_tokens_and_those_of_others_open_nothing(service: Service, alone: Guest) -> None:
    cloud = alone.cloud
    _, (first, second) = service
    for vm, token in (
        (first.vm, second.token),
        (first.vm, "x" * 24),
        (99999, first.token),
        (first.vm, first.token[:-4]),
    ):
        assert Guest(cloud, vm, token).ask("GET", "/vm")[0] == 401


def test_a_token_is_old_when_the_password_is_another(cloud: Cloud) -> None:
    with cloud.client() as client:
        client.number("one.user.allocate", "eve", "secret", "core", [0])
        with cloud.client("eve:secret") as eve:
            vm = eve.number("one.template.instantiate", 0, "eve", False, "", False)
        mine = guest(cloud, vm)
        assert mine.ask("GET", "/vm")[0] == 200
        client.call("one.user.update", 2, f'TOKEN_PASSWORD="{"b" * 64}"', 1)
        until(lambda: mine.ask("GET", "/vm")[0] == 401)
        assert guest(cloud, vm).ask("GET", "/vm")[0] == 200


def test_a_guest_that_is_gone_is_let_in_no_more(cloud: Cloud) -> None:
    with cloud.client() as client:
        vm = client.number("one.template.instantiate", 0, "short", False, "", False)
        gone = guest(cloud, vm)
        assert gone.ask("GET", "/vm")[0] == 200
        client.call("one.vm.recover", vm, 3)
        until(lambda: gone.ask("GET", "/vm")[0] == 401)


def test_who_asks_too_often_waits_and_others_do_not(cloud: Cloud, alone: Guest) -> None:
    with cloud.client() as client:
        busy = guest(cloud, client.number("one.template.instantiate", 0, "busy", False, "", False))
    assert 429 in {busy.ask("GET", "/vm")[0] for _ in range(200)}
    assert alone.ask("GET", "/vm")[0] == 200


def test_two_hundred_guests_at_once_are_all_served(cloud: Cloud) -> None:
    with cloud.client() as client:
        ids = [client.number("one.template.instantiate", 0, f"many-{n}", True, "", False) for n in range(200)]
    guests = [guest(cloud, vm) for vm in ids]
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda g: g.ask("PUT", "/vm", f"N={g.vm}")[0], guests))
    assert statuses == [200] * 200
    assert [g.user_template["N"] for g in guests[::20]] == [str(vm) for vm in ids[::20]]


def test_the_log_has_no_token(cloud: Cloud, alone: Guest) -> None:
    alone.ask("GET", "/nothing")
    log = (cloud.home / "onegate.log").read_text()
    assert "/nothing" in log
    assert alone.token not in log


def test_health_and_metrics_are_there(cloud: Cloud) -> None:
    assert ask("GET", f"{cloud.gate_url}/health") == (200, "OK\n")
    assert "merope_onegate_requests_total" in ask("GET", f"{cloud.gate_url}/metrics")[1]


def run(command: list[str], asks: Guest) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=asks.environment, capture_output=True, text=True, timeout=30)


def test_the_client_of_guests_shows_and_changes(service: Service) -> None:
    _, (first, second) = service
    client = [sys.executable, str(CLIENT)]
    done = run([*client, "vm", "show"], first)
    assert done.returncode == 0, done.stderr
    assert f"VM {first.vm}\nNAME                : web_0_" in done.stdout
    assert "STATE               : RUNNING" in done.stdout
    assert run([*client, "vm", "update", str(second.vm), "--data", "ROLE_OF=leader"], first).returncode == 0
    shown = json.loads(run([*client, "vm", "show", str(second.vm), "--json"], first).stdout)
    assert shown["VM"]["USER_TEMPLATE"]["ROLE_OF"] == "leader"
    assert run([*client, "vm", "update", str(second.vm), "--erase", "ROLE_OF"], first).returncode == 0
    assert "ROLE web" in run([*client, "service", "show"], first).stdout
    refused = run([*client, "service", "scale", "--role", "web", "--cardinality", "9"], first)
    assert refused.returncode == 1
    assert "at most 3 VMs" in refused.stderr


def test_the_client_finds_its_token_on_the_context_disk(alone: Guest, tmp_path: Path) -> None:
    (tmp_path / "context.sh").write_text(f"ONEGATE_ENDPOINT='{alone.cloud.gate_url}'\nVMID='{alone.vm}'\n")
    (tmp_path / "token.txt").write_text(alone.token)
    script = CLIENT.read_text().replace("/mnt/context", str(tmp_path))
    bare = {name: value for name, value in os.environ.items() if name not in ("VMID", "TOKENTXT")}
    done = subprocess.run(
        [sys.executable, "-c", script, "vm", "show"], env=bare, capture_output=True, text=True, timeout=30
    )
    assert f"VM {alone.vm}" in done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox, the guest's shell, is not installed")
def test_the_shell_client_reports_that_a_guest_is_ready(alone: Guest, tmp_path: Path) -> None:
    token = tmp_path / "token.txt"
    token.write_text(alone.token)
    for applet in ("sh", "nc", "sed", "cat", "printf", "mktemp", "rm", "usleep"):
        (tmp_path / applet).symlink_to(str(shutil.which("busybox")))
    environment = {**alone.environment, "TOKENTXT": str(token), "PATH": str(tmp_path)}

    def shell(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [str(tmp_path / "sh"), str(SHELL_CLIENT), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    done = shell("vm", "update", "--data", "READY=YES")
    assert done.returncode == 0, done.stderr
    assert alone.user_template["READY"] == "YES"
    assert json.loads(shell("vm", "show").stdout)["VM"]["ID"] == str(alone.vm)
    assert shell("vm", "update", "--erase", "READY").returncode == 0
    assert "refused (403)" in shell("vm", "update", "--data", "SERVICE_ID=1").stderr
