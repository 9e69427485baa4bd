"""What is the embedded database's own: files, their modes, processes that share them."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store import rows

from merope.store.errors import StoreError
from merope.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.db"


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
