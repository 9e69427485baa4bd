"""What is refused, with which code and in which words, on a whole cloud."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.compat.api import Api, Refusal
from tests.compat.conftest import Sandbox
from tests.compat.refusals import ANN, BOB, CAROL, NETWORK, NO_EXISTS, NOBODY, ROWS, SMALL, Row

from merope.model.errors import Code

VM_STATES = ("HOLD", "PENDING", "RUNNING", "POWEROFF", "SUSPENDED", "STOPPED", "UNDEPLOYED", "DONE")


@dataclass(frozen=True)
class World:
    """`vms` are one of each stable state; `who` has a session of each user."""

    one: Api
    who: dict[str, Api]
    vms: dict[str, int]


@pytest.fixture(scope="module")
def world(sandbox: Sandbox) -> Iterator[World]:
    one = Api(sandbox.endpoint)
    for uid, name in ((ANN, "ann"), (BOB, "bob"), (CAROL, "carol")):
        assert one("one.user.allocate", name, "secret", "", [1]) == uid
    who = {"oneadmin": one} | {name: one.as_user(name) for name in ("ann", "bob", "carol")}
    _furnish(one, who["ann"], who["bob"])
    yield World(one, who, {state: _stand(one, state) for state in VM_STATES})
    for session in who.values():
        session.close()


def _furnish(one: Api, ann: Api, bob: Api) -> None:
    assert one("one.group.allocate", "web") == 100
    for host in (0, 1):
        assert one("one.host.allocate", f"node{host}", "dummy", "dummy", -1) == host
    assert one("one.host.allocate", "gone", "dummy", "dummy", -1) == 2
    one("one.host.status", 2, 2)
    assert one("one.cluster.allocate", "edge") == 100
    assert one("one.vn.allocate", NETWORK, -1) == 0
    assert one("one.secgroup.allocate", 'NAME="web"') == 100
    assert one("one.vdc.allocate", 'NAME="lab"') == 100
    assert ann("one.image.allocate", 'NAME="disk"\nTYPE="DATABLOCK"\nSIZE="10"', 1) == 0
    assert bob("one.image.allocate", 'NAME="disk"\nTYPE="DATABLOCK"\nSIZE="10"', 1) == 1
    assert ann("one.image.allocate", 'NAME="other"\nTYPE="DATABLOCK"\nSIZE="10"', 1) == 2
    assert ann("one.template.allocate", f'NAME="web"\n{SMALL}') == 0
    assert ann("one.template.allocate", f'NAME="db"\n{SMALL}') == 1
    assert one("one.image.allocate", 'NAME="locked"\nTYPE="DATABLOCK"\nSIZE="10"', 1) == 3
    one.until(lambda: one.info("image", 3), lambda image: image.findtext("STATE") == "1", "image 3 ready")
    one("one.image.lock", 3, 1)
    one("one.user.quota", CAROL, 'VM=[VMS="0"]\nDATASTORE=[ID="1",IMAGES="0"]')
    one("one.acl.addrule", "100000002", "1100000fff", "1")


#: How a VM gets into a state, and its numbers there.
_WAYS: dict[str, tuple[bool, str, tuple[int, int]]] = {
    "HOLD": (True, "", (2, 0)),
    "RUNNING": (False, "", (3, 3)),
    "POWEROFF": (False, "poweroff", (8, 0)),
    "SUSPENDED": (False, "suspend", (5, 0)),
    "STOPPED": (False, "stop", (4, 0)),
    "UNDEPLOYED": (False, "undeploy", (9, 0)),
    "DONE": (True, "terminate", (6, 0)),
}


def _stand(one: Api, state: str) -> int:
    if state == "PENDING":
        oid = one("one.vm.allocate", f'{SMALL}\nSCHED_REQUIREMENTS="NAME = nowhere"', False)
        assert isinstance(oid, int)
        return oid
    hold, action, numbers = _WAYS[state]
    oid = one("one.vm.allocate", SMALL, hold)
    assert isinstance(oid, int)
    if not hold:
        one.wait(oid, 3, 3)
    if action:
        one("one.vm.action", action, oid)
    one.wait(oid, *numbers)
    return oid


@pytest.mark.parametrize(
    ("who", "method", "arguments", "code", "message"),
    ROWS,
    ids=[f"{row[1]}-{number}" for number, row in enumerate(ROWS)],
)
def test_a_refusal_has_its_code_and_words(
    world: World, who: str, method: str, arguments: tuple[Any, ...], code: Code, message: str
) -> None:
    found = world.who[who].refused(method, *arguments)
    assert (found.code, found.message) == (code, message)


@pytest.mark.parametrize("row", NO_EXISTS, ids=lambda row: row[1])
def test_what_does_not_exist_is_told_by_its_id(world: World, row: Row) -> None:
    assert world.one.refused(row[1], *row[2]).oid == NOBODY


def test_a_parse_error_tells_line_and_columns(world: World) -> None:
    found = world.one.refused("one.template.allocate", 'NAME="x"\nCPU=[')
    assert found.code == Code.INTERNAL
    assert found.message.startswith("Parse error: syntax error")
    assert "at line 2, columns " in found.message


#: Action → the states in which it is possible (spec states.yaml `actions`); elsewhere it is refused.
ALLOWED = {
    "hold": {"PENDING"},
    "release": {"HOLD"},
    "suspend": {"RUNNING"},
    "stop": {"RUNNING", "SUSPENDED"},
    "resume": {"STOPPED", "UNDEPLOYED", "SUSPENDED", "POWEROFF"},
    "poweroff": {"RUNNING"},
    "poweroff-hard": {"RUNNING"},
    "undeploy": {"RUNNING", "POWEROFF"},
    "undeploy-hard": {"RUNNING", "POWEROFF"},
    "reboot": {"RUNNING"},
    "reboot-hard": {"RUNNING"},
    "resched": {"RUNNING", "POWEROFF"},
    "unresched": {"RUNNING", "POWEROFF"},
}
REFUSED = [(name, state) for name, allowed in ALLOWED.items() for state in VM_STATES if state not in allowed]


def _action_error(state: str, method: str, detail: str, oid: int) -> Refusal:
    return Refusal(Code.ACTION, detail.format(state=state, oid=oid), oid)


@pytest.mark.parametrize(("action", "state"), REFUSED)
def test_an_action_in_the_wrong_state_is_refused_by_the_name_of_the_state(
    world: World, action: str, state: str
) -> None:
    oid = world.vms[state]
    message = f'Error performing action "{action}": This action is not available for state {state}'
    assert world.one.refused("one.vm.action", action, oid) == Refusal(Code.ACTION, message, oid)


@pytest.mark.parametrize(
    "state", [s for s in VM_STATES if s not in ("PENDING", "HOLD", "STOPPED", "UNDEPLOYED")]
)
def test_deploy_in_the_wrong_state(world: World, state: str) -> None:
    oid = world.vms[state]
    found = world.one.refused("one.vm.deploy", oid, 0, False, -1, "")
    assert found == Refusal(Code.ACTION, f"Deploy action is not available for state {state}", oid)


@pytest.mark.parametrize("state", [s for s in VM_STATES if s not in ("RUNNING", "POWEROFF", "SUSPENDED")])
def test_migrate_in_the_wrong_state(world: World, state: str) -> None:
    oid = world.vms[state]
    found = world.one.refused("one.vm.migrate", oid, 1, False, False, -1, 0)
    assert found == Refusal(Code.ACTION, f"Migrate action is not available for state {state}", oid)


@pytest.mark.parametrize("state", ["RUNNING", "SUSPENDED", "STOPPED", "DONE"])
def test_resize_in_the_wrong_state(world: World, state: str) -> None:
    oid = world.vms[state]
    found = world.one.refused("one.vm.resize", oid, 'CPU="0.2"', True)
    assert found == Refusal(Code.ACTION, f"Cannot resize a VM in state {state}", oid)


@pytest.mark.parametrize("state", ["SUSPENDED", "STOPPED", "DONE"])
def test_updateconf_in_the_wrong_state(world: World, state: str) -> None:
    oid = world.vms[state]
    found = world.one.refused("one.vm.updateconf", oid, 'FEATURES=[ACPI="no"]')
    assert found == Refusal(Code.ACTION, f"configuration cannot be updated in state {state}", oid)


@pytest.mark.parametrize("state", [s for s in VM_STATES if s != "RUNNING"])
@pytest.mark.parametrize(("op", "what"), [(0, "recover operation"), (1, "recover operation"), (2, "retry")])
def test_recover_in_the_wrong_state(world: World, state: str, op: int, what: str) -> None:
    oid = world.vms[state]
    found = world.one.refused("one.vm.recover", oid, op)
    message = f"Could not perform a {what} on VM {oid}, wrong state {state}."
    assert found == Refusal(Code.ACTION, message, oid)


def test_what_is_no_action_is_refused(world: World) -> None:
    oid = world.vms["RUNNING"]
    found = world.one.refused("one.vm.action", "dance", oid)
    assert found == Refusal(Code.ACTION, 'Action "dance" is not supported', oid)
    assert world.one.refused("one.vm.recover", oid, 6).message == "Wrong recovery operation code"


def test_an_offline_host_takes_no_vm(world: World) -> None:
    message = "Host is offline, cannot use it to deploy VM"
    for call in (("one.vm.deploy", world.vms["HOLD"], 2), ("one.vm.migrate", world.vms["RUNNING"], 2, False)):
        found = world.one.refused(*call)
        assert (found.code, found.message) == (Code.ACTION, message)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('CPU="1000"\nMEMORY="1"', "Not enough CPU capacity: 100000/{cpu}"),
        ('CPU="0.1"\nMEMORY="99999999"', "Not enough memory: 102399998976/{memory}"),
    ],
)
def test_a_host_without_room_is_refused_where_that_is_to_be_looked_at(
    world: World, text: str, detail: str
) -> None:
    oid = world.one("one.vm.allocate", text, True)
    share = world.one.info("host", 0).find("HOST_SHARE")
    assert share is not None
    cpu = int(share.findtext("MAX_CPU", "")) - int(share.findtext("CPU_USAGE", ""))
    memory = int(share.findtext("MAX_MEM", "")) - int(share.findtext("MEM_USAGE", ""))
    found = world.one.refused("one.vm.deploy", oid, 0, True)
    said = detail.format(cpu=cpu, memory=memory)
    assert (found.code, found.message) == (
        Code.ACTION,
        f"virtual machine [{oid}] does not fit in host [0]. {said}",
    )
    world.one("one.vm.action", "terminate", oid)


def test_a_finished_vm_does_not_change_hands(world: World) -> None:
    for uid, gid in ((0, 0), (ANN, -1), (-1, 1)):
        assert world.one.refused("one.vm.chown", world.vms["DONE"], uid, gid).code == Code.ACTION


def test_a_lock_is_taken_off_by_its_owner_or_an_administrator(world: World) -> None:
    ann, bob = world.who["ann"], world.who["bob"]
    ann("one.template.chmod", 0, 1, 1, 0, 1, 1, 0, 0, 0, 0)
    ann("one.template.lock", 0, 2)
    found = bob.refused("one.template.unlock", 0)
    assert found == Refusal(Code.ACTION, "Cannot unlock: Lock is owned by another user", 0)
    world.one("one.template.unlock", 0)
    ann("one.template.chmod", 0, 1, 1, 0, 0, 0, 0, 0, 0, 0)


def test_nobody_is_let_in_without_the_right_secret(world: World) -> None:
    for name, secret in (("ann", "wrong"), ("nobody", "secret")):
        with world.one.as_user(name, secret) as session:
            found = session.refused("one.vmpool.info", -2, -1, -1, -1)
        assert found == Refusal(Code.AUTHENTICATION, "User couldn't be authenticated, aborting call.", -1)
