"""oneflow-server.conf and onegate-server.conf: 5.12's files are read, what is wrong is said with its line."""

from pathlib import Path
from typing import Any

import pytest

from merope.flow.settings import OPTIONS
from merope.gate.settings import load
from merope.model.yaml_options import OptionsError
from merope.services.settings import plain

#: As 5.12 ships it (seed 000 §1.2.2, spec oned_conf.yaml).
FLOW = """
:one_xmlrpc: http://localhost:2633/RPC2
:subscriber_endpoint: tcp://localhost:2101
:lcm_interval: 30
:autoscaler_interval: 90
:host: 127.0.0.1
:port: 2474
:force_deletion: false
:default_cooldown: 300
:wait_timeout: 30
:concurrency: 10
:shutdown_action: 'terminate'
:action_number: 1
:action_period: 60
:vm_name_template: '$ROLE_NAME_$VM_NUMBER_(service_$SERVICE_ID)'
#:vn_name_template: '$ROLE_NAME(service_$SERVICE_ID)'
:core_auth: cipher
:debug_level: 2
"""
#: Seed 000 §5.2.2.
GATE = """
:one_xmlrpc: http://localhost:2633/RPC2
:host: 127.0.0.1
:port: 5030
#:ssl_server: https://service.endpoint.fqdn:port/
:debug_level: 3
:auth: onegate
:core_auth: cipher
:oneflow_server: http://localhost:2474
:permissions:
  :vm:
    :show: true
    :show_by_id: true
    :update: true
    :update_by_id: false
    :action_by_id: true
  :service:
    :show: true
    :change_cardinality: false
:restricted_attrs:
  - SCHED_REQUIREMENTS
  - service_id
:restricted_actions:
  #- deploy
  - terminate
  - snapshot-create
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "some.conf"
    file.write_text(text)
    return file


def test_the_file_of_5_12_is_read_by_oneflow(tmp_path: Path) -> None:
    found = plain(written(tmp_path, FLOW), OPTIONS)
    assert (found["port"], found["default_cooldown"], found["shutdown_action"]) == (2474, 300, "terminate")
    assert found["vm_name_template"] == "$ROLE_NAME_$VM_NUMBER_(service_$SERVICE_ID)"


def test_the_file_of_5_12_is_read_by_onegate(tmp_path: Path) -> None:
    found = load(written(tmp_path, GATE))
    assert found["forbidden"] == {("vm", "update_by_id"), ("service", "change_cardinality")}
    assert found["restricted_attrs"] == {"SCHED_REQUIREMENTS", "SERVICE_ID"}
    assert found["restricted_actions"] == {"terminate", "snapshot_create"}
    assert (found["host"], found["port"], found["oneflow_server"]) == (
        "127.0.0.1",
        5030,
        "http://localhost:2474",
    )


def test_without_a_file_defaults_stand(tmp_path: Path) -> None:
    assert plain(tmp_path / "none.conf", OPTIONS)["default_cooldown"] == 300
    assert "restricted_attrs" not in load(tmp_path / "none.conf")


def of_flow(path: Path) -> Any:
    return plain(path, OPTIONS)


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (of_flow, ":prot: 2474\n", "some.conf:1: unknown option :prot (did you mean :port:?)"),
        (of_flow, "\n:port: many\n", "some.conf:2: :port must be a whole number from 1 to 65535"),
        (of_flow, ":shutdown_action: kill\n", ":shutdown_action must be one of terminate"),
        (of_flow, ":port: [\n", "this is not YAML"),
        (load, ":permissions:\n  :vm:\n    :shwo: true\n", "some.conf:3: :shwo is none of :show"),
        (load, ":permissions:\n  :vm:\n    :show: perhaps\n", ":show must be true or false"),
        (load, ":permissions:\n  :vms:\n    :show: true\n", ":vms is none of :vm, :service"),
        (load, ":restricted_attrs: SERVICE_ID\n", ":restricted_attrs must be a list of names"),
        (load, ":vm_rate: 0\n", ":vm_rate must be a whole number from 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, read: Any, text: str, says: str) -> None:
    with pytest.raises(OptionsError) as refusal:
        read(written(tmp_path, text))
    assert says in str(refusal.value)
