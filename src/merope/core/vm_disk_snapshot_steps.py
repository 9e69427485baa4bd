"""Steps of the life-cycle about the snapshots of a disk.

`facts.arguments` has the DISK_ID ("disk") and the snapshot's ID ("snapshot"). The snapshots of a persistent
disk are its image's too, and count for the image's owner; others count for the VM's.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from merope.core import image_create, quota, vm_quotas
from merope.core.transaction import Transaction
from merope.core.vm_disk_steps import is_persistent, meant
from merope.core.vm_facts import Facts
from merope.model import disk_snapshots
from merope.model.image import Image, no_snapshots
from merope.model.template import Template, Vector
from merope.model.vm import VM

_MARKS = ("DISK_SNAPSHOT_ACTIVE", "DISK_SNAPSHOT_ID")


def of_disk(vm: VM, disk: Vector) -> Template | None:
    """SNAPSHOTS of a disk; None when it never had one."""
    return next((each for each in vm.snapshots if each.get("DISK_ID") == disk["DISK_ID"]), None)


def mode_of(disk: Vector) -> str:
    """ALLOW_ORPHANS of a disk's snapshots: FORMAT is NO for qcow2, whose files build on one another, and YES
    for raw files."""
    mode = disk.get("ALLOW_ORPHANS", disk_snapshots.NO).upper()
    if mode == disk_snapshots.FORMAT:
        raw = (disk.get("FORMAT") or disk.get("DRIVER", "")).lower() == "raw"
        return disk_snapshots.YES if raw else disk_snapshots.NO
    return mode if mode in (disk_snapshots.YES, disk_snapshots.MIXED) else disk_snapshots.NO


@contextmanager
def changed(tx: Transaction, vm: VM, disk: Vector) -> Iterator[None]:
    """What the disk's snapshots take after the block is shown and charged, here and with a persistent image.

    Raises ApiError AUTHORIZATION when a quota forbids more.
    """
    with vm_quotas.counted(tx, vm):
        yield
        snapshots = of_disk(vm, disk)
        size = 0 if snapshots is None else disk_snapshots.total_size(snapshots)
        disk["DISK_SNAPSHOT_TOTAL_SIZE"] = str(size)
    if is_persistent(disk) and tx.find(Image, int(disk["IMAGE_ID"])) is not None:
        own = tx.edit(Image, int(disk["IMAGE_ID"]))
        before = image_create.usage(own)
        own.snapshots = _for_image(snapshots)
        quota.charge(tx, own.uid, own.gid, image_create.usage(own) - before)


def _for_image(snapshots: Template | None) -> Template:
    """Ids go on where they are, also without snapshots: what failed may have left files of its id."""
    if snapshots is None:
        return no_snapshots()
    copied = snapshots.copy()
    copied.remove("DISK_ID")
    return copied


def bring(vm: VM, disk: Vector, image: Image) -> None:
    """A disk that uses an image has the image's snapshots, and its next one the image's next id."""
    if image.snapshots.get("NEXT_SNAPSHOT") not in ("", "0"):
        snapshots = image.snapshots.copy()
        snapshots.set("DISK_ID", disk["DISK_ID"])
        vm.snapshots.append(snapshots)


def bring_all(tx: Transaction, vm: VM) -> None:
    for disk in vm.template.vectors("DISK"):
        if disk.get("IMAGE_ID"):
            bring(vm, disk, tx.get(Image, int(disk["IMAGE_ID"])))


def forget_copies(tx: Transaction, vm: VM) -> None:
    """Disks that are copies are made anew, without snapshots; a persistent disk has them in its image."""
    for disk in vm.template.vectors("DISK"):
        if is_persistent(disk) or of_disk(vm, disk) is None:
            continue
        with changed(tx, vm, disk):
            vm.snapshots = [each for each in vm.snapshots if each.get("DISK_ID") != disk["DISK_ID"]]


def _meant(vm: VM, facts: Facts) -> tuple[Vector, Template, int] | None:
    disk = meant(vm, facts)
    snapshots = None if disk is None else of_disk(vm, disk)
    if disk is None or snapshots is None:
        return None
    return disk, snapshots, int(facts.arguments.get("snapshot", -1))


def leave(tx: Transaction, vm: VM, facts: Facts) -> None:
    disk = meant(vm, facts)
    if disk is not None:
        for mark in _MARKS:
            disk.pop(mark, None)


def keep(tx: Transaction, vm: VM, facts: Facts) -> None:
    _go_on(tx, vm, facts, back=False)


def go_back(tx: Transaction, vm: VM, facts: Facts) -> None:
    _go_on(tx, vm, facts, back=True)


def _go_on(tx: Transaction, vm: VM, facts: Facts, *, back: bool) -> None:
    leave(tx, vm, facts)
    known = _meant(vm, facts)
    if known is not None:
        disk, snapshots, number = known
        with changed(tx, vm, disk):
            disk_snapshots.go_on_from(snapshots, number, back=back)


def drop(tx: Transaction, vm: VM, facts: Facts) -> None:
    leave(tx, vm, facts)
    known = _meant(vm, facts)
    if known is not None:
        disk, snapshots, number = known
        with changed(tx, vm, disk):
            disk_snapshots.remove(snapshots, number)
