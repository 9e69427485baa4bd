"""Recover, in every phase: what is under way taken for done or failed, done again, or given up."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.core.conftest import sentence
from tests.core.vm_world import (
    ANN,
    AWAY,
    NODE0,
    NODE1,
    PERSISTENT,
    RESTING,
    TEMPLATE,
    Cloud,
    check,
    stand,
    take,
)

from merope.core import lifecycle
from merope.model.errors import Code
from merope.model.host import Host
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.states import HistoryAction, ImageState
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

FAILURE, SUCCESS, RETRY, DELETE, RECREATE, DELETE_DB = range(6)
LIVING = [phase for phase in Phase if phase is not Phase.DONE]
ACTIVE = [phase for phase in LIVING if phase.active]
#: Phases that 5.12 has and that nothing in this version leads to.
UNUSED = [
    phase
    for phase in ACTIVE
    if (phase.name.startswith(("HOTPLUG", "DISK_")) and phase not in lifecycle.EFFECTS)
    or phase in (Phase.CANCEL, Phase.FAILURE)
]
SPEC = Path(__file__).resolve().parents[3] / "shared" / "spec" / "states.yaml"


def spec() -> Any:
    if not SPEC.exists():
        pytest.skip("states.yaml of ../shared/spec is not there")
    return yaml.safe_load(SPEC.read_text())


def name(phase: Phase) -> str:
    return phase.name


@pytest.mark.parametrize("phase", LIVING, ids=name)
@pytest.mark.parametrize("op", [FAILURE, SUCCESS], ids=["failure", "success"])
def test_what_is_under_way_is_taken_for_failed_or_done(op: int, phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    if phase in UNUSED or not (phase.active or phase is Phase.CLONING_FAILURE):
        error = cloud.fails(0, "one.vm.recover", oid, op)
        assert sentence(error) == (
            Code.ACTION,
            f"Could not perform a recover operation on VM {oid}, wrong state {phase.name}.",
        )
        return
    picture = cloud.picture()
    assert cloud.call(0, "one.vm.recover", oid, op) == oid
    check(cloud)
    answer = "ok" if op == SUCCESS else "ko"
    waits = lifecycle.EFFECTS.get(phase)
    event = f"{lifecycle.ANSWERS[waits]}-{answer}" if waits else f"recover-{answer}"
    row = lifecycle.TABLE.get((event, phase))
    if row is None or row.to is None:
        assert cloud.picture() == picture
    else:
        assert cloud.phase(oid) is row.to


@pytest.mark.parametrize("phase", LIVING, ids=name)
def test_retry_asks_anew_for_what_the_phase_waits_for(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    if not phase.active:
        error = cloud.fails(0, "one.vm.recover", oid, RETRY)
        assert sentence(error) == (
            Code.ACTION,
            f"Could not perform a retry on VM {oid}, wrong state {phase.name}.",
        )
        return
    old, picture = cloud.effects("vm"), cloud.picture()
    cloud.call(0, "one.vm.recover", oid, RETRY)
    check(cloud)
    again = lifecycle.RETRIES.get(phase, phase)
    assert cloud.phase(oid) is again
    expected = lifecycle.EFFECTS.get(again)
    if expected is None or phase in lifecycle.ON_DEVICES:
        # 5.12 does nothing while a part of a VM is being changed: its operation goes on.
        assert cloud.picture() == picture
        return
    [new] = cloud.effects("vm")
    assert new.op == expected
    assert new.id > max((effect.id for effect in old), default=0)
    source = again in (Phase.MIGRATE, Phase.SAVE_MIGRATE)
    records = cloud.records(oid)
    assert new.host == records[-2 if source else -1].hid


def test_retries_of_the_specification_are_those_of_the_table() -> None:
    wanted = {
        Phase[failed]: Phase[str(again).split()[0].removeprefix("A:")]
        for failed, again in spec()["retry_map"].items()
        if str(again).startswith("A:")
    }
    assert wanted == lifecycle.RETRIES


def test_answers_of_the_specification_are_those_of_the_table() -> None:
    """`recover_map`: the operation that success and failure are told of, for each state."""
    for states in spec()["recover_map"].values():
        for state in states if isinstance(states, list) else []:
            phase = Phase[state]
            waits = lifecycle.EFFECTS.get(phase)
            event = lifecycle.ANSWERS[waits] if waits else "recover"
            assert (f"{event}-ok", phase) in lifecycle.TABLE, state
            assert (f"{event}-ko", phase) in lifecycle.TABLE, state


@pytest.mark.parametrize("phase", LIVING, ids=name)
@pytest.mark.parametrize("op", [DELETE, DELETE_DB], ids=["delete", "delete-db"])
def test_delete_ends_a_vm_in_any_phase_and_frees_what_it_held(op: int, phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    records = len(cloud.records(oid))
    cloud.call(0, "one.vm.recover", oid, op)
    assert cloud.phase(oid) is Phase.DONE
    check(cloud)
    assert cloud.get(VirtualNetwork, 0).used_leases == 0
    for host in (NODE0, NODE1):
        assert cloud.get(Host, host).host_share.running_vms == 0
    done = cloud.document(oid)
    assert done.etime == cloud.now
    placed = phase.active or phase in RESTING + AWAY
    assert [effect.op for effect in cloud.effects("vm")] == (["vm.delete"] if placed and op == DELETE else [])
    if placed:
        assert done.history is not None
        assert done.history.etime
        assert done.history.action == HistoryAction.DELETE
        assert len(cloud.records(oid)) == records


def test_what_delete_leaves_on_hosts_is_told_to_whoever_cleans_up() -> None:
    wanted = {
        Phase.RUNNING: {"domain": 1, "source": -1, "local": 0},
        Phase.BOOT_FAILURE: {"domain": 1, "source": -1, "local": 0},
        Phase.PROLOG: {"domain": 0, "source": -1, "local": 0},
        Phase.EPILOG_FAILURE: {"domain": 0, "source": -1, "local": 0},
        Phase.MIGRATE: {"domain": 1, "source": NODE0, "local": 0},
        Phase.PROLOG_MIGRATE_FAILURE: {"domain": 1, "source": NODE0, "local": 0},
        Phase.POWEROFF: {"domain": 1, "source": -1, "local": 0},
        Phase.STOPPED: {"domain": 0, "source": -1, "local": 1},
        Phase.UNDEPLOYED: {"domain": 0, "source": -1, "local": 1},
    }
    for phase, arguments in wanted.items():
        cloud = Cloud()
        oid = stand(cloud, phase)
        cloud.call(0, "one.vm.recover", oid, DELETE)
        [effect] = cloud.effects("vm.delete")
        assert {key: effect.arguments[key] for key in arguments} == arguments, phase.name


def test_a_vm_that_was_put_away_and_waits_is_deleted_with_its_files() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.STOPPED)
    cloud.call(ANN, "one.vm.action", "resume", oid)
    cloud.call(0, "one.vm.recover", oid, DELETE)
    [effect] = cloud.effects("vm.delete")
    assert effect.arguments["local"] == 1
    check(cloud)


def test_a_late_answer_of_what_was_given_up_is_ignored() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.PROLOG)
    [given_up] = cloud.effects("vm.prolog")
    cloud.call(0, "one.vm.recover", oid, DELETE)
    assert given_up.id not in cloud.state.effects
    cloud.answer(op="vm")
    check(cloud)
    assert not cloud.state.effects


@pytest.mark.parametrize("ok", [True, False])
def test_whether_cleaning_up_succeeds_does_not_matter_to_the_vm(ok: bool) -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.RUNNING)
    cloud.call(0, "one.vm.recover", oid, DELETE)
    cloud.answer(ok, "unreachable", op="vm")
    assert cloud.phase(oid) is Phase.DONE
    assert not cloud.state.effects


def test_terminate_of_a_vm_that_failed_deletes_it() -> None:
    for phase in lifecycle.FAILURES:
        cloud = Cloud()
        oid = stand(cloud, phase)
        cloud.call(ANN, "one.vm.action", "terminate", oid)
        assert cloud.phase(oid) is Phase.DONE
        assert [effect.op for effect in cloud.effects("vm")] == ["vm.delete"]
        check(cloud)


def test_the_persistent_image_of_a_vm_that_failed_is_in_doubt() -> None:
    cloud = Cloud()
    oid = cloud.vm(TEMPLATE.replace("IMAGE_ID = 0", f"IMAGE_ID = {PERSISTENT}"))
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    cloud.call(0, "one.vm.recover", oid, DELETE)
    assert cloud.get(Image, PERSISTENT).state == ImageState.ERROR
    cloud.call(ANN, "one.image.enable", PERSISTENT, True)
    assert cloud.get(Image, PERSISTENT).state == ImageState.READY


@pytest.mark.parametrize("phase", LIVING, ids=name)
def test_recreate_makes_a_vm_wait_for_a_host_again(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    if phase in RESTING or phase is Phase.FAILED:
        error = cloud.fails(0, "one.vm.recover", oid, RECREATE)
        assert error.code is Code.ACTION
        return
    picture = cloud.picture()
    cloud.call(0, "one.vm.recover", oid, RECREATE)
    check(cloud)
    if not phase.active and phase not in AWAY:
        if phase is Phase.HOLD:
            assert cloud.phase(oid) is Phase.PENDING
        else:
            assert cloud.picture() == picture
        return
    assert cloud.phase(oid) is Phase.CLEANUP_RESUBMIT
    [effect] = cloud.effects("vm")
    assert effect.op == "vm.cleanup"
    for ok in (True, False):
        copy = Cloud()
        other = stand(copy, phase)
        copy.call(0, "one.vm.recover", other, RECREATE)
        take(copy, other, "vm.cleanup", ok, "no such host")
        assert copy.phase(other) is Phase.PENDING
        check(copy)


def test_a_recreated_vm_is_deployed_with_new_disks_and_its_history() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.vm.recover", oid, RECREATE)
    cloud.steps(1)
    vm = cloud.get(VM, oid)
    assert (vm.phase, vm.deploy_id) == (Phase.PENDING, "")
    assert [record.action for record in cloud.records(oid)] == [HistoryAction.DELETE_RECREATE]
    cloud.call(0, "one.vm.deploy", oid, NODE1)
    assert cloud.phase(oid) is Phase.PROLOG
    cloud.steps(2)
    check(cloud)
    assert [record.hid for record in cloud.records(oid)] == [NODE0, NODE1]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_vm_put_away_and_recreated_is_deployed_with_new_disks_when_its_old_ones_are_gone(
    resumed: bool,
) -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.STOPPED)
    if resumed:
        cloud.call(ANN, "one.vm.action", "resume", oid)
    cloud.call(0, "one.vm.recover", oid, RECREATE)
    assert cloud.phase(oid) is Phase.CLEANUP_RESUBMIT
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.arguments["local"], effect.arguments["domain"]) == ("vm.cleanup", 1, 0)
    cloud.steps(1)
    assert cloud.phase(oid) is Phase.PENDING
    cloud.call(0, "one.vm.deploy", oid, NODE1)
    assert cloud.phase(oid) is Phase.PROLOG


def test_a_stop_that_was_recovered_still_keeps_the_disks() -> None:
    for first, second in ((Phase.EPILOG_STOP, SUCCESS), (Phase.EPILOG_STOP_FAILURE, SUCCESS)):
        cloud = Cloud()
        oid = cloud.running()
        cloud.call(ANN, "one.vm.action", "stop", oid)
        cloud.steps(1)
        if first is Phase.EPILOG_STOP_FAILURE:
            cloud.steps(1, ok=False, message="disk full")
        assert cloud.phase(oid) is first
        cloud.call(0, "one.vm.recover", oid, second)
        assert cloud.phase(oid) is Phase.STOPPED
        cloud.call(ANN, "one.vm.action", "resume", oid)
        cloud.call(0, "one.vm.deploy", oid, NODE0)
        assert cloud.phase(oid) is Phase.PROLOG_RESUME
        check(cloud)


def test_deploy_success_without_an_answer_names_the_vm_after_its_id() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    cloud.steps(1)
    assert cloud.phase(oid) is Phase.BOOT
    cloud.call(0, "one.vm.recover", oid, SUCCESS)
    assert cloud.phase(oid) is Phase.RUNNING
    assert cloud.get(VM, oid).deploy_id == f"one-{oid}"


@pytest.mark.parametrize("op", [-1, 6, 42, 2**31 - 1])
def test_an_unknown_operation_is_refused(op: int) -> None:
    cloud = Cloud()
    oid = cloud.running()
    assert sentence(cloud.fails(0, "one.vm.recover", oid, op)) == (
        Code.ACTION,
        "Wrong recovery operation code",
    )


def test_a_finished_vm_is_left_alone() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    for op in (DELETE, DELETE_DB):
        cloud.call(0, "one.vm.recover", oid, op)
    for op in (FAILURE, SUCCESS, RETRY, RECREATE):
        assert cloud.fails(0, "one.vm.recover", oid, op).code is Code.ACTION
