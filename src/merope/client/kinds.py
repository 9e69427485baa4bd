"""The kinds of objects as a client sees them: the names of their methods and of their documents."""

from enum import IntEnum
from typing import NamedTuple


class Filter(IntEnum):
    """Whose objects a pool lists; a user's id (>= 0) lists what that user owns (spec xmlrpc `filter`)."""

    PRIMARY_GROUP = -4
    MINE = -3
    ALL = -2
    MINE_AND_GROUPS = -1


class Kind(NamedTuple):
    """`name` is the word of the commands, `api` of the methods (one.<api>.info), `root` the document's root.

    `pool_arguments`: 0 none, 3 filter and id range, 4 also the state (virtual machines) or type (documents).
    `label` is how a person calls it; `type` is the one of documents, where a kind is no other than that.
    """

    name: str
    api: str
    root: str
    label: str
    pool_arguments: int = 0
    pool_api: str = ""
    type: int = -1

    @property
    def pool_root(self) -> str:
        return f"{self.root}_POOL"

    @property
    def pool_method(self) -> str:
        return f"one.{self.pool_api or self.api + 'pool'}.info"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("vm", "vm", "VM", "virtual machine", 4),
        Kind("host", "host", "HOST", "host"),
        Kind("cluster", "cluster", "CLUSTER", "cluster"),
        Kind("image", "image", "IMAGE", "image", 3),
        Kind("vnet", "vn", "VNET", "virtual network", 3),
        Kind("datastore", "datastore", "DATASTORE", "datastore"),
        Kind("template", "template", "VMTEMPLATE", "template", 3),
        Kind("user", "user", "USER", "user"),
        Kind("group", "group", "GROUP", "group"),
        Kind("secgroup", "secgroup", "SECURITY_GROUP", "security group", 3),
        Kind("zone", "zone", "ZONE", "zone"),
        Kind("vdc", "vdc", "VDC", "VDC"),
        Kind("document", "document", "DOCUMENT", "document", 4),
        Kind("service", "document", "DOCUMENT", "service", 4, type=100),
        Kind("service_template", "document", "DOCUMENT", "service template", 4, type=101),
        Kind("vntemplate", "vntemplate", "VNTEMPLATE", "virtual network template", 3),
        Kind("vmgroup", "vmgroup", "VM_GROUP", "VM group", 3),
        Kind("vrouter", "vrouter", "VROUTER", "virtual router", 3),
        Kind("hook", "hook", "HOOK", "hook", 3),
        Kind("market", "market", "MARKETPLACE", "marketplace"),
        Kind("marketapp", "marketapp", "MARKETPLACEAPP", "marketplace app", 3),
        Kind("acl", "acl", "ACL", "ACL rule", pool_api="acl"),
    )
}
