"""Every document of a cloud that has everything is valid, in every state that its object can be in."""

from enum import IntEnum

import pytest
from tests.compat.hostile_templates import World, make_world
from tests.core.core_client import Attacked, CoreClient, settle
from tests.core.every_document import check_documents
from tests.core.schemas import check_schema
from tests.core.vm_world import Cloud, stand

from merope.core import hook_log, lifecycle
from merope.core.transaction import SYSTEM
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.hook import Execution
from merope.model.host import Host
from merope.model.image import Image
from merope.model.kinds import BY_DOCUMENT
from merope.model.marketplace_app import MarketplaceApp
from merope.model.phase import Phase
from merope.model.states import (
    AppState,
    AppType,
    DatastoreState,
    DatastoreType,
    DiskType,
    HistoryAction,
    HostState,
    ImageState,
    ImageType,
)
from merope.model.vm import VM

LOCKABLE = ("document", "hook", "image", "marketapp", "template", "vmgroup", "vn", "vntemplate", "vrouter")
QUOTAS = (
    "VM=[VMS=40,CPU=5.5,MEMORY=-2,SYSTEM_DISK_SIZE=900,RUNNING_VMS=3,RUNNING_CPU=-1,RUNNING_MEMORY=9000]\n"
    "DATASTORE=[ID=1,IMAGES=30,SIZE=-1]\nNETWORK=[ID=0,LEASES=90]\nIMAGE=[ID=0,RVMS=50]"
)


def furnished() -> tuple[Attacked, World]:
    cloud = Attacked()
    admin = CoreClient(cloud, 0, "oneadmin:opennebula")
    return cloud, make_world(admin, "every", lambda: settle(cloud))


def test_a_cloud_with_everything() -> None:
    cloud, world = furnished()
    gone = cloud.call(0, "one.vm.allocate", "CPU=1\nMEMORY=1", True)
    cloud.call(0, "one.vm.action", "terminate", gone)
    cloud.call(0, "one.vrouter.instantiate", world.router, 2, world.others["router_template"], "", True, "")
    assert check_documents(cloud) > 60


@pytest.mark.parametrize("scope", ["user", "group"])
def test_quotas_of_every_kind(scope: str) -> None:
    cloud, world = furnished()
    cloud.call(0, f"one.{scope}quota.update", QUOTAS.replace("-1", "7"))
    check_schema(cloud.call(0, f"one.{scope}.info", {"user": world.uid, "group": 1}[scope]), scope)
    cloud.call(0, f"one.{scope}.quota", {"user": world.uid, "group": 1}[scope], QUOTAS)
    shown = cloud.call(0, f"one.{scope}.info", {"user": world.uid, "group": 1}[scope])
    assert all(f"<{kind}_QUOTA><" in shown for kind in ("VM", "DATASTORE", "NETWORK", "IMAGE"))
    check_documents(cloud)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_locked_objects(level: int) -> None:
    cloud, world = furnished()
    for api in LOCKABLE:
        cloud.call(0, f"one.{api}.lock", world.object_of(api), level, False)
    cloud.call(0, "one.vm.lock", world.machine, level, False)
    check_documents(cloud)


def test_hooks_that_ran() -> None:
    cloud, world = furnished()
    # Without STDIN, which 5.12 writes of hooks that read it, and which the published schema does not have.
    runs = [
        Execution("x"),
        Execution("x", "a <b>", "b3V0", "ZXJy", 3, "", "node0", True),
    ]
    for run in runs:
        tx = cloud.transaction(SYSTEM)
        hook_log.note(tx, world.others["hook"], run)
        cloud.commit(tx)
    shown = cloud.call(0, "one.hook.info", world.others["hook"])
    assert shown.count("<HOOK_EXECUTION_RECORD>") == len(runs)
    check_schema(shown, "hook")


#: (kind, its field, the numbers that it can have)
NUMBERS: tuple[tuple[type[Document], str, type[IntEnum]], ...] = (
    (Image, "state", ImageState),
    (Image, "type", ImageType),
    (Image, "disk_type", DiskType),
    (Host, "state", HostState),
    (Host, "prev_state", HostState),
    (Datastore, "state", DatastoreState),
    (Datastore, "type", DatastoreType),
    (Datastore, "disk_type", DiskType),
    (MarketplaceApp, "state", AppState),
    (MarketplaceApp, "type", AppType),
)


@pytest.mark.parametrize(
    ("kind", "name", "numbers"), NUMBERS, ids=lambda value: getattr(value, "__name__", value)
)
def test_every_state_and_type(kind: type[Document], name: str, numbers: type[IntEnum]) -> None:
    cloud, _ = furnished()
    held = BY_DOCUMENT[kind]
    for number in numbers:
        tx = cloud.transaction(SYSTEM)
        for oid in cloud.state.pools[held.table].entries:
            setattr(tx.edit(kind, oid), name, int(number))
        cloud.commit(tx)
        schema = {"marketapp": "marketplaceapp"}.get(held.api, held.api)
        for oid in cloud.state.pools[held.table].entries:
            check_schema(cloud.call(0, f"one.{held.api}.info", oid), schema)


#: Each phase, and in each, each answer that a VM can wait for there.
WAITING = sorted(
    {
        (phase, event.removesuffix("-ok"))
        for event, phase in lifecycle.TABLE
        if phase in lifecycle.ON_DEVICES and event.removesuffix("-ok") in lifecycle.ANSWERS.values()
    },
    key=lambda pair: (pair[0].value, pair[1]),
)
PHASES: list[tuple[Phase, str]] = [(phase, "") for phase in Phase if phase not in (Phase.DONE, Phase.CLONING)]


@pytest.mark.parametrize(("phase", "answer"), PHASES + WAITING, ids=lambda part: getattr(part, "name", part))
def test_a_vm_in_every_phase(phase: Phase, answer: str) -> None:
    cloud = Cloud()
    oid = stand(cloud, phase, answer=answer)
    assert cloud.phase(oid) is phase
    check_documents(cloud)


def test_every_action_of_a_history_record() -> None:
    cloud = Cloud()
    oid = cloud.running()
    for action in HistoryAction:
        tx = cloud.transaction(SYSTEM)
        tx.edit(VM, oid).history_records[-1].action = action
        cloud.commit(tx)
        check_schema(cloud.call(0, "one.vm.info", oid), "vm")
        check_schema(cloud.call(0, "one.vmpool.info", -2, -1, -1, -1), "vm_pool")
