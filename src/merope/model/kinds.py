"""What is known of each kind of object, in one table: its document, its database table, its names."""

from dataclasses import dataclass
from typing import Literal

from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.group import Group
from merope.model.hook import Hook
from merope.model.host import Host
from merope.model.image import Image
from merope.model.marketplace import Marketplace
from merope.model.marketplace_app import MarketplaceApp
from merope.model.permissions import ObjectType
from merope.model.security_group import SecurityGroup
from merope.model.stored_document import StoredDocument
from merope.model.user import User
from merope.model.vdc import Vdc
from merope.model.vm import VM
from merope.model.vm_group import VmGroup
from merope.model.vm_template import VmTemplate
from merope.model.vn_template import VnTemplate
from merope.model.vnet import VirtualNetwork
from merope.model.vrouter import VirtualRouter
from merope.model.zone import Zone

DocumentClass = type[Document]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    `label` names it in sentences ("virtual machine"), `word` in a name collision ("NET"), `api` is its
    part of a method's name (one.<api>.info), `unique` the scope of its NAME, `first` the first id given.
    Sources: spec `object_names`, `uniqueness`, `sequence_bootstrap`, `pool_rules.roots`.
    """

    type: ObjectType
    document: DocumentClass
    table: str
    api: str
    label: str
    word: str
    unique: Literal["global", "owner", "none"] = "owner"
    first: int = 0
    columns: tuple[str, ...] = ()

    @property
    def pool_root(self) -> str:
        return f"{self.document.ROOT}_POOL"

    @property
    def pool_api(self) -> str:
        return f"{self.api}pool"


VM_KIND = Kind(
    ObjectType.VM, VM, "vm_pool", "vm", "virtual machine", "VM", "none", columns=("state", "lcm_state")
)
HOST = Kind(ObjectType.HOST, Host, "host_pool", "host", "host", "HOST", "global", columns=("state", "cid"))
NET = Kind(ObjectType.NET, VirtualNetwork, "network_pool", "vn", "virtual network", "NET", columns=("pid",))
IMAGE = Kind(ObjectType.IMAGE, Image, "image_pool", "image", "image", "IMAGE")
USER = Kind(ObjectType.USER, User, "user_pool", "user", "user", "USER", "global")
TEMPLATE = Kind(
    ObjectType.TEMPLATE, VmTemplate, "template_pool", "template", "virtual machine template", "TEMPLATE"
)
GROUP = Kind(ObjectType.GROUP, Group, "group_pool", "group", "group", "GROUP", "global", 100)
DATASTORE = Kind(
    ObjectType.DATASTORE, Datastore, "datastore_pool", "datastore", "datastore", "DATASTORE", "global", 100
)
CLUSTER = Kind(ObjectType.CLUSTER, Cluster, "cluster_pool", "cluster", "cluster", "CLUSTER", "global", 100)
ZONE = Kind(ObjectType.ZONE, Zone, "zone_pool", "zone", "zone", "Zone", "global", 100)
SECGROUP = Kind(
    ObjectType.SECGROUP,
    SecurityGroup,
    "secgroup_pool",
    "secgroup",
    "security group",
    "SecurityGroup",
    first=100,
)
VDC = Kind(ObjectType.VDC, Vdc, "vdc_pool", "vdc", "VDC", "Vdc", "global", 100)
MARKETPLACE = Kind(
    ObjectType.MARKETPLACE,
    Marketplace,
    "marketplace_pool",
    "market",
    "marketplace",
    "MARKETPLACE",
    "global",
    100,
)
DOCUMENT = Kind(
    ObjectType.DOCUMENT,
    StoredDocument,
    "document_pool",
    "document",
    "document",
    "DOCUMENT",
    "none",
    columns=("type",),
)
VROUTER = Kind(
    ObjectType.VROUTER, VirtualRouter, "vrouter_pool", "vrouter", "virtual router", "VROUTER", "none"
)
MARKETPLACEAPP = Kind(
    ObjectType.MARKETPLACEAPP,
    MarketplaceApp,
    "marketplaceapp_pool",
    "marketapp",
    "marketplaceapp",
    "MARKETPLACEAPP",
)
VMGROUP = Kind(ObjectType.VMGROUP, VmGroup, "vmgroup_pool", "vmgroup", "vm group", "VMGroup")
VNTEMPLATE = Kind(
    ObjectType.VNTEMPLATE,
    VnTemplate,
    "vn_template_pool",
    "vntemplate",
    "virtual network template",
    "VN TEMPLATE",
)
HOOK = Kind(ObjectType.HOOK, Hook, "hook_pool", "hook", "hook", "Hook", "global", columns=("type",))

KINDS: tuple[Kind, ...] = (
    VM_KIND,
    HOST,
    NET,
    IMAGE,
    USER,
    TEMPLATE,
    GROUP,
    DATASTORE,
    CLUSTER,
    ZONE,
    SECGROUP,
    VDC,
    MARKETPLACE,
    DOCUMENT,
    VROUTER,
    MARKETPLACEAPP,
    VMGROUP,
    VNTEMPLATE,
    HOOK,
)
BY_TABLE: dict[str, Kind] = {kind.table: kind for kind in KINDS}
BY_API: dict[str, Kind] = {kind.api: kind for kind in KINDS}
BY_DOCUMENT: dict[type[Document], Kind] = {kind.document: kind for kind in KINDS}
