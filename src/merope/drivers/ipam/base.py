"""The interface of a driver for address management outside (IPAM): who may have which address of a range.

`attributes` are those of the range as the network has it: TYPE, SIZE, the first IP, IP6 and MAC, IPAM_MAD,
and whatever the driver itself answered when the range was registered.
"""

from collections.abc import Mapping
from typing import Protocol

from merope.model.address_range import AddressRange

Attributes = Mapping[str, str]


class AddressManager(Protocol):
    """Raises DriverError. What gives something back is done again until it succeeds, and is idempotent."""

    def register(self, attributes: Attributes) -> dict[str, str]:
        """Takes a range into management. Answers its attributes: those asked for, completed or replaced."""
        ...

    def unregister(self, attributes: Attributes) -> None:
        """A range is no longer used; one that is not known is unregistered already."""
        ...

    def allocate(self, attributes: Attributes, index: int, size: int) -> None:
        """Gives `size` addresses from the one `index` after the first of the range, all of them or none."""
        ...

    def get(self, attributes: Attributes, size: int) -> dict[str, str]:
        """Gives `size` consecutive addresses of its own choice; answers IP, IP6 or MAC of the first."""
        ...

    def free(self, attributes: Attributes, index: int, size: int) -> None:
        """Takes addresses back; those that nobody has are free already."""
        ...


def lease_of(attributes: Attributes, index: int) -> dict[str, str]:
    """The addresses of an index: MAC, and by type IP, IP6 …"""
    return AddressRange(attributes).lease(index)
