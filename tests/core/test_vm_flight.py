"""What is under way for a VM can be told from its document alone, as for one that 5.12 left in a database."""

import pytest
from tests.core.vm_world import Cloud, check, stand

from merope.core import lifecycle, vm_flight
from merope.core.transaction import SYSTEM
from merope.model.phase import Phase
from merope.model.vm import VM

ANSWERS = {
    Phase.HOTPLUG: ("attach", "detach", "updateconf"),
    Phase.HOTPLUG_NIC: ("attach-nic", "detach-nic"),
    Phase.HOTPLUG_NIC_POWEROFF: ("attach-nic", "detach-nic"),
    Phase.HOTPLUG_SNAPSHOT: ("snapshot-create", "snapshot-revert", "snapshot-delete"),
}
CASES = [
    pytest.param(phase, answer, id=f"{phase.name}-{answer}")
    for phase in lifecycle.ON_DEVICES
    for answer in ANSWERS.get(phase, ("",))
]


@pytest.mark.parametrize(("phase", "answer"), CASES)
def test_what_is_asked_for_anew_is_what_was_asked_for(phase: Phase, answer: str) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase, answer=answer)
    [asked] = cloud.effects("vm")
    tx = cloud.transaction(SYSTEM)
    assert vm_flight.under_way(tx, cloud.get(VM, oid)) == vm_flight.Flight(asked.op, dict(asked.arguments))
    tx.drop_effects("vm", oid)
    cloud.commit(tx)
    tx = cloud.transaction(SYSTEM)
    vm_flight.ask_again(tx, tx.edit(VM, oid))
    cloud.commit(tx)
    [again] = cloud.effects("vm")
    assert (again.op, again.host, again.arguments) == (asked.op, asked.host, asked.arguments)
    check(cloud)


@pytest.mark.parametrize("phase", lifecycle.WAITING, ids=lambda phase: phase.name)
def test_every_operation_that_a_phase_may_wait_for_has_an_answer_of_either_kind(phase: Phase) -> None:
    for op in lifecycle.awaited(phase):
        for ending in ("ok", "ko"):
            assert (f"{lifecycle.ANSWERS[op]}-{ending}", phase) in lifecycle.TABLE
