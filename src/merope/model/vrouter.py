"""Virtual routers: VMs that share floating addresses in the networks of their NICs."""

from dataclasses import dataclass

from merope.model.document import Attributes, IdSet, document, new_ids, new_template
from merope.model.owned import OptionalLock, Owned, PermissionBits, new_permissions


@document("VROUTER")
@dataclass(slots=True)
class VirtualRouter(Owned):
    """`template` holds a NIC vector for each network, `vms` the instances."""

    permissions: PermissionBits = new_permissions()
    lock: OptionalLock = None
    vms: IdSet = new_ids()
    template: Attributes = new_template()
