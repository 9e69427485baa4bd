"""A database that OpenNebula 5.12.0 wrote opens: every object is there, and nothing is wrong with it."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bench.crash import sandbox_in
from tests.store import one_5_12, rows, servers

from merope.daemon import fsck
from merope.daemon.adoption import adopt, is_anothers
from merope.daemon.onedb import main as onedb
from merope.model.kinds import KINDS
from merope.model.states import VmState
from merope.store.backup import restore
from merope.store.errors import StoreError
from merope.store.location import File, Location, open_beside, open_store
from merope.store.server import Server
from merope.store.sql import plainly

pytestmark = pytest.mark.skipif(
    not one_5_12.is_known(), reason="the facts of the layout, ../shared/spec/db.yaml, are not there"
)
LOGIN = "oneadmin:opennebula"
_BESIDE = "hook_log vm_showback vm_import vm_monitoring cluster_vnc_bitmap cluster_datastore_relation"


def in_sqlite(path: Path) -> File:
    """As 5.12 leaves it: its own tables only, rollback journal."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in one_5_12.statements():
            connection.execute(statement)
        for table, found in one_5_12.rows().items():
            for row in found:
                # What SQLite makes of 2^64-1 when it reads it in a statement.
                cells = [float(c) if isinstance(c, int) and c >= 1 << 63 else c for c in row]
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(cells))})", cells)
    return File(path)


def in_mariadb(charset: str) -> Server:
    """5.12 speaks the character set of the database, and sends the bytes of UTF-8 whatever that is."""
    import pymysql

    server = servers.running("mysql")
    assert isinstance(server, servers.Mariadb)
    place = server.database(charset=f"CHARACTER SET {charset}")
    statements = [*one_5_12.statements("mysql")]
    for table, found in one_5_12.rows().items():
        for row in found:
            cells = ", ".join(
                str(cell) if isinstance(cell, int) else f"'{pymysql.converters.escape_string(str(cell))}'"
                for cell in row
            )
            statements.append(f"INSERT INTO {table} VALUES ({cells})")
    raw = [s.encode().decode("latin1") if charset == "latin1" else s for s in statements]
    server.sql("SET SESSION sql_mode=''", *raw, database=place.database, charset=charset)
    return place


@pytest.fixture(params=["sqlite", "utf8mb4", "utf8mb3", "latin1"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """SQLite, and MariaDB in the character sets that databases were made with."""
    return in_sqlite(tmp_path / "one.db") if request.param == "sqlite" else in_mariadb(request.param)


def test_every_object_is_there_with_its_id_and_its_document(old: Location) -> None:
    with closing(open_store(old)) as store:
        assert store.adopted
        state = rows.loaded(store)
        archived = {entry.oid: entry.body for entry in store.archived_vms()}
    written = one_5_12.rows()
    for kind in KINDS:
        expected = {row[0]: plainly(str(row[2])) for row in written[kind.table]}
        found = {oid: entry.body for oid, entry in state.pools[kind.table].entries.items()}
        if kind.table == "vm_pool":
            assert archived == {2: expected[2]}
            found |= archived
        assert found == expected, kind.table
        for oid, entry in state.pools[kind.table].entries.items():
            parsed = state.pools[kind.table].parsed(oid)
            assert parsed is not None
            assert parsed.to_xml() == entry.body


def test_owners_states_counters_leases_and_quotas_are_what_they_were(old: Location) -> None:
    with closing(open_store(old)) as store:
        state = rows.loaded(store)
    vms = state.pools["vm_pool"]
    assert {oid: (e.uid, e.gid, e.state, e.lcm_state) for oid, e in vms.entries.items()} == {
        0: (2, 1, 3, 3),
        1: (2, 1, 8, 0),
        3: (2, 1, 1, 0),
        4: (0, 0, 3, 1),
    }
    assert state.last_oids["vm_pool"] == 41
    assert f" 3 {1 << 36} 4 {1 << 36 | 1} " in state.pools["network_pool"].entries[0].body
    assert state.pools["network_pool"].entries[1].parent == 0
    assert state.user_quotas[2].to_xml(2) == one_5_12._quotas(2)
    assert sorted(rule.id for rule in state.rules) == [0, 1]
    assert list(state.history[0]) == [0, 1]
    assert state.vnc_ports == {(0, 5900): 0}


def test_what_has_no_place_in_memory_stays_as_it_was(old: Location) -> None:
    with closing(open_store(old)) as store:
        store.commit([rows.change(1, rows.put(rows.host(77, "new")))])
        written = one_5_12.rows()
        for table in _BESIDE.split():
            assert store.query(f"SELECT * FROM {table}") == sorted(written[table]), table
        comments = store.query("SELECT comment FROM db_versioning")
        assert min(int(store.query("SELECT fed_index FROM logdb")[0][0]), (1 << 64) - 1) == (1 << 64) - 1
    assert comments == [("OpenNebula 5.12.0 daemon bootstrap",)]


def test_it_is_written_to_and_opens_again(old: Location) -> None:
    with closing(open_store(old)) as store:
        store.commit([rows.change(1, rows.put(rows.cluster(100, "Größe 𝒳")))])
        before = rows.portrait(rows.loaded(store))
    with closing(open_store(old)) as store:
        assert not store.adopted
        assert rows.portrait(rows.loaded(store)) == before


def test_nothing_is_wrong_with_it(old: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fsck.run(tmp_path, False, False, old) == 0
    assert is_anothers(old), "looking has changed it"
    adopt(tmp_path, old)
    assert fsck.run(tmp_path, False, False, old) == 0
    assert capsys.readouterr().out.count("nothing is wrong") == 2


DAMAGE = {
    "host usage": ("host_pool", 1, "<CPU_USAGE>50<", "<CPU_USAGE>70<", r"host 1: .*70"),
    "host VMs": ("host_pool", 0, "<VMS><ID>1</ID>", "<VMS>", r"host 0: VMs \[4\]"),
    "lost lease": ("network_pool", 0, f" 4 {1 << 36 | 1}", "", r"VM 1: its address 4 .* is not leased to it"),
    "stray lease": ("network_pool", 0, " 9 ", f" 8 {1 << 36 | 77} 9 ", r"address 8 is leased to VM 77"),
    "image users": ("image_pool", 0, "<RUNNING_VMS>1<", "<RUNNING_VMS>5<", r"image 0: .*5"),
    "group members": ("group_pool", 1, "<ID>2</ID>", "", r"group 1: users \[\] are stored"),
    "cluster members": ("cluster_pool", 0, "<ID>1</ID></HOSTS>", "</HOSTS>", r"cluster 0: hosts \[0\]"),
    "datastore images": ("datastore_pool", 1, "<IMAGES><ID>0</ID>", "<IMAGES>", r"datastore 1: images \[1\]"),
    "security group": ("secgroup_pool", 0, "<UPDATED_VMS><ID>0</ID>", "<UPDATED_VMS>", r"security group 0"),
    "apps of a market": ("marketplace_pool", 0, "APPS><ID>0</ID>", "APPS>", r"marketplace 0"),
    "quotas": ("user_quotas", 2, "<VMS_USED><![CDATA[3]]>", "<VMS_USED><![CDATA[9]]>", r"quotas of user 2"),
    "last id": ("pool_control", 0, "41", "3", r"the last id of vm_pool is stored as 3, but there is 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_what_the_original_would_find_in_a_damaged_one_is_found_and_put_right(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table, oid, text, other, expected = DAMAGE[name]
    old = in_sqlite(tmp_path / "one.db")
    with closing(sqlite3.connect(old.path)) as connection, connection:
        if table == "pool_control":
            connection.execute("UPDATE pool_control SET last_oid=3 WHERE tablename='vm_pool'")
        else:
            key = "user_oid" if table == "user_quotas" else "oid"
            body = connection.execute(f"SELECT body FROM {table} WHERE {key}={oid}").fetchone()[0]
            assert text in body
            connection.execute(
                f"UPDATE {table} SET body=? WHERE {key}={oid}", (body.replace(text, other, 1),)
            )
    assert fsck.run(tmp_path, False, False, old) == 1
    assert re.search(expected, capsys.readouterr().out)
    adopt(tmp_path, old)
    assert fsck.run(tmp_path, True, False, old) == 0


def test_it_is_kept_as_it_was_and_what_was_done_is_said(old: Location, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".one").mkdir(parents=True)
    sentences = adopt(home, old, login=LOGIN)
    assert "was written by OpenNebula 5.12.0" in sentences[0]
    assert "4 VMs and 1 that are done" in sentences[0]
    added = "Tables were added: merope_effect, merope_hook_run, merope_host_failure, merope_part, merope_log"
    assert any(added in sentence for sentence in sentences)
    assert any("begun anew: VM 4 (PROLOG)" in sentence for sentence in sentences)
    assert not any("login" in sentence for sentence in sentences)
    kept = next(home.glob("*.before-merope-*"))
    assert any(str(kept) in sentence for sentence in sentences)
    with closing(sqlite3.connect(kept)) as connection:
        bodies = dict(connection.execute("SELECT oid, body FROM image_pool"))
    assert bodies == {row[0]: row[2] for row in one_5_12.rows()["image_pool"]}
    assert adopt(home, old) == []


def test_a_login_that_the_database_does_not_know_is_said(tmp_path: Path) -> None:
    sentences = adopt(tmp_path, in_sqlite(tmp_path / "one.db"), login="oneadmin:other")
    assert "not the administrator's" in sentences[-1]


def test_the_tables_of_mariadb_become_what_they_must_be(tmp_path: Path) -> None:
    old = in_mariadb("latin1")
    sentences = adopt(tmp_path, old)
    assert any("texts from latin1_swedish_ci to utf8mb4_nopad_bin" in sentence for sentence in sentences)
    with closing(open_store(old)) as store:
        kinds = store.query(
            "SELECT DISTINCT DATA_TYPE, COLLATION_NAME FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA=DATABASE() AND COLUMN_NAME IN ('name', 'body')"
        )
    assert sorted(kinds) == [("mediumtext", "utf8mb4_nopad_bin"), ("varchar", "utf8mb4_nopad_bin")]


def test_a_copy_of_it_is_restored_into_any_database(tmp_path: Path) -> None:
    old = in_sqlite(tmp_path / "one.db")
    goal = servers.running("postgresql").database()
    restore(tmp_path / "fresh", old.path, location=goal)
    with closing(open_store(goal)) as store:
        assert sorted(rows.loaded(store).pools["vm_pool"].entries) == [0, 1, 3, 4]
    assert is_anothers(old)


def test_onedb_takes_it_over_when_told_to_and_not_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = in_sqlite(tmp_path / "one.db")
    words = ["-s", str(old.path), "--home", str(tmp_path)]
    assert onedb(["version", *words]) == 0
    assert onedb(["show-body", "vm", "--id", "2", *words]) == 0
    assert onedb(["fsck", "--dry", *words]) == 0
    assert onedb(["purge-done", *words]) == 255
    assert "onedb upgrade" in capsys.readouterr().err
    assert is_anothers(old)
    assert onedb(["upgrade", "--backup", str(tmp_path / "before"), *words]) == 0
    assert "was written by OpenNebula 5.12.0" in capsys.readouterr().out
    assert onedb(["upgrade", *words]) == 0
    assert "Nothing is to be done" in capsys.readouterr().out
    assert onedb(["purge-done", *words]) == 0
    with closing(open_beside(File(tmp_path / "before"))) as store:
        assert store.query(f"SELECT COUNT(*) FROM vm_pool WHERE state={VmState.DONE:d}") == [(1,)]


def test_one_of_another_version_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    old = in_sqlite(tmp_path / "one.db")
    with closing(sqlite3.connect(old.path)) as connection, connection:
        connection.execute("UPDATE local_db_versioning SET version='5.10.0'")
    before = old.path.read_bytes()
    with pytest.raises(StoreError, match=r"version 5\.10\.0 .*onedb upgrade"):
        adopt(tmp_path, old)
    assert old.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["one.db"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    (made / ".one").mkdir(parents=True, mode=0o700)
    for name, content in (("one_auth", LOGIN), ("one_key", "k" * 64), ("sandbox", "")):
        (made / ".one" / name).write_text(f"{content}\n")
        (made / ".one" / name).chmod(0o600)
    in_sqlite(made / "one.db")
    return made


def test_a_cloud_starts_on_it_says_what_it_did_and_goes_on(home: Path) -> None:
    with sandbox_in(home) as sandbox:
        # `one prepare`, the first half of `one start`, has taken it over.
        assert len(list(home.glob("one.db.before-merope-*.backup"))) == 1
        sandbox.start()
        with sandbox.client() as client:
            vms = client.text("one.vmpool.info", -2, -1, -1, -1)
            assert re.findall(r"<VM><ID>(\d+)</ID>", vms) == ["4", "3", "1", "0"]
            assert "<LCM_STATE>1</LCM_STATE>" not in vms, "VM 4 was not taken up"
            assert "<NAME>vm-2</NAME>" in client.text("one.vm.info", 2)
            assert "Größe" not in client.text("one.image.info", 0)
            assert "more: ü" in client.text("one.image.info", 0)
            assert client.number("one.vm.allocate", "CPU=1\nMEMORY=1\nNAME=new", True) == 42
        assert sandbox.fsck() == []
        assert sandbox.stop() == 0
    assert fsck.check(home / "one.db").found == []


def test_one_start_says_so(home: Path) -> None:
    words = [sys.executable, "-m", "merope.daemon.one", "prepare", "--home", str(home), "--drivers", "dummy"]
    done = subprocess.run([*words, "--port", "2999"], capture_output=True, text=True, check=True)
    assert "was written by OpenNebula 5.12.0. It holds 4 VMs and 1 that are done, 2 hosts" in done.stdout
    again = subprocess.run([*words, "--port", "2999"], capture_output=True, text=True, check=True)
    assert "OpenNebula" not in again.stdout
