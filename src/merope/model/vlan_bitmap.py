"""The row of `network_vlan_bitmap`: which VLAN ids were given automatically, as 5.12 stores them.

What is given follows from the networks' documents; the row is kept for whoever opens the database with
OpenNebula. It is a text of 4096 digits 0 and 1, the highest id first, compressed by zlib and in base64
(spec db.yaml `network_vlan_bitmap`).
"""

import base64
import binascii
import zlib
from collections.abc import Iterable
from typing import Final

TABLE: Final = "network_vlan_bitmap"
ROW: Final = 0
"""The key of its one row."""

_BITS: Final = 4096


def encode(ids: Iterable[int]) -> str:
    digits = bytearray(b"0" * _BITS)
    for vlan in ids:
        digits[_BITS - 1 - vlan] = ord("1")
    return base64.b64encode(zlib.compress(bytes(digits))).decode()


def decode(text: str) -> set[int]:
    """Raises ValueError for what is no such map."""
    try:
        unpacker = zlib.decompressobj()
        digits = unpacker.decompress(base64.b64decode(text), _BITS + 1)
    except (binascii.Error, zlib.error) as fault:
        raise ValueError(f"the map of VLAN ids cannot be read: {fault}") from fault
    if len(digits) != _BITS or digits.strip(b"01"):
        raise ValueError(f"the map of VLAN ids is not {_BITS} digits 0 and 1")
    return {_BITS - 1 - place for place, digit in enumerate(digits) if digit == ord("1")}
