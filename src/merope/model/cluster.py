"""Clusters: which hosts, datastores and networks belong together."""

from dataclasses import dataclass

from merope.model.document import Attributes, Document, IdSet, Integer, Text, document, new_ids, new_template


@document("CLUSTER")
@dataclass(slots=True)
class Cluster(Document):
    id: Integer
    name: Text
    hosts: IdSet = new_ids()
    datastores: IdSet = new_ids()
    vnets: IdSet = new_ids()
    template: Attributes = new_template()
