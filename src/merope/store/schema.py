"""The database's layout: that of a 5.12 installation (spec db.yaml), and the tables of our own."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from merope.model.effect import TABLE as EFFECT_TABLE
from merope.model.hook_run import TABLE as HOOK_RUN_TABLE
from merope.model.host_failure import TABLE as HOST_FAILURE_TABLE
from merope.store.errors import StoreError
from merope.store.parts import TABLE as PART_TABLE

INTEGER = "INTEGER"
BIGINT = "BIGINT"
NAME = "VARCHAR(128)"
TEXT = "MEDIUMTEXT"

VERSION = "5.12.0"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns in order, the primary key, further constraints; federated tables exist on the master zone."""

    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...] = ("oid",)
    constraints: tuple[str, ...] = ()
    federated: bool = False
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(name for name, _ in self.columns))


_OWNERSHIP = (
    ("uid", INTEGER),
    ("gid", INTEGER),
    ("owner_u", INTEGER),
    ("group_u", INTEGER),
    ("other_u", INTEGER),
)
_BY_NAME = "UNIQUE(name)"
_BY_OWNER = "UNIQUE(name,uid)"


def _pool(*constraints: str, more: tuple[tuple[str, str], ...] = (), federated: bool = False) -> Table:
    columns = (("oid", INTEGER), ("name", NAME), ("body", TEXT), *_OWNERSHIP, *more)
    return Table(columns, constraints=constraints, federated=federated)


def _log(key: tuple[str, str], *more: tuple[str, str]) -> Table:
    return Table(((key[0], INTEGER), (key[1], INTEGER), ("body", TEXT), *more), key)


TABLES: dict[str, Table] = {
    "acl": Table(
        (("oid", INTEGER), ("userset", BIGINT), ("resource", BIGINT), ("rights", BIGINT), ("zone", BIGINT)),
        constraints=("UNIQUE(userset, resource, rights, zone)",),
        federated=True,
    ),
    "cluster_pool": _pool(_BY_NAME),
    "cluster_datastore_relation": Table((("cid", INTEGER), ("oid", INTEGER)), ("cid", "oid")),
    "cluster_network_relation": Table((("cid", INTEGER), ("oid", INTEGER)), ("cid", "oid")),
    "cluster_vnc_bitmap": Table((("id", INTEGER), ("map", "LONGTEXT")), ("id",)),
    "datastore_pool": _pool(),
    "document_pool": _pool(more=(("type", INTEGER),)),
    "group_pool": _pool(_BY_NAME, federated=True),
    "group_quotas": Table((("group_oid", INTEGER), ("body", TEXT)), ("group_oid",)),
    "history": _log(("vid", "seq"), ("stime", INTEGER), ("etime", INTEGER)),
    "hook_log": Table(
        (("hkid", INTEGER), ("exeid", INTEGER), ("timestamp", INTEGER), ("rc", INTEGER), ("body", TEXT)),
        ("hkid", "exeid"),
    ),
    "hook_pool": _pool(more=(("type", INTEGER),)),
    "host_monitoring": _log(("hid", "last_mon_time")),
    "host_pool": _pool(more=(("state", INTEGER), ("cid", INTEGER))),
    "image_pool": _pool(_BY_OWNER),
    "marketplace_pool": _pool(federated=True),
    "marketplaceapp_pool": _pool(_BY_OWNER, federated=True),
    "network_pool": _pool(_BY_OWNER, more=(("pid", INTEGER),)),
    "network_vlan_bitmap": Table((("id", INTEGER), ("map", "LONGTEXT")), ("id",)),
    "pool_control": Table((("tablename", "VARCHAR(32)"), ("last_oid", "BIGINT UNSIGNED")), ("tablename",)),
    "secgroup_pool": _pool(_BY_OWNER),
    "system_attributes": Table((("name", NAME), ("body", TEXT)), ("name",)),
    "template_pool": _pool(),
    "user_pool": _pool(_BY_NAME, federated=True),
    "user_quotas": Table((("user_oid", INTEGER), ("body", TEXT)), ("user_oid",)),
    "vdc_pool": _pool(_BY_NAME, federated=True),
    "vm_import": Table((("deploy_id", NAME), ("vmid", INTEGER)), ("deploy_id",)),
    "vm_monitoring": _log(("vmid", "last_poll")),
    "vm_pool": _pool(
        more=(("state", INTEGER), ("lcm_state", INTEGER), ("short_body", TEXT), ("search_token", TEXT))
    ),
    "vm_showback": Table(
        (("vmid", INTEGER), ("year", INTEGER), ("month", INTEGER), ("body", TEXT)), ("vmid", "year", "month")
    ),
    "vmgroup_pool": _pool(_BY_OWNER),
    "vn_template_pool": _pool(),
    "vrouter_pool": _pool(),
    "zone_pool": _pool(_BY_NAME, federated=True),
    "db_versioning": Table(
        (
            ("oid", INTEGER),
            ("version", "VARCHAR(256)"),
            ("timestamp", INTEGER),
            ("comment", "VARCHAR(256)"),
        ),
        federated=True,
    ),
    "local_db_versioning": Table(
        (
            ("oid", INTEGER),
            ("version", "VARCHAR(256)"),
            ("timestamp", INTEGER),
            ("comment", "VARCHAR(256)"),
            ("is_slave", "BOOLEAN"),
        ),
    ),
    "logdb": Table(
        (
            ("log_index", "BIGINT UNSIGNED"),
            ("term", INTEGER),
            ("sqlcmd", TEXT),
            ("timestamp", INTEGER),
            ("fed_index", "BIGINT UNSIGNED"),
            ("applied", "BOOLEAN"),
        ),
        ("log_index",),
    ),
    # Ours: effects that were asked for and have not been answered, hooks that are due, hosts that
    # failed, long lists of documents (parts.py), the last change.
    EFFECT_TABLE: Table((("oid", INTEGER), ("body", TEXT))),
    HOOK_RUN_TABLE: Table((("oid", INTEGER), ("body", TEXT))),
    HOST_FAILURE_TABLE: Table((("oid", INTEGER), ("body", TEXT))),
    PART_TABLE: Table(
        (
            ("tablename", "VARCHAR(32)"),
            ("oid", INTEGER),
            ("place", "VARCHAR(32)"),
            ("chunk", INTEGER),
            ("body", TEXT),
        ),
        ("tablename", "oid", "place", "chunk"),
    ),
    "merope_log": Table((("id", INTEGER), ("change_index", BIGINT)), ("id",)),
}

#: Tables that 5.12 has not got.
OURS = (EFFECT_TABLE, HOOK_RUN_TABLE, HOST_FAILURE_TABLE, PART_TABLE, "merope_log")
#: Tables of what was measured, whose rows are no part of a change and pass.
FIGURES = ("host_monitoring", "vm_monitoring")
#: Index → table and columns. Those of figures let the oldest be found; 5.12 has not got them.
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "host_monitoring_time_idx": ("host_monitoring", ("last_mon_time",)),
    "vm_monitoring_time_idx": ("vm_monitoring", ("last_poll",)),
    "state_oid_idx": ("vm_pool", ("state", "oid")),
    "fed_index_idx": ("logdb", ("fed_index",)),
    "applied_idx": ("logdb", ("applied",)),
}
VERSION_TABLES = ("db_versioning", "local_db_versioning")


def check_layout(found: Mapping[str, Set[str]], versions: Mapping[str, str | None], where: str) -> None:
    """Raises StoreError unless the database is empty, ours, or one that 5.12 wrote.

    `found` has the columns of each table that is there, `versions` the last version that each of
    VERSION_TABLES names; `where` begins a sentence's object ("the database /var/lib/one/one.db").
    """
    if not found:
        return
    if "db_versioning" not in found:
        raise StoreError(f"{_capital(where)} is no cloud's database: it has no table db_versioning.")
    for table, version in versions.items():
        if version is not None and version != VERSION:
            raise StoreError(
                f"{_capital(where)} is of version {version} ({table}); this release opens those of "
                f"{VERSION}. Upgrade it with OpenNebula's `onedb upgrade` first."
            )
    for name in TABLES.keys() & found.keys():
        missing = [column for column in TABLES[name].names if column not in found[name]]
        if missing:
            raise StoreError(f"Table {name} of {where} lacks the columns {', '.join(missing)}.")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
