"""Documents: whatever an application keeps in the cloud, apart from others by a number of its type."""

from dataclasses import dataclass

from merope.model.document import Attributes, Integer, document, new_template
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions


@document("DOCUMENT")
@dataclass(slots=True)
class StoredDocument(Owned):
    """`type` is the application's number: 100 a OneFlow service, 101 a service template."""

    type: Integer = 0
    permissions: PermissionBits = new_permissions()
    lock: OptionalLock = None
    template: Attributes = new_template()
