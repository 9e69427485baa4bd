"""Groups of users."""

from dataclasses import dataclass

from merope.model.document import Attributes, Document, IdSet, Integer, Text, document, new_ids, new_template


@document("GROUP")
@dataclass(slots=True)
class Group(Document):
    id: Integer
    name: Text
    template: Attributes = new_template()
    users: IdSet = new_ids()
    admins: IdSet = new_ids()
