"""How far a download or a copy has come: PROGRESS in the template of an image while it is made."""

from merope.core.transaction import Transaction
from merope.model.image import Image
from merope.model.states import ImageState

ATTRIBUTE = "PROGRESS"
_MB = 1024 * 1024
_BEING_MADE = frozenset({ImageState.LOCKED, ImageState.LOCKED_USED, ImageState.LOCKED_USED_PERS})


def note(tx: Transaction, image_id: int, done: int) -> bool:
    """`done` bytes of an image are there; False when nobody waits for it any more."""
    image = tx.find(Image, image_id)
    if image is None or image.state not in _BEING_MADE:
        return False
    tx.edit(Image, image_id).template.set(ATTRIBUTE, f"{done // _MB} of {image.size} MB")
    return True


def forget(image: Image) -> None:
    """The image, which is being edited, is made, or will not be."""
    image.template.remove(ATTRIBUTE)
