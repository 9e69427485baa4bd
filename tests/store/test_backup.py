"""`one backup` and `one restore`: a whole cloud in one private file, and back again."""

import fcntl
import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.store import rows
from tests.store.stored_cloud import eventful

from merope.daemon import fsck
from merope.store.backup import backup, restore
from merope.store.claim import Claim
from merope.store.errors import StoreError
from merope.store.maintenance import main
from merope.store.sqlite import SqliteStore

_SECRETS = {"one_auth": "oneadmin:secret\n", "one_key": "k" * 64 + "\n", "sunstone_auth": "serveradmin:x\n"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A cloud that does not run."""
    made = tmp_path / "home"
    (made / ".one").mkdir(parents=True, mode=0o700)
    for name, content in _SECRETS.items():
        (made / ".one" / name).write_text(content)
        (made / ".one" / name).chmod(0o600)
    eventful().write(made / "one.db")
    return made


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / "saved.backup"


def content(home: Path) -> dict[str, object]:
    store = SqliteStore(home / "one.db")
    try:
        return rows.portrait(rows.loaded(store))
    finally:
        store.close()


def rename_host(home: Path, name: str) -> None:
    with closing(sqlite3.connect(home / "one.db")) as connection, connection:
        connection.execute("UPDATE host_pool SET name=? WHERE oid=0", (name,))


def test_what_was_saved_comes_back_whole(home: Path, saved: Path, tmp_path: Path) -> None:
    before = content(home)
    backup(home, saved)
    fresh = tmp_path / "fresh"
    assert restore(fresh, saved) is None
    assert content(fresh) == before
    assert {path.name: path.read_text() for path in (fresh / ".one").iterdir()} == _SECRETS
    assert fsck.check(fresh / "one.db").found == []


def test_a_backup_and_what_is_restored_are_private(home: Path, saved: Path, tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        backup(home, saved)
        restore(tmp_path / "fresh", saved)
    finally:
        os.umask(previous)
    found = [saved, *(path for path in (tmp_path / "fresh").rglob("*") if path.is_file())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert stat.S_IMODE((tmp_path / "fresh" / ".one").stat().st_mode) == 0o700


def test_a_backup_leaves_nothing_beside_it(home: Path, saved: Path) -> None:
    backup(home, saved)
    assert [path.name for path in saved.parent.iterdir() if path != home] == [saved.name]


def test_a_cloud_that_runs_is_saved_as_it_was_at_one_moment(home: Path, saved: Path) -> None:
    """Each change gives two objects one name: a backup that mixed two moments would see different ones."""
    store = SqliteStore(home / "one.db")
    ended = threading.Event()

    def work() -> None:
        index = rows.loaded(store).index
        while not ended.is_set():
            index += 1
            pair = (rows.host(40, f"h{index}"), rows.host(41, f"h{index}"))
            store.commit([rows.change(index, *map(rows.put, pair))])

    writer = threading.Thread(target=work)
    writer.start()
    try:
        for number in range(5):
            target = saved.with_name(f"backup{number}")
            backup(home, target)
            with closing(sqlite3.connect(target)) as connection:
                names = connection.execute("SELECT name FROM host_pool WHERE oid IN (40, 41)").fetchall()
                faults = connection.execute("PRAGMA integrity_check").fetchone()
            assert faults == ("ok",)
            assert len(set(names)) == len(names) / 2
    finally:
        ended.set()
        writer.join()
        store.close()


def test_a_backup_never_replaces_a_file(home: Path, saved: Path) -> None:
    saved.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        backup(home, saved)
    assert saved.read_text() == "mine"


def test_a_backup_that_cannot_be_written_leaves_no_file(home: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"Cannot write the backup .*No such file or directory"):
        backup(home, tmp_path / "nowhere" / "saved")
    assert not (tmp_path / "nowhere").exists()


def test_the_old_database_is_kept_when_one_is_restored(home: Path, saved: Path) -> None:
    backup(home, saved)
    rename_host(home, "changed since")
    kept = restore(home, saved)
    assert kept is not None
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT name FROM host_pool WHERE oid=0").fetchone() == ("changed since",)
    with closing(sqlite3.connect(home / "one.db")) as connection:
        assert connection.execute("SELECT name FROM host_pool WHERE oid=0").fetchone() == ("node0",)


def test_secrets_that_differ_are_kept_beside_the_restored_ones(home: Path, saved: Path) -> None:
    backup(home, saved)
    (home / ".one" / "one_auth").write_text("oneadmin:newer\n")
    restore(home, saved)
    assert (home / ".one" / "one_auth").read_text() == _SECRETS["one_auth"]
    kept = [path for path in (home / ".one").iterdir() if path.name.startswith("one_auth.before-")]
    assert [path.read_text() for path in kept] == ["oneadmin:newer\n"]


def test_a_cloud_that_was_killed_loses_nothing_by_a_restore(home: Path, saved: Path) -> None:
    """Its last changes are in the write-ahead log, which belongs to the kept database, not to the new one."""
    before = content(home)
    backup(home, saved)
    store = SqliteStore(home / "one.db")
    store.commit([rows.change(10_000, rows.put(rows.host(50, "late")))])
    copy = home.with_name("killed")
    copy.mkdir()
    for path in home.glob("one.db*"):
        (copy / path.name).write_bytes(path.read_bytes())
    store.close()
    assert (copy / "one.db-wal").stat().st_size > 0
    kept = restore(copy, saved)
    assert content(copy) == before
    assert kept is not None
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT name FROM host_pool WHERE oid=50").fetchone() == ("late",)


def test_a_cloud_that_runs_is_not_restored_over(
    home: Path, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup(home, saved)
    claim = Claim(home / "one.db")
    assert main(["restore", str(saved), "--home", str(home)]) == 2
    claim.release()
    assert f"is in use by process {os.getpid()}" in capsys.readouterr().err


def test_a_supervisor_that_would_start_the_core_again_stops_a_restore(home: Path, saved: Path) -> None:
    backup(home, saved)
    (home / "run").mkdir()
    with (home / "run" / "supervisor.pid").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="stop it first"):
            restore(home, saved)
    assert restore(home, saved) is not None


def _cut(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])


def _scribble(saved: Path) -> None:
    body = bytearray(saved.read_bytes())
    for place in range(8192, len(body), 4096):
        body[place : place + 512] = b"\xff" * 512
    saved.write_bytes(bytes(body))


def _other(saved: Path) -> None:
    saved.write_text("no backup at all, " * 1000)


def _unloadable(saved: Path) -> None:
    with closing(sqlite3.connect(saved)) as connection, connection:
        connection.execute("UPDATE user_quotas SET body='<'")


@pytest.mark.parametrize("damage", [_cut, _scribble, _other, _unloadable, Path.unlink])
def test_a_backup_that_is_not_whole_changes_nothing(home: Path, saved: Path, damage: object) -> None:
    before = {path.name: path.read_bytes() for path in home.glob("*.db")}
    backup(home, saved)
    assert callable(damage)
    damage(saved)
    with pytest.raises(StoreError):
        restore(home, saved)
    after = {path.name: path.read_bytes() for path in home.glob("*.db")}
    assert after == before
    assert sorted(path.name for path in home.iterdir()) in (
        [".one", "one.db"],
        [".one", "one.db", "one.db.lock"],
    )


def test_a_name_in_a_backup_never_leads_out_of_the_home(home: Path, saved: Path, tmp_path: Path) -> None:
    backup(home, saved)
    with closing(sqlite3.connect(saved)) as connection, connection:
        connection.execute("INSERT INTO merope_secret VALUES ('../../escaped', x'00')")
        connection.execute("INSERT INTO merope_secret VALUES ('..', x'00')")
    restore(home, saved)
    assert not (tmp_path / "escaped").exists()


def test_an_ordinary_database_file_can_be_restored_too(home: Path, tmp_path: Path) -> None:
    """That of a 5.12 installation, for example."""
    before = content(home)
    fresh = tmp_path / "fresh"
    restore(fresh, home / "one.db")
    assert content(fresh) == before


def test_the_commands_say_what_they_did(home: Path, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", str(saved), "--home", str(home)]) == 0
    assert "keep it as you keep a password" in capsys.readouterr().out
    assert main(["restore", str(saved), "--home", str(home)]) == 0
    assert "The old database is kept in" in capsys.readouterr().out
