"""The embedded database: what is committed is there, whole, for whoever opens it next."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store import rows

from merope.model.change import Change, Delete
from merope.model.phase import Phase
from merope.store.errors import StoreError
from merope.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.db"


def test_what_was_committed_is_there_after_opening_again(path: Path) -> None:
    store = SqliteStore(path)
    store.commit([rows.change(1, rows.put(rows.host(3, "alpha"))), rows.change(2, rows.put(rows.vm(0)))])
    store.close()
    again = SqliteStore(path)
    state = rows.loaded(again)
    again.close()
    assert state.index == 2
    assert state.pools["host_pool"].entries[3].name == "alpha"
    assert state.pools["vm_pool"].entries[0].body == rows.vm(0).to_xml()


def test_the_database_and_what_is_beside_it_are_private(path: Path) -> None:
    before = os.umask(0o077)
    try:
        store = SqliteStore(path)
        store.commit([rows.change(1, rows.put(rows.host(0)))])
        modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("one.db", "one.db-wal", "one.db-shm", "one.db.lock"), 0o600)


def test_a_group_of_changes_leaves_the_last_row_of_each_object(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(
        [
            rows.change(1, rows.put(rows.host(0, "first")), rows.put(rows.host(1, "gone"))),
            rows.change(2, rows.put(rows.host(0, "second"))),
            rows.change(3, Delete("host_pool", 1)),
        ]
    )
    entries = rows.loaded(store).pools["host_pool"].entries
    store.close()
    assert {oid: entry.name for oid, entry in entries.items()} == {0: "second"}


def test_names_may_be_exchanged_within_a_group(path: Path) -> None:
    store = SqliteStore(path)
    store.commit([rows.change(1, rows.put(rows.cluster(0, "a")), rows.put(rows.cluster(1, "b")))])
    store.commit(
        [
            rows.change(2, rows.put(rows.cluster(0, "c"))),
            rows.change(3, rows.put(rows.cluster(1, "a"))),
            rows.change(4, rows.put(rows.cluster(0, "b"))),
        ]
    )
    entries = rows.loaded(store).pools["cluster_pool"].entries
    store.close()
    assert {oid: entry.name for oid, entry in entries.items()} == {0: "b", 1: "a"}


def test_a_group_that_breaks_a_constraint_leaves_nothing_behind(path: Path) -> None:
    store = SqliteStore(path)
    store.commit([rows.change(1, rows.put(rows.cluster(0, "same")))])
    group = [rows.change(2, rows.put(rows.host(7))), rows.change(3, rows.put(rows.cluster(1, "same")))]
    with pytest.raises(StoreError, match="UNIQUE"):
        store.commit(group)
    state = rows.loaded(store)
    store.close()
    assert state.index == 1
    assert not state.pools["host_pool"].entries


def test_finished_vms_are_in_the_archive_only(path: Path) -> None:
    store = SqliteStore(path)
    store.commit([rows.change(1, rows.put(rows.vm(0)), rows.put(rows.vm(1, Phase.DONE)))])
    assert list(rows.loaded(store).pools["vm_pool"].entries) == [0]
    assert [entry.oid for entry in store.archived_vms()] == [1]
    assert store.archived_vms(0) == []
    assert store.archived_vms(1)[0].body == rows.vm(1, Phase.DONE).to_xml()
    store.close()


def test_a_second_process_cannot_open_it_and_is_told_which_one_has_it(path: Path) -> None:
    store = SqliteStore(path)
    script = (
        "import sys; from pathlib import Path; from merope.store.sqlite import SqliteStore\n"
        "from merope.store.errors import StoreError\n"
        "try: SqliteStore(Path(sys.argv[1]))\n"
        "except StoreError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    store.close()
    assert done.stdout == (
        f"The database {path} is in use by process {os.getpid()}: stop that cloud first (`one stop`).\n"
    )


def test_a_database_that_was_closed_can_be_opened_by_another(path: Path) -> None:
    SqliteStore(path).close()
    again = SqliteStore(path)
    again.commit([rows.change(1, rows.put(rows.host(0)))])
    assert len(rows.loaded(again).pools["host_pool"]) == 1
    again.close()


def test_an_opening_that_fails_gives_the_claim_back(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(StoreError, match="no SQLite database"):
            SqliteStore(path)


def test_a_database_of_another_version_is_refused_and_says_what_to_do(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO db_versioning VALUES (1, '5.13.80', 0, 'upgraded')")
    connection.close()
    with pytest.raises(StoreError, match=r"version 5\.13\.80 \(db_versioning\).*onedb upgrade"):
        SqliteStore(path)


def test_a_database_that_is_no_clouds_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="no cloud's database"):
        SqliteStore(path)
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert tables == [("recipes",)]


def test_a_table_that_lacks_a_column_is_named(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE host_pool DROP COLUMN cid")
    connection.close()
    with pytest.raises(StoreError, match=r"Table host_pool .* lacks the columns cid"):
        SqliteStore(path)


def test_a_row_that_is_no_document_is_named(path: Path) -> None:
    store = SqliteStore(path)
    store.commit([Change(1, 0, (rows.put(rows.host(0)),))])
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO user_quotas VALUES (4, '<QUOTAS>')")
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="row 4 of user_quotas"):
        rows.loaded(store)
    store.close()


def test_measurements_are_kept_and_expire(path: Path) -> None:
    store = SqliteStore(path)
    store.write_rows("vm_monitoring", [(1, 100, "<M/>"), (1, 200, "<N/>")])
    store.write_rows("vm_monitoring", [(1, 200, "<O/>")])
    store.expire("vm_monitoring", 150)
    assert store.query("SELECT vmid, last_poll, body FROM vm_monitoring") == [(1, 200, "<O/>")]
    store.close()
