"""Every action on VMs that the published lists name can be moved to another right, by name."""

from typing import Any

import pytest
import yaml
from tests.core.conftest import SHARED
from tests.core.vm_world import ANN, NODE0, Cloud

from merope.model.errors import ApiError, Code
from merope.model.user import User

#: Action → the requests that it covers (method, arguments after the VM's id, or all of them as a tuple).
REQUESTS: dict[str, list[tuple[str, tuple[Any, ...]]]] = {
    "migrate": [
        ("one.vm.migrate", (0, 1, False, False, -1, 0)),
        ("one.vm.migrate", (0, 1, True, False, -1, 0)),
    ],
    "deploy": [("one.vm.deploy", (0, NODE0))],
    "delete": [("one.vm.recover", (0, 3)), ("one.vm.recover", (0, 4))],
    "recover": [("one.vm.recover", (0, 0)), ("one.vm.recover", (0, 1))],
    "retry": [("one.vm.recover", (0, 2))],
    "resched": [("one.vm.action", ("resched", 0)), ("one.vm.action", ("unresched", 0))],
    "undeploy": [("one.vm.action", ("undeploy", 0)), ("one.vm.action", ("undeploy-hard", 0))],
    "hold": [("one.vm.action", ("hold", 0))],
    "release": [("one.vm.action", ("release", 0))],
    "stop": [("one.vm.action", ("stop", 0))],
    "suspend": [("one.vm.action", ("suspend", 0))],
    "resume": [("one.vm.action", ("resume", 0))],
    "reboot": [("one.vm.action", ("reboot", 0)), ("one.vm.action", ("reboot-hard", 0))],
    "poweroff": [("one.vm.action", ("poweroff", 0)), ("one.vm.action", ("poweroff-hard", 0))],
    "terminate": [("one.vm.action", ("terminate", 0)), ("one.vm.action", ("terminate-hard", 0))],
    "disk-attach": [("one.vm.attach", (0, "DISK=[TYPE=fs,SIZE=1]")), ("one.vm.detach", (0, 0))],
    "nic-attach": [("one.vm.attachnic", (0, "NIC=[NETWORK_ID=0]")), ("one.vm.detachnic", (0, 0))],
    "disk-snapshot": [
        ("one.vm.disksnapshotcreate", (0, 0, "s")),
        ("one.vm.disksnapshotdelete", (0, 0, 0)),
        ("one.vm.disksnapshotrevert", (0, 0, 0)),
        ("one.vm.disksnapshotrename", (0, 0, 0, "x")),
    ],
    "disk-resize": [("one.vm.diskresize", (0, 1, "64"))],
    "snapshot": [
        ("one.vm.snapshotcreate", (0, "s")),
        ("one.vm.snapshotrevert", (0, 0)),
        ("one.vm.snapshotdelete", (0, 0)),
    ],
    "updateconf": [("one.vm.updateconf", (0, "INPUT=[TYPE=mouse,BUS=usb]"))],
    "rename": [("one.vm.rename", (0, "other"))],
    "resize": [("one.vm.resize", (0, "CPU=1", False))],
    "update": [("one.vm.update", (0, "A=b", 1))],
    "disk-saveas": [("one.vm.disksaveas", (0, 0, "copy", "", -1))],
}


def test_the_table_has_every_action_of_the_published_lists() -> None:
    spec = SHARED / "spec" / "xmlrpc.yaml"
    if not spec.exists():
        pytest.skip("xmlrpc.yaml of ../shared/spec is not there")
    lists = yaml.safe_load(spec.read_text())["auth"]["vm_action_ops"]
    assert set(REQUESTS) == {name for names in lists.values() for name in names}


def moved(right: str, action: str) -> Cloud:
    """A cloud where the action takes the right, with a running VM that ann may use and manage."""
    cloud = Cloud()
    cloud.vm(who=0)
    cloud.call(0, "one.vm.deploy", 0, NODE0)
    cloud.steps(2)
    cloud.call(0, "one.vm.chmod", 0, *[-1] * 6, 1, 0 if right == "USE" else 1, 0)
    cloud.call(0, "one.user.update", ANN, f"VM_{right}_OPERATIONS={action}", 1)
    assert cloud.get(User, ANN).template.get(f"VM_{right}_OPERATIONS") == action
    return cloud


@pytest.mark.parametrize("action", REQUESTS)
def test_an_action_that_is_moved_to_administrators_is_refused_to_managers(action: str) -> None:
    for name, arguments in REQUESTS[action]:
        error = moved("ADMIN", action).fails(ANN, name, *arguments)
        assert error.code is Code.AUTHORIZATION, name
        assert "Not authorized to perform ADMIN VM [0]" in error.message, name


@pytest.mark.parametrize("action", REQUESTS)
def test_an_action_that_is_moved_to_users_takes_no_more(action: str) -> None:
    for name, arguments in REQUESTS[action]:
        cloud = moved("USE", action)
        try:
            cloud.call(ANN, name, *arguments)
        except ApiError as error:
            assert " VM [0]" not in error.message or error.code is not Code.AUTHORIZATION, name  # noqa: PT017
