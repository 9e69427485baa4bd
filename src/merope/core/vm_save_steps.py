"""Steps of the life-cycle about a disk that is being saved as an image, and what the image does meanwhile.

`facts.arguments` has the DISK_ID ("disk"), the image's id ("image") and the disk's snapshot ("snapshot", -1
for what is there now).
"""

from merope.core import image_use, lifecycle, results
from merope.core.transaction import Transaction
from merope.core.vm_disk_steps import meant
from merope.core.vm_facts import Facts
from merope.model.image import Image
from merope.model.state import State
from merope.model.states import ImageState
from merope.model.vm import VM

_MARKS = (
    "HOTPLUG_SAVE_AS_ACTIVE",
    "HOTPLUG_SAVE_AS",
    "HOTPLUG_SAVE_AS_SOURCE",
    "HOTPLUG_SAVE_AS_SNAPSHOT_ID",
)
_LOCKED = (ImageState.LOCKED, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS)


def saved(tx: Transaction, vm: VM, facts: Facts) -> None:
    """The image is ready; not one that has no content yet, of which somebody says that it was saved."""
    own = _take_image(tx, vm, facts)
    if own is None:
        return
    own.source = facts.data.get("source") or own.source
    own.fstype = facts.data.get("format") or own.fstype
    if own.source:
        image_use.unlock(tx, own)
    else:
        image_use.fail(tx, own)


def not_saved(tx: Transaction, vm: VM, facts: Facts) -> None:
    own = _take_image(tx, vm, facts)
    if own is None:
        return
    detail = f": {facts.message}" if facts.message else ""
    results.note_error(tx, own.template, f"Error saving disk of VM {vm.id}{detail}")
    image_use.fail(tx, own)


def _take_image(tx: Transaction, vm: VM, facts: Facts) -> Image | None:
    """Clears the disk's marks; answers the image if it still waits for its content."""
    disk = meant(vm, facts)
    if disk is not None:
        for mark in _MARKS:
            disk.pop(mark, None)
    oid = int(facts.arguments.get("image", -1))
    found = tx.find(Image, oid)
    if found is None or found.state not in _LOCKED:
        return None
    tx.drop_effects("image", oid)
    return tx.edit(Image, oid)


def waits_for(vm: VM, image_id: int) -> bool:
    """Whether a disk of the VM is being saved as the image."""
    wanted = str(image_id)
    return vm.phase in lifecycle.SAVING and any(
        disk.get("HOTPLUG_SAVE_AS") == wanted for disk in vm.template.vectors("DISK")
    )


def image_under_way(state: State, vm: VM) -> bool:
    """Whether the image that a disk of the VM is to be saved as is still being made."""
    wanted = {disk["HOTPLUG_SAVE_AS"] for disk in vm.template.vectors("DISK") if disk.get("HOTPLUG_SAVE_AS")}
    return any(state.effects_of.get(("image", int(oid))) for oid in wanted)


def saver(tx: Transaction, image_id: int) -> int | None:
    """The VM of which a disk is being saved as the image."""
    for effect in tx.state.effects.values():
        if effect.op == "image.make" and effect.oid == image_id and "vm" in effect.arguments:
            return int(effect.arguments["vm"])
        if effect.op == "vm.save_as" and effect.arguments.get("image") == image_id:
            return effect.oid
    return None
