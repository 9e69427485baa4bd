"""How VMs come into the phases in which a part of them is being changed, by the calls of users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from merope.core import lifecycle, vm_disk_snapshot_steps
from merope.core.transaction import SYSTEM
from merope.model import disk_snapshots
from merope.model.phase import Phase
from merope.model.template import Vector
from merope.model.vm import VM

if TYPE_CHECKING:
    from tests.core.vm_world import Cloud

ANN = 2
DISK, PERSISTENT = 0, 1
ALIASED = """\
CPU = 0.5
MEMORY = 256
DISK = [ IMAGE_ID = 0 ]
NIC = [ NETWORK_ID = 0 ]
NIC_ALIAS = [ NETWORK_ID = 0, PARENT = NIC0 ]
GRAPHICS = [ TYPE = VNC, LISTEN = 0.0.0.0 ]
"""

Deed = Callable[["Cloud", int], object]

#: Event of the table → the call that makes it happen to a VM with a disk 0 and a NIC 0 (with the alias 1).
DEEDS: dict[str, Deed] = {
    "disk-attach": lambda cloud, oid: cloud.call(ANN, "one.vm.attach", oid, "DISK=[IMAGE_ID=1]"),
    "disk-detach": lambda cloud, oid: cloud.call(ANN, "one.vm.detach", oid, 0),
    "nic-attach": lambda cloud, oid: cloud.call(ANN, "one.vm.attachnic", oid, "NIC=[NETWORK_ID=0]"),
    "nic-detach": lambda cloud, oid: cloud.call(ANN, "one.vm.detachnic", oid, 0),
    "alias-attach": lambda cloud, oid: cloud.call(
        ANN, "one.vm.attachnic", oid, "NIC_ALIAS=[NETWORK_ID=0,PARENT=NIC0]"
    ),
    "alias-detach": lambda cloud, oid: cloud.call(ANN, "one.vm.detachnic", oid, 1),
    "updateconf": lambda cloud, oid: cloud.call(ANN, "one.vm.updateconf", oid, "FEATURES=[ACPI=yes]"),
    "snapshot-create": lambda cloud, oid: cloud.call(ANN, "one.vm.snapshotcreate", oid, "before"),
    "snapshot-revert": lambda cloud, oid: cloud.call(ANN, "one.vm.snapshotrevert", oid, 0),
    "snapshot-delete": lambda cloud, oid: cloud.call(ANN, "one.vm.snapshotdelete", oid, 0),
    "disk-snapshot-create": lambda cloud, oid: cloud.call(ANN, "one.vm.disksnapshotcreate", oid, 0, "clean"),
    "disk-snapshot-revert": lambda cloud, oid: cloud.call(ANN, "one.vm.disksnapshotrevert", oid, 0, 0),
    "disk-snapshot-delete": lambda cloud, oid: cloud.call(ANN, "one.vm.disksnapshotdelete", oid, 0, 0),
    "disk-resize": lambda cloud, oid: cloud.call(ANN, "one.vm.diskresize", oid, 0, "128"),
    "disk-saveas": lambda cloud, oid: cloud.call(ANN, "one.vm.disksaveas", oid, 0, "saved", "", -1),
}
#: An answer that is waited for → the event that led there.
_LED_BY = {name: name for name in DEEDS} | {
    "attach": "disk-attach",
    "detach": "disk-detach",
    "attach-nic": "nic-attach",
    "detach-nic": "nic-detach",
}


def cold(cloud: Cloud) -> None:
    """From now on the hypervisor has a say in the NICs of a VM that is off."""
    cloud.settings = replace(
        cloud.settings, vm_mad={"dummy": {"NAME": "dummy", "COLD_NIC_ATTACH": "yes", "KEEP_SNAPSHOTS": "yes"}}
    )


def deed(event: str) -> Deed | None:
    """The call that makes an event of the table happen; None when it is not one of these."""
    return DEEDS.get(event.removesuffix("-cold"))


def before(phase: Phase) -> Phase:
    """The phase from which a VM comes into a phase of this kind."""
    ending = phase.name.rpartition("_")[2]
    return Phase[ending] if ending in ("POWEROFF", "SUSPENDED", "UNDEPLOYED") else Phase.RUNNING


def make_snapshots(cloud: Cloud, oid: int, event: str) -> None:
    """What the event is to be done with: snapshots of the VM, or of its disk 0, of which 0 can be deleted."""
    tx = cloud.transaction(SYSTEM)
    own = tx.edit(VM, oid)
    disk = own.disk(0)
    assert disk is not None
    if event in ("snapshot-revert", "snapshot-delete"):
        own.template.add("SNAPSHOT", Vector(SNAPSHOT_ID="0", NAME="old", TIME="1", HYPERVISOR_ID="snap"))
    if event in ("disk-snapshot-revert", "disk-snapshot-delete"):
        with vm_disk_snapshot_steps.changed(tx, own, disk):
            snapshots = disk_snapshots.none_yet("NO", 0)
            for _ in range(2):
                disk_snapshots.create(snapshots, "old", 64, cloud.now)
            disk_snapshots.go_on_from(snapshots, 1)
            own.snapshots.append(snapshots)
    cloud.commit(tx)


def begin(cloud: Cloud, phase: Phase, answer: str = "") -> int:
    from tests.core.vm_world import stand

    if phase is Phase.HOTPLUG_NIC_POWEROFF:
        cold(cloud)
    event = _LED_BY[answer.removesuffix("-off") or lifecycle.ANSWERS[lifecycle.EFFECTS[phase]]]
    off = answer.endswith("-off")
    if off:
        cold(cloud)
    oid = stand(cloud, Phase.POWEROFF if off else before(phase), template=ALIASED)
    make_snapshots(cloud, oid, event)
    DEEDS[event](cloud, oid)
    if phase in lifecycle.SAVING:
        cloud.answer(op="image", source="/img/saved", format="raw")
    assert cloud.phase(oid) is phase
    cloud.now += 100
    return oid
