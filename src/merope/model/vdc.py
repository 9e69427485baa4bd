"""Virtual data centres: which groups may use which resources of which zones."""

from dataclasses import dataclass, field
from typing import Annotated
from xml.etree.ElementTree import Element

from merope.model.document import (
    Attributes,
    Codec,
    Document,
    IdSet,
    Integer,
    Text,
    document,
    new_ids,
    new_template,
)

#: RESOURCE id that stands for every object of that kind in the zone.
ALL_RESOURCES = -10

Resource = tuple[int, int]
"""(zone id, object id or ALL_RESOURCES)."""


class _Resources(Codec[set[Resource]]):
    """CLUSTERS, HOSTS …: an element of ZONE_ID and the object's id for each."""

    def write(self, tag: str, value: set[Resource]) -> str:
        if not value:
            return f"<{tag}/>"
        kind = tag.removesuffix("S")
        inner = "".join(
            f"<{kind}><ZONE_ID>{zone}</ZONE_ID><{kind}_ID>{oid}</{kind}_ID></{kind}>"
            for zone, oid in sorted(value)
        )
        return f"<{tag}>{inner}</{tag}>"

    def read(self, elements: list[Element]) -> set[Resource]:
        if not elements:
            return set()
        return {
            (int(item.findtext("ZONE_ID") or 0), int(item.findtext(f"{item.tag}_ID") or 0))
            for item in elements[0]
        }


Resources = Annotated[set[Resource], _Resources()]


@document("VDC")
@dataclass(slots=True)
class Vdc(Document):
    """What the groups of a VDC may use, by kind."""

    id: Integer
    name: Text
    groups: IdSet = new_ids()
    clusters: Resources = field(default_factory=set)
    hosts: Resources = field(default_factory=set)
    datastores: Resources = field(default_factory=set)
    vnets: Resources = field(default_factory=set)
    template: Attributes = new_template()
