"""The objects of a fresh cloud, as a fresh 5.12 has them: same ids, names, permissions and rules.

Source: recorded examples of every pool, spec db.yaml `sequence_bootstrap`.
"""

from merope.core import acl, vdc
from merope.core.cluster import RESERVED, join
from merope.core.datastore import add_datastore
from merope.core.host import DEFAULT_CLUSTER
from merope.core.transaction import ONEADMIN, ONEADMIN_GROUP, USERS_GROUP, Transaction
from merope.core.user import CORE, add_user
from merope.core.zone import DEFAULT_ZONE
from merope.model.acl import parse_rule
from merope.model.cluster import Cluster
from merope.model.datastore import Datastore
from merope.model.document import Document
from merope.model.group import Group
from merope.model.kinds import BY_DOCUMENT
from merope.model.marketplace import Marketplace
from merope.model.permissions import Permissions
from merope.model.security_group import SecurityGroup
from merope.model.template import Template, Vector
from merope.model.vdc import ALL_RESOURCES, Vdc
from merope.model.zone import Zone

ADMIN_NAME = "oneadmin"
SERVER_ADMIN_NAME = "serveradmin"
SERVER_DRIVER = "server_cipher"

_OWNER = (ONEADMIN, ONEADMIN_GROUP, ADMIN_NAME, ADMIN_NAME)
_OWN = Permissions.from_octal("600")
_USABLE = Permissions.from_octal("644")
_PUBLIC = Permissions.from_octal("744")

_RULES = (
    "@1 VM+IMAGE+TEMPLATE+DOCUMENT+SECGROUP+VMGROUP/* CREATE *",
    "* ZONE/* USE *",
    "* MARKETPLACE+MARKETPLACEAPP/* USE *",
)

_MARKETS = (
    ("OpenNebula Public", "one", "OpenNebula Systems MarketPlace"),
    (
        "Linux Containers",
        "linuxcontainers",
        "MarketPlace for the public image server fo LXC & LXD hosted at linuxcontainers.org",
    ),
    (
        "TurnKey Linux Containers",
        "turnkeylinux",
        "TurnKey linux is a free software repository based on Debian images hosted at turnkeylinux.org",
    ),
    (
        "DockerHub",
        "dockerhub",
        "DockerHub is the world's largest library and  community for container images hosted at "
        "hub.docker.com/",
    ),
)

_VIEWS = Vector(
    DEFAULT_VIEW="cloud",
    GROUP_ADMIN_DEFAULT_VIEW="groupadmin",
    GROUP_ADMIN_VIEWS="groupadmin,cloud",
    VIEWS="cloud",
)


def bootstrap(
    tx: Transaction, password: str, *, sandbox: bool = False, serveradmin_secret: str, endpoint: str = ""
) -> None:
    """Makes the objects of a fresh cloud; `tx` is of an empty state and its caller is the system.

    `password` is the stored form of oneadmin's (`passwords.hash_password`), `serveradmin_secret` what the
    services keep in their files, as their driver stores it. In a sandbox the system datastore and the
    default one are simulated. `endpoint` is the API's URL, made of the port when it is empty.
    """
    tx.add(Group(id=ONEADMIN_GROUP, name=ADMIN_NAME))
    tx.add(Group(id=USERS_GROUP, name="users", template=Template([("SUNSTONE", Vector(_VIEWS))])))
    _start_ids(tx)
    add_user(tx, ADMIN_NAME, [ONEADMIN_GROUP], CORE, password)
    add_user(tx, SERVER_ADMIN_NAME, [ONEADMIN_GROUP], SERVER_DRIVER, serveradmin_secret)
    for text in _RULES:
        acl.add(tx, parse_rule(text))
    address = endpoint or f"http://localhost:{tx.settings.port}/RPC2"
    tx.add(Zone(id=DEFAULT_ZONE, name="OpenNebula", template=Template([("ENDPOINT", address)])))
    tx.add(Cluster(id=DEFAULT_CLUSTER, name="default", template=Template([(key, "") for key in RESERVED])))
    _datastores(tx, simulated=sandbox)
    _security_group(tx)
    _vdc(tx)
    _markets(tx)


def _start_ids(tx: Transaction) -> None:
    """The next id of the kinds whose first ids are the cloud's own."""
    for kind in (Group, Cluster, Datastore, Vdc, SecurityGroup, Zone, Marketplace):
        _reserve(tx, kind)


def _reserve(tx: Transaction, kind: type[Document]) -> None:
    known = BY_DOCUMENT[kind]
    tx.put_row("pool_control", known.table, {"tablename": known.table, "last_oid": known.first - 1})


def _datastores(tx: Transaction, *, simulated: bool) -> None:
    ds_mad, tm_mad = ("dummy", "dummy") if simulated else ("fs", "ssh")
    stores = (
        ("system", [("TYPE", "SYSTEM_DS"), ("TM_MAD", tm_mad)]),
        ("default", [("TYPE", "IMAGE_DS"), ("DS_MAD", ds_mad), ("TM_MAD", tm_mad)]),
        ("files", [("TYPE", "FILE_DS"), ("DS_MAD", "fs"), ("TM_MAD", "ssh")]),
    )
    for oid, (name, attributes) in enumerate(stores):
        datastore = add_datastore(tx, oid, name, _OWNER, _OWN, Template(attributes))
        join(tx, datastore, DEFAULT_CLUSTER)


def _security_group(tx: Transaction) -> None:
    rules = [("RULE", Vector(PROTOCOL="ALL", RULE_TYPE=way)) for way in ("OUTBOUND", "INBOUND")]
    description = "Lets everything in and out; every network has it unless its properties say otherwise."
    template = Template([("DESCRIPTION", description), *rules])
    uid, gid, uname, gname = _OWNER
    tx.add(SecurityGroup(0, uid, gid, uname, gname, "default", _USABLE, template=template))


def _vdc(tx: Transaction) -> None:
    resources = {(tx.settings.zone_id, ALL_RESOURCES)}
    tx.add(Vdc(id=vdc.DEFAULT_VDC, name="default", clusters=resources))
    vdc.join_default(tx, USERS_GROUP)


def _markets(tx: Transaction) -> None:
    uid, gid, uname, gname = _OWNER
    for oid, (name, driver, description) in enumerate(_MARKETS):
        market = Marketplace(
            id=oid,
            uid=uid,
            gid=gid,
            uname=uname,
            gname=gname,
            name=name,
            permissions=_PUBLIC,
            market_mad=driver,
            zone_id=str(tx.settings.zone_id),
            template=Template([("DESCRIPTION", description), ("MARKET_MAD", driver)]),
        )
        tx.add(market)
