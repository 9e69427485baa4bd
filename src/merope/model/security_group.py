"""Security groups: what may reach a VM's interfaces and what they may reach."""

from dataclasses import dataclass

from merope.model.document import Attributes, IdSet, document, new_ids, new_template
from merope.model.owned import Owned, PermissionBits, new_permissions


@document("SECURITY_GROUP")
@dataclass(slots=True)
class SecurityGroup(Owned):
    """The four sets say how far a change of the rules has got on the VMs that use them."""

    permissions: PermissionBits = new_permissions()
    updated_vms: IdSet = new_ids()
    outdated_vms: IdSet = new_ids()
    updating_vms: IdSet = new_ids()
    error_vms: IdSet = new_ids()
    template: Attributes = new_template()
