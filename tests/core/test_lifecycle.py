"""Every row of the life-cycle's table, brought about in the way in which it comes about."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.core import vm_devices_world as devices
from tests.core.schemas import check_schema
from tests.core.vm_world import (
    ANN,
    AWAY,
    NODE0,
    NODE1,
    PASSED_THROUGH,
    PINNED,
    TEMPLATE,
    Cloud,
    check,
    console,
    stand,
    take,
)

from merope.core import host_monitor, lifecycle, results, vm, vm_machine, vm_results, vm_steps
from merope.core.lifecycle import Row, Step
from merope.core.transaction import SYSTEM
from merope.model.effect import Effect
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.states import HistoryAction, ImageState
from merope.model.template import Vector
from merope.model.vm import VM, History

WORDS = "the driver's words"
DEPLOY_ID = "one-0-from-the-driver"
_MIGRATIONS = {"migrate": 0, "poweroff-migrate": 1, "poweroff-hard-migrate": 2}
_IMAGES = ("images-ready", "images-ready-hold", "images-failed", "images-waiting")


@dataclass(slots=True)
class Moment:
    """A VM at one moment, living or finished."""

    vm: VM
    records: list[History]
    effects: list[Effect]

    @property
    def current(self) -> History:
        return self.records[-1]


def look(cloud: Cloud, oid: int) -> Moment:
    effects = [effect for effect in cloud.effects("vm") if effect.oid == oid]
    return Moment(cloud.document(oid), cloud.records(oid), effects)


def drive(cloud: Cloud, oid: int, event: str, phase: Phase) -> None:
    """Makes the event happen as users, drivers and monitoring make it happen."""
    name = event.removesuffix("-off")
    deed = devices.deed(event)
    if deed is not None:
        deed(cloud, oid)
    elif event in vm.ACTIONS:
        cloud.call(ANN, "one.vm.action", event, oid)
    elif event.startswith("import") or (event.startswith("deploy") and not name.endswith(("-ok", "-ko"))):
        cloud.call(0, "one.vm.deploy", oid, NODE0)
    elif event == "live-migrate":
        cloud.call(0, "one.vm.migrate", oid, NODE1, True)
    elif event in _MIGRATIONS:
        cloud.call(0, "one.vm.migrate", oid, NODE1, False, False, -1, _MIGRATIONS[event])
    elif event == "delete-recreate":
        cloud.call(0, "one.vm.recover", oid, 4)
    elif name in ("recover-ok", "recover-ko"):
        cloud.call(0, "one.vm.recover", oid, int(name == "recover-ok"))
    elif event.startswith(("found-", "host-")):
        report = {word: said for said, word in vm_results.REPORTS.items()}.get(event)
        tx = cloud.transaction(SYSTEM)
        if event == "host-dead":
            vm_machine.fire(tx, tx.edit(VM, oid), event)
        elif report is None:
            vm_results.host_lost(tx, oid)
        else:
            assert vm_results.found(tx, oid, report)
        cloud.commit(tx)
    else:
        answer, ok = name[:-3], name.endswith("-ok")
        if phase in lifecycle.ON_DEVICES:
            [waiting] = cloud.effects("vm")
            take(cloud, oid, waiting.op, ok, WORDS, hypervisor_id="snap-0", source="/img/saved", format="raw")
            return
        expected = lifecycle.EFFECTS[phase]
        known = [op for op, word in lifecycle.ANSWERS.items() if word == answer]
        take(cloud, oid, expected if expected in known else known[0], ok, WORDS, deploy_id=DEPLOY_ID)


ROWS = [
    pytest.param(row, phase, id=f"{row.event}-in-{phase.name}")
    for row in lifecycle.ROWS
    for phase in row.phases
    if row.event not in _IMAGES
]


def prepared(cloud: Cloud, row: Row, phase: Phase, base: str = TEMPLATE) -> int:
    """A VM in the phase, of which everything that the row's steps put right is wrong."""
    powered_off = row.event.endswith("-off")
    if phase is Phase.DONE:
        oid = cloud.vm()
        cloud.call(ANN, "one.vm.action", "terminate", oid)
        return oid
    if row.event.startswith("import"):
        state = "IMPORT_STATE=POWEROFF\n" if row.to is Phase.POWEROFF else ""
        return cloud.vm(f"{base}DEPLOY_ID=web\n{state}", who=0, hold=phase is Phase.HOLD)
    kept = {"deploy-stopped": Phase.STOPPED, "deploy-undeployed": Phase.UNDEPLOYED}.get(row.event)
    if row.event.endswith("-cold") or (row.event == "snapshot-delete" and phase is Phase.POWEROFF):
        devices.cold(cloud)
    answer = row.event.replace("-ok", "").replace("-ko", "")
    template = devices.ALIASED if devices.deed(row.event) is not None else base
    oid = stand(cloud, kept or phase, powered_off=powered_off, answer=answer, template=template)
    if devices.deed(row.event) is not None:
        devices.make_snapshots(cloud, oid, row.event)
    if kept is not None:
        cloud.call(ANN, "one.vm.action", "resume", oid)
        if phase is Phase.HOLD:
            cloud.call(ANN, "one.vm.action", "hold", oid)
    tx = cloud.transaction(SYSTEM)
    own = tx.edit(VM, oid)
    own.resched = 1
    own.template.set("AUTOMATIC_REQUIREMENTS", "of yesterday")
    cloud.commit(tx)
    return oid


@pytest.mark.parametrize(("row", "phase"), ROWS)
def test_a_row_goes_to_its_phase_does_its_steps_and_asks_for_its_effect(row: Row, phase: Phase) -> None:
    cloud = Cloud()
    oid = prepared(cloud, row, phase)
    check(cloud)
    before, picture = look(cloud, oid), cloud.picture()
    cloud.now += 7
    drive(cloud, oid, row.event, phase)
    after = look(cloud, oid)
    assert after.vm.phase is (row.to or phase)
    check(cloud)
    if row.to is None and not row.effect:
        assert cloud.picture() == picture
        return
    _check_effect(row, phase, before, after)
    for step in row.steps:
        wrong = STEPS[step](cloud, before, after)
        assert not wrong, f"{step.name}: {wrong}"
    if row.action is not None and before.records and Step.CLEAR_ACTION not in row.steps:
        assert row.action in [record.action for record in after.records]


#: A pinned VM is not migrated live.
PINNED_ROWS = [param for param in ROWS if param.values[1] not in (Phase.MIGRATE, *lifecycle.ON_DEVICES)]


@pytest.mark.parametrize(("row", "phase"), PINNED_ROWS)
def test_cpus_memory_and_devices_of_a_pinned_vm_follow_every_row(row: Row, phase: Phase) -> None:
    """That they are where the phase says, and given to nobody else, is what `check` recounts."""
    if row.event == "live-migrate" or devices.deed(row.event) is not None:
        pytest.skip("not with a pinned VM, or nothing to do with where it is")
    cloud = Cloud(vm_restricted_attr=())
    cloud.pins(NODE0, NODE1)
    saved = row.event == "migrate" and phase is not Phase.POWEROFF
    oid = prepared(cloud, row, phase, PINNED.replace(PASSED_THROUGH, "") if saved else PINNED)
    check(cloud)
    cloud.now += 7
    drive(cloud, oid, row.event, phase)
    assert look(cloud, oid).vm.phase is (row.to or phase)
    check(cloud)


def _check_effect(row: Row, phase: Phase, before: Moment, after: Moment) -> None:
    """What is asked for is the row's effect, else that of the phase that it goes to, and nothing besides."""
    old = {effect.id for effect in before.effects}
    new = [effect for effect in after.effects if effect.id not in old]
    expected = row.effect or lifecycle.EFFECTS.get(row.to or phase, "")
    if expected == lifecycle.LATER:
        expected = ""
    assert [effect.op for effect in new] == ([expected] if expected else [])
    for effect in new:
        source = [record.hid for record in after.records][-2:-1]
        assert [effect.host] == (source if row.source else [after.current.hid])
        assert effect.id > max(old, default=0)


StepCheck = Callable[[Cloud, Moment, Moment], str]


def _timed(field: str) -> StepCheck:
    """The time was put in, now, unless it was there before."""

    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        known = before.records[after.current.seq : after.current.seq + 1]
        value = getattr(after.current, field)
        earlier = getattr(known[0], field) if known else 0
        return "" if value == (earlier or cloud.now) else f"{field} is {value}"

    return wrong


def _ended(cloud: Cloud, record: History) -> str:
    stored = cloud.stored.get((record.oid, record.seq))
    if stored is None or History.from_xml(stored) != record:
        return f"record {record.seq} is not stored as it ended"
    return "" if record.etime == cloud.now else f"record {record.seq} ended at {record.etime}"


def _says(text: str) -> StepCheck:
    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        error = after.vm.user_template.get("ERROR")
        return "" if error.endswith(f" : {text}") else f"ERROR is {error!r}"

    return wrong


def _console(expected: bool) -> StepCheck:
    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        port = console(after.vm)
        return "" if bool(port) is expected else f"the port is {port!r}"

    return wrong


def _copied(cloud: Cloud, before: Moment, after: Moment) -> str:
    if len(after.records) != len(before.records) + 1:
        return "there is no new record"
    old, new = after.records[-2:]
    if (new.hid, new.ds_id, new.stime, new.etime) != (old.hid, old.ds_id, cloud.now, 0):
        return "the new record is no fresh copy"
    return _ended(cloud, old)


def _closed(cloud: Cloud, before: Moment, after: Moment) -> str:
    if before.current.etime:
        return "" if after.current.etime == before.current.etime else "a closed record was closed again"
    return _ended(cloud, after.current)


def _source_left(cloud: Cloud, before: Moment, after: Moment) -> str:
    return _ended(cloud, after.records[-2])


def _returned(cloud: Cloud, before: Moment, after: Moment) -> str:
    if len(after.records) != len(before.records) + 1 or after.current.hid != before.records[-2].hid:
        return "it did not return to its source"
    return _ended(cloud, after.records[-2])


def _forgotten(cloud: Cloud, before: Moment, after: Moment) -> str:
    if after.vm.deploy_id:
        return "the hypervisor's name is still there"
    if not after.records:
        return ""
    return "" if after.current.action == HistoryAction.DELETE_RECREATE else "the record does not tell why"


def _freed(cloud: Cloud, before: Moment, after: Moment) -> str:
    """That images, leases, groups and quotas are free is what `check` recounts."""
    return "" if after.vm.etime == cloud.now else "ETIME was not set"


def _is(field: str, value: object) -> StepCheck:
    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        found = getattr(after.vm, field)
        return "" if found == value else f"{field} is {found!r}"

    return wrong


def _recounted(cloud: Cloud, before: Moment, after: Moment) -> str:
    """What hosts have is recounted by `check` from the phases and records."""
    return ""


def _parts(moment: Moment, *names: str) -> list[Vector]:
    return [vector for name in names for vector in moment.vm.template.vectors(name)]


def _plugged(kept: bool, *names: str) -> StepCheck:
    """What was marked stays without a mark, or is gone; whether all is given back `check` recounts."""

    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        earlier, later = _parts(before, *names), _parts(after, *names)
        if any(part.get("ATTACH") for part in later):
            return "a mark is left"
        if kept:
            return "" if len(later) >= len(earlier) else "it is gone"
        return "" if len(later) < len(earlier) else "it is still there"

    return wrong


def _snapshot(there: bool) -> StepCheck:
    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        found = after.vm.template.vectors("SNAPSHOT")
        if any("ACTIVE" in each or "ACTION" in each for each in found):
            return "a mark is left"
        return "" if bool(found) is there else f"there are {found}"

    return wrong


def _disk_snapshots(*states: str) -> StepCheck:
    """`states`: of each snapshot of disk 0, "active" or "there"."""

    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        disk = after.vm.disk(0)
        assert disk is not None
        found = [
            "active" if each.get("ACTIVE") == "YES" else "there"
            for snapshots in after.vm.snapshots
            for each in snapshots.vectors("SNAPSHOT")
        ]
        if "DISK_SNAPSHOT_ACTIVE" in disk or "DISK_SNAPSHOT_ID" in disk:
            return "a mark is left"
        return "" if found in [list(state.split()) for state in states] else f"there are {found}"

    return wrong


def _sized(size: str) -> StepCheck:
    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        disk = after.vm.disk(0)
        assert disk is not None
        if "RESIZE" in disk or "SIZE_PREV" in disk:
            return "a mark is left"
        return "" if disk["SIZE"] == size else f"it has {disk['SIZE']} MB"

    return wrong


def _image_is(state: ImageState) -> StepCheck:
    def wrong(cloud: Cloud, before: Moment, after: Moment) -> str:
        disk = after.vm.disk(0)
        assert disk is not None
        if any(key.startswith("HOTPLUG_SAVE_AS") for key in disk):
            return "a mark is left"
        found = cloud.get(Image, 2).state
        return "" if found == state else f"the image is {ImageState(found).name}"

    return wrong


STEPS: dict[Step, StepCheck] = {
    Step.TAKE_CAPACITY: _recounted,
    Step.RELEASE_CAPACITY: _recounted,
    Step.RELEASE_SOURCE: _source_left,
    Step.LEAVE_SOURCE: _recounted,
    Step.RETURN_TO_SOURCE: _returned,
    Step.OPEN_PROLOG: _timed("pstime"),
    Step.CLOSE_PROLOG: _timed("petime"),
    Step.OPEN_RUNNING: _timed("rstime"),
    Step.CLOSE_RUNNING: _timed("retime"),
    Step.OPEN_EPILOG: _timed("estime"),
    Step.CLOSE_EPILOG: _timed("eetime"),
    Step.COPY_RECORD: _copied,
    Step.CLOSE_RECORD: _closed,
    Step.SET_DEPLOY_ID: lambda cloud, before, after: (
        "" if after.vm.deploy_id in (DEPLOY_ID, "one-0") else f"it is {after.vm.deploy_id!r}"
    ),
    Step.CLEAR_DEPLOY_ID: _is("deploy_id", ""),
    Step.ASSIGN_CONSOLE: _console(True),
    Step.RELEASE_CONSOLE: _console(False),
    Step.CLEAR_ACTION: lambda cloud, before, after: "" if after.current.action == 0 else "it is still there",
    Step.CLEAR_RESCHED: _is("resched", 0),
    Step.REQUIREMENTS: lambda cloud, before, after: (
        "they are old" if after.vm.template.get("AUTOMATIC_REQUIREMENTS") == "of yesterday" else ""
    ),
    Step.SAY_ERROR: _says(WORDS),
    Step.DROP_EFFECTS: lambda cloud, before, after: (
        "some are left" if {e.id for e in before.effects} & {e.id for e in after.effects} else ""
    ),
    Step.FREE_ALL: _freed,
    Step.FORGET_PLACEMENT: _forgotten,
    Step.KEEP_DISK: _plugged(True, "DISK"),
    Step.DROP_DISK: _plugged(False, "DISK"),
    Step.KEEP_NIC: _plugged(True, "NIC", "NIC_ALIAS"),
    Step.DROP_NIC: _plugged(False, "NIC", "NIC_ALIAS"),
    Step.KEEP_SNAPSHOT: _snapshot(True),
    Step.DROP_SNAPSHOT: _snapshot(False),
    Step.DROP_SNAPSHOTS: _snapshot(False),
    Step.KEEP_DISK_SNAPSHOT: _disk_snapshots("active"),
    Step.DROP_DISK_SNAPSHOT: _disk_snapshots("", "active"),
    Step.GO_BACK_TO_DISK_SNAPSHOT: _disk_snapshots("active there"),
    Step.LEAVE_DISK_SNAPSHOT: _disk_snapshots("there active"),
    Step.KEEP_SIZE: _sized("128"),
    Step.RESTORE_SIZE: _sized("64"),
    Step.IMAGE_IS_SAVED: _image_is(ImageState.READY),
    Step.IMAGE_IS_NOT_SAVED: _image_is(ImageState.ERROR),
}


def test_every_step_has_a_function_and_a_check() -> None:
    assert set(STEPS) == set(Step) == set(vm_steps.STEPS)


def test_every_phase_of_the_table_is_reached_by_it_or_is_a_first_one() -> None:
    left = {phase for row in lifecycle.ROWS for phase in row.phases}
    reached = {row.to for row in lifecycle.ROWS if row.to is not None}
    # What 5.12 passes through, and what a VM starts in; failures of a retry are reached by the same rows.
    first = {Phase.INIT, Phase.LCM_INIT, Phase.CLONING, Phase.CLEANUP_RESUBMIT, Phase.CLEANUP_DELETE}
    assert left - reached == first - reached


def test_every_phase_that_waits_has_an_end_for_either_answer() -> None:
    for phase, op in lifecycle.EFFECTS.items():
        for ending in ("ok", "ko"):
            assert (f"{lifecycle.ANSWERS[op]}-{ending}", phase) in lifecycle.TABLE


def test_every_failure_can_be_retried_and_declared_done_or_failed() -> None:
    for phase in lifecycle.FAILURES:
        assert lifecycle.RETRIES[phase] in lifecycle.EFFECTS
        assert ("recover-ok", phase) in lifecycle.TABLE
        assert ("recover-ko", phase) in lifecycle.TABLE


NAMES = sorted(set(vm.ACTIONS) - {"resched", "unresched"})


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DONE], ids=lambda p: p.name)
def test_an_action_that_the_table_does_not_have_is_refused_and_changes_nothing(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    for name in NAMES:
        if (name, phase) in lifecycle.TABLE or (name.startswith("terminate") and phase in lifecycle.FAILURES):
            continue
        error = cloud.fails(ANN, "one.vm.action", name, oid)
        assert error.code is Code.ACTION
        assert error.oid == oid
        assert phase.name in error.message


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DONE], ids=lambda p: p.name)
def test_deploy_and_migrate_in_other_phases_are_refused_and_change_nothing(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    if ("deploy", phase) not in lifecycle.TABLE:
        error = cloud.fails(0, "one.vm.deploy", oid, NODE1)
        assert error.message == f"Deploy action is not available for state {phase.name}"
    if ("migrate", phase) not in lifecycle.TABLE:
        error = cloud.fails(0, "one.vm.migrate", oid, NODE1, False)
        assert error.message == f"Migrate action is not available for state {phase.name}"


def test_an_event_without_a_row_raises_and_changes_nothing() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    tx = cloud.transaction(SYSTEM)
    with pytest.raises(vm_machine.ImpossibleTransition, match="no save-ok in PENDING"):
        vm_machine.fire(tx, tx.edit(VM, oid), "save-ok")
    assert cloud.get(VM, oid).phase is Phase.PENDING


@pytest.mark.parametrize(
    "phase", [phase for phase in Phase if phase not in (Phase.DONE, Phase.CLONING)], ids=lambda p: p.name
)
def test_the_document_of_every_phase_is_valid_against_the_schema(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    check_schema(cloud.call(ANN, "one.vm.info", oid), "vm")
    check_schema(cloud.call(0, "one.vmpool.info", -2, -1, -1, -1), "vm_pool")


# Images that a VM waits for


def _images_answer(cloud: Cloud, ok: bool) -> None:
    cloud.answer(ok, WORDS, op="image", source="/img/slow", format="raw")


@pytest.mark.parametrize(("hold", "to"), [(False, Phase.PENDING), (True, Phase.HOLD)])
def test_a_vm_that_waits_for_an_image_goes_on_when_it_is_ready(hold: bool, to: Phase) -> None:
    cloud = Cloud()
    image_id = cloud.image("slow", made=False)
    oid = cloud.vm(f"CPU=1\nMEMORY=64\nDISK=[IMAGE_ID={image_id}]", hold=hold)
    assert cloud.phase(oid) is Phase.CLONING
    check(cloud)
    _images_answer(cloud, ok=True)
    assert cloud.phase(oid) is to
    check(cloud)


def test_a_vm_whose_image_could_not_be_made_says_so() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.CLONING)
    _images_answer(cloud, ok=False)
    assert cloud.phase(oid) is Phase.CLONING_FAILURE
    assert "Error cloning or copying image [2]" in cloud.get(VM, oid).user_template.get("ERROR")
    check(cloud)


@pytest.mark.parametrize("op", [0, 1])
def test_recovering_a_vm_whose_image_is_still_broken_leaves_it_where_it_is(op: int) -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.CLONING_FAILURE)
    cloud.call(0, "one.vm.recover", oid, op)
    assert cloud.phase(oid) is Phase.CLONING_FAILURE
    check(cloud)


@pytest.mark.parametrize("op", [0, 1])
def test_recovering_a_vm_whose_image_was_mended_lets_it_go_on(op: int) -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.CLONING_FAILURE)
    cloud.call(0, "one.image.enable", 2, True)
    cloud.call(0, "one.vm.recover", oid, op)
    assert cloud.phase(oid) is Phase.PENDING
    check(cloud)


def test_a_vm_with_one_image_mended_and_one_being_made_waits_again() -> None:
    cloud = Cloud()
    broken, slow = cloud.image("broken", made=False), cloud.image("slow", made=False)
    oid = cloud.vm(f"CPU=1\nMEMORY=64\nDISK=[IMAGE_ID={broken}]\nDISK=[IMAGE_ID={slow}]")
    effects = {effect.oid: effect.id for effect in cloud.effects("image")}

    def answer(image_id: int, ok: bool) -> None:
        tx = cloud.transaction(SYSTEM)
        results.take_result(tx, effects[image_id], ok, WORDS, {"source": "/img", "format": "raw"})
        cloud.commit(tx)

    answer(broken, False)
    assert cloud.phase(oid) is Phase.CLONING_FAILURE
    cloud.call(0, "one.image.enable", broken, True)
    cloud.call(0, "one.vm.recover", oid, 1)
    assert cloud.phase(oid) is Phase.CLONING
    answer(slow, True)
    assert cloud.phase(oid) is Phase.PENDING
    check(cloud)


def test_an_image_that_vms_wait_for_is_not_disabled() -> None:
    cloud = Cloud()
    slow = cloud.image("slow", made=False)
    cloud.vm(f"CPU=1\nMEMORY=64\nDISK=[IMAGE_ID={slow}]")
    cloud.answer(False, "no space", op="image")
    error = cloud.fails(ANN, "one.image.enable", slow, False)
    assert error.message == "Could not disable image: There are 1 VMs using it."
    check(cloud)


def test_an_answer_is_taken_although_no_datastore_would_do_any_more() -> None:
    """An answer that raised would be lost, and the VM would wait for ever."""
    cloud = Cloud()
    other = cloud.call(0, "one.datastore.allocate", "NAME=other\nDS_MAD=dummy\nTM_MAD=dummy", -1)
    cloud.call(0, "one.image.allocate", "NAME=second\nTYPE=DATABLOCK\nSIZE=8", other)
    cloud.answer(op="image", source="/img/second", format="raw")
    oid = cloud.vm("CPU=1\nMEMORY=64\nDISK=[IMAGE_ID=0]\nDISK=[IMAGE=second]", who=0)
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    cloud.call(0, "one.vm.recover", oid, 4)
    cloud.call(0, "one.datastore.update", 1, "COMPATIBLE_SYS_DS=0", 1)
    cloud.call(0, "one.datastore.update", other, "COMPATIBLE_SYS_DS=7", 1)
    take(cloud, oid, "vm.cleanup", True)
    assert cloud.phase(oid) is Phase.PENDING


def test_a_vm_that_is_found_running_counts_even_above_a_limit() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.POWEROFF)
    cloud.call(0, "one.user.quota", ANN, "VM=[RUNNING_VMS=0]")
    error = cloud.fails(ANN, "one.vm.action", "resume", oid)
    assert error.code is Code.AUTHORIZATION
    tx = cloud.transaction(SYSTEM)
    assert vm_results.found(tx, oid, "RUNNING")
    cloud.commit(tx)
    assert cloud.phase(oid) is Phase.RUNNING
    check(cloud)


@pytest.mark.parametrize(
    "phase", [Phase.HOTPLUG, Phase.SAVE_SUSPEND, Phase.DISK_RESIZE], ids=lambda p: p.name
)
@pytest.mark.parametrize("ok", [True, False])
def test_what_fails_on_a_host_in_error_leaves_a_vm_of_which_nothing_is_known(phase: Phase, ok: bool) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    tx = cloud.transaction(SYSTEM)
    host_monitor.lost(tx, NODE0, "no answer")
    cloud.commit(tx)
    assert cloud.phase(oid) is phase
    cloud.answer(ok, WORDS, op="vm")
    ended = Phase.SUSPENDED if phase is Phase.SAVE_SUSPEND else Phase.RUNNING
    assert cloud.phase(oid) is (ended if ok else Phase.UNKNOWN)
    check(cloud)


def test_nothing_that_is_found_counts_while_an_effect_is_under_way() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.SHUTDOWN)
    tx = cloud.transaction(SYSTEM)
    assert not vm_results.found(tx, oid, "POWEROFF")
    cloud.commit(tx)
    assert cloud.phase(oid) is Phase.SHUTDOWN


def test_a_late_answer_is_ignored() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.action", "reboot", oid)
    late = cloud.effects("vm.reboot")[0]
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    take(cloud, oid, "vm.shutdown", True)
    take(cloud, oid, "vm.epilog", True)
    assert cloud.phase(oid) is Phase.DONE
    check(cloud)
    assert late.id not in cloud.state.effects


def test_what_is_done_stays_done() -> None:
    cloud = Cloud()
    oid = cloud.vm()
    cloud.call(ANN, "one.vm.action", "terminate", oid)
    with pytest.raises(ApiError, match="not available for state DONE"):
        cloud.call(ANN, "one.vm.action", "resume", oid)
    assert cloud.call(ANN, "one.vm.action", "terminate", oid) == oid


@pytest.mark.parametrize("phase", AWAY, ids=lambda p: p.name)
def test_a_vm_that_was_away_gets_its_own_disks_back_and_not_new_ones(phase: Phase) -> None:
    """resume makes it PENDING; what is deployed then is what was put away."""
    cloud = Cloud()
    oid = stand(cloud, phase)
    cloud.call(ANN, "one.vm.action", "resume", oid)
    assert cloud.phase(oid) is Phase.PENDING
    cloud.call(ANN, "one.vm.action", "hold", oid)
    cloud.call(ANN, "one.vm.action", "release", oid)
    cloud.call(0, "one.vm.deploy", oid, NODE1)
    resumed = {Phase.STOPPED: Phase.PROLOG_RESUME, Phase.UNDEPLOYED: Phase.PROLOG_UNDEPLOY}
    assert cloud.phase(oid) is resumed[phase]
    check(cloud)
