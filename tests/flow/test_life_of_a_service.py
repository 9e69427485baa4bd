"""What becomes of a service: deployed, scaled, troubled, recovered, ended."""

import asyncio
import json
from typing import Any

import pytest
from tests.flow.flow_world import FlowWorld, body, role

from merope.client.errors import ConnectionFailed, OneError
from merope.flow.requests import RequestError
from merope.flow.settings import FlowSettings
from merope.flow.states import State
from merope.model.states import LcmState, VmState

S = State
CHILD = role("db", 2, parents=["web"])


@pytest.fixture
async def world() -> FlowWorld:
    return FlowWorld(settings=FlowSettings(default_cooldown=10))


async def test_a_straight_service_starts_children_when_their_parents_run(world: FlowWorld) -> None:
    shop = body(role("db", parents=["web"]), role("web"))
    world.core.add_document("shop", json.dumps(shop))
    world.manager.read_all()
    await world.settle()
    assert [vm.name for vm in world.core.vms.values()] == ["web_0_(service_0)"]
    assert world.states() == (S.DEPLOYING, {"db": S.PENDING, "web": S.DEPLOYING})
    await world.rest()
    assert [vm.name for vm in world.core.vms.values()][1:] == ["db_0_(service_0)"]
    assert world.states() == (S.RUNNING, {"db": S.RUNNING, "web": S.RUNNING})


async def test_a_service_of_strategy_none_starts_all_roles_at_once(world: FlowWorld) -> None:
    world.core.add_document(
        "s", '{"name":"s","roles":[{"name":"a","vm_template":0},{"name":"b","vm_template":0}]}'
    )
    world.manager.read_all()
    await world.settle()
    assert len(world.core.vms) == 2


async def test_vms_are_their_owners_and_say_whose_role_they_play(world: FlowWorld) -> None:
    await world.begin(body(role(vm_template_contents='MEMORY="64"')))
    vm = world.core.vms[0]
    assert vm.owner == "ann"
    assert (vm.user.get("SERVICE_ID"), vm.user.get("ROLE_NAME"), vm.user.get("MEMORY")) == ("0", "web", "64")
    assert world.service().roles[0].nodes[0].info["VM"]["NAME"] == "web_0_(service_0)"


async def test_with_a_ready_gate_a_vm_counts_when_its_guest_says_so(world: FlowWorld) -> None:
    await world.begin(body(role(), CHILD, ready_status_gate=True))
    assert world.states()[1] == {"web": S.DEPLOYING, "db": S.PENDING}
    world.core.update(0, "READY = YES")
    await world.rest()
    assert world.states()[1] == {"web": S.RUNNING, "db": S.DEPLOYING}


async def test_a_vm_that_fails_to_boot_is_made_anew_once(world: FlowWorld) -> None:
    world.core.failing = {"web_0_(service_0)": 1}
    await world.begin(body())
    assert world.states()[0] == S.RUNNING
    assert len(world.core.vms) == 1


async def test_a_vm_that_fails_again_fails_its_role_with_the_reason(world: FlowWorld) -> None:
    world.core.failing = {"web_0_(service_0)": 2}
    await world.begin(body())
    assert world.states() == (S.FAILED_DEPLOYING, {"web": S.FAILED_DEPLOYING})
    assert world.service().roles[0].failure == "VM 0: the image is broken"


async def test_an_owner_who_may_not_recover_vms_has_a_failed_one_replaced_once(world: FlowWorld) -> None:
    """VM_ADMIN_OPERATIONS has `recover`: only few have the right."""
    world.core.forbidden = {"one.vm.recover"}
    world.core.failing = {"web_0_(service_0)": 1}
    await world.begin(body())
    assert world.states()[0] == S.RUNNING
    assert [vm.name for vm in world.core.alive] == ["web_1_(service_0)"]


async def test_where_the_one_in_its_place_fails_too_the_role_fails_with_the_reason(world: FlowWorld) -> None:
    world.core.forbidden = {"one.vm.recover"}
    world.core.failing = {"web_0_(service_0)": 1, "web_1_(service_0)": 1}
    await world.begin(body())
    assert world.states() == (S.FAILED_DEPLOYING, {"web": S.FAILED_DEPLOYING})
    assert world.service().roles[0].failure == "VM 1: the image is broken"
    assert len(world.core.vms) == 2
    await world.recover()
    await world.rest()
    assert world.states()[0] == S.RUNNING


async def test_a_recover_replaces_what_failed_and_goes_on(world: FlowWorld) -> None:
    world.core.failing = {"web_0_(service_0)": 2}
    await world.begin(body(role(), CHILD))
    await world.recover()
    await world.rest()
    assert world.states()[0] == S.RUNNING
    assert [vm.id for vm in world.core.alive] == [1, 2, 3]


async def test_a_refusal_says_which_role_and_why_and_recovers(world: FlowWorld) -> None:
    world.core.refuse = {"one.template.instantiate": "limit of 1 reached for VMS quota in user 2"}
    await world.begin(body())
    assert world.states()[0] == S.FAILED_DEPLOYING
    assert "Role web: VM 0: limit of 1 reached for VMS quota in user 2" in world.log()
    world.core.refuse = {}
    await world.recover()
    await world.rest()
    assert world.states()[0] == S.RUNNING


async def test_scaling_up_adds_vms_and_cools_down(world: FlowWorld) -> None:
    await world.begin(body())
    await world.scale("web", 3)
    await world.rest()
    assert world.states() == (S.COOLDOWN, {"web": S.COOLDOWN})
    assert [node.vm_id for node in world.service().roles[0].nodes] == [0, 1, 2]
    assert "Role web scaling up from 1 to 3 nodes" in world.log()
    await world.wait(10)
    assert world.states() == (S.RUNNING, {"web": S.RUNNING})


async def test_scaling_down_ends_the_oldest_vms(world: FlowWorld) -> None:
    await world.begin(body(role(cardinality=3)))
    await world.scale("web", 1)
    await world.rest()
    assert [vm.id for vm in world.core.alive] == [2]
    assert world.states()[0] == S.COOLDOWN


async def test_scaling_down_ends_vms_that_do_not_run_first(world: FlowWorld) -> None:
    await world.begin(body(role(cardinality=3)))
    world.core.become(1, VmState.POWEROFF)
    await world.settle()
    await world.scale("web", 2)
    await world.rest()
    assert [vm.id for vm in world.core.alive] == [0, 2]


async def test_a_vm_that_will_not_end_fails_the_scaling_and_a_recover_asks_again(world: FlowWorld) -> None:
    await world.begin(body(role(cardinality=2)))
    world.core.deaf = {0}
    await world.scale("web", 1)
    await world.rest()
    assert world.states() == (S.FAILED_SCALING, {"web": S.FAILED_SCALING})
    world.core.deaf = set()
    await world.recover()
    await world.rest()
    assert world.states()[0] == S.COOLDOWN
    assert [vm.id for vm in world.core.alive] == [1]


@pytest.mark.parametrize(
    ("cardinality", "force", "says"),
    [(0, False, "at least 1"), (4, False, "at most 3"), (-1, True, "0 or more")],
)
async def test_limits_of_a_role_are_kept(world: FlowWorld, cardinality: int, force: bool, says: str) -> None:
    await world.begin(body(role(min_vms=1, max_vms=3)))
    with pytest.raises(RequestError, match=says):
        await world.scale("web", cardinality, force=force)
    assert world.service().roles[0].cardinality == 1


async def test_force_goes_beyond_them(world: FlowWorld) -> None:
    await world.begin(body(role(min_vms=1, max_vms=3)))
    await world.scale("web", 4, force=True)
    await world.rest()
    assert len(world.core.alive) == 4


async def test_a_vm_that_is_switched_off_is_a_warning_until_it_runs_again(world: FlowWorld) -> None:
    await world.begin(body())
    world.core.become(0, VmState.POWEROFF)
    await world.settle()
    assert world.states() == (S.WARNING, {"web": S.WARNING})
    world.core.become(0, VmState.ACTIVE, LcmState.RUNNING)
    await world.settle()
    assert world.states() == (S.RUNNING, {"web": S.RUNNING})


async def test_a_recover_of_a_warning_starts_what_rests_and_replaces_what_failed(world: FlowWorld) -> None:
    await world.begin(body(role(cardinality=3)))
    world.core.become(0, VmState.POWEROFF)
    world.core.become(1, VmState.ACTIVE, LcmState.UNKNOWN)
    world.core.become(2, VmState.ACTIVE, LcmState.BOOT_FAILURE)
    await world.settle()
    await world.recover()
    await world.rest()
    assert world.states()[0] == S.RUNNING
    assert [vm.id for vm in world.core.alive] == [0, 1, 3]


async def test_a_vm_that_was_deleted_by_hand_makes_its_role_smaller(world: FlowWorld) -> None:
    await world.begin(body(role(cardinality=2)))
    world.core.become(0, VmState.DONE)
    await world.settle()
    assert world.states()[0] == S.RUNNING
    assert world.service().roles[0].cardinality == 1


async def test_min_vms_brings_it_back(world: FlowWorld) -> None:
    await world.begin(body(role(cardinality=2, min_vms=2)))
    world.core.become(0, VmState.DONE)
    await world.rest()
    assert len(world.core.alive) == 2


async def test_an_end_takes_children_before_their_parents_and_keeps_the_document(world: FlowWorld) -> None:
    await world.begin(body(role(), CHILD))
    await world.undeploy()
    await world.settle()
    assert world.states() == (S.UNDEPLOYING, {"web": S.RUNNING, "db": S.UNDEPLOYING})
    await world.rest()
    assert world.states() == (S.DONE, {"web": S.DONE, "db": S.DONE})
    assert world.core.alive == []


@pytest.mark.parametrize(
    ("of_service", "of_role", "ordered"),
    [
        ("", "", "terminate"),
        ("terminate-hard", "", "terminate-hard"),
        ("terminate-hard", "terminate", "terminate"),
    ],
)
async def test_vms_end_as_the_role_says_then_as_the_service_says(
    world: FlowWorld, of_service: str, of_role: str, ordered: str
) -> None:
    await world.begin(body(role(shutdown_action=of_role), shutdown_action=of_service))
    await world.undeploy()
    await world.rest()
    assert world.core.called("one.vm.action")[0][2] == ordered


async def test_an_end_waits_for_a_vm_that_is_on_its_way(world: FlowWorld) -> None:
    world.core.add_document("s", '{"name":"s","roles":[{"name":"a","vm_template":0}]}')
    world.manager.read_all()
    await world.settle()
    world.core.step()
    await world.settle()
    assert world.core.vms[0].lcm is LcmState.PROLOG
    await world.undeploy()
    await world.rest()
    assert world.states()[0] == S.DONE


async def test_a_vm_that_will_not_end_fails_the_end_and_a_recover_asks_again(world: FlowWorld) -> None:
    await world.begin(body())
    world.core.deaf = {0}
    await world.undeploy()
    await world.rest()
    assert world.states() == (S.FAILED_UNDEPLOYING, {"web": S.FAILED_UNDEPLOYING})
    world.core.deaf = set()
    await world.recover()
    await world.rest()
    assert world.states()[0] == S.DONE


async def test_a_purge_removes_everything_whatever_state_it_is_in(world: FlowWorld) -> None:
    world.core.failing = {"web_0_(service_0)": 2}
    await world.begin(body(role(cardinality=2)))
    await world.purge()
    await world.rest()
    assert world.core.alive == []
    assert world.core.documents == {}


async def test_a_purge_for_an_owner_who_may_not_delete_vms_ends_them_when_they_have_arrived(
    world: FlowWorld,
) -> None:
    world.core.forbidden = {"one.vm.recover"}
    world.core.add_document("shop", json.dumps(body(role(cardinality=2))))
    world.manager.read_all()
    await world.settle()
    world.core.step()
    await world.settle()
    await world.purge()
    await world.settle()
    assert len(world.core.alive) == 2
    await world.rest()
    assert world.core.alive == []
    assert world.core.documents == {}


async def test_networks_are_made_first_and_removed_last(world: FlowWorld) -> None:
    values = [
        {"Public": {"id": "0"}},
        {"Own": {"template_id": "3", "extra": "AR=[SIZE=5,TYPE=ETHER]"}},
        {"Part": {"reserve_from": "0", "extra": "NAME=part\nSIZE=5"}},
    ]
    contents = 'NIC=[NETWORK_ID="$Own"]\nNIC=[NETWORK_ID="$Public"]'
    await world.begin(body(role(vm_template_contents=contents), networks_values=values))
    assert world.core.networks == {0: "public", 1: "Own(service_0)", 2: "part"}
    assert [nic["NETWORK_ID"] for nic in world.core.vms[0].user.vectors("NIC")] == ["1", "0"]
    await world.undeploy()
    await world.rest()
    assert world.core.networks == {0: "public"}
    assert world.states()[0] == S.DONE


async def test_a_network_that_cannot_be_made_fails_the_service_with_the_reason(world: FlowWorld) -> None:
    await world.begin(body(networks_values=[{"Part": {"reserve_from": "0", "extra": "NAME=public\nSIZE=5"}}]))
    assert world.states()[0] == S.FAILED_DEPLOYING
    assert world.service().failure == "Network Part: NAME is already taken by NET public."
    await world.undeploy()
    await world.rest()
    assert world.core.networks == {0: "public"}


async def test_custom_attributes_reach_the_guest(world: FlowWorld) -> None:
    contents = 'TITLE="for $who"'
    attributes = {"who": 'Ann "the" boss'}
    await world.begin(body(role(vm_template_contents=contents), custom_attrs_values=attributes))
    user = world.core.vms[0].user
    assert user.get("TITLE") == 'for Ann "the" boss'
    assert user.vectors("FLOW_CONTEXT")[0] == {"WHO": 'Ann "the" boss'}
    assert user.vectors("CONTEXT")[0] == {"WHO": 'Ann "the" boss', "TOKEN": "YES"}


async def test_vms_on_hold_are_waited_for(world: FlowWorld) -> None:
    await world.begin(body(on_hold=True))
    assert world.core.called("one.template.instantiate")[0][4] is True


async def test_while_the_core_is_away_nothing_is_lost(world: FlowWorld) -> None:
    await world.begin(body())
    world.core.down = ConnectionFailed("core", "is away", True)
    world.core.become(0, VmState.POWEROFF)
    world.core.events.clear()
    world.manager.read_all()
    world.core.down = None
    await world.rest()
    assert world.states() == (S.WARNING, {"web": S.WARNING})


async def test_what_the_core_could_not_store_is_noted_again_later(world: FlowWorld) -> None:
    world.core.refuse = {"one.document.update": "The change could not be stored and was not made."}
    world.core.add_document("shop", json.dumps(body()))
    world.manager.read_all()
    await world.settle()
    assert world.core.vms == {}, "nothing is done before it is noted"
    world.core.refuse = {}
    for _ in range(1000):
        await asyncio.sleep(0)
    await world.rest()
    assert world.states()[0] == S.RUNNING
    assert len(world.core.alive) == 1


async def test_a_request_that_could_not_be_stored_is_not_done_later(world: FlowWorld) -> None:
    await world.begin(body())
    world.core.refuse = {"one.document.update": "The change could not be stored and was not made."}
    with pytest.raises(OneError):
        await world.scale("web", 3)
    world.core.refuse = {}
    world.manager.wake(0)
    await world.rest()
    assert world.states()[0] == S.RUNNING
    assert len(world.core.alive) == 1


async def test_a_vm_that_is_found_again_is_noted_at_once(world: FlowWorld) -> None:
    """Also where there is nothing else to note: its guest is waited for."""
    await world.begin(body(ready_status_gate=True))
    known = world.service()
    known.roles[0].nodes.clear()
    known.roles[0].last_vmname = 0
    world.core.documents[0].body = known.to_text()
    world.restart()
    await world.rest()
    assert world.service().vm_ids == [0]


async def test_a_service_that_cannot_be_scaled_now_says_so(world: FlowWorld) -> None:
    await world.begin(body())
    await world.scale("web", 2)
    await world.rest()
    with pytest.raises(RequestError, match="cannot be scaled while it is COOLDOWN"):
        await world.scale("web", 3)


async def test_there_is_nothing_to_recover_from_in_a_service_that_runs(world: FlowWorld) -> None:
    await world.begin(body())
    with pytest.raises(RequestError, match="has nothing to recover from"):
        await world.recover()


async def test_a_cooldown_ends_early_by_a_recover(world: FlowWorld) -> None:
    await world.begin(body())
    await world.scale("web", 2)
    await world.rest()
    await world.recover()
    await world.rest()
    assert world.states() == (S.RUNNING, {"web": S.RUNNING})


async def test_a_document_that_is_no_service_hurts_no_other(world: FlowWorld) -> None:
    await world.begin({"name": "broken"}, body())
    assert world.states(1)[0] == S.RUNNING


async def test_a_document_that_somebody_deletes_is_not_written_again(world: FlowWorld) -> None:
    await world.begin(body())
    del world.core.documents[0]
    world.core.become(0, VmState.POWEROFF)
    await world.settle()
    assert world.manager.keepers == {}


async def test_what_is_heard_of_a_vm_before_the_answer_that_it_was_made_counts(world: FlowWorld) -> None:
    """The answers of two makings come together, and one VM was up before the other was made."""
    make = world.core.one_template_instantiate

    def slow(*arguments: Any) -> int:
        made = make(*arguments)
        while world.core.step():
            world.core.deliver()
        return made

    world.core.one_template_instantiate = slow  # type: ignore[method-assign, assignment]
    await world.begin(body(role(cardinality=2)))
    assert world.states() == (S.RUNNING, {"web": S.RUNNING})


async def test_what_is_heard_of_a_vm_before_the_answer_that_it_is_made_anew_counts(world: FlowWorld) -> None:
    make_anew = world.core.one_vm_recover

    def slow(_user: str, oid: int, how: int) -> int:
        made = make_anew(_user, oid, how)
        while world.core.step():
            world.core.deliver()
        return made

    world.core.one_vm_recover = slow  # type: ignore[method-assign]
    world.core.failing = {"web_0_(service_0)": 1}
    await world.begin(body())
    assert world.states() == (S.RUNNING, {"web": S.RUNNING})


async def test_what_is_heard_of_a_vm_before_the_answer_that_it_is_started_counts(world: FlowWorld) -> None:
    await world.begin(body())
    world.core.become(0, VmState.POWEROFF)
    await world.rest()
    start = world.core.one_vm_action

    def slow(_user: str, action: str, oid: int) -> int:
        started = start(_user, action, oid)
        while world.core.step():
            world.core.deliver()
        return started

    world.core.one_vm_action = slow  # type: ignore[method-assign]
    await world.recover()
    await world.rest()
    assert world.states() == (S.RUNNING, {"web": S.RUNNING})


async def test_what_vms_say_is_read_with_the_rights_of_the_owner(world: FlowWorld) -> None:
    """Whoever may write the document could name others' VMs in it."""
    policy = {"expression": "LOAD > 1", "type": "CHANGE", "adjust": 1, "period": 10}
    world.core.failing = {"web_0_(service_0)": 2}
    await world.begin(body(role(elasticity_policies=[policy])))
    await world.recover()
    await world.rest()
    await world.wait(10)
    assert {call[0] for call in world.core.called("one.vm.info")} == {"ann"}
