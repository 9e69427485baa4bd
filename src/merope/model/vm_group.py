"""VM groups: roles that VMs play, and which of them are to share a host and which are not."""

from dataclasses import dataclass

from merope.model.document import Attributes, document, new_template
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions


@document("VM_GROUP")
@dataclass(slots=True)
class VmGroup(Owned):
    """`roles` holds a ROLE vector for each role, whose VMS are the ids of its VMs ("3,7"). The rules
    between roles, AFFINED and ANTI_AFFINED, stand in `template`."""

    permissions: PermissionBits = new_permissions()
    lock: OptionalLock = None
    roles: Attributes = new_template()
    template: Attributes = new_template()
