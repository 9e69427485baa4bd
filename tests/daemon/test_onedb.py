"""`onedb`: the database of a cloud that does not run, looked at, moved and mended by hand."""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.store import rows, servers
from tests.store.stored_cloud import StoredCloud, eventful

from merope.daemon import fsck
from merope.daemon.onedb import COMMANDS, main
from merope.model.state import State
from merope.store.location import File, Location, open_store
from merope.store.server import Server

Onedb = Callable[..., int]


@pytest.fixture(scope="session", autouse=True)
def _servers_end_with_the_tests() -> object:
    yield
    servers.end_all()


@pytest.fixture(params=["sqlite", "mysql", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "sqlite":
        return File(tmp_path / "one.db", 50)
    return servers.running(request.param).database()


def words(location: Location) -> list[str]:
    if isinstance(location, File):
        return ["-s", str(location.path)]
    return ["-t", location.backend, "-S", location.host, "-u", location.user, "-d", location.database]


@pytest.fixture
def onedb(location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Onedb:
    """Runs a command on the database of an eventful cloud."""
    if isinstance(location, Server):
        monkeypatch.setenv("ONEDB_PASSWORD", location.password)
    write(eventful(), location)
    home = tmp_path / "home"
    home.mkdir()

    def run(command: str, *arguments: str) -> int:
        return main([command, *arguments, *words(location), "--home", str(home)])

    return run


def write(cloud: StoredCloud, location: Location) -> None:
    with closing(open_store(location)) as store:
        store.commit(cloud.changes)


def state_of(location: Location) -> State:
    with closing(open_store(location)) as store:
        return rows.loaded(store)


def name_of_vm(location: Location, oid: int) -> str:
    return state_of(location).pools["vm_pool"].entries[oid].name


def findings(location: Location) -> list[str]:
    report = fsck.Report()
    with closing(open_store(location)) as store:
        fsck._check(store, report)
    return [finding.sentence for finding in report.found]


def test_the_version_is_that_of_this_release(onedb: Onedb, capsys: pytest.CaptureFixture[str]) -> None:
    assert onedb("version") == 0
    assert capsys.readouterr().out == "Shared: 5.12.0\nLocal:  5.12.0\n"
    assert onedb("version", "-v") == 0
    assert "created by Merope" in capsys.readouterr().out


@pytest.mark.parametrize(("version", "status"), [("5.10.0", 2), ("6.0.0", 3), ("5.12.0", 0)])
def test_the_exit_status_says_how_the_version_compares(
    onedb: Onedb, location: Location, version: str, status: int
) -> None:
    with closing(open_store(location)) as store, store.transaction() as tx:
        tx.run(f"UPDATE db_versioning SET version='{version}'")
    assert onedb("version") == status


def test_a_database_without_a_cloud_has_no_version(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    assert main(["version", "-s", str(path)]) == 1
    assert main(["version", "-s", str(tmp_path / "none.db")]) == 255


def test_the_history_of_versions_is_shown(onedb: Onedb, capsys: pytest.CaptureFixture[str]) -> None:
    assert onedb("history") == 0
    assert capsys.readouterr().out.count("comment: created by Merope") == 2


def test_a_document_is_shown(onedb: Onedb, capsys: pytest.CaptureFixture[str]) -> None:
    assert onedb("show-body", "vm", "--id", "0") == 0
    out = capsys.readouterr().out
    assert out.startswith("<VM>\n  <ID>0</ID>\n")
    assert onedb("show-body", "vm", "--id", "77") == 255
    assert "There is no virtual machine 77" in capsys.readouterr().err


def test_what_a_path_finds_is_changed_and_the_columns_with_it(onedb: Onedb, location: Location) -> None:
    assert onedb("change-body", "vm", "/VM/NAME", "renamed", "--id", "0") == 0
    assert name_of_vm(location, 0) == "renamed"
    assert name_of_vm(location, 2) == "one-2"
    assert findings(location) == []


@pytest.mark.parametrize(
    ("filter_", "changed"),
    [
        (("--expr", "STATE=8"), [0]),
        (("--expr", "ID>2"), [3, 4]),
        (("--expr", "STATE!=3"), [0, 3]),
        (("--xpath", "TEMPLATE/NIC[NETWORK='no']"), []),
        (("--xpath", "/VM[NAME='one-2']"), [2]),
        (("--xpath", "HISTORY_RECORDS/HISTORY"), [0, 1, 2, 4]),
        ((), [0, 1, 2, 3, 4]),
    ],
)
def test_only_the_objects_that_are_meant_are_changed(
    onedb: Onedb, location: Location, filter_: tuple[str, ...], changed: list[int]
) -> None:
    if filter_[:1] == ("--expr",) and "STATE!=" in filter_[1]:
        changed = [0, 1, 3]
    assert onedb("change-body", "vm", "/VM/TEMPLATE/MARK", "x", "--append", *filter_) == (0 if changed else 1)
    with closing(open_store(location)) as store:
        bodies = dict(store.query("SELECT oid, body FROM vm_pool"))
    assert [oid for oid, body in sorted(bodies.items()) if "<MARK>" in body] == changed


def test_what_a_path_finds_is_deleted(onedb: Onedb, location: Location) -> None:
    before = state_of(location).pools["vm_pool"].entries[0].body
    assert "<TARGET>" in before
    assert onedb("change-body", "vm", "//TARGET", "--delete", "--id", "0") == 0
    assert "<TARGET>" not in state_of(location).pools["vm_pool"].entries[0].body


def test_a_dry_run_prints_and_changes_nothing(
    onedb: Onedb, location: Location, capsys: pytest.CaptureFixture[str]
) -> None:
    assert onedb("change-body", "vm", "/VM/NAME", "renamed", "--id", "0", "--dry") == 0
    assert "<NAME>renamed</NAME>" in capsys.readouterr().out
    assert name_of_vm(location, 0) == "one-0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vm", "/VM/ID", "seven", "--id", "0"), "would be no document of a virtual machine"),
        (("vm", "/VM/NAME", "--id", "0"), "Give either a value or --delete"),
        (("vm", "/VM/NAME", "x", "--id", "0", "--delete"), "Give either a value or --delete"),
        (("vm", "/HOST/NAME", "x", "--id", "0"), "leads to nothing in a document VM"),
        (("vm", "/VM/TEMPLATE[", "x", "--id", "0"), "is not understood"),
        (("cow", "/VM/NAME", "x"), "There are no objects 'cow'"),
        (("vm", "/VM/NAME", "x", "--expr", "NAME"), "is no expression"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    onedb: Onedb,
    location: Location,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    before = rows.portrait(state_of(location))
    assert onedb("change-body", *arguments) == 255
    assert message in capsys.readouterr().err
    assert rows.portrait(state_of(location)) == before


def test_a_document_is_taken_from_a_file(
    onedb: Onedb, location: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onedb("show-body", "host", "--id", "1")
    document = capsys.readouterr().out
    (tmp_path / "host.xml").write_text(document.replace("<NAME>node1</NAME>", "<NAME>other ü</NAME>"))
    assert onedb("update-body", "host", "--id", "1", "--file", str(tmp_path / "host.xml")) == 0
    assert state_of(location).pools["host_pool"].entries[1].name == "other ü"
    assert findings(location) == []
    assert onedb("update-body", "host", "--id", "0", "--file", str(tmp_path / "host.xml")) == 255
    assert "its ID is another" in capsys.readouterr().err


def test_a_document_is_edited_in_the_editor(
    onedb: Onedb, location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/node1/edited/")
    assert onedb("update-body", "host", "--id", "1") == 0
    assert state_of(location).pools["host_pool"].entries[1].name == "edited"
    monkeypatch.setenv("EDITOR", "false")
    assert onedb("update-body", "host", "--id", "1") == 255


def moved_often() -> StoredCloud:
    """VM 0 has been on five hosts, one after the other; VM 1 is done."""
    cloud = StoredCloud()
    cloud.running()
    for number in range(4):
        cloud.call(0, "one.vm.migrate", 0, (number + 1) % 2, False, False, -1, 0)
        cloud.steps(3)
    done = cloud.running()
    cloud.call(2, "one.vm.action", "terminate-hard", done)
    cloud.steps(2)
    return cloud


@pytest.fixture
def moved(location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Onedb:
    if isinstance(location, Server):
        monkeypatch.setenv("ONEDB_PASSWORD", location.password)
    write(moved_often(), location)
    return lambda command, *arguments: main(
        [command, *arguments, *words(location), "--home", str(tmp_path / "home")]
    )


def test_all_but_the_last_two_records_are_purged(moved: Onedb, location: Location) -> None:
    before = state_of(location)
    last = before.pools["vm_pool"].parsed(0)
    assert findings(location) == []
    assert moved("purge-history") == 0
    assert findings(location) == []
    with closing(open_store(location)) as store:
        found = store.query("SELECT seq FROM history WHERE vid=0 ORDER BY seq")
        body = store.query("SELECT body FROM vm_pool WHERE oid=0")[0][0]
        assert store.query("SELECT COUNT(*) FROM history WHERE vid=1") == [(1,)]
    assert [seq for (seq,) in found] in ([0], [0, 1])
    assert body.count("<SEQ>1</SEQ>") == 1
    assert last is not None
    assert body == last.to_xml().replace("<SEQ>4</SEQ>", "<SEQ>1</SEQ>")


@pytest.mark.parametrize("limits", [("--id", "1"), ("--end", "1000"), ("--start", "2090-01-01")])
def test_only_the_history_that_is_meant_is_purged(
    moved: Onedb, location: Location, limits: tuple[str, str]
) -> None:
    before = rows.portrait(state_of(location))
    assert moved("purge-history", *limits) == 0
    assert rows.portrait(state_of(location)) == before


def test_vms_that_are_done_are_purged_with_their_history(moved: Onedb, location: Location) -> None:
    before = rows.portrait(state_of(location))
    assert moved("purge-done", "--end", "1000") == 0
    with closing(open_store(location)) as store:
        assert store.query("SELECT COUNT(*) FROM vm_pool") == [(2,)]
    assert moved("purge-done", "--end", "2100-01-01") == 0
    with closing(open_store(location)) as store:
        assert store.query("SELECT oid FROM vm_pool") == [(0,)]
        assert {vid for (vid,) in store.query("SELECT vid FROM history")} == {0}
    after = rows.portrait(state_of(location))
    assert after.pop("index") == before.pop("index") + 1
    assert after == before
    assert findings(location) == []


def test_a_backup_is_made_and_restored(
    onedb: Onedb, location: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows.portrait(state_of(location))
    saved = tmp_path / "saved"
    assert onedb("backup", str(saved)) == 0
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert onedb("backup", str(saved)) == 255
    assert onedb("backup", str(saved), "-f") == 0
    onedb("change-body", "vm", "/VM/NAME", "renamed", "--id", "0")
    assert onedb("restore", str(saved)) == 255
    assert "--force replaces it" in capsys.readouterr().err
    assert onedb("restore", "-f", str(saved)) == 0
    assert rows.portrait(state_of(location)) == before


def test_a_backup_without_a_name_is_put_beside_the_database(
    onedb: Onedb, location: Location, tmp_path: Path
) -> None:
    assert onedb("backup") == 0
    directory = tmp_path if isinstance(location, File) else tmp_path / "home"
    assert len(list(directory.glob("*.bck"))) == 1


def test_tables_of_a_federation_are_saved_and_restored_alone(
    onedb: Onedb, location: Location, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    assert onedb("backup", "--federated", str(saved)) == 0
    with closing(sqlite3.connect(saved)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM vm_pool").fetchone() == (0,)
        assert connection.execute("SELECT COUNT(*) FROM user_pool").fetchone() != (0,)
    assert [path.name for path in tmp_path.glob("saved*")] == ["saved"]
    onedb("change-body", "vm", "/VM/NAME", "renamed", "--id", "0")
    onedb("change-body", "user", "/USER/NAME", "renamed", "--id", "2")
    assert onedb("restore", "--federated", str(saved)) == 0
    assert state_of(location).pools["user_pool"].entries[2].name == "ann"
    assert name_of_vm(location, 0) == "renamed"


def test_what_is_wrong_is_put_right_after_a_backup(onedb: Onedb, location: Location, tmp_path: Path) -> None:
    with closing(open_store(location)) as store, store.transaction() as tx:
        tx.run("DELETE FROM group_quotas")
    assert onedb("fsck", "--dry") == 1
    assert len(findings(location)) == 1
    assert onedb("fsck", "--backup", str(tmp_path / "before")) == 0
    assert findings(location) == []
    with closing(sqlite3.connect(tmp_path / "before")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM group_quotas").fetchone() == (0,)


def test_a_patch_is_applied_whole_or_not_at_all(
    onedb: Onedb, location: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = tmp_path / "patch.py"
    text = (
        "def patch(tx, read, value):\n"
        "    count = list(read('SELECT COUNT(*) FROM vm_pool'))[0][0]\n"
        "    tx.run(f\"INSERT INTO system_attributes VALUES ('P', '{value}{count}')\")\n"
    )
    patch.write_text(text + "    raise ValueError('no')\n")
    with pytest.raises(ValueError, match="no"):
        onedb("patch", str(patch), "--extra", "v")
    assert state_of(location).attributes.get("P") is None
    patch.write_text(text)
    assert onedb("patch", str(patch), "--extra", "v") == 0
    assert state_of(location).attributes["P"] == "v5"
    patch.write_text("x = 1\n")
    assert onedb("patch", str(patch)) == 255
    assert "has no function patch" in capsys.readouterr().err


_WRITING = {
    "upgrade": (),
    "fsck": (),
    "restore": ("-f", "{saved}"),
    "purge-history": (),
    "purge-done": (),
    "change-body": ("vm", "/VM/NAME", "x"),
    "update-body": ("vm", "--id", "0", "--file", "/dev/null"),
    "patch": ("{saved}",),
}
_READING = {
    "version": (),
    "history": (),
    "show-body": ("vm", "--id", "0"),
    "change-body": ("vm", "/VM/NAME", "x", "--dry"),
    "backup": ("{saved}2",),
    "fsck": ("--dry",),
}


def test_nothing_is_changed_while_a_core_runs_and_everything_is_shown(
    onedb: Onedb, location: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    onedb("backup", str(saved))
    capsys.readouterr()
    with closing(open_store(location)) as store:
        before = rows.portrait(rows.loaded(store))
        for command, arguments in _WRITING.items():
            if command == "patch":
                (tmp_path / "patch.py").write_text("def patch(tx, read): pass\n")
                arguments = (str(tmp_path / "patch.py"),)
            assert onedb(command, *(word.format(saved=saved) for word in arguments)) == 255, command
            assert "is in use by" in capsys.readouterr().err, command
        for command, arguments in _READING.items():
            assert onedb(command, *(word.format(saved=saved) for word in arguments)) == 0, command
        assert rows.portrait(rows.loaded(store)) == before


def test_a_cloud_that_is_only_starting_again_counts_as_running(
    onedb: Onedb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "home" / "run"
    run.mkdir()
    with (run / "supervisor.pid").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert onedb("purge-done") == 255
    assert "stop it first (`one stop`)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_an_sqlite_database_is_copied_into_a_server(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = servers.running(kind).database()
    monkeypatch.setenv("ONEDB_PASSWORD", server.password)
    file = File(tmp_path / "one.db")
    write(eventful(), file)
    command = ["sqlite2mysql", *words(file), *words(server), "--home", str(tmp_path)]
    assert main(command) == 0
    said = capsys.readouterr()
    assert f'DB = [ BACKEND="{kind}"' in said.out
    assert server.password not in said.out + said.err
    assert rows.portrait(state_of(server)) == rows.portrait(state_of(file))
    assert main(command) == 255
    assert main([*command, "-f"]) == 0


def test_a_copy_into_no_server_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(eventful(), File(tmp_path / "one.db"))
    assert main(["sqlite2mysql", "-s", str(tmp_path / "one.db")]) == 255
    assert "Give the SQLite file (-s) and the server" in capsys.readouterr().err


def test_the_database_of_the_home_is_meant_when_none_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(eventful(), File(tmp_path / "one.db"))
    assert main(["show-body", "host", "--id", "0", "--home", str(tmp_path)]) == 0
    assert "<NAME>node0</NAME>" in capsys.readouterr().out


def test_what_is_written_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(eventful(), File(tmp_path / "one.db"))
        assert main(["backup", "-s", str(tmp_path / "one.db")]) == 0
    finally:
        os.umask(before)
    found = list(tmp_path.glob("*.bck"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in found] == [0o600]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command.name, "--help"])  # type: ignore[attr-defined]
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "--sqlite" in out
    assert all(example in out for example in command.examples)  # type: ignore[attr-defined]
