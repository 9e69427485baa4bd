"""Virtual data centres: which groups may use which resources of which zones."""

from dataclasses import dataclass

from merope.model.document import Attributes, Document, IdSet, Integer, Text, document, new_ids, new_template

#: RESOURCE id that stands for every object of that kind in the zone.
ALL_RESOURCES = -10


@document("VDC")
@dataclass(slots=True)
class Vdc(Document):
    """The resources are vectors of ZONE_ID and the object's id (CLUSTER_ID, HOST_ID …)."""

    id: Integer
    name: Text
    groups: IdSet = new_ids()
    clusters: Attributes = new_template()
    hosts: Attributes = new_template()
    datastores: Attributes = new_template()
    vnets: Attributes = new_template()
    template: Attributes = new_template()
