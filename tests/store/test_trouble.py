"""A disk that is full, a database that is locked, damaged or read-only: a sentence, and nothing is lost."""

import os
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.store import rows

from merope.store import figures_file
from merope.store.errors import StoreError
from merope.store.sqlite import SqliteStore

_LARGE = "x" * 200_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "one.db", lock_timeout_ms=20)
    made.commit([rows.change(1, rows.put(rows.host(0, "kept")))])
    yield made
    made.close()


def names(store: SqliteStore) -> list[str]:
    return [entry.name for entry in rows.loaded(store).pools["host_pool"].entries.values()]


@contextmanager
def no_larger_files(limit: int) -> Iterator[None]:
    """No file of this process may grow beyond `limit` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection has the database for itself."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def refused(write: Callable[[], None]) -> str:
    with pytest.raises(StoreError) as caught:
        write()
    return str(caught.value)


def test_a_file_that_cannot_grow_refuses_writes_and_answers_reads(store: SqliteStore) -> None:
    group = [rows.change(2, rows.put(rows.host(1, _LARGE)))]
    with no_larger_files((store.path.with_name("one.db-wal")).stat().st_size + 8192):
        message = refused(lambda: store.commit(group))
        assert names(store) == ["kept"]
    assert message.startswith(f"Cannot write to the database {store.path}: ")
    store.commit(group)
    assert len(names(store)) == 2


def test_a_full_disk_says_so_and_writes_go_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user cannot mount a small file system")
    try:
        store = SqliteStore(disk / "one.db")
        store.commit([rows.change(1, rows.put(rows.host(0, "kept")))])
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        group = [rows.change(2, rows.put(rows.host(1, _LARGE)))]
        assert "the disk is full" in refused(lambda: store.commit(group))
        assert names(store) == ["kept"]
        filler.unlink()
        store.commit(group)
        assert len(names(store)) == 2
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_locked_database_says_so_and_writes_go_on_when_it_is_free(store: SqliteStore) -> None:
    group = [rows.change(2, rows.put(rows.host(1, "later")))]
    with locked(store.path):
        assert "another process holds it locked" in refused(lambda: store.commit(group))
        assert "another process holds it locked" in refused(store.probe)
        assert names(store) == ["kept"]
    store.probe()
    store.commit(group)
    assert names(store) == ["kept", "later"]


def test_measurements_that_cannot_be_kept_leave_the_store_usable(store: SqliteStore) -> None:
    store.write_rows("vm_monitoring", [(1, 1, "<M/>")])
    with locked(figures_file.beside(store.path)):
        refused(lambda: store.write_rows("vm_monitoring", [(1, 2, "<M/>")]))
        refused(lambda: store.expire("vm_monitoring", 5))
    store.write_rows("vm_monitoring", [(1, 3, "<M/>")])
    assert store.query("SELECT last_poll FROM vm_monitoring ORDER BY last_poll") == [(1,), (3,)]


def test_measurements_wait_for_no_change_and_no_change_for_measurements(store: SqliteStore) -> None:
    with locked(store.path):
        store.write_rows("host_monitoring", [(1, 1, "<M/>")])
        store.expire("host_monitoring", 1)
    with locked(figures_file.beside(store.path)):
        store.commit([rows.change(1, rows.put(rows.host(1)))])
    assert names(store) == ["kept", "host1"]


def test_old_measurements_go_wherever_they_are(store: SqliteStore) -> None:
    with store.transaction() as tx:
        tx.run("INSERT INTO vm_monitoring VALUES (1, 1, '<OLD/>')")
        tx.run("INSERT INTO vm_monitoring VALUES (1, 9, '<OLD/>')")
    store.write_rows("vm_monitoring", [(1, time, "<NEW/>") for time in (3, 2, 8, 10)])
    store.expire("vm_monitoring", 9)
    assert store.query("SELECT body FROM vm_monitoring ORDER BY last_poll") == [("<OLD/>",), ("<NEW/>",)]


def test_who_opens_the_database_beside_its_owner_may_write_measurements(store: SqliteStore) -> None:
    receiver = SqliteStore(store.path, claimed=False)
    receiver.write_rows("vm_monitoring", [(1, 1, "<M/>")])
    receiver.close()
    assert store.query("SELECT body FROM vm_monitoring WHERE vmid=1") == [("<M/>",)]


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    rows.stored(path, [rows.put(rows.host(oid, f"host{oid}" * 50)) for oid in range(200)])
    content = bytearray(path.read_bytes())
    for place in range(8192, len(content), 64):
        content[place : place + 32] = b"\xff" * 32
    path.write_bytes(bytes(content))

    def open_and_load() -> None:
        store = SqliteStore(path)
        try:
            rows.loaded(store)
        finally:
            store.close()

    assert "damaged" in refused(open_and_load)
    assert "one restore" in refused(open_and_load)


def test_a_directory_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Root may write everywhere: a path through a file cannot be written by anybody.
        place = tmp_path / "file"
        place.write_text("")
        reason = "Not a directory"
    else:
        place = tmp_path / "closed"
        place.mkdir(mode=0o500)
        reason = "Permission denied"
    assert refused(lambda: SqliteStore(place / "one.db").close()) == (
        f"Cannot open {place / 'one.db.lock'}: {reason}."
    )
