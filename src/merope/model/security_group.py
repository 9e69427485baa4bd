"""Security groups: what may reach a VM's interfaces and what they may reach."""

from collections.abc import Mapping
from dataclasses import dataclass

from merope.model.document import Attributes, IdSet, document, new_ids, new_template
from merope.model.owned import Owned, PermissionBits, new_permissions
from merope.model.vnet import VirtualNetwork

_ADDRESSES = ("IP", "IP6", "IP6_ULA", "IP6_GLOBAL", "MAC")


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


def about_ranges(rule: Mapping[str, str], network: VirtualNetwork) -> list[dict[str, str]]:
    """A rule about a network is one about each of its ranges: the first addresses, and how many."""
    found = []
    for ranged in network.ar_pool:
        first = ranged.lease(0)
        addresses = {key: first[key] for key in _ADDRESSES if key in first}
        found.append(dict(rule) | addresses | {"SIZE": str(ranged.size)})
    return found
