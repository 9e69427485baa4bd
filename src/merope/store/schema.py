"""The database's layout: that of a 5.12 installation (spec db.yaml), and the tables of our own."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from merope.model.effect import TABLE as EFFECT_TABLE
from merope.store.errors import StoreError

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

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


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
    # Ours: effects that were asked for and have not been answered, and the number of the last change.
    EFFECT_TABLE: Table((("oid", INTEGER), ("body", TEXT))),
    "merope_log": Table((("id", INTEGER), ("change_index", BIGINT)), ("id",)),
}

INDEXES: tuple[str, ...] = (
    "CREATE INDEX IF NOT EXISTS state_oid_idx ON vm_pool(state, oid)",
    "CREATE INDEX IF NOT EXISTS fed_index_idx ON logdb(fed_index)",
    "CREATE INDEX IF NOT EXISTS applied_idx ON logdb(applied)",
)


def create_statement(name: str) -> str:
    table = TABLES[name]
    single = len(table.key) == 1
    columns = [
        f"{column} {kind}{' PRIMARY KEY' if single and column == table.key[0] else ''}"
        for column, kind in table.columns
    ]
    keys = [] if single else [f"PRIMARY KEY({', '.join(table.key)})"]
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join([*columns, *keys, *table.constraints])})"


def upsert_statement(name: str) -> str:
    """Writes a row whole, whether it was there or not; parameters in the order of the columns."""
    table = TABLES[name]
    rest = [column for column in table.names if column not in table.key]
    marks = ", ".join("?" * len(table.names))
    action = f"UPDATE SET {', '.join(f'{c}=excluded.{c}' for c in rest)}" if rest else "NOTHING"
    return (
        f"INSERT INTO {name} ({', '.join(table.names)}) VALUES ({marks}) "  # noqa: S608 - names of TABLES
        f"ON CONFLICT({', '.join(table.key)}) DO {action}"
    )


def delete_statement(name: str) -> str:
    return f"DELETE FROM {name} WHERE {' AND '.join(f'{c}=?' for c in TABLES[name].key)}"  # noqa: S608


def check_layout(connection: sqlite3.Connection, path: Path) -> None:
    """Raises StoreError unless the database is empty, ours, or one that 5.12 wrote."""
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if not found:
        return
    if "db_versioning" not in found:
        raise StoreError(f"{path} is no cloud's database: it has no table db_versioning.")
    for table in ("db_versioning", "local_db_versioning"):
        if table not in found:
            continue
        row = connection.execute(
            f"SELECT version FROM {table} ORDER BY oid DESC LIMIT 1"  # noqa: S608 - names of ours
        ).fetchone()
        if row is not None and row[0] != VERSION:
            raise StoreError(
                f"The database {path} is of version {row[0]} ({table}); this release opens those of "
                f"{VERSION}. Upgrade it with OpenNebula's `onedb upgrade` first."
            )
    for name in TABLES.keys() & found:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
        missing = [column for column in TABLES[name].names if column not in columns]
        if missing:
            raise StoreError(f"Table {name} of the database {path} lacks the columns {', '.join(missing)}.")
