"""OneFlow as a process beside a core on simulated drivers: the REST interface of 5.12."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from bench.flow_cloud import ADMIN, Cloud, ask, cloud_in, until

from merope.daemon import control
from merope.daemon.layout import Layout

RUNNING, WARNING, DONE, COOLDOWN = 2, 4, 5, 10


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_in(tmp_path_factory.mktemp("flow") / "home", ":default_cooldown: 0\n") as made:
        with made.client() as client:
            client.number("one.user.allocate", "ann", "secret", "core", [1])
            client.call("one.template.chmod", 0, -1, -1, -1, -1, -1, -1, 1, -1, -1)
        yield made


def template(**more: Any) -> dict[str, Any]:
    roles = [{"name": "web", "vm_template": 0}, {"name": "db", "vm_template": 0, "parents": ["web"]}]
    return {"name": "shop", "deployment": "straight", "roles": roles, **more}


def create(cloud: Cloud, auth: str = ADMIN, **more: Any) -> int:
    status, made = cloud.flow("POST", "/service_template", template(**more), auth)
    assert status == 201
    return int(made["DOCUMENT"]["ID"])


def act(cloud: Cloud, path: str, perform: str, auth: str = ADMIN, **params: Any) -> tuple[int, Any]:
    return cloud.flow("POST", f"{path}/action", {"action": {"perform": perform, "params": params}}, auth)


def instantiate(cloud: Cloud, auth: str = ADMIN, **more: Any) -> int:
    status, made = act(cloud, f"/service_template/{create(cloud, auth, **more)}", "instantiate", auth)
    assert status == 201
    return int(made["DOCUMENT"]["ID"])


def vms(cloud: Cloud, service: int) -> list[int]:
    return [node["deploy_id"] for role in cloud.service(service)["roles"] for node in role["nodes"]]


def test_a_service_lives_and_ends(cloud: Cloud) -> None:
    oid = instantiate(cloud)
    body = cloud.until_state(oid, RUNNING)
    assert [role["state"] for role in body["roles"]] == [RUNNING, RUNNING]
    assert cloud.flow("POST", f"/service/{oid}/scale", {"role_name": "db", "cardinality": 2}) == (204, "")
    until(lambda: len(vms(cloud, oid)) == 3 and cloud.service(oid)["state"] == RUNNING)
    assert cloud.flow("DELETE", f"/service/{oid}") == (204, "")
    cloud.until_state(oid, DONE)
    assert cloud.flow("DELETE", f"/service/{oid}") == (204, "")
    assert cloud.flow("GET", f"/service/{oid}")[0] == 404


def test_documents_have_the_form_of_5_12(cloud: Cloud) -> None:
    oid = create(cloud, description="ours")
    document = cloud.flow("GET", f"/service_template/{oid}")[1]["DOCUMENT"]
    assert list(document) == ["ID", "UID", "GID", "UNAME", "GNAME", "NAME", "TYPE", "PERMISSIONS", "TEMPLATE"]
    assert (document["TYPE"], document["NAME"], document["PERMISSIONS"]["OWNER_U"]) == ("101", "shop", "1")
    assert document["TEMPLATE"]["BODY"]["description"] == "ours"
    pool = cloud.flow("GET", "/service_template")[1]["DOCUMENT_POOL"]["DOCUMENT"]
    assert document in pool


def test_a_template_is_replaced_merged_renamed_cloned_and_deleted(cloud: Cloud) -> None:
    oid = create(cloud)
    path = f"/service_template/{oid}"
    assert cloud.flow("PUT", path, template(description="new"))[0] == 200
    assert act(cloud, path, "update", append=True, template_json='{"ready_status_gate": true}')[0] == 200
    assert act(cloud, path, "rename", name="other")[0] == 201
    status, made = act(cloud, path, "clone", name="twin", recursive="templates")
    assert status == 201
    body = made["DOCUMENT"]["TEMPLATE"]["BODY"]
    assert (body["name"], body["description"], body["ready_status_gate"]) == ("twin", "new", True)
    assert body["roles"][0]["vm_template"] != 0
    assert cloud.flow("DELETE", path) == (204, "")
    assert cloud.flow("GET", path)[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/service/999", None, 404, "document [999]"),
        ("GET", "/service/abc", None, 404, "'abc' is no id"),
        ("GET", "/nothing", None, 404, "Not Found"),
        ("POST", "/service_template", {"name": "x"}, 400, "template: roles is missing"),
        ("POST", "/service_template", {"name": "x" * 2_000_000}, 413, "Request Entity Too Large"),
        ("POST", "/service/999/action", {}, 404, "document [999]"),
    ],
)
def test_what_cannot_be_done_is_refused(
    cloud: Cloud, method: str, path: str, body: Any, status: int, says: str
) -> None:
    answer, refusal = cloud.flow(method, path, body)
    assert answer == status
    assert says in refusal["error"]["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "role_name is missing"),
        ({"role_name": "web", "cardinality": "many"}, "cardinality must be a whole number"),
        ({"role_name": "no", "cardinality": 1}, "has no role 'no'"),
        ([], "must be a JSON object"),
    ],
)
def test_a_scaling_that_is_none_is_refused(cloud: Cloud, body: Any, says: str) -> None:
    oid = instantiate(cloud)
    cloud.until_state(oid, RUNNING)
    status, refusal = cloud.flow("POST", f"/service/{oid}/scale", body)
    assert status == 400
    assert says in refusal["error"]["message"]


def test_without_a_user_nothing_is_shown(cloud: Cloud) -> None:
    assert cloud.flow("GET", "/service", auth="")[0] == 401
    assert cloud.flow("GET", "/service", auth="oneadmin:wrong")[0] == 401


def test_others_neither_see_nor_change_a_service(cloud: Cloud) -> None:
    oid = instantiate(cloud)
    ann = "ann:secret"
    assert cloud.flow("GET", f"/service/{oid}", auth=ann)[0] == 403
    assert cloud.flow("DELETE", f"/service/{oid}", auth=ann)[0] == 403
    assert cloud.flow("POST", f"/service/{oid}/scale", {"role_name": "web", "cardinality": 9}, ann)[0] == 403
    assert act(cloud, f"/service/{oid}", "recover", ann, delete=True)[0] == 403
    assert str(oid) not in [
        d["ID"] for d in cloud.flow("GET", "/service", auth=ann)[1]["DOCUMENT_POOL"]["DOCUMENT"]
    ]
    act(cloud, f"/service/{oid}", "chmod", octet="604")
    assert cloud.flow("GET", f"/service/{oid}", auth=ann)[0] == 200
    assert cloud.flow("DELETE", f"/service/{oid}", auth=ann)[0] == 403


def test_vms_belong_to_who_owns_the_service_and_go_with_it(cloud: Cloud) -> None:
    oid = instantiate(cloud, "ann:secret")
    cloud.until_state(oid, RUNNING)
    with cloud.client() as client:
        assert {client.info("vm", vm).findtext("UNAME") for vm in vms(cloud, oid)} == {"ann"}
        assert act(cloud, f"/service/{oid}", "chown", owner_id="0", group_id="0")[0] == 204
        assert {client.info("vm", vm).findtext("UNAME") for vm in vms(cloud, oid)} == {"oneadmin"}
    assert cloud.flow("DELETE", f"/service/{oid}") == (204, "")
    cloud.until_state(oid, DONE)


def test_a_vm_that_is_switched_off_is_noticed(cloud: Cloud) -> None:
    oid = instantiate(cloud)
    cloud.until_state(oid, RUNNING)
    with cloud.client() as client:
        client.call("one.vm.action", "poweroff-hard", vms(cloud, oid)[0])
    cloud.until_state(oid, WARNING)
    assert act(cloud, f"/service/{oid}", "recover")[0] == 204
    cloud.until_state(oid, RUNNING)


def test_an_action_on_a_role_is_planned_for_its_vms_in_groups(cloud: Cloud) -> None:
    roles = [{"name": "web", "vm_template": 0, "cardinality": 3}]
    oid = instantiate(cloud, roles=roles)
    cloud.until_state(oid, RUNNING)
    status, _ = act(cloud, f"/service/{oid}/role/web", "snapshot-create", period=600, number=2, args="before")
    assert status == 201
    with cloud.client() as client:
        found = [client.info("vm", vm).find("USER_TEMPLATE/SCHED_ACTION") for vm in vms(cloud, oid)]
    actions = [action for action in found if action is not None]
    times = [int(action.findtext("TIME", "0")) for action in actions]
    assert [action.findtext("ARGS") for action in actions] == ["before"] * 3
    assert [time - times[0] for time in times] == [0, 0, 600]


def test_a_service_is_purged_whatever_state_it_is_in(cloud: Cloud) -> None:
    oid = instantiate(cloud)
    assert act(cloud, f"/service/{oid}", "recover", delete=True)[0] == 204
    until(lambda: cloud.flow("GET", f"/service/{oid}")[0] == 404)


def test_metrics_and_health_are_there_without_a_login(cloud: Cloud) -> None:
    assert ask("GET", f"{cloud.flow_url}/health") == (200, "OK\n")
    status, text = ask("GET", f"{cloud.flow_url}/metrics")
    assert status == 200
    assert "merope_oneflow_up 1" in text


def test_a_server_that_is_killed_goes_on_and_the_log_has_no_secret(cloud: Cloud) -> None:
    layout = Layout.at(cloud.home)

    def pid() -> int:
        rows = control.ask(layout, "status")["services"]
        return int(next(row["pid"] or 0 for row in rows if row["name"] == "oneflow"))

    before = pid()
    oid = instantiate(cloud)
    os.kill(before, signal.SIGKILL)
    until(lambda: pid() not in (0, before))
    until(lambda: ask_health(cloud))
    cloud.until_state(oid, RUNNING)
    assert len(vms(cloud, oid)) == 2
    log = layout.log("oneflow").read_text()
    assert "opennebula" not in log
    assert (cloud.home / ".one" / "oneflow_auth").read_text().strip().partition(":")[2] not in log


def ask_health(cloud: Cloud) -> bool:
    try:
        return ask("GET", f"{cloud.flow_url}/health")[0] == 200
    except OSError:
        return False


def test_after_the_core_was_killed_services_go_on(cloud: Cloud) -> None:
    oid = instantiate(cloud)
    cloud.until_state(oid, RUNNING)
    rows = control.ask(Layout.at(cloud.home), "status")["services"]
    os.kill(next(row["pid"] for row in rows if row["name"] == "core"), signal.SIGKILL)
    until(lambda: not ask_health(cloud))
    until(lambda: ask_health(cloud))
    assert cloud.flow("POST", f"/service/{oid}/scale", {"role_name": "db", "cardinality": 3}) == (204, "")
    until(lambda: len(vms(cloud, oid)) == 4 and cloud.service(oid)["state"] == RUNNING)


def test_a_guest_that_is_ready_is_heard_whenever_it_says_so(cloud: Cloud) -> None:
    """Before OneFlow listens for it, and after."""
    oid = instantiate(cloud, ready_status_gate=True)
    ready: set[int] = set()
    with cloud.client() as client:

        def all_said_so() -> bool:
            for vm in set(vms(cloud, oid)) - ready:
                client.call("one.vm.update", vm, "READY=YES", 1)
                ready.add(vm)
            return bool(cloud.service(oid)["state"] == RUNNING)

        until(all_said_so)
    assert len(ready) == 2
