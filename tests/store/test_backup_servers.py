"""Backup, restore and check of a cloud whose database is in a server; from any kind into any other."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.store import rows, servers
from tests.store.stored_cloud import eventful

from merope.daemon import fsck
from merope.model.change import Put
from merope.store.backup import backup, restore
from merope.store.errors import InUseError, StoreError
from merope.store.location import File, Location, open_store
from merope.store.maintenance import main
from merope.store.server import Server

_KINDS = ("sqlite", "mysql", "postgresql")


def place(kind: str, directory: Path) -> Location:
    directory.mkdir(exist_ok=True)
    return File(directory / "one.db") if kind == "sqlite" else servers.running(kind).database()


def fill_with_cloud(location: Location) -> None:
    with closing(open_store(location)) as store:
        for change in eventful().changes:
            store.commit([change])
        store.write_rows("vm_monitoring", [(0, 5, "<MONITORING/>")])
        with store.transaction() as tx:
            values = "(0, 1, 'x', 0, 18446744073709551615, 1)"
            tx.run(
                f"INSERT INTO logdb (log_index, term, sqlcmd, timestamp, fed_index, applied) VALUES {values}"
            )


def content(location: Location) -> dict[str, object]:
    with closing(open_store(location)) as store:
        return {
            **rows.portrait(rows.loaded(store)),
            "monitoring": store.query("SELECT * FROM vm_monitoring"),
            "log": [(row[0], min(int(row[4]), (1 << 64) - 1)) for row in store.query("SELECT * FROM logdb")],
        }


@pytest.fixture(params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    return servers.running(request.param).database()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    (made / ".one").mkdir(parents=True)
    (made / ".one" / "one_key").write_text("k")
    return made


@pytest.mark.parametrize("source", _KINDS)
@pytest.mark.parametrize("target", _KINDS)
def test_a_backup_of_any_kind_is_restored_into_any_other(
    home: Path, tmp_path: Path, source: str, target: str
) -> None:
    origin = place(source, tmp_path / "origin")
    fill_with_cloud(origin)
    before = content(origin)
    backup(home, tmp_path / "saved", location=origin)
    goal = place(target, tmp_path / "goal")
    assert restore(tmp_path / "fresh", tmp_path / "saved", location=goal) is None
    assert content(goal) == before
    assert (tmp_path / "fresh" / ".one" / "one_key").read_text() == "k"
    assert fsck.run(tmp_path / "fresh", False, False, goal) == 0


def test_a_backup_leaves_nothing_beside_it(home: Path, tmp_path: Path, server: Server) -> None:
    fill_with_cloud(server)
    backup(home, tmp_path / "saved", location=server)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "saved"]
    assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o600


def test_a_cloud_that_runs_is_saved_as_it_is_at_one_moment(
    home: Path, tmp_path: Path, server: Server
) -> None:
    fill_with_cloud(server)
    with closing(open_store(server)) as store:
        index = rows.loaded(store).index

        def write(done: int, total: int) -> None:
            nonlocal index
            index += 1
            body = {"name": "A", "body": str(done)}
            store.commit([rows.change(index, Put("system_attributes", "A", body))])

        saved_index = index
        backup(home, tmp_path / "saved", write, location=server)
        assert index > saved_index
    with closing(sqlite3.connect(tmp_path / "saved")) as connection:
        assert connection.execute("SELECT change_index FROM merope_log").fetchone() == (saved_index,)
        assert connection.execute("SELECT body FROM system_attributes WHERE name='A'").fetchone() is None


def test_what_a_server_held_is_kept_when_another_is_restored(
    home: Path, tmp_path: Path, server: Server
) -> None:
    fill_with_cloud(server)
    backup(home, tmp_path / "saved", location=server)
    with closing(open_store(server)) as store:
        index = rows.loaded(store).index
        store.commit([rows.change(index + 1, rows.put(rows.host(70, "later")))])
    later = content(server)
    kept = restore(home, tmp_path / "saved", location=server)
    assert kept is not None
    assert content(server) != later
    restore(home, kept, location=server)
    assert content(server) == later


def test_a_database_in_use_is_not_restored_over(home: Path, tmp_path: Path, server: Server) -> None:
    fill_with_cloud(server)
    backup(home, tmp_path / "saved", location=server)
    with closing(open_store(server)), pytest.raises(InUseError, match="stop that cloud first"):
        restore(home, tmp_path / "saved", location=server)


def test_an_empty_database_is_not_saved(home: Path, tmp_path: Path, server: Server) -> None:
    with pytest.raises(StoreError, match="There is no cloud in the database one_"):
        backup(home, tmp_path / "saved", location=server)
    assert not (tmp_path / "saved").exists()


def test_a_backup_that_is_not_whole_changes_nothing(home: Path, tmp_path: Path, server: Server) -> None:
    fill_with_cloud(server)
    before = content(server)
    backup(home, tmp_path / "saved", location=server)
    with closing(sqlite3.connect(tmp_path / "saved")) as connection, connection:
        connection.execute("UPDATE user_quotas SET body='<'")
    with pytest.raises(StoreError, match=r"user_quotas in the database .*saved"):
        restore(home, tmp_path / "saved", location=server)
    assert content(server) == before


def test_what_is_wrong_is_found_and_put_right(
    home: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_with_cloud(server)
    with closing(open_store(server)) as store, store.transaction() as tx:
        tx.run("DELETE FROM group_quotas")
    assert fsck.run(home, False, False, server) == 1
    assert "quotas of group 1" in capsys.readouterr().out
    assert fsck.run(home, True, False, server) == 0
    assert fsck.run(home, False, False, server) == 0


def test_a_cloud_that_runs_is_checked_by_a_copy(
    home: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_with_cloud(server)
    with closing(open_store(server)) as store:
        with store.transaction() as tx:
            tx.run("DELETE FROM group_quotas")
        assert fsck.run(home, False, False, server) == 1
        assert "quotas of group 1" in capsys.readouterr().out
        with pytest.raises(InUseError):
            fsck.run(home, True, False, server)
    assert [path.name for path in home.iterdir()] == [".one"]


def test_the_commands_find_the_database_that_the_configuration_names(
    home: Path, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    fill_with_cloud(server)
    secret = server.password.replace('"', '\\"')
    (home / "oned.conf").write_text(
        f'DB = [ BACKEND="{server.backend}", SERVER="{server.host}", PORT=0, USER="{server.user}",\n'
        f'  PASSWD="{secret}", DB_NAME="{server.database}", CONNECTIONS=5, COMPARE_BINARY="no" ]\n'
    )
    assert main(["backup", str(tmp_path / "saved"), "--home", str(home)]) == 0
    assert main(["restore", str(tmp_path / "saved"), "--home", str(home)]) == 0
    assert main(["fsck", "--home", str(home)]) == 0
    said = capsys.readouterr()
    assert "The old database is kept in" in said.out
    assert server.password not in said.out + said.err
