"""VMs walked through their life over the API: every action from every stable state, and what it leaves."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest
from tests.compat.api import Api
from tests.compat.conftest import Sandbox

from merope.model.errors import Code
from merope.model.states import HistoryAction as Action

SMALL = 'CPU="0.1"\nMEMORY="16"'
TEMPLATE = (
    f'{SMALL}\nDISK=[TYPE="fs",SIZE="5"]\nNIC=[NETWORK_ID="0"]\nOS=[ARCH="x86_64",BOOT="disk0"]\n'
    'GRAPHICS=[TYPE="VNC",LISTEN="0.0.0.0"]\nCONTEXT=[NETWORK="YES",WHO="$NAME"]'
)
NETWORK = 'NAME="net"\nVN_MAD="dummy"\nBRIDGE="br0"\nAR=[TYPE="IP4",IP="10.0.0.1",SIZE="200"]'
ANN = 2
NUMBERS = {
    "PENDING": (1, 0),
    "HOLD": (2, 0),
    "RUNNING": (3, 3),
    "STOPPED": (4, 0),
    "SUSPENDED": (5, 0),
    "DONE": (6, 0),
    "POWEROFF": (8, 0),
    "UNDEPLOYED": (9, 0),
}
#: How each stable state is reached from a new VM: put on hold or not, and the action that leads there.
REACHED = {
    "HOLD": (True, ""),
    "RUNNING": (False, ""),
    "POWEROFF": (False, "poweroff"),
    "SUSPENDED": (False, "suspend"),
    "STOPPED": (False, "stop"),
    "UNDEPLOYED": (False, "undeploy"),
}


@dataclass(frozen=True)
class World:
    """Two hosts and a network; `ann` has sessions of user 2, whose VMs the tests walk."""

    one: Api
    ann: Api

    def vm(self, state: str, template: str = TEMPLATE) -> int:
        hold, action = REACHED[state]
        oid = self.ann("one.vm.allocate", template, hold)
        assert isinstance(oid, int)
        if not hold:
            self.one.wait(oid, *NUMBERS["RUNNING"])
        if action:
            self.ann("one.vm.action", action, oid)
        self.at(oid, state)
        return oid

    def at(self, oid: int, state: str) -> Element:
        return self.one.wait(oid, *NUMBERS[state])

    def end(self, oid: int) -> None:
        self.one("one.vm.recover", oid, 3)
        self.at(oid, "DONE")


@pytest.fixture(scope="module")
def world(sandbox: Sandbox) -> Iterator[World]:
    with Api(sandbox.endpoint) as one:
        for host in (0, 1):
            one("one.host.allocate", f"node{host}", "dummy", "dummy", -1)
        for host in (0, 1):
            _switched_on(one, host)
        one("one.vn.allocate", NETWORK, -1)
        one("one.user.allocate", "ann", "secret", "", [1])
        with one.as_user("ann") as ann:
            yield World(one, ann)


def _switched_on(one: Api, host: int) -> None:
    one.until(
        lambda: one.info("host", host), lambda found: found.findtext("STATE") == "2", f"host {host} is on"
    )


def records(vm: Element) -> list[Element]:
    return vm.findall("HISTORY_RECORDS/HISTORY")


def number(element: Element, path: str) -> int:
    return int(element.findtext(path, ""))


#: State, action → where the VM is then, and what the record says that was asked of it.
WALKS: tuple[tuple[str, str, str, Action | None], ...] = (
    ("HOLD", "release", "RUNNING", Action.NONE),
    ("HOLD", "terminate", "DONE", None),
    ("RUNNING", "suspend", "SUSPENDED", Action.SUSPEND),
    ("RUNNING", "stop", "STOPPED", Action.STOP),
    ("RUNNING", "poweroff", "POWEROFF", Action.POWEROFF),
    ("RUNNING", "poweroff-hard", "POWEROFF", Action.POWEROFF_HARD),
    ("RUNNING", "undeploy", "UNDEPLOYED", Action.UNDEPLOY),
    ("RUNNING", "undeploy-hard", "UNDEPLOYED", Action.UNDEPLOY_HARD),
    ("RUNNING", "reboot", "RUNNING", Action.REBOOT),
    ("RUNNING", "reboot-hard", "RUNNING", Action.REBOOT_HARD),
    ("RUNNING", "terminate", "DONE", Action.TERMINATE),
    ("RUNNING", "terminate-hard", "DONE", Action.TERMINATE_HARD),
    ("RUNNING", "shutdown", "DONE", Action.TERMINATE),
    ("RUNNING", "delete", "DONE", Action.TERMINATE_HARD),
    ("POWEROFF", "resume", "RUNNING", Action.NONE),
    ("POWEROFF", "undeploy", "UNDEPLOYED", Action.UNDEPLOY),
    ("POWEROFF", "terminate", "DONE", Action.TERMINATE),
    ("SUSPENDED", "resume", "RUNNING", Action.NONE),
    ("SUSPENDED", "stop", "STOPPED", Action.STOP),
    ("SUSPENDED", "terminate", "DONE", Action.TERMINATE),
    ("STOPPED", "resume", "RUNNING", Action.NONE),
    ("STOPPED", "terminate", "DONE", Action.TERMINATE),
    ("UNDEPLOYED", "resume", "RUNNING", Action.NONE),
    ("UNDEPLOYED", "terminate-hard", "DONE", Action.TERMINATE_HARD),
)


@pytest.mark.parametrize(("state", "action", "to", "noted"), WALKS)
def test_an_action_leads_where_it_should(
    world: World, state: str, action: str, to: str, noted: Action | None
) -> None:
    oid = world.vm(state)
    assert world.ann("one.vm.action", action, oid) == oid
    vm = world.at(oid, to)
    if noted is None:
        assert records(vm) == []
    else:
        assert number(records(vm)[-1], "ACTION") == noted
    if to == "DONE":
        assert vm.findtext("ETIME") != "0"
        assert all(record.findtext("ETIME") != "0" for record in records(vm))
    else:
        world.end(oid)


def test_a_record_tells_who_asked_but_not_who_powered_off(world: World) -> None:
    asked = world.vm("RUNNING")
    world.ann("one.vm.action", "suspend", asked)
    record = records(world.at(asked, "SUSPENDED"))[-1]
    assert [record.findtext(tag) for tag in ("UID", "GID")] == [str(ANN), "1"]
    assert number(record, "REQUEST_ID") > 0
    off = world.vm("POWEROFF")
    record = records(world.at(off, "POWEROFF"))[-1]
    assert [record.findtext(tag) for tag in ("UID", "GID", "REQUEST_ID")] == ["-1"] * 3
    world.end(asked)
    world.end(off)


def test_times_of_a_record_tell_the_stages_that_there_were(world: World) -> None:
    oid = world.vm("POWEROFF")
    world.ann("one.vm.action", "resume", oid)
    first, second = records(world.at(oid, "RUNNING"))
    stages = [
        tag
        for tag in ("PSTIME", "PETIME", "RSTIME", "RETIME", "ESTIME", "EETIME")
        if first.findtext(tag) != "0"
    ]
    assert stages == ["PSTIME", "PETIME", "RSTIME", "RETIME"]
    assert [second.findtext(tag) for tag in ("PSTIME", "PETIME", "RETIME", "ETIME")] == ["0"] * 4
    assert first.findtext("ETIME") == second.findtext("STIME") == second.findtext("RSTIME")
    world.ann("one.vm.action", "terminate-hard", oid)
    last = records(world.at(oid, "DONE"))[-1]
    assert [tag for tag in ("RETIME", "ESTIME", "EETIME", "ETIME") if last.findtext(tag) == "0"] == []


def _host_of(vm: Element) -> int:
    return number(records(vm)[-1], "HID")


#: State, live, type → where the VM is then and what the record of the host that it left says.
MIGRATIONS = (
    ("RUNNING", True, 0, "RUNNING", Action.LIVE_MIGRATE),
    ("RUNNING", False, 0, "RUNNING", Action.MIGRATE),
    ("RUNNING", False, 1, "RUNNING", Action.POWEROFF_MIGRATE),
    ("RUNNING", False, 2, "RUNNING", Action.POWEROFF_HARD_MIGRATE),
    ("POWEROFF", False, 0, "POWEROFF", Action.MIGRATE),
    ("POWEROFF", True, 0, "POWEROFF", Action.MIGRATE),
    ("SUSPENDED", False, 0, "SUSPENDED", Action.MIGRATE),
)


@pytest.mark.parametrize(("state", "live", "kind", "to", "noted"), MIGRATIONS)
def test_a_migration_moves_the_vm_its_capacity_and_begins_a_record(
    world: World, state: str, live: bool, kind: int, to: str, noted: Action
) -> None:
    oid = world.vm(state)
    source = _host_of(world.one.info("vm", oid))
    target = 1 - source
    world.one("one.vm.migrate", oid, target, live, True, -1, kind)
    vm = world.one.until(
        lambda: world.one.info("vm", oid),
        lambda found: (number(found, "STATE"), number(found, "LCM_STATE")) == NUMBERS[to],
        f"VM {oid} is {to} again",
    )
    left, current = records(vm)[-2:]
    assert (number(left, "HID"), number(left, "ACTION")) == (source, noted)
    assert left.findtext("ETIME") != "0"
    assert (number(current, "HID"), number(current, "ACTION")) == (target, Action.NONE)
    held = {host: [item.text for item in world.one.info("host", host).findall("VMS/ID")] for host in (0, 1)}
    assert str(oid) in held[target]
    assert str(oid) not in held[source]
    world.end(oid)


def test_resched_marks_the_vm_until_it_is_moved_or_unmarked(world: World) -> None:
    oid = world.vm("POWEROFF", f'{SMALL}\nSCHED_REQUIREMENTS="NAME = node0"')
    world.one("one.vm.action", "resched", oid)
    assert world.one.info("vm", oid).findtext("RESCHED") == "1"
    world.one("one.vm.action", "unresched", oid)
    assert world.one.info("vm", oid).findtext("RESCHED") == "0"
    world.end(oid)


#: State, operation → where the VM is then; None: refused.
RECOVERIES = (
    ("HOLD", 3, "DONE"),
    ("HOLD", 4, "RUNNING"),
    ("HOLD", 5, "DONE"),
    ("RUNNING", 0, "RUNNING"),
    ("RUNNING", 1, "RUNNING"),
    ("RUNNING", 2, "RUNNING"),
    ("RUNNING", 3, "DONE"),
    ("RUNNING", 4, "RUNNING"),
    ("RUNNING", 5, "DONE"),
    ("POWEROFF", 3, "DONE"),
    ("POWEROFF", 4, None),
    ("POWEROFF", 5, "DONE"),
    ("SUSPENDED", 3, "DONE"),
    ("SUSPENDED", 4, None),
    ("SUSPENDED", 5, "DONE"),
    ("STOPPED", 3, "DONE"),
    ("STOPPED", 4, "RUNNING"),
    ("STOPPED", 5, "DONE"),
    ("UNDEPLOYED", 3, "DONE"),
    ("UNDEPLOYED", 4, "RUNNING"),
    ("UNDEPLOYED", 5, "DONE"),
)


@pytest.mark.parametrize(("state", "op", "to"), RECOVERIES)
def test_recovering_leads_where_it_should_and_leaves_nothing(
    world: World, state: str, op: int, to: str | None
) -> None:
    oid = world.vm(state)
    if to is None:
        assert world.one.refused("one.vm.recover", oid, op).code == Code.ACTION
    else:
        world.one("one.vm.recover", oid, op)
        world.at(oid, to)
    if to != "DONE":
        world.end(oid)
    _nothing_is_left(world, oid)


def _nothing_is_left(world: World, oid: int) -> None:
    for host in (0, 1):
        assert str(oid) not in [item.text for item in world.one.info("host", host).findall("VMS/ID")]
    leases = [item.text for item in world.one.info("vn", 0).iter("VM")]
    assert str(oid) not in leases


def _used(world: World) -> dict[str, str]:
    quota = world.one.info("user", ANN).find("VM_QUOTA/VM")
    return (
        {} if quota is None else {part.tag: part.text or "" for part in quota if part.tag.endswith("_USED")}
    )


@pytest.mark.parametrize(
    ("state", "running"),
    [("HOLD", 1), ("RUNNING", 1), ("POWEROFF", 0), ("SUSPENDED", 0), ("STOPPED", 0), ("UNDEPLOYED", 0)],
)
def test_a_vm_counts_as_running_in_some_states_and_as_a_vm_in_all(
    world: World, state: str, running: int
) -> None:
    world.one("one.user.quota", ANN, 'VM=[VMS="99"]')
    assert _used(world)["VMS_USED"] == "0"
    oid = world.vm(state)
    used = _used(world)
    assert (used["VMS_USED"], used["CPU_USED"], used["MEMORY_USED"]) == ("1", "0.10", "16")
    assert used["SYSTEM_DISK_SIZE_USED"] == "5"
    assert used["RUNNING_VMS_USED"] == str(running)
    assert used["RUNNING_MEMORY_USED"] == str(16 * running)
    world.end(oid)
    assert set(_used(world).values()) == {"0"}


def test_resuming_asks_the_quota_for_running_vms_again(world: World) -> None:
    oid = world.vm("POWEROFF")
    world.one("one.user.quota", ANN, 'VM=[RUNNING_VMS="0"]')
    found = world.ann.refused("one.vm.action", "resume", oid)
    assert found.code == Code.AUTHORIZATION
    assert "limit of 0 reached for RUNNING_VMS quota in VM." in found.message
    assert number(world.one.info("vm", oid), "STATE") == NUMBERS["POWEROFF"][0]
    world.one("one.user.quota", ANN, 'VM=[RUNNING_VMS="-1"]')
    world.ann("one.vm.action", "resume", oid)
    world.at(oid, "RUNNING")
    world.end(oid)


def test_a_disabled_host_takes_vms_by_hand_only_and_an_offline_one_none(world: World) -> None:
    one, oid = world.one, world.vm("HOLD")
    for host in (0, 1):
        one("one.host.status", host, 1)
        assert one.info("host", host).findtext("STATE") == "4"
    one("one.vm.deploy", oid, 1, True)
    assert _host_of(world.at(oid, "RUNNING")) == 1
    one("one.host.status", 1, 2)
    assert one.info("host", 1).findtext("STATE") == "8"
    waiting = world.vm("HOLD")
    assert one.refused("one.vm.deploy", waiting, 1).message == "Host is offline, cannot use it to deploy VM"
    one("one.vm.action", "release", waiting)
    for host in (0, 1):
        one("one.host.status", host, 0)
    world.at(waiting, "RUNNING")
    world.end(oid)
    world.end(waiting)
    for host in (0, 1):
        _switched_on(one, host)


def test_capacity_changes_where_the_vm_does_not_run(world: World) -> None:
    oid = world.vm("POWEROFF")
    host = _host_of(world.one.info("vm", oid))
    before = number(world.one.info("host", host), "HOST_SHARE/CPU_USAGE")
    world.ann("one.vm.resize", oid, 'CPU="0.3"\nMEMORY="32"\nVCPU="2"', True)
    vm = world.one.info("vm", oid)
    assert [vm.findtext(f"TEMPLATE/{tag}") for tag in ("CPU", "MEMORY", "VCPU")] == ["0.3", "32", "2"]
    assert number(world.one.info("host", host), "HOST_SHARE/CPU_USAGE") == before + 20
    world.ann("one.vm.resize", oid, 'CPU="0"\nMEMORY=""', True)
    assert world.one.info("vm", oid).findtext("TEMPLATE/CPU") == "0.3"
    world.end(oid)


def _section(vm: Element, name: str) -> dict[str, str]:
    found = vm.find(f"TEMPLATE/{name}")
    return {} if found is None else {part.tag: part.text or "" for part in found}


CONF = 'OS=[ARCH="i686",BOOT="nic0"]\nGRAPHICS=[TYPE="SPICE"]\nINPUT=[TYPE="tablet",BUS="usb"]'
CONF += '\nCONTEXT=[WHO="now $UNAME"]'


@pytest.mark.parametrize("state", ["HOLD", "RUNNING", "POWEROFF", "UNDEPLOYED"])
def test_a_new_configuration_replaces_the_sections_that_it_has(world: World, state: str) -> None:
    oid = world.vm(state)
    before = world.one.info("vm", oid)
    assert world.ann("one.vm.updateconf", oid, CONF) == oid
    vm = world.at(oid, state)
    assert _section(vm, "OS") == {"ARCH": "i686", "BOOT": "nic0"}
    assert _section(vm, "INPUT") == {"TYPE": "tablet", "BUS": "usb"}
    port = _section(before, "GRAPHICS").get("PORT")
    assert _section(vm, "GRAPHICS") == {"TYPE": "SPICE"} | ({"PORT": port} if port else {})
    old = _section(before, "CONTEXT")
    kept = {"DISK_ID": old["DISK_ID"], "TARGET": old["TARGET"]}
    assert _section(vm, "CONTEXT") == {"WHO": "now ann", **kept}
    assert _section(vm, "NIC")["ORDER"] == "1"
    assert "ORDER" not in _section(vm, "DISK")
    world.end(oid)


def test_a_configuration_says_nothing_about_anything_else(world: World) -> None:
    oid = world.vm("HOLD")
    before = world.one("one.vm.info", oid)
    world.ann("one.vm.updateconf", oid, 'CPU="99"\nNIC=[NETWORK_ID="0"]\nCOLOUR="blue"')
    assert world.one("one.vm.info", oid) == before
    world.end(oid)


RESTRICTED = "User [2] : VM Template includes a restricted attribute"
BAD_CONFS: tuple[tuple[str, Code, str], ...] = (
    ("OS=[", Code.INTERNAL, "Parse error"),
    ('OS=[BOOT="disk9"]', Code.INTERNAL, "OS: BOOT names disk9"),
    ('RAW=[TYPE="kvm",DATA="<x/>"]', Code.AUTHORIZATION, f"{RESTRICTED} RAW."),
    ('CONTEXT=[FILES="/etc/passwd"]', Code.AUTHORIZATION, f"{RESTRICTED} CONTEXT/FILES."),
)


@pytest.mark.parametrize(("conf", "code", "begins"), BAD_CONFS)
def test_a_configuration_that_cannot_be_changes_nothing(
    world: World, conf: str, code: Code, begins: str
) -> None:
    oid = world.vm("HOLD")
    before = world.one("one.vm.info", oid)
    found = world.ann.refused("one.vm.updateconf", oid, conf)
    assert found.code == code
    assert found.message.startswith(begins)
    assert world.one("one.vm.info", oid) == before
    world.end(oid)


def test_a_vm_without_context_gets_none(world: World) -> None:
    oid = world.vm("HOLD", SMALL)
    found = world.ann.refused("one.vm.updateconf", oid, 'CONTEXT=[A="b"]')
    assert found.message == "Virtual machine does not have context, cannot add a new one."
    world.end(oid)


def _actions(vm: Element) -> list[tuple[str, str]]:
    return [
        (item.findtext("ID", ""), item.findtext("ACTION", ""))
        for item in vm.findall("USER_TEMPLATE/SCHED_ACTION")
    ]


def test_scheduled_actions_are_numbered(world: World) -> None:
    def action(name: str, more: str = "") -> str:
        return f'SCHED_ACTION=[ACTION="{name}",TIME="1900000000"{more}]'

    oid = world.ann("one.vm.allocate", f"{SMALL}\n{action('hold')}\n{action('stop')}", True)
    assert _actions(world.one.info("vm", oid)) == [("0", "hold"), ("1", "stop")]
    numbered = action("suspend", ',ID="7"')
    world.ann("one.vm.update", oid, f"{numbered}\n{action('resume')}", 1)
    assert _actions(world.one.info("vm", oid)) == [("7", "suspend"), ("8", "resume")]
    world.end(oid)


BAD_SCHEDULES = (
    ('REPEAT="9"', "Error parsing REPEAT attribute"),
    ('REPEAT="0",DAYS="7"', "Days in a week have to be in [0,6] range"),
    ('REPEAT="1",DAYS="0"', "Days in a month have to be in [1,31] range"),
    ('REPEAT="2",DAYS="366"', "Days in a year have to be in [0,365] range"),
    ('REPEAT="3",DAYS="169"', "Hours have to be in [0,168] range"),
    ('REPEAT="0",DAYS="monday"', "Wrong format of DAYS attribute"),
    ('END_TYPE="5"', "Error parsing END_TYPE attribute"),
    ('END_TYPE="1"', "Missing END_VALUE"),
    ('END_VALUE="3"', "Error END_VALUE defined but not valid END_TYPE found"),
)


@pytest.mark.parametrize(("attributes", "detail"), BAD_SCHEDULES)
def test_a_schedule_that_cannot_be_is_refused(world: World, attributes: str, detail: str) -> None:
    text = f'SCHED_ACTION=[ACTION="hold",TIME="1900000000",{attributes}]'
    found = world.ann.refused("one.vm.allocate", f"{SMALL}\n{text}", True)
    assert (found.code, found.message) == (Code.INTERNAL, detail)
    oid = world.vm("HOLD", SMALL)
    found = world.ann.refused("one.vm.update", oid, text, 1)
    assert (found.code, found.message) == (Code.INTERNAL, f"Cannot update template. {detail}")
    world.end(oid)
