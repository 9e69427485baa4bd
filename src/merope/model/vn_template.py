"""Virtual network templates: what a virtual network is made from."""

from dataclasses import dataclass

from merope.model.document import Attributes, Integer, document, new_template
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions


@document("VNTEMPLATE")
@dataclass(slots=True)
class VnTemplate(Owned):
    lock: OptionalLock = None
    permissions: PermissionBits = new_permissions()
    regtime: Integer = 0
    template: Attributes = new_template()
