"""`oneflow` and `oneflow-template`: every sub-command, on a cloud that runs OneFlow."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench.flow_cloud import ADMIN, Cloud, cloud_in, until
from tests.cli.recorded import Outcome, Screen

from merope.cli.main import load_tool, run
from merope.client import Client

SHOP = {
    "name": "shop",
    "deployment": "straight",
    "custom_attrs": {"TITLE": "O|text|title"},
    "roles": [
        {
            "name": "web",
            "vm_template": 0,
            "min_vms": 1,
            "max_vms": 3,
            "elasticity_policies": [
                {"expression": "LOAD > 50", "type": "CHANGE", "adjust": 1, "period": 3600}
            ],
            "scheduled_policies": [{"recurrence": "0 22 * * *", "type": "CARDINALITY", "adjust": 1}],
        },
        {"name": "db", "vm_template": 0, "parents": ["web"]},
    ],
}

Do = Callable[..., Outcome]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_in(tmp_path_factory.mktemp("commands") / "home", ":default_cooldown: 0\n") as made:
        with made.client() as client:
            client.number("one.user.allocate", "ann", "secret", "core", [1])
        yield made


@pytest.fixture
def do(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Do:
    monkeypatch.setenv("ONEFLOW_URL", cloud.flow_url)

    def run_line(line: str, stdin: str = "") -> Outcome:
        screen = Screen(stdin, width=160)
        tool, *words = line.split()
        code = run(tool, words, screen, lambda _: Client(cloud.endpoint, ADMIN))
        assert isinstance(screen.out, io.StringIO)
        assert isinstance(screen.err, io.StringIO)
        return Outcome(code, screen.out.getvalue(), screen.err.getvalue())

    return run_line


def ok(outcome: Outcome, pattern: str = "") -> str:
    assert outcome.code == 0, outcome.err
    assert re.search(pattern, outcome.out, re.MULTILINE), outcome.out
    return outcome.out


def begin(cloud: Cloud, do: Do, name: str) -> int:
    ok(do("oneflow-template create -", json.dumps({**SHOP, "name": name})), r"^ID: \d+$")
    oid = int(ok(do(f"oneflow-template instantiate {name} -", json.dumps({"name": f"{name}-1"})))[4:])
    cloud.until_state(oid, 2)
    return oid


def test_templates_are_made_shown_and_changed(do: Do, tmp_path: Path) -> None:
    ok(do("oneflow-template create -", json.dumps(SHOP)), r"^ID: \d+$")
    ok(do("oneflow-template list"), r"^ +\d+ +oneadmin +oneadmin +shop")
    ok(do("oneflow-template show shop"), r'SERVICE TEMPLATE \d+ INFORMATION(.|\n)*"deployment": "straight"')
    shown = json.loads(ok(do("oneflow-template show shop --json")))
    assert shown["DOCUMENT"]["TEMPLATE"]["BODY"]["name"] == "shop"
    ok(do("oneflow-template show shop --yaml"), "deployment: straight")
    ok(do("oneflow-template update shop - --append", '{"description": "ours"}'))
    ok(do("oneflow-template show shop"), '"description": "ours"')
    file = tmp_path / "shop.json"
    file.write_text(json.dumps({**SHOP, "description": "new"}))
    ok(do(f"oneflow-template update shop {file}"))
    ok(do("oneflow-template show shop"), '"description": "new"')
    ok(do("oneflow-template clone shop twin --recursive-templates"), r"^ID: \d+$")
    ok(do("oneflow-template rename twin double"))
    ok(do("oneflow-template chmod double 604"))
    ok(do("oneflow-template show double"), "OTHER +: u--")
    ok(do("oneflow-template chown double ann users"))
    ok(do("oneflow-template chgrp double oneadmin"))
    ok(do("oneflow-template list"), r"ann +oneadmin +double")
    ok(do("oneflow-template delete double"))
    assert "named double not found" in do("oneflow-template show double").err


def test_a_template_that_is_wrong_is_refused_with_the_path(do: Do) -> None:
    refused = do("oneflow-template create -", '{"name": "x", "roles": [{"name": "a", "vm_template": -1}]}')
    assert refused.code == 255
    assert "roles[0].vm_template: -1 must be 0 or more" in refused.err
    assert "- is not JSON" in do("oneflow-template create -", "no").err


def test_services_are_begun_shown_scaled_and_ended(cloud: Cloud, do: Do) -> None:
    oid = begin(cloud, do, "store")
    ok(do("oneflow list"), rf"^ +{oid} +oneadmin +oneadmin +store-1 +RUNNING$")
    page = ok(do("oneflow show store-1"), rf"^SERVICE {oid} INFORMATION")
    for pattern in (
        "STRATEGY +: straight",
        "SERVICE STATE +: RUNNING",
        "ROLE web",
        rf"web_0_\(service_{oid}\) +runn",
        r"\+ 1 +LOAD(\[--\])? > 50 +0 / 1 +3600s",
        r"= 1 +0 22 \* \* \*",
        r"\[I\] New state: RUNNING",
    ):
        assert re.search(pattern, page), (pattern, page)
    ok(do("oneflow scale store-1 db 2"))
    until(lambda: cloud.service(oid)["state"] == 2 and len(cloud.service(oid)["roles"][1]["nodes"]) == 2)
    assert "at most 3 VMs" in do("oneflow scale store-1 web 4").err
    ok(do("oneflow scale store-1 web 4 --force"))
    until(lambda: cloud.service(oid)["state"] == 2)
    ok(do("oneflow action store-1 db reboot --period 60 --number 1"))
    ok(do("oneflow service-action store-1 snapshot-create --args before"))
    ok(do("oneflow chmod store-1 640"))
    ok(do("oneflow rename store-1 shut"))
    ok(do("oneflow chown shut ann users"))
    ok(do("oneflow chgrp shut oneadmin"))
    ok(do("oneflow list"), r"ann +oneadmin +shut +RUNNING")
    assert "nothing to recover from" in do("oneflow recover shut").err
    ok(do("oneflow delete shut"))
    cloud.until_state(oid, 5)
    assert "shut" not in ok(do("oneflow list"))
    ok(do("oneflow list --done"), "shut +DONE")
    ok(do(f"oneflow recover {oid} --delete"))


def test_a_service_says_why_it_waits(cloud: Cloud, do: Do) -> None:
    roles = [{"name": "web", "vm_template": 99}]
    ok(do("oneflow-template create -", json.dumps({"name": "bad", "roles": roles})))
    oid = int(ok(do("oneflow-template instantiate bad"))[4:])
    cloud.until_state(oid, 7)
    page = ok(do(f"oneflow show {oid}"), "ROLE STATE +: FAILED_DEPLOYING")
    assert re.search(r"WHY +: VM 0: .*\[99\]", page)
    ok(do(f"oneflow recover {oid} --delete"))


def test_without_a_server_the_command_says_where_it_looked(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFLOW_URL", "http://127.0.0.1:1")
    refused = do("oneflow delete 3")
    assert refused.code == 255
    assert "http://127.0.0.1:1: cannot connect" in refused.err


def test_every_sub_command_is_tried_here() -> None:
    text = Path(__file__).read_text()
    declared = {
        f"{tool} {c.name}" for tool in ("oneflow", "oneflow-template") for c in load_tool(tool).commands
    }
    assert {name for name in declared if name not in text} <= {"oneflow top", "oneflow-template top"}
