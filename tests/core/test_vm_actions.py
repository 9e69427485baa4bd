"""Virtual machines from their creation to their end, through the API and the drivers' answers."""

import contextlib
from xml.etree import ElementTree

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.core.conftest import sentence
from tests.core.schemas import check_schema
from tests.core.vm_world import (
    ANN,
    NODE0,
    NODE1,
    PERSISTENT,
    TEMPLATE,
    Cloud,
    check,
    console,
    stand,
)

from merope.core import results, vm, vm_results
from merope.core.methods import METHODS
from merope.core.transaction import SYSTEM
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.quota import Usage
from merope.model.states import HistoryAction, ImageState
from merope.model.vm import VM
from merope.model.vnet import VirtualNetwork

IMAGES = Usage().datastore(1, images=2, size=128)
"""What ann has before and after all of her VMs."""


def act(cloud: Cloud, oid: int, name: str, who: int = ANN) -> None:
    cloud.now += 10
    assert cloud.call(who, "one.vm.action", name, oid) == oid
    check(cloud)


def answered(cloud: Cloud, oid: int, *phases: Phase) -> None:
    """Each answer brings the VM to the next of the phases."""
    for phase in phases:
        cloud.steps(1)
        assert cloud.phase(oid) is phase
        check(cloud)


def gone(cloud: Cloud) -> None:
    """No VM holds anything any more."""
    check(cloud)
    assert not cloud.state.effects
    assert cloud.get(VirtualNetwork, 0).used_leases == 0
    assert cloud.used() == IMAGES
    assert cloud.used("group", 1) == IMAGES
    for oid in (NODE0, NODE1):
        share = cloud.get(Host, oid).host_share
        assert (share.cpu_usage, share.mem_usage, share.running_vms) == (0, 0, 0)
    assert {cloud.get(Image, oid).state for oid in (0, 1)} == {ImageState.READY}
    assert not cloud.state.vnc_ports


def test_a_vm_is_deployed_runs_and_is_terminated() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    check(cloud)
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    assert cloud.phase(oid) is Phase.PROLOG
    answered(cloud, oid, Phase.BOOT, Phase.RUNNING)
    act(cloud, oid, "terminate")
    assert cloud.phase(oid) is Phase.SHUTDOWN
    answered(cloud, oid, Phase.EPILOG, Phase.DONE)
    gone(cloud)


def test_the_times_of_a_record_tell_when_each_stage_began_and_ended() -> None:
    cloud = Cloud()
    start = cloud.now
    oid = cloud.running()
    act(cloud, oid, "terminate")
    answered(cloud, oid, Phase.EPILOG, Phase.DONE)
    vm = cloud.document(oid)
    record = vm.history
    assert record is not None
    times = [
        getattr(record, name)
        for name in ("stime", "pstime", "petime", "rstime", "retime", "estime", "eetime", "etime")
    ]
    assert [time - start for time in times] == [0, 0, 10, 10, 40, 40, 50, 50]
    assert vm.etime - start == 50
    assert record.action == HistoryAction.TERMINATE
    assert (record.uid, record.gid) == (ANN, 1)


def test_a_vm_is_powered_off_and_resumed() -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, "poweroff")
    assert cloud.phase(oid) is Phase.SHUTDOWN_POWEROFF
    answered(cloud, oid, Phase.POWEROFF)
    assert cloud.get(Host, NODE0).vms == {oid}
    act(cloud, oid, "resume")
    assert cloud.phase(oid) is Phase.BOOT_POWEROFF
    answered(cloud, oid, Phase.RUNNING)
    first, second = cloud.records(oid)
    assert first.action == HistoryAction.POWEROFF
    assert (second.action, second.uid, second.gid, second.request_id) == (0, -1, -1, "-1")
    assert first.etime == second.stime == second.rstime
    act(cloud, oid, "terminate-hard")
    answered(cloud, oid, Phase.EPILOG, Phase.DONE)
    gone(cloud)


def test_a_vm_is_suspended_and_resumed() -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, "suspend")
    answered(cloud, oid, Phase.SUSPENDED)
    act(cloud, oid, "resume")
    assert cloud.effects("vm")[0].op == "vm.restore"
    answered(cloud, oid, Phase.RUNNING)
    assert [record.action for record in cloud.records(oid)] == [HistoryAction.SUSPEND, 0]


@pytest.mark.parametrize(
    ("action", "away", "transient", "back", "effect"),
    [
        ("stop", Phase.STOPPED, Phase.SAVE_STOP, Phase.PROLOG_RESUME, "vm.restore"),
        ("undeploy", Phase.UNDEPLOYED, Phase.SHUTDOWN_UNDEPLOY, Phase.PROLOG_UNDEPLOY, "vm.deploy"),
        ("undeploy-hard", Phase.UNDEPLOYED, Phase.SHUTDOWN_UNDEPLOY, Phase.PROLOG_UNDEPLOY, "vm.deploy"),
    ],
)
def test_a_vm_is_put_away_and_comes_back_on_another_host(
    action: str, away: Phase, transient: Phase, back: Phase, effect: str
) -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, action)
    assert cloud.phase(oid) is transient
    cloud.steps(1)
    check(cloud)
    answered(cloud, oid, away)
    assert cloud.get(Host, NODE0).vms == set()
    assert console(cloud.get(VM, oid)) == ""
    act(cloud, oid, "resume")
    assert cloud.phase(oid) is Phase.PENDING
    cloud.call(0, "one.vm.deploy", oid, NODE1)
    assert cloud.phase(oid) is back
    cloud.steps(1)
    assert cloud.effects("vm")[0].op == effect
    answered(cloud, oid, Phase.RUNNING)
    first, second = cloud.records(oid)
    assert (first.hid, second.hid, first.ds_id, second.ds_id) == (NODE0, NODE1, 0, 0)
    assert first.eetime
    assert first.etime <= second.stime
    act(cloud, oid, "terminate")
    answered(cloud, oid, Phase.EPILOG, Phase.DONE)
    gone(cloud)


@pytest.mark.parametrize(("action", "away"), [("stop", Phase.STOPPED), ("undeploy", Phase.UNDEPLOYED)])
def test_a_vm_that_was_put_away_and_waits_is_terminated_with_its_files(action: str, away: Phase) -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, action)
    cloud.steps(2)
    assert cloud.phase(oid) is away
    act(cloud, oid, "resume")
    act(cloud, oid, "terminate")
    assert cloud.effects("vm")[0].op == "vm.epilog_local"
    answered(cloud, oid, Phase.DONE)
    gone(cloud)


@pytest.mark.parametrize("phase", [Phase.STOPPED, Phase.UNDEPLOYED, Phase.SUSPENDED, Phase.POWEROFF])
def test_a_vm_at_rest_is_terminated(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    act(cloud, oid, "terminate")
    answered(cloud, oid, Phase.DONE)
    gone(cloud)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.HOLD, Phase.CLONING, Phase.CLONING_FAILURE])
def test_a_vm_that_is_nowhere_is_done_at_once(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    act(cloud, oid, "terminate")
    assert cloud.phase(oid) is Phase.DONE
    assert cloud.get(VirtualNetwork, 0).used_leases == 0
    assert cloud.document(oid).etime == cloud.now


def test_a_hard_action_asks_for_the_machine_to_be_switched_off() -> None:
    for action in ("poweroff-hard", "undeploy-hard", "terminate-hard"):
        cloud = Cloud()
        oid = cloud.running()
        act(cloud, oid, action)
        assert [effect.op for effect in cloud.effects("vm")] == ["vm.cancel"]


def test_old_names_of_actions_are_understood() -> None:
    for old, phase in (("shutdown", Phase.SHUTDOWN), ("delete", Phase.SHUTDOWN)):
        cloud = Cloud()
        oid = cloud.running()
        act(cloud, oid, old)
        assert cloud.phase(oid) is phase


def test_a_reboot_leaves_the_vm_running_and_its_failure_is_told() -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, "reboot")
    assert cloud.phase(oid) is Phase.RUNNING
    cloud.steps(1, ok=False, message="it does not listen")
    assert cloud.phase(oid) is Phase.RUNNING
    assert cloud.get(VM, oid).user_template.get("ERROR").endswith(" : it does not listen")
    check(cloud)


@pytest.mark.parametrize(
    "action", ["poweroff", "poweroff-hard", "suspend", "stop", "undeploy", "undeploy-hard", "terminate"]
)
def test_an_action_that_fails_leaves_the_vm_running_and_tells_why(action: str) -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, action)
    cloud.steps(1, ok=False, message="<no> ]]> & \x00 way")
    assert cloud.phase(oid) is Phase.RUNNING
    check(cloud)
    vm = cloud.get(VM, oid)
    assert vm.user_template.get("ERROR").endswith("<no> ]] > &   way")
    record = cloud.records(oid)[-1]
    assert (record.action, record.uid, record.retime, record.etime) == (0, -1, 0, 0)
    check_schema(cloud.call(ANN, "one.vm.info", oid), "vm")


@pytest.mark.parametrize(
    ("rest", "failing", "op"),
    [("poweroff", Phase.POWEROFF, "vm.deploy"), ("suspend", Phase.SUSPENDED, "vm.restore")],
)
def test_a_resume_that_fails_leaves_the_vm_at_rest(rest: str, failing: Phase, op: str) -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, rest)
    cloud.steps(1)
    act(cloud, oid, "resume")
    assert cloud.effects("vm")[0].op == op
    cloud.steps(1, ok=False, message="no")
    assert cloud.phase(oid) is failing
    check(cloud)
    assert len(cloud.records(oid)) == 2


def test_a_driver_that_babbles_is_cut_short() -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, "suspend")
    cloud.steps(1, ok=False, message="x" * 10_000_000)
    assert len(cloud.get(VM, oid).user_template.get("ERROR")) < 2100


def test_every_record_is_shown_once() -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, "poweroff")
    cloud.steps(1)
    act(cloud, oid, "resume")
    cloud.steps(1)
    act(cloud, oid, "stop")
    cloud.steps(2)
    assert cloud.phase(oid) is Phase.STOPPED
    shown = ElementTree.fromstring(cloud.call(ANN, "one.vm.info", oid))
    assert [item.findtext("SEQ") for item in shown.iter("HISTORY")] == ["0", "1"]
    listed = ElementTree.fromstring(cloud.call(ANN, "one.vmpool.info", -2, -1, -1, -1))
    assert [item.findtext("SEQ") for item in listed.iter("HISTORY")] == ["1"]


def test_a_closed_record_is_stored_with_the_vm_as_it_was() -> None:
    cloud = Cloud()
    oid = cloud.running()
    act(cloud, oid, "poweroff")
    cloud.steps(1)
    tx = cloud.transaction(cloud.caller(ANN))
    METHODS["one.vm.action"].run(tx, "resume", oid)
    row = tx.row("history", (oid, 0))
    assert row is not None
    stored = ElementTree.fromstring(str(row["body"]))
    assert stored.findtext("VM/NAME") == "one-0"
    assert stored.find("VM/HISTORY_RECORDS") is not None
    assert len(list(stored.iter("HISTORY"))) == 1
    assert (row["stime"], row["etime"]) == (int(stored.findtext("STIME") or 0), tx.now)


def test_a_persistent_image_is_free_again_after_its_vm() -> None:
    cloud = Cloud()
    oid = cloud.running(TEMPLATE.replace("IMAGE_ID = 0", f"IMAGE_ID = {PERSISTENT}"))
    assert cloud.get(Image, PERSISTENT).state == ImageState.USED_PERS
    act(cloud, oid, "terminate")
    cloud.steps(2)
    gone(cloud)


# Rights


def test_only_administrators_deploy_migrate_recover_and_resched() -> None:
    cloud = Cloud()
    oid = cloud.running()
    for name, *arguments in (
        ("one.vm.deploy", oid, NODE1),
        ("one.vm.migrate", oid, NODE1, True),
        ("one.vm.recover", oid, 0),
        ("one.vm.recover", oid, 3),
        ("one.vm.action", "resched", oid),
    ):
        error = cloud.fails(ANN, str(name), *arguments)
        assert error.code is Code.AUTHORIZATION
        assert "ADMIN VM [0]" in error.message


def test_strangers_may_do_nothing() -> None:
    cloud = Cloud()
    oid = cloud.running()
    bob = cloud.user("bob")
    for name in ("terminate", "poweroff", "hold", "reboot", "resume"):
        error = cloud.fails(bob, "one.vm.action", name, oid)
        assert sentence(error) == (
            Code.AUTHORIZATION,
            f"User [{bob}] : Not authorized to perform MANAGE VM [{oid}].",
        )
    assert cloud.fails(bob, "one.vm.info", oid).code is Code.AUTHORIZATION
    assert cloud.call(bob, "one.vmpool.info", -2, -1, -1, -1) == "<VM_POOL/>"


def test_a_group_may_move_an_action_to_another_right() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(0, "one.group.update", 1, 'VM_MANAGE_OPERATIONS="resched"', 1)
    act(cloud, oid, "resched")
    assert cloud.get(VM, oid).resched == 1
    act(cloud, oid, "unresched")
    assert cloud.get(VM, oid).resched == 0


def test_a_locked_vm_is_left_alone_even_by_administrators() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.lock", oid, 2)
    error = cloud.fails(0, "one.vm.action", "terminate", oid)
    assert sentence(error) == (Code.AUTHORIZATION, f"User [0] : VM is locked. [{oid}].")
    cloud.call(ANN, "one.vm.unlock", oid)
    act(cloud, oid, "terminate")


def test_an_unknown_action_is_refused_by_name() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    for name in ("fly", "", "TERMINATE", "x" * 100_000, "migrate"):
        error = cloud.fails(0, "one.vm.action", name, oid)
        assert error.code is Code.ACTION
        assert "is not supported" in error.message
        assert len(error.message) < 1000


def test_a_vm_that_does_not_exist_is_named() -> None:
    cloud = Cloud()
    for oid in (0, 4711, -1, 2**31 - 1, -(2**31)):
        error = cloud.fails(0, "one.vm.action", "hold", oid)
        assert sentence(error) == (Code.NO_EXISTS, f"Error getting virtual machine [{oid}].")


# Resizing


def test_a_vm_that_does_not_run_is_resized() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    cloud.call(ANN, "one.vm.resize", oid, "CPU=2\nMEMORY=512\nVCPU=4")
    template = cloud.get(VM, oid).template
    assert [template.get(name) for name in ("CPU", "MEMORY", "VCPU")] == ["2", "512", "4"]
    check(cloud)


def test_a_resize_of_a_vm_that_is_powered_off_counts_on_its_host() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.POWEROFF)
    cloud.call(ANN, "one.vm.resize", oid, "CPU=2\nMEMORY=0")
    check(cloud)
    assert cloud.get(Host, NODE0).host_share.cpu_usage == 200
    error = cloud.fails(ANN, "one.vm.resize", oid, "CPU=100")
    assert error.code is Code.ACTION
    assert "does not fit in host [0]" in error.message


@pytest.mark.parametrize(
    "text",
    [
        *("CPU=nan", "CPU=-1", "CPU=inf", "CPU=1e9", "CPU=1_0", "CPU=2147483648", f"CPU={'9' * 5000}"),
        *("MEMORY=x", "MEMORY=1.5", "MEMORY=1_0", 'MEMORY="١٢"', f"MEMORY={'9' * 5000}"),
        *("VCPU=-3", "VCPU=4294967296"),
    ],
)
def test_a_resize_to_what_is_no_capacity_is_refused(text: str) -> None:
    cloud = Cloud()
    oid = cloud.vm()
    error = cloud.fails(ANN, "one.vm.resize", oid, text)
    assert error.code is Code.INTERNAL
    assert len(error.message) < 500


def test_a_running_vm_is_not_resized() -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, "one.vm.resize", oid, "CPU=2")
    assert sentence(error) == (Code.ACTION, "Cannot resize a VM in state RUNNING")


def test_a_resize_above_a_quota_is_refused() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    cloud.call(0, "one.user.quota", ANN, "VM=[CPU=1]")
    error = cloud.fails(ANN, "one.vm.resize", oid, "CPU=2")
    assert error.code is Code.AUTHORIZATION
    assert "limit of 1 reached for CPU quota in VM" in error.message


# Owners


def test_a_vm_changes_hands_with_all_that_it_counts_for() -> None:
    cloud = Cloud()
    oid = cloud.running()
    bob = cloud.user("bob")
    cloud.call(0, "one.vm.chown", oid, bob, -1)
    check(cloud)
    assert cloud.used("user", bob) == cloud.used("group", 1) - IMAGES
    assert cloud.used() == IMAGES
    act(cloud, oid, "terminate", bob)
    cloud.steps(2)
    gone(cloud)


def test_a_vm_is_renamed_whatever_its_state() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.rename", oid, "web")
    assert cloud.get(VM, oid).name == "web"
    for name in ("", "a&b", "a\nb\x01", "x" * 129, "\x00", "a<b"):
        error = cloud.fails(ANN, "one.vm.rename", oid, name)
        assert error.message.startswith("Invalid NAME")


def test_attributes_of_a_vm_are_changed_but_not_the_restricted_ones() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.update", oid, "LABELS=a\nNOTE=b", 1)
    assert cloud.get(VM, oid).user_template.get("NOTE") == "b"
    error = cloud.fails(ANN, "one.vm.update", oid, "USER_PRIORITY=9", 1)
    assert sentence(error) == (
        Code.INTERNAL,
        "Cannot update template. Tried to change restricted attribute: USER_PRIORITY",
    )
    cloud.call(0, "one.vm.update", oid, "USER_PRIORITY=9", 1)
    cloud.call(ANN, "one.vm.update", oid, "NOTE=c", 0)
    assert cloud.get(VM, oid).user_template.get("USER_PRIORITY") == "9"


# Monitoring


def test_a_vm_that_was_switched_off_from_within_is_powered_off() -> None:
    cloud = Cloud()
    oid = cloud.running()
    tx = cloud.transaction(SYSTEM)
    assert vm_results.found(tx, oid, "POWEROFF")
    cloud.commit(tx)
    assert cloud.phase(oid) is Phase.POWEROFF
    check(cloud)
    tx = cloud.transaction(SYSTEM)
    assert vm_results.found(tx, oid, "RUNNING")
    cloud.commit(tx)
    assert cloud.phase(oid) is Phase.RUNNING
    check(cloud)
    assert len(cloud.records(oid)) == 2


# Listings


def test_vms_are_listed_by_state_owner_and_page() -> None:
    cloud = Cloud()
    first, second, third = cloud.vm(), cloud.vm(hold=True), cloud.vm(who=0)

    def listed(who: int, flag: int, start: int = -1, end: int = -1, state: int = -1) -> list[int]:
        document = ElementTree.fromstring(cloud.call(who, "one.vmpool.info", flag, start, end, state))
        return [int(item.findtext("ID") or -1) for item in document]

    assert listed(0, -2) == [third, second, first]
    assert listed(ANN, -2) == [second, first]
    assert listed(0, -3) == [third]
    assert listed(0, -2, state=2) == [second]
    assert listed(0, -2, 1, -2) == [second, first]
    cloud.call(ANN, "one.vm.action", "terminate", first)
    assert listed(ANN, -2) == [second]


# Many lives at once


class Lives(RuleBasedStateMachine):
    """VMs through any order of requests, answers, reports and recoveries: everything is accounted for."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud()
        self.vms: list[int] = []

    def attempt(self, who: int, name: str, *arguments: object) -> None:
        """Refusals are fine; anything else that goes wrong is not."""
        self.cloud.now += 1
        with contextlib.suppress(ApiError):
            self.cloud.call(who, name, *arguments)
        self.vms = [oid for oid in self.vms if self.cloud.exists(VM, oid)]

    @precondition(lambda self: len(self.vms) < 4)
    @rule(persistent=st.booleans(), hold=st.booleans())
    def create(self, persistent: bool, hold: bool) -> None:
        text = TEMPLATE.replace("IMAGE_ID = 0", f"IMAGE_ID = {PERSISTENT}") if persistent else TEMPLATE
        with contextlib.suppress(ApiError):
            self.vms.append(self.cloud.vm(text, hold=hold))

    @precondition(lambda self: self.vms)
    @rule(data=st.data(), name=st.sampled_from(vm.ACTIONS))
    def act(self, data: st.DataObject, name: str) -> None:
        self.attempt(0, "one.vm.action", name, data.draw(st.sampled_from(self.vms)))

    @precondition(lambda self: self.vms)
    @rule(data=st.data(), host=st.sampled_from([NODE0, NODE1]))
    def deploy(self, data: st.DataObject, host: int) -> None:
        self.attempt(0, "one.vm.deploy", data.draw(st.sampled_from(self.vms)), host)

    @precondition(lambda self: self.vms)
    @rule(data=st.data(), host=st.sampled_from([NODE0, NODE1]), live=st.booleans(), kind=st.integers(0, 2))
    def migrate(self, data: st.DataObject, host: int, live: bool, kind: int) -> None:
        self.attempt(0, "one.vm.migrate", data.draw(st.sampled_from(self.vms)), host, live, False, -1, kind)

    @precondition(lambda self: self.vms)
    @rule(data=st.data(), op=st.integers(0, 5))
    def recover(self, data: st.DataObject, op: int) -> None:
        self.attempt(0, "one.vm.recover", data.draw(st.sampled_from(self.vms)), op)

    @precondition(lambda self: self.vms)
    @rule(data=st.data(), cpu=st.sampled_from(["0.25", "1", "2"]))
    def resize(self, data: st.DataObject, cpu: str) -> None:
        self.attempt(ANN, "one.vm.resize", data.draw(st.sampled_from(self.vms)), f"CPU={cpu}\nMEMORY=64")

    @precondition(lambda self: self.cloud.effects("vm"))
    @rule(data=st.data(), ok=st.booleans())
    def answer(self, data: st.DataObject, ok: bool) -> None:
        self.cloud.now += 1
        effect = data.draw(st.sampled_from(self.cloud.effects("vm")))
        tx = self.cloud.transaction(SYSTEM)
        results.take_result(tx, effect.id, ok, "" if ok else "no")
        self.cloud.commit(tx)
        self.vms = [oid for oid in self.vms if self.cloud.exists(VM, oid)]

    @precondition(lambda self: self.vms)
    @rule(data=st.data(), report=st.sampled_from(sorted(vm_results.REPORTS)))
    def report(self, data: st.DataObject, report: str) -> None:
        tx = self.cloud.transaction(SYSTEM)
        vm_results.found(tx, data.draw(st.sampled_from(self.vms)), report)
        self.cloud.commit(tx)

    @invariant()
    def everything_is_accounted_for(self) -> None:
        check(self.cloud)

    def teardown(self) -> None:
        for oid in self.vms:
            self.cloud.call(0, "one.vm.recover", oid, 3)
        self.cloud.answer(op="vm")
        check(self.cloud)
        assert not self.cloud.state.effects
        assert self.cloud.get(VirtualNetwork, 0).used_leases == 0
        assert self.cloud.used() == IMAGES


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
