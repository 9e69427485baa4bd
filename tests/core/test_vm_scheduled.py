"""Scheduled actions: checked when they are written, done once, and marked in the same change."""

from datetime import UTC

import pytest
from tests.core.conftest import START, Core, sentence

from merope.core import vm_scheduled
from merope.core.transaction import SYSTEM
from merope.model.errors import ApiError, Code
from merope.model.phase import Phase
from merope.model.template import Vector
from merope.model.vm import VM
from merope.model.vm_template import VmTemplate

SMALL = "CPU=0.1\nMEMORY=16\n"


def vm(core: Core, actions: str = "", who: int = 0) -> int:
    oid = core.call(who, "one.vm.allocate", SMALL + actions, True)
    assert isinstance(oid, int)
    return oid


def plan(core: Core, oid: int, *actions: str, who: int = 0) -> None:
    core.call(who, "one.vm.update", oid, "\n".join(f"SCHED_ACTION=[{action}]" for action in actions), 0)


def actions(core: Core, oid: int) -> list[Vector]:
    return core.get(VM, oid).user_template.vectors("SCHED_ACTION")


def carry_out(core: Core, oid: int, number: str = "0") -> bool:
    tx = core.transaction(SYSTEM)
    try:
        done = vm_scheduled.carry_out(tx, oid, number, UTC)
    except ApiError:
        tx.abandon()
        raise
    core.commit(tx)
    return done


def test_an_action_that_is_due_is_done_and_marked_in_one_change(core: Core) -> None:
    oid = vm(core, 'SCHED_ACTION=[ACTION="release",TIME="+60"]')
    assert not carry_out(core, oid)
    core.now = START + 60
    before = core.index
    assert carry_out(core, oid)
    assert core.index == before + 1
    assert core.get(VM, oid).phase is Phase.PENDING
    assert actions(core, oid) == [Vector(ACTION="release", DONE=str(core.now), ID="0", TIME="+60")]


def test_what_is_done_is_not_done_again(core: Core) -> None:
    oid = vm(core, f'SCHED_ACTION=[ACTION="release",TIME="{START}"]')
    assert carry_out(core, oid)
    core.call(0, "one.vm.action", "hold", oid)
    core.now += 100
    assert not carry_out(core, oid)
    assert core.get(VM, oid).phase is Phase.HOLD


def test_what_repeats_gets_its_next_time(core: Core) -> None:
    oid = vm(core)
    plan(core, oid, f'ACTION="release",TIME="{START}",REPEAT="3",DAYS="2",END_TYPE="1",END_VALUE="2"')
    assert carry_out(core, oid)
    [action] = actions(core, oid)
    assert (action["TIME"], action["END_VALUE"]) == (str(START + 7200), "1")
    assert vm_scheduled.next_due(core.get(VM, oid)) == START + 7200
    core.now = START + 7200
    core.call(0, "one.vm.action", "hold", oid)
    assert carry_out(core, oid)
    assert vm_scheduled.next_due(core.get(VM, oid)) is None


def test_an_action_that_the_state_forbids_changes_nothing_and_says_why(core: Core) -> None:
    oid = vm(core, f'SCHED_ACTION=[ACTION="resume",TIME="{START}"]')
    before = core.picture()
    with pytest.raises(ApiError, match="This action is not available for state HOLD"):
        carry_out(core, oid)
    assert core.picture() == before
    for told in (True, False):
        tx = core.transaction(SYSTEM)
        assert vm_scheduled.say(tx, oid, "0", "because") is told
        core.commit(tx)
        core.now += 30
    [action] = actions(core, oid)
    assert action["MESSAGE"].endswith(" : because")
    assert "DONE" not in action


def test_a_success_takes_the_message_of_a_failure_away(core: Core) -> None:
    oid = vm(core, f'SCHED_ACTION=[ACTION="release",TIME="{START}"]')
    tx = core.transaction(SYSTEM)
    vm_scheduled.say(tx, oid, "0", "because")
    core.commit(tx)
    carry_out(core, oid)
    assert "MESSAGE" not in actions(core, oid)[0]


def test_a_vm_may_be_terminated_by_its_own_schedule(core: Core) -> None:
    oid = vm(core, 'SCHED_ACTION=[ACTION="delete",TIME="+0",WARNING="-86400"]')
    assert carry_out(core, oid)
    assert not core.exists(VM, oid)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ('ACTION="deploy"', "The action 'deploy' cannot be scheduled"),
        ('ACTION=""', "The action '' cannot be scheduled"),
        ('ACTION="disk-snapshot-create",ARGS="0"', "disk-snapshot-create takes 2 ARGS, not 1"),
        ('ACTION="disk-snapshot-revert",ARGS="0,x"', "ARGS has 'x' where a number is expected"),
        ('ACTION="snapshot-delete",ARGS="one"', "ARGS has 'one' where a number is expected"),
    ],
)
def test_what_cannot_be_scheduled_is_told_when_it_is_due(core: Core, action: str, words: str) -> None:
    oid = vm(core)
    plan(core, oid, f'{action},TIME="{START}"')
    with pytest.raises(ApiError) as caught:
        carry_out(core, oid)
    assert caught.value.message == words


def test_due_actions_come_in_the_order_of_their_times(core: Core) -> None:
    oid = vm(core)
    plan(core, oid, *(f'ACTION="hold",TIME="{START + late}"' for late in (5, -5, 0, 500)))
    assert vm_scheduled.due_actions(core.get(VM, oid), START + 10) == ["1", "2", "0"]
    assert vm_scheduled.next_due(core.get(VM, oid)) == START - 5


def test_a_new_vms_actions_have_not_been_done(core: Core) -> None:
    oid = vm(core, 'SCHED_ACTION=[ACTION="hold",TIME="9",DONE="10",MESSAGE="x"]')
    assert actions(core, oid) == [Vector(ACTION="hold", ID="0", TIME="9")]


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ('REPEAT="4"', "Error parsing REPEAT attribute"),
        ('REPEAT="0",DAYS="7"', "Days in a week have to be in [0,6] range"),
        ('REPEAT="1",DAYS="0"', "Days in a month have to be in [1,31] range"),
        ('REPEAT="2",DAYS="366"', "Days in a year have to be in [0,365] range"),
        ('REPEAT="3",DAYS="0"', "Hours have to be in [0,168] range"),
        ('REPEAT="3",DAYS="1,2"', "Hours have to be in [0,168] range"),
        ('REPEAT="0",DAYS="x"', "Wrong format of DAYS attribute"),
        ('END_TYPE="3"', "Error parsing END_TYPE attribute"),
        ('END_TYPE="1"', "Missing END_VALUE"),
        ('END_VALUE="1"', "Error END_VALUE defined but not valid END_TYPE found"),
        ('END_TYPE="1",END_VALUE="0"', "Error parsing END_VALUE, times has to be greater than 0"),
    ],
)
def test_what_makes_no_schedule_is_refused(core: Core, action: str, words: str) -> None:
    oid = vm(core)
    source = f'SCHED_ACTION=[ACTION="hold",TIME="9",{action}]'
    error = core.fails(0, "one.vm.update", oid, source, 0)
    assert sentence(error) == (Code.INTERNAL, f"Cannot update template. {words}")
    error = core.fails(0, "one.vm.allocate", SMALL + source, True)
    assert sentence(error) == (Code.INTERNAL, words)


def test_nobody_schedules_what_they_may_not_do() -> None:
    core = Core(vm_admin_operations=frozenset({"terminate"}), vm_manage_operations=frozenset())
    ann = core.user("ann")
    oid = vm(core, who=ann)
    plan(core, oid, f'ACTION="stop",TIME="{START + 9}"', who=ann)
    for name in ("terminate", "terminate-hard", "shutdown"):
        source = f'SCHED_ACTION=[ACTION="{name}",TIME="9"]'
        assert core.fails(ann, "one.vm.update", oid, source, 1).code is Code.AUTHORIZATION
    plan(core, oid, f'ACTION="terminate",ID="0",TIME="{START + 9}"')
    kept = f'ACTION="terminate",ID="0",TIME="{START + 9}"'
    plan(core, oid, kept, who=ann)
    assert actions(core, oid)[0]["ACTION"] == "terminate"


def test_actions_of_a_template_are_checked_and_numbered_and_its_vms_have_them(core: Core) -> None:
    source = f'NAME=t\n{SMALL}SCHED_ACTION=[ACTION="hold",TIME="+9",DONE="3"]'
    template = core.call(0, "one.template.allocate", source)
    stored = core.get(VmTemplate, template).template.vectors("SCHED_ACTION")
    assert stored == [Vector(ACTION="hold", ID="0", TIME="+9")]
    assert actions(core, core.call(0, "one.template.instantiate", template, "", True)) == stored
    bad = 'SCHED_ACTION=[ACTION="hold",TIME="9",REPEAT="0",DAYS="9"]'
    error = core.fails(0, "one.template.allocate", f"NAME=u\n{bad}")
    assert sentence(error) == (Code.INTERNAL, "Days in a week have to be in [0,6] range")
    error = core.fails(0, "one.template.update", template, bad, 1)
    assert error.message == "Cannot update template. Days in a week have to be in [0,6] range"
