"""How VMs come into the phases in which a part of them is being changed, by the calls of users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from merope.core import lifecycle
from merope.model.phase import Phase

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
}
#: An answer that is waited for → the event that led there.
_LED_BY = {
    "attach": "disk-attach",
    "detach": "disk-detach",
    "attach-nic": "nic-attach",
    "detach-nic": "nic-detach",
    "updateconf": "updateconf",
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


def begin(cloud: Cloud, phase: Phase, answer: str = "") -> int:
    from tests.core.vm_world import stand

    if phase is Phase.HOTPLUG_NIC_POWEROFF:
        cold(cloud)
    oid = stand(cloud, before(phase), template=ALIASED)
    DEEDS[_LED_BY[answer or lifecycle.ANSWERS[lifecycle.EFFECTS[phase]]]](cloud, oid)
    assert cloud.phase(oid) is phase
    cloud.now += 100
    return oid
