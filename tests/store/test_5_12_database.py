"""A database that OpenNebula 5.12 wrote opens, and every object is there."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.store import rows

from merope.core.transaction import object_row
from merope.model.document import Document
from merope.model.kinds import KINDS, Kind
from merope.model.states import VmState
from merope.store.sqlite import SqliteStore

SHARED = Path(__file__).resolve().parents[3] / "shared"
#: Recorded document → the kind of object that it is.
_EXAMPLES = {
    "vm-running": "vm_pool",
    "vm-done": "vm_pool",
    "host": "host_pool",
    "vnet": "network_pool",
    "image": "image_pool",
    "user": "user_pool",
    "group": "group_pool",
    "datastore-image": "datastore_pool",
    "cluster": "cluster_pool",
    "zone": "zone_pool",
    "secgroup": "secgroup_pool",
    "vdc": "vdc_pool",
    "template": "template_pool",
    "document": "document_pool",
    "vntemplate": "vn_template_pool",
    "vmgroup": "vmgroup_pool",
    "vrouter": "vrouter_pool",
    "hook-api": "hook_pool",
    "hook-state": "hook_pool",
    "market": "marketplace_pool",
}
_KINDS: dict[str, Kind] = {kind.table: kind for kind in KINDS}


def _statements() -> list[str]:
    """The statements with which 5.12 makes its tables."""
    path = SHARED / "spec" / "db.yaml"
    if not path.exists():
        pytest.skip("spec/db.yaml of ../shared is not there")
    tables: dict[str, Any] = yaml.safe_load(path.read_text())["tables"]
    made = []
    for name, table in tables.items():
        if "columns" in table:
            columns = [f"{column} {kind}" for column, kind in table["columns"].items()]
            made.append(f"CREATE TABLE {name} ({', '.join([*columns, *table.get('keys', [])])})")
    return made


def _document(name: str, kind: Kind) -> Document:
    path = SHARED / "examples" / f"{name}.xml"
    if not path.exists():
        pytest.skip(f"examples/{name}.xml of ../shared is not there")
    return kind.document.from_xml("".join(line.strip() for line in path.read_text().splitlines()))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as 5.12 leaves it: its own tables only, rollback journal, readable by its group."""
    path = tmp_path / "one.db"
    connection = sqlite3.connect(path)
    for statement in _statements():
        connection.execute(statement)
    for name, table in _EXAMPLES.items():
        row = object_row(_document(name, _KINDS[table]))
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    connection.execute("INSERT INTO pool_control VALUES ('vm_pool', 41)")
    connection.execute("INSERT INTO acl VALUES (0, 12884901888, 343597383680, 4, 17179869184)")
    connection.execute("INSERT INTO user_quotas VALUES (2, '<QUOTAS><ID>2</ID></QUOTAS>')")
    connection.execute("INSERT INTO vm_import VALUES ('found-by-a-host', 5)")
    for table, more in (("db_versioning", ""), ("local_db_versioning", ", 0")):
        connection.execute(f"INSERT INTO {table} VALUES (0, '5.12.0', 1795226169, 'from the package'{more})")
    connection.commit()
    connection.close()
    return path


def test_every_object_is_there(old: Path) -> None:
    store = SqliteStore(old)
    state = rows.loaded(store)
    for name, table in _EXAMPLES.items():
        expected = _document(name, _KINDS[table])
        if getattr(expected, "state", None) == VmState.DONE and table == "vm_pool":
            assert store.archived_vms(expected.id)[0].body == expected.to_xml()
        else:
            parsed = state.pools[table].parsed(expected.id)
            assert parsed is not None
            assert parsed.to_xml() == expected.to_xml()
    assert state.last_oids["vm_pool"] == 41
    assert [rule.id for rule in state.rules] == [0]
    assert 2 in state.user_quotas
    store.close()


def test_what_this_release_has_no_place_for_stays_as_it_is(old: Path) -> None:
    store = SqliteStore(old)
    store.commit([rows.change(1, rows.put(rows.host(77, "new")))])
    assert store.query("SELECT deploy_id, vmid FROM vm_import") == [("found-by-a-host", 5)]
    assert store.query("SELECT comment FROM db_versioning") == [("from the package",)]
    store.close()


def test_it_is_written_to_and_opens_again(old: Path) -> None:
    store = SqliteStore(old)
    store.commit([rows.change(1, rows.put(rows.host(77, "new")))])
    before = rows.portrait(rows.loaded(store))
    store.close()
    again = SqliteStore(old)
    after = rows.loaded(again)
    again.close()
    expected = rows.portrait(after)
    assert expected == before
    assert after.pools["host_pool"].entries[77].name == "new"
