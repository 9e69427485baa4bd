"""Images in use: their states and counters, VMs that take and release them, clones that are made of them.

Source: spec states.yaml `image.transitions`.
"""

from collections.abc import Callable

from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.image import Image
from merope.model.owned import Lock
from merope.model.states import ImageState, ImageType, LockLevel

#: Types that a VM may have as a disk; the others are files.
DISK_TYPES = frozenset({ImageType.OS, ImageType.CDROM, ImageType.DATABLOCK})

_SYSTEM = -1

_TAKEN = {
    ImageState.READY: (ImageState.USED, ImageState.USED_PERS),
    ImageState.LOCKED: (ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS),
    ImageState.USED: (ImageState.USED, ImageState.USED),
    ImageState.LOCKED_USED: (ImageState.LOCKED_USED, ImageState.LOCKED_USED),
}
"""State when a VM takes the image: (not persistent, persistent)."""

_RELEASED = {
    ImageState.USED: ImageState.READY,
    ImageState.USED_PERS: ImageState.READY,
    ImageState.LOCKED_USED: ImageState.LOCKED,
    ImageState.LOCKED_USED_PERS: ImageState.LOCKED,
}
"""State when the last one who used the image has released it."""

_UNLOCKED = {
    ImageState.LOCKED: ImageState.READY,
    ImageState.LOCKED_USED: ImageState.USED,
    ImageState.LOCKED_USED_PERS: ImageState.USED_PERS,
}
"""State when what the image was locked for has been done."""

_PERSISTENT_USE = frozenset({ImageState.USED_PERS, ImageState.LOCKED_USED_PERS})
_LOCKED = frozenset(_UNLOCKED)

_WAITING: list[Callable[[Transaction, int], None]] = []
_SAVING: list[tuple[Callable[[Transaction, Image, int, bool, str], bool], Callable[[Transaction, int], None]]]
_SAVING = []


def on_ready(callback: Callable[[Transaction, int], None]) -> None:
    """`callback(tx, vm_id)` hears of every VM whose image has become usable, or never will."""
    _WAITING.append(callback)


def on_saving(
    made: Callable[[Transaction, Image, int, bool, str], bool], deleted: Callable[[Transaction, int], None]
) -> None:
    """`made(tx, image, vm_id, ok, message)` hears that an image has been made, or not, as which a disk of
    that VM is to be saved, and answers whether its content is still to come; `deleted(tx, image_id)` hears of
    every image that is deleted."""
    _SAVING.append((made, deleted))


def waits_for_disk(tx: Transaction, image: Image, vm_id: int, ok: bool, message: str) -> bool:
    return any(made(tx, image, vm_id, ok, message) for made, _ in _SAVING)


def tell_deleted(tx: Transaction, image_id: int) -> None:
    for _, deleted in _SAVING:
        deleted(tx, image_id)


def state_of(tx: Transaction, image_id: int) -> ImageState:
    """The state of an image; ERROR for one that is not there."""
    image = tx.find(Image, image_id)
    return ImageState.ERROR if image is None else ImageState(image.state)


def set_state(tx: Transaction, image: Image, state: ImageState) -> None:
    """Changes the state of an image that is being edited. One that is locked again gets the system's lock."""
    if state is ImageState.LOCKED and image.lock is None:
        image.lock = Lock(LockLevel.USE, _SYSTEM, tx.now, -1)
    elif state is not ImageState.LOCKED and image.lock is not None and image.lock.owner == _SYSTEM:
        image.lock = None
    image.state = state


def acquire(tx: Transaction, image_id: int, vm_id: int, *, attach: bool = False) -> bool:
    """A VM takes the image for one disk; answers whether it is ready, else the VM waits (`on_ready`).

    `attach`: for a running VM, which cannot wait. Raises ApiError ALLOCATE, or NO_EXISTS.
    """
    image = tx.get(Image, image_id)
    state = ImageState(image.state)
    if image.type not in DISK_TYPES:
        kind = ImageType(image.type).name
        raise _refused(f"Image {image_id} ({image.name}) of type {kind} cannot be used as DISK.")
    if state in _PERSISTENT_USE:
        raise _refused(f"Cannot acquire image {image_id}, it is persistent and already in use")
    if state not in _TAKEN:
        raise _refused(f"Cannot acquire image {image_id}, it is in state: {state.name}")
    if attach and state in _LOCKED:
        raise _refused(f"Cannot acquire image {image_id}, it is locked")
    own = tx.edit(Image, image_id)
    own.running_vms += 1
    own.vms.add(vm_id)
    set_state(tx, own, _TAKEN[state][own.persistent])
    return own.state not in _LOCKED


def release(
    tx: Transaction, image_id: int, vm_id: int, *, failed: bool = False, still_used: bool = False
) -> None:
    """A VM gives the image back for one disk; `still_used` when it keeps another disk of the same image.

    `failed`: the content of the disk is in doubt, which leaves a persistent image in ERROR; not one that is
    still being made, of which the VM has had nothing yet (5.12 sets that one to ERROR too). An image that
    the VM does not hold is left alone.
    """
    image = tx.find(Image, image_id)
    # A VM that gives back two disks of one image is no longer in VMS at the second.
    if image is None or (vm_id not in image.vms and image.running_vms <= len(image.vms)):
        return
    own = tx.edit(Image, image_id)
    own.running_vms = max(0, own.running_vms - 1)
    if not still_used:
        own.vms.discard(vm_id)
    state = ImageState(own.state)
    if failed and state is ImageState.USED_PERS:
        set_state(tx, own, ImageState.ERROR)
    elif own.running_vms == 0 and own.cloning_ops == 0 and state in _RELEASED:
        set_state(tx, own, _RELEASED[state])


def start_clone(tx: Transaction, image_id: int, clone_id: int, *, app: bool = False) -> None:
    """A clone, or (`app`) an app, is being made of the image; ApiError ALLOCATE when its state forbids it."""
    own = tx.edit(Image, image_id)
    if own.state == ImageState.READY:
        set_state(tx, own, ImageState.CLONE if own.persistent else ImageState.USED)
    elif own.state not in (ImageState.USED, ImageState.CLONE):
        state = ImageState(own.state).name
        raise _refused(f"Cannot clone image {image_id}, it is in state: {state}")
    own.cloning_ops += 1
    (own.app_clones if app else own.clones).add(clone_id)


def end_clone(tx: Transaction, image_id: int, clone_id: int, *, app: bool = False) -> None:
    """The clone is made, or has failed, or is no longer wanted."""
    image = tx.find(Image, image_id)
    if image is None or clone_id not in (image.app_clones if app else image.clones):
        return
    own = tx.edit(Image, image_id)
    (own.app_clones if app else own.clones).discard(clone_id)
    own.cloning_ops = max(0, own.cloning_ops - 1)
    if own.cloning_ops == 0 and own.running_vms == 0 and own.state in (ImageState.USED, ImageState.CLONE):
        set_state(tx, own, ImageState.READY)


def unlock(tx: Transaction, image: Image) -> None:
    """What the image was locked for has been done; VMs that wait for it go on."""
    set_state(tx, image, _UNLOCKED.get(ImageState(image.state), ImageState(image.state)))
    _tell(tx, image)


def fail(tx: Transaction, image: Image) -> None:
    """What the image was locked for has failed; VMs that wait for it hear of it."""
    set_state(tx, image, ImageState.ERROR)
    _tell(tx, image)


def _tell(tx: Transaction, image: Image) -> None:
    for vm_id in sorted(image.vms):
        for callback in _WAITING:
            callback(tx, vm_id)


def _refused(sentence: str) -> ApiError:
    return ApiError(Code.ALLOCATE, sentence)
