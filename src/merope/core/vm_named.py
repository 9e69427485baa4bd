"""The objects that a VM's template names: by `IMAGE_ID`, or by `IMAGE` and its owner; networks alike.

Source: spec templates.yaml `DISK_image`, `NIC`.
"""

from typing import TypeVar

from merope.core import vm_requests
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.template import Vector
from merope.model.user import User

D = TypeVar("D", bound=Document)

_WORDS = {"IMAGE": "an image", "NETWORK": "a network"}


def by_id(tx: Transaction, kind: type[D], vector: Vector, attribute: str) -> D | None:
    """The object of `<attribute>_ID`; None when the vector has none. Raises ApiError ALLOCATE, NO_EXISTS."""
    name = f"{attribute}_ID"
    return tx.get(kind, _number(vector, name)) if vector.get(name) else None


def owner(tx: Transaction, vector: Vector, attribute: str, uid: int) -> int:
    """The user whose object is meant: `uid` where the vector names none. Raises ApiError ALLOCATE."""
    if vector.get(f"{attribute}_UID"):
        return _number(vector, f"{attribute}_UID")
    name = vector.get(f"{attribute}_UNAME")
    if not name:
        return uid
    found = tx.named(User, name)
    if found is None:
        shown = vm_requests.shown(name)
        raise ApiError(Code.ALLOCATE, f"There is no user named {shown} ({attribute}_UNAME).")
    return found


def by_name(tx: Transaction, kind: type[D], vector: Vector, attribute: str, uid: int, where: str) -> D:
    """The object of that name; `where` is the vector's. Raises ApiError ALLOCATE when its owner has none."""
    whose = owner(tx, vector, attribute, uid)
    name = vector.get(attribute, "")
    oid = tx.named(kind, name, whose)
    if oid is None:
        raise ApiError(
            Code.ALLOCATE,
            f"User {whose} does not own {_WORDS[attribute]} with name: {name[:128]} . "
            f"Set {attribute}_UNAME or {attribute}_UID of owner in {where}.",
        )
    return tx.get(kind, oid)


def _number(vector: Vector, name: str) -> int:
    found = vm_requests.whole(vector[name])
    if found is None:
        raise ApiError(Code.ALLOCATE, f"{name} must be a number, not {vm_requests.shown(vector[name])}.")
    return found
