"""VM templates: what a VM is made from."""

from dataclasses import dataclass

from merope.model.document import Attributes, Integer, document, new_template
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions


@document("VMTEMPLATE")
@dataclass(slots=True)
class VmTemplate(Owned):
    lock: OptionalLock = None
    permissions: PermissionBits = new_permissions()
    regtime: Integer = 0
    template: Attributes = new_template()
