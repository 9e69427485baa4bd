"""What people do with the parts of a VM, and with snapshots of images."""

from collections.abc import Callable

from merope.core import vm_nics
from merope.model.image import Image
from merope.model.phase import Phase
from merope.model.template import Vector
from merope.model.vm import VM
from merope.simulation.deeds.call import Call, Deed
from merope.simulation.draws import Draw

_PLUGGED = (Phase.RUNNING, Phase.RUNNING, Phase.POWEROFF)
_CHANGED = (Phase.RUNNING, Phase.RUNNING, Phase.POWEROFF, Phase.SUSPENDED, Phase.UNDEPLOYED)


def _vm(draw: Draw, *phases: Phase) -> VM | None:
    """Mostly one in the phase; sometimes any."""
    oid = draw.vm_in(draw.one(phases)) if draw.likely(0.95) else draw.oid("vm")
    found = None if oid is None else draw.state.pools["vm_pool"].parsed(oid)
    return found if isinstance(found, VM) else None


def _id(draw: Draw, vectors: list[Vector], key: str) -> int:
    """The id of one that is there; now and then of none."""
    known = [int(vector[key]) for vector in vectors if vector.get(key)]
    return draw.one(known) if known and draw.likely(0.95) else draw.one((0, 1, 99))


def _disk(draw: Draw, vm: VM) -> int:
    return _id(draw, vm.template.vectors("DISK"), "DISK_ID")


def _attach(draw: Draw, vm: VM) -> Call:
    disk = f"DISK=[IMAGE_ID={draw.oid('image')}]" if draw.likely(0.7) else "DISK=[TYPE=fs,SIZE=7]"
    return "one.vm.attach", [vm.id, disk], draw.user()


def _detach(draw: Draw, vm: VM) -> Call:
    return "one.vm.detach", [vm.id, _disk(draw, vm)], draw.user()


def _attach_nic(draw: Draw, vm: VM) -> Call:
    nic = f"NIC=[NETWORK_ID={draw.oid('vn')}]"
    if draw.likely(0.3):
        parent = draw.one([nic.get("NAME", "") for nic in vm.template.vectors("NIC")] or ["NIC0"])
        nic = f'NIC_ALIAS=[NETWORK_ID={draw.oid("vn")},PARENT="{parent}"]'
    return "one.vm.attachnic", [vm.id, nic], draw.user()


def _detach_nic(draw: Draw, vm: VM) -> Call:
    return "one.vm.detachnic", [vm.id, _id(draw, vm_nics.nics_of(vm.template), "NIC_ID")], draw.user()


def _updateconf(draw: Draw, vm: VM) -> Call:
    conf = draw.one(('CONTEXT=[NETWORK="YES",A="1"]', "FEATURES=[ACPI=yes]"))
    return "one.vm.updateconf", [vm.id, conf], draw.user()


def _snapshot(draw: Draw, vm: VM) -> Call:
    known = vm.template.vectors("SNAPSHOT")
    what = draw.one(("create", "revert", "delete")) if known else "create"
    argument = "now" if what == "create" else _id(draw, known, "SNAPSHOT_ID")
    return f"one.vm.snapshot{what}", [vm.id, argument], draw.user()


def _disk_snapshot(draw: Draw, vm: VM) -> Call:
    disk = _disk(draw, vm)
    if vm.snapshots and draw.likely(0.7):
        disk = int(draw.one(vm.snapshots).get("DISK_ID"))
    known = [
        each
        for snapshots in vm.snapshots
        if snapshots.get("DISK_ID") == str(disk)
        for each in snapshots.vectors("SNAPSHOT")
    ]
    what = draw.one(("create", "revert", "revert", "delete", "delete", "rename")) if known else "create"
    if what == "create":
        return "one.vm.disksnapshotcreate", [vm.id, disk, "now"], draw.user()
    more = ["then"] if what == "rename" else []
    return f"one.vm.disksnapshot{what}", [vm.id, disk, _id(draw, known, "ID"), *more], draw.user()


def _resize_disk(draw: Draw, vm: VM) -> Call:
    return "one.vm.diskresize", [vm.id, _disk(draw, vm), draw.one(("40", "200", "1000", "x"))], draw.user()


def _save_as(draw: Draw, vm: VM) -> Call:
    name = f"saved{draw.chance.randrange(6)}"
    arguments = [
        vm.id,
        _disk(draw, vm),
        name,
        draw.one(("", "", "DATABLOCK", "KERNEL")),
        draw.one((-1, -1, 0)),
    ]
    return "one.vm.disksaveas", arguments, draw.user()


_ON_VM: tuple[tuple[Callable[[Draw, VM], Call], tuple[Phase, ...]], ...] = (
    (_attach, _PLUGGED),
    (_attach, _PLUGGED),
    (_detach, _PLUGGED),
    (_attach_nic, _PLUGGED),
    (_attach_nic, _PLUGGED),
    (_detach_nic, _PLUGGED),
    (_updateconf, _PLUGGED),
    (_snapshot, _PLUGGED),
    (_snapshot, _PLUGGED),
    (_disk_snapshot, _CHANGED),
    (_disk_snapshot, _CHANGED),
    (_disk_snapshot, _CHANGED),
    (_resize_disk, _CHANGED),
    (_save_as, _CHANGED),
    (_save_as, _CHANGED),
)


def on_vm(draw: Draw) -> Call | None:
    deed, phases = draw.one(_ON_VM)
    vm = _vm(draw, *phases)
    return None if vm is None else deed(draw, vm)


def _having_snapshots(draw: Draw) -> VM | None:
    pool = draw.state.pools["vm_pool"]
    vms = [vm for oid in sorted(pool.entries) if isinstance(vm := pool.parsed(oid), VM) and vm.snapshots]
    return draw.one(vms) if vms else None


def on_snapshots(draw: Draw) -> Call | None:
    """Snapshots build on one another: who has some gets more of them."""
    vm = _having_snapshots(draw)
    if vm is None:
        return None
    if vm.phase is Phase.RUNNING and draw.likely(0.3):
        return "one.vm.action", ["poweroff", vm.id], draw.user()
    return _disk_snapshot(draw, vm)


def on_image(draw: Draw) -> Call | None:
    """Snapshots of an image that has some, if there is one."""
    pool = draw.state.pools["image_pool"]
    images = [image for oid in sorted(pool.entries) if isinstance(image := pool.parsed(oid), Image)]
    having = [image for image in images if image.snapshots.vectors("SNAPSHOT")]
    if not having:
        return None
    image = draw.one(having)
    what = draw.one(("delete", "revert", "flatten"))
    number = _id(draw, image.snapshots.vectors("SNAPSHOT"), "ID")
    return f"one.image.snapshot{what}", [image.id, number], draw.user()


DEEDS: tuple[tuple[Deed, int], ...] = ((on_vm, 24), (on_snapshots, 3), (on_image, 2))
