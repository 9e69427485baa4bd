"""Permission bits of an object, and the flags that name operations and object types everywhere.

The numbers of `Op` and `ObjectType` are part of the interface: they are the bits of ACL rules, of stored
leases and of hidden log fields (OpenNebula 5.12, spec `acl`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final
from xml.etree.ElementTree import Element


class Op(IntEnum):
    """What somebody wants to do with an object. A request is one of them, a rule grants several.

    Neither this nor `ObjectType` is an IntFlag: that keeps every combination it ever saw, so `type | id`
    would leak. Combinations are plain integers here.
    """

    USE = 1
    MANAGE = 2
    ADMIN = 4
    CREATE = 8


class ObjectType(IntEnum):
    """The kind of an object, as the bit it has in the resource part of an ACL rule.

    The member's name is what messages and rule texts say ("NET", "IMAGE").
    """

    VM = 0x10_0000_0000
    HOST = 0x20_0000_0000
    NET = 0x40_0000_0000
    IMAGE = 0x80_0000_0000
    USER = 0x100_0000_0000
    TEMPLATE = 0x200_0000_0000
    GROUP = 0x400_0000_0000
    ACL = 0x800_0000_0000
    DATASTORE = 0x1000_0000_0000
    CLUSTER = 0x2000_0000_0000
    DOCUMENT = 0x4000_0000_0000
    ZONE = 0x8000_0000_0000
    SECGROUP = 0x1_0000_0000_0000
    VDC = 0x2_0000_0000_0000
    VROUTER = 0x4_0000_0000_0000
    MARKETPLACE = 0x8_0000_0000_0000
    MARKETPLACEAPP = 0x10_0000_0000_0000
    VMGROUP = 0x20_0000_0000_0000
    VNTEMPLATE = 0x40_0000_0000_0000
    HOOK = 0x80_0000_0000_0000


ELEMENTS: Final = (
    "OWNER_U",
    "OWNER_M",
    "OWNER_A",
    "GROUP_U",
    "GROUP_M",
    "GROUP_A",
    "OTHER_U",
    "OTHER_M",
    "OTHER_A",
)
"""Elements of PERMISSIONS in the order of the documents; the first is the highest bit of the mode."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """The nine bits of an object, each 0 or 1: use, manage and admin for its owner, group and all others.

    A value cannot change, so equal ones are shared: make them with `from_mode` and its relatives.
    """

    owner_u: int = 0
    owner_m: int = 0
    owner_a: int = 0
    group_u: int = 0
    group_m: int = 0
    group_a: int = 0
    other_u: int = 0
    other_m: int = 0
    other_a: int = 0

    @staticmethod
    def from_mode(mode: int) -> Permissions:
        """From nine bits, 0o640 for example. Raises ValueError outside 0…0o777."""
        if not 0 <= mode <= 0o777:
            raise ValueError(f"Permissions must lie between 000 and 777, not {mode:o}")
        return _of_mode(mode)

    @staticmethod
    def from_octal(text: str) -> Permissions:
        """From three octal digits as in `onevm chmod` ("640"). Raises ValueError on anything else."""
        if len(text) != 3 or not all(digit in "01234567" for digit in text):
            raise ValueError(f"Permissions must be three octal digits such as 640, not {text!r}")
        return _of_mode(int(text, 8))

    @staticmethod
    def from_umask(umask: int, *, admin: bool = False, other_allowed: bool = True) -> Permissions:
        """What a new object of a user gets.

        `umask` is the user's UMASK or DEFAULT_UMASK (0o177 gives `um- --- ---`). Admin bits are only left
        to what uid 0 or the group oneadmin creates (`admin`), bits for others fall away for everybody
        else when ENABLE_OTHER_PERMISSIONS is NO (`other_allowed`).
        """
        if admin:
            return _of_mode(0o777 & ~umask)
        return _of_mode((0o666 if other_allowed else 0o660) & ~umask)

    @staticmethod
    def from_element(element: Element) -> Permissions:
        """From a PERMISSIONS element. An element that is missing or not 0 counts as 0 or 1."""
        mode = 0
        for name in ELEMENTS:
            mode = mode << 1 | (element.findtext(name, "0").strip() not in ("", "0"))
        return _of_mode(mode)

    @property
    def mode(self) -> int:
        """The nine bits as one number, 0o640 for example."""
        return (
            self.owner_u << 8
            | self.owner_m << 7
            | self.owner_a << 6
            | self.group_u << 5
            | self.group_m << 4
            | self.group_a << 3
            | self.other_u << 2
            | self.other_m << 1
            | self.other_a
        )

    def to_octal(self) -> str:
        return f"{self.mode:03o}"

    def to_xml(self) -> str:
        return _xml_of_mode(self.mode)

    def allows(self, op: Op, *, is_owner: bool, in_group: bool) -> bool:
        """Whether the bits alone permit `op`; nobody is ever permitted CREATE by them.

        The three classes add up: an owner may also do what the group (if a member) and others may.
        """
        granted = _GRANTED[op]
        mode = self.mode
        return bool(
            mode & granted or (in_group and mode & granted << 3) or (is_owner and mode & granted << 6)
        )

    def changed(self, bits: Sequence[int]) -> Permissions:
        """With nine new values in document order, -1 leaving a bit as it is (`one.*.chmod`).

        Raises ValueError when there are not nine or one is not -1, 0 or 1.
        """
        if len(bits) != len(ELEMENTS) or any(bit not in (-1, 0, 1) for bit in bits):
            raise ValueError("New permission values must be -1, 0 or 1")
        mode = self.mode
        for position, bit in enumerate(reversed(bits)):
            if bit == 1:
                mode |= 1 << position
            elif bit == 0:
                mode &= ~(1 << position)
        return _of_mode(mode)


# Indexed by Op: the bit of one octal digit that permits it.
_GRANTED: Final = (0, 0o4, 0o2, 0, 0o1, 0, 0, 0, 0)


@lru_cache(maxsize=512)
def _of_mode(mode: int) -> Permissions:
    return Permissions(*(mode >> shift & 1 for shift in range(8, -1, -1)))


@lru_cache(maxsize=512)
def _xml_of_mode(mode: int) -> str:
    bits = (
        f"<{name}>{mode >> shift & 1}</{name}>"
        for name, shift in zip(ELEMENTS, range(8, -1, -1), strict=True)
    )
    return f"<PERMISSIONS>{''.join(bits)}</PERMISSIONS>"
