"""What a VM boots with is changed where that makes sense, by those who may."""

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, TEMPLATE, Cloud, check, stand

from merope.model.errors import Code
from merope.model.phase import Phase
from merope.model.vm import VM

WITH_CONTEXT = f"{TEMPLATE}CONTEXT = [ NETWORK = YES, WHO = ann ]\n"


def test_a_section_replaces_the_one_that_was_there() -> None:
    cloud = Cloud()
    oid = cloud.vm(WITH_CONTEXT)
    change = "CONTEXT=[WHO=bob]\nOS=[BOOT=nic0]\nMEMORY=1\nNOTE=x"
    assert cloud.call(ANN, "one.vm.updateconf", oid, change) == oid
    template = cloud.get(VM, oid).template
    context = template.vector("CONTEXT")
    assert context is not None
    assert (context["WHO"], "ETH0_IP" in context) == ("bob", False)
    assert template.get("MEMORY") == "256"
    assert [nic.get("ORDER") for nic in template.vectors("NIC")] == ["1"]
    assert all("ORDER" not in disk for disk in template.vectors("DISK"))
    assert "NOTE" not in template
    check(cloud)


def test_a_vm_without_a_context_gets_none() -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.updateconf", cloud.vm(), "CONTEXT=[WHO=bob]")
    assert sentence(error) == (
        Code.ACTION,
        "Virtual machine does not have context, cannot add a new one.",
    )


@pytest.mark.parametrize("phase", [Phase.SUSPENDED, Phase.MIGRATE, Phase.BOOT])
def test_in_other_states_it_is_refused(phase: Phase) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase)
    assert sentence(cloud.fails(ANN, "one.vm.updateconf", oid, "FEATURES=[ACPI=yes]")) == (
        Code.ACTION,
        f"configuration cannot be updated in state {phase.name}",
    )


def test_what_is_for_administrators_only_is_theirs_here_too() -> None:
    cloud = Cloud()
    error = cloud.fails(ANN, "one.vm.updateconf", cloud.vm(), 'RAW=[TYPE=kvm,DATA="<a/>"]')
    assert error.code is Code.AUTHORIZATION
    assert "VM Template includes a restricted attribute RAW" in error.message


def test_strangers_change_nothing() -> None:
    cloud = Cloud()
    oid, bob = cloud.vm(), cloud.user("bob")
    assert cloud.fails(bob, "one.vm.updateconf", oid, "FEATURES=[ACPI=yes]").code is Code.AUTHORIZATION
