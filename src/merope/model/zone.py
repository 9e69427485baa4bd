"""Zones: the clouds of a federation, of which a stand-alone cloud is one."""

from dataclasses import dataclass

from merope.model.document import Attributes, Document, Integer, Text, document, new_template


@document("ZONE")
@dataclass(slots=True)
class Zone(Document):
    """`server_pool` holds a SERVER vector for each front-end."""

    id: Integer
    name: Text
    template: Attributes = new_template()
    server_pool: Attributes = new_template()
