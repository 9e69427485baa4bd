"""Domains that were there before the cloud knew of them become VMs."""

from typing import Any

import pytest
from tests.core.conftest import sentence
from tests.core.vm_world import ANN, NODE0, NODE1, TEMPLATE, Cloud, check

from merope.core import host_monitor
from merope.core.host_monitor import Found, Measured
from merope.core.transaction import SYSTEM
from merope.model.errors import Code
from merope.model.phase import Phase
from merope.model.vm import VM

ALLOWED = "terminate, poweroff, reboot, disk-attach, nic-attach, migrate, snapshot-create"
WILD = f"{TEMPLATE}DEPLOY_ID = web\n"


def imported(template: str = WILD) -> tuple[Cloud, int]:
    cloud = Cloud(vm_mad={"dummy": {"NAME": "dummy", "IMPORTED_VMS_ACTIONS": ALLOWED}})
    oid = cloud.vm(template, who=0)
    cloud.call(0, "one.vm.deploy", oid, NODE0)
    return cloud, oid


def test_it_runs_at_once_under_its_own_name_and_the_host_is_asked_for_nothing() -> None:
    cloud, oid = imported()
    vm = cloud.get(VM, oid)
    assert (vm.phase, vm.deploy_id, vm.template.get("IMPORTED")) == (Phase.RUNNING, "web", "YES")
    assert "DEPLOY_ID" not in vm.user_template
    assert not cloud.effects("vm")
    check(cloud)


def test_one_that_is_off_is_powered_off() -> None:
    cloud, oid = imported(f"{WILD}IMPORT_STATE = POWEROFF\n")
    assert cloud.phase(oid) is Phase.POWEROFF
    check(cloud)


def test_a_domain_of_the_cloud_is_not_imported() -> None:
    cloud = Cloud()
    error = cloud.fails(0, "one.vm.allocate", "CPU=1\nMEMORY=64\nDEPLOY_ID=one-3")
    assert "Trying to import an OpenNebula VM: 'one-*'." in error.message


def test_only_administrators_import() -> None:
    cloud = Cloud()
    assert cloud.fails(ANN, "one.vm.allocate", WILD).code is Code.AUTHORIZATION


def test_nobody_says_of_a_new_vm_that_it_was_imported() -> None:
    cloud = Cloud()
    oid = cloud.vm(f"{TEMPLATE}IMPORTED = YES\n", who=0)
    assert "IMPORTED" not in cloud.get(VM, oid).template


@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("one.vm.action", ("suspend", 0), "suspend"),
        ("one.vm.resize", (0, "CPU=1"), "resize"),
        ("one.vm.updateconf", (0, "FEATURES=[ACPI=yes]"), "updateconf"),
        ("one.vm.detach", (0, 0), "disk-detach"),
        ("one.vm.detachnic", (0, 0), "nic-detach"),
        ("one.vm.disksnapshotcreate", (0, 0, ""), "disk-snapshot-create"),
        ("one.vm.diskresize", (0, 0, "900"), "disk-resize"),
        ("one.vm.disksaveas", (0, 0, "saved", "", -1), "disk-saveas"),
        ("one.vm.snapshotdelete", (0, 0), "snapshot-delete"),
        ("one.vm.migrate", (0, NODE1, True), "live-migrate"),
        ("one.vm.recover", (0, 4), "delete-recreate"),
    ],
)
def test_what_its_hypervisor_does_not_list_is_refused(
    name: str, arguments: tuple[Any, ...], action: str
) -> None:
    cloud, _ = imported()
    error = cloud.fails(0, name, *arguments)
    assert sentence(error) == (Code.ACTION, f'Action "{action}" is not supported for imported VMs')


def test_what_its_hypervisor_lists_is_done() -> None:
    cloud, oid = imported()
    cloud.call(0, "one.vm.snapshotcreate", oid, "")
    cloud.answer(op="vm")
    cloud.call(0, "one.vm.attach", oid, "DISK=[TYPE=fs,SIZE=1]")
    cloud.answer(op="vm")
    cloud.call(0, "one.vm.action", "terminate", oid)
    cloud.steps(2)
    assert cloud.phase(oid) is Phase.DONE
    check(cloud)


@pytest.mark.parametrize(
    ("others", "phase"), [({"web": "RUNNING"}, Phase.RUNNING), ({"mail": "RUNNING"}, Phase.POWEROFF)]
)
def test_monitoring_knows_its_domain_by_name(others: dict[str, str], phase: Phase) -> None:
    cloud, oid = imported()
    tx = cloud.transaction(SYSTEM)
    host_monitor.take(tx, NODE0, Measured(400, 4 << 20, {}, (0, 0, 0), Found({}, others)))
    cloud.commit(tx)
    assert cloud.phase(oid) is phase
