"""Virtual networks and their address ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from xml.etree.ElementTree import Element

from merope.model.address_range import EVERYTHING, AddressRange, Viewer
from merope.model.document import (
    Attributes,
    Cdata,
    CdataOrEmpty,
    Codec,
    IdSet,
    Integer,
    OptionalId,
    document,
    new_ids,
    new_template,
)
from merope.model.leases import Leases
from merope.model.long_text import LongList
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions


class _Ranges(Codec[list[AddressRange]]):
    def write(self, tag: str, value: list[AddressRange]) -> str:
        return f"<{tag}>{''.join(item.to_stored_xml() for item in value)}</{tag}>" if value else f"<{tag}/>"

    def read(self, elements: list[Element]) -> list[AddressRange]:
        if not elements:
            return []
        return [
            AddressRange.from_stored({part.tag: part.text or "" for part in child}) for child in elements[0]
        ]

    def longest(self, value: list[AddressRange]) -> int:
        return max((len(item.leases) for item in value), default=0)

    def filled(
        self,
        tag: str,  # noqa: ARG002 - each list is a range's
        value: list[AddressRange],
        lists: Mapping[str, LongList],
    ) -> list[AddressRange]:
        for item in value:
            found = lists.get(item.list_name)
            if found is not None:
                item.leases = Leases.of_chunks(found.chunks)
        return value

    def pieces(self, tag: str, value: list[AddressRange], most: int) -> list[str | LongList]:
        ranges = (piece for item in value for piece in item.stored_pieces(most))
        return [f"<{tag}>", *ranges, f"</{tag}>"]


Ranges = Annotated[list[AddressRange], _Ranges()]


@document("VNET")
@dataclass(slots=True)
class VirtualNetwork(Owned):
    """The stored document keeps the leases as ALLOCATED in each AR; `to_info_xml` shows them in full."""

    lock: OptionalLock = None
    permissions: PermissionBits = new_permissions()
    clusters: IdSet = new_ids()
    bridge: Cdata = ""
    bridge_type: Cdata = ""
    parent_network_id: OptionalId = -1
    vn_mad: CdataOrEmpty = ""
    phydev: CdataOrEmpty = ""
    vlan_id: CdataOrEmpty = ""
    outer_vlan_id: CdataOrEmpty = ""
    vlan_id_automatic: Integer = 0
    outer_vlan_id_automatic: Integer = 0
    used_leases: Integer = 0
    vrouters: IdSet = new_ids()
    template: Attributes = new_template()
    ar_pool: Ranges = field(default_factory=list)

    def address_range(self, ar_id: int) -> AddressRange | None:
        return next((ranged for ranged in self.ar_pool if ranged.ar_id == ar_id), None)

    def recount(self) -> None:
        """USED_LEASES follows from the ranges; to be called after they changed."""
        self.used_leases = sum(ranged.used for ranged in self.ar_pool)

    def to_info_xml(self, viewer: Viewer = EVERYTHING) -> str:
        """The document of `one.vn.info`, with the leases that the viewer may see."""
        stored = self.to_xml()
        start = stored.rindex("<AR_POOL")
        ranges = "".join(ranged.to_xml(viewer) for ranged in self.ar_pool)
        return stored[:start] + (f"<AR_POOL>{ranges}</AR_POOL></VNET>" if ranges else "<AR_POOL/></VNET>")
