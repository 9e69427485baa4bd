"""one.vm.snapshotcreate, -revert and -delete: snapshots of a whole VM."""

import pytest
from tests.core.conftest import sentence
from tests.core.schemas import check_schema
from tests.core.vm_devices_world import cold
from tests.core.vm_world import ANN, NODE0, NODE1, Cloud, check, stand

from merope.model.errors import Code
from merope.model.phase import Phase
from merope.model.template import Vector
from merope.model.vm import VM


def known(cloud: Cloud, oid: int) -> list[Vector]:
    return cloud.get(VM, oid).template.vectors("SNAPSHOT")


def snap(cloud: Cloud, oid: int, name: str = "") -> int:
    made = cloud.call(ANN, "one.vm.snapshotcreate", oid, name)
    cloud.answer(op="vm", hypervisor_id="snap-7")
    assert isinstance(made, int)
    return made


def test_a_snapshot_is_asked_for_and_named_as_the_hypervisor_names_it() -> None:
    cloud = Cloud()
    oid = cloud.running()
    assert cloud.call(ANN, "one.vm.snapshotcreate", oid, "before") == 0
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.host, effect.arguments) == ("vm.snapshot_create", NODE0, {"snapshot": 0})
    assert cloud.phase(oid) is Phase.HOTPLUG_SNAPSHOT
    assert (known(cloud, oid)[0]["ACTIVE"], known(cloud, oid)[0]["ACTION"]) == ("YES", "CREATE")
    check_schema(cloud.call(ANN, "one.vm.info", oid), "vm")
    cloud.answer(op="vm", hypervisor_id="snap-7")
    assert cloud.phase(oid) is Phase.RUNNING
    assert known(cloud, oid) == [
        {"HYPERVISOR_ID": "snap-7", "NAME": "before", "SNAPSHOT_ID": "0", "TIME": str(cloud.now)}
    ]
    assert len(cloud.records(oid)) == 1
    check(cloud)


def test_a_snapshot_without_a_name_is_numbered() -> None:
    cloud = Cloud()
    oid = cloud.running()
    assert [snap(cloud, oid), snap(cloud, oid)] == [0, 1]
    assert [each["NAME"] for each in known(cloud, oid)] == ["snapshot-0", "snapshot-1"]


def test_a_snapshot_that_could_not_be_made_is_gone() -> None:
    cloud = Cloud()
    oid = cloud.running()
    cloud.call(ANN, "one.vm.snapshotcreate", oid, "")
    cloud.answer(False, "no", op="vm")
    assert known(cloud, oid) == []


@pytest.mark.parametrize("ok", [True, False])
def test_a_vm_goes_back_to_a_snapshot_which_stays(ok: bool) -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cloud.call(ANN, "one.vm.snapshotrevert", oid, 0)
    [effect] = cloud.effects("vm")
    assert (effect.op, effect.arguments) == ("vm.snapshot_revert", {"snapshot": 0})
    cloud.answer(ok, "no", op="vm")
    assert [each.get("ACTIVE") for each in known(cloud, oid)] == [None]
    assert cloud.phase(oid) is Phase.RUNNING
    check(cloud)


@pytest.mark.parametrize("ok", [True, False])
def test_a_snapshot_is_deleted_or_stays(ok: bool) -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cloud.call(ANN, "one.vm.snapshotdelete", oid, 0)
    cloud.answer(ok, "no", op="vm")
    assert len(known(cloud, oid)) == (0 if ok else 1)
    check(cloud)


@pytest.mark.parametrize("ok", [True, False])
def test_where_the_hypervisor_keeps_snapshots_they_are_deleted_also_when_the_vm_is_off(ok: bool) -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cold(cloud)
    cloud.call(ANN, "one.vm.action", "poweroff", oid)
    cloud.answer(op="vm")
    assert len(known(cloud, oid)) == 1
    cloud.call(ANN, "one.vm.snapshotdelete", oid, 0)
    assert cloud.phase(oid) is Phase.HOTPLUG_SNAPSHOT
    check(cloud)
    cloud.answer(ok, "no", op="vm")
    assert cloud.phase(oid) is Phase.POWEROFF
    assert len(known(cloud, oid)) == (0 if ok else 1)
    check(cloud)


ENDING = ("suspend", "stop", "poweroff", "undeploy")


@pytest.mark.parametrize("action", ENDING)
def test_other_hypervisors_lose_the_snapshots_of_a_vm_that_they_do_not_run(action: str) -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cloud.call(ANN, "one.vm.action", action, oid)
    assert len(known(cloud, oid)) == 1
    cloud.steps(1)
    assert known(cloud, oid) == []


@pytest.mark.parametrize("live", [True, False])
def test_other_hypervisors_lose_the_snapshots_of_a_vm_that_moves(live: bool) -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cloud.call(0, "one.vm.migrate", oid, NODE1, live)
    cloud.steps(1)
    assert known(cloud, oid) == []


def test_a_vm_that_did_not_stop_keeps_its_snapshots() -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cloud.call(ANN, "one.vm.action", "suspend", oid)
    cloud.steps(1, ok=False, message="no")
    assert len(known(cloud, oid)) == 1


def test_a_vm_that_is_made_anew_has_no_snapshots() -> None:
    cloud = Cloud()
    oid = cloud.running()
    snap(cloud, oid)
    cloud.call(0, "one.vm.recover", oid, 4)
    cloud.steps(1)
    assert known(cloud, oid) == []


@pytest.mark.parametrize(
    "phase", [phase for phase in Phase if phase not in (Phase.RUNNING, Phase.DONE)], ids=str
)
def test_in_other_phases_all_are_refused(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    for name, argument, what in (
        ("create", "", f"create a new snapshot for VM {oid}"),
        ("revert", 0, f"revert VM {oid} to snapshot 0"),
        ("delete", 0, f"delete snapshot 0 for VM {oid}"),
    ):
        if name == "delete" and phase is Phase.POWEROFF:
            continue
        error = cloud.fails(ANN, f"one.vm.snapshot{name}", oid, argument)
        assert sentence(error) == (Code.ACTION, f"Could not {what}, wrong state {phase.name}.")


def test_a_hypervisor_that_keeps_none_has_none_of_a_vm_that_is_off() -> None:
    cloud = Cloud()
    oid = stand(cloud, Phase.POWEROFF)
    error = cloud.fails(ANN, "one.vm.snapshotdelete", oid, 0)
    said = f"Could not delete snapshot 0 for VM {oid}, wrong state POWEROFF."
    assert sentence(error) == (Code.ACTION, said)


@pytest.mark.parametrize("name", ["revert", "delete"])
def test_a_snapshot_that_is_not_there_is_refused(name: str) -> None:
    cloud = Cloud()
    oid = cloud.running()
    error = cloud.fails(ANN, f"one.vm.snapshot{name}", oid, 5)
    assert error.code is Code.ACTION
    assert error.message.endswith(", it does not exist.")


def test_a_name_that_cannot_be_shown_is_refused() -> None:
    cloud = Cloud()
    oid = cloud.running()
    for name in ("x" * 129, "a\nb", "\x1b[31m"):
        assert cloud.fails(ANN, "one.vm.snapshotcreate", oid, name).code is Code.ACTION


def test_snapshots_that_a_template_names_are_left_out() -> None:
    cloud = Cloud()
    oid = cloud.vm("CPU=1\nMEMORY=64\nSNAPSHOT=[SNAPSHOT_ID=0,ACTIVE=YES,ACTION=DELETE]")
    assert known(cloud, oid) == []
