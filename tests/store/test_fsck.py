"""`one fsck`: silent on a healthy cloud, and whatever is put wrong is found and, where certain, put right."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.stored_cloud import eventful

from merope.daemon import fsck
from merope.store.claim import Claim
from merope.store.errors import StoreError
from merope.store.maintenance import main


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("healthy") / "one.db"
    eventful().write(path)
    return path.read_bytes()


@pytest.fixture
def home(tmp_path: Path, healthy: bytes) -> Path:
    (tmp_path / "one.db").write_bytes(healthy)
    return tmp_path


def sentences(home: Path) -> list[str]:
    return [finding.sentence for finding in fsck.check(home / "one.db").found]


def change(home: Path, statement: str, *parameters: object) -> None:
    with closing(sqlite3.connect(home / "one.db")) as connection, connection:
        connection.execute(statement, parameters)


def edit(home: Path, table: str, oid: int, pattern: str, replacement: str) -> None:
    """Replaces text in the stored document of an object."""
    with closing(sqlite3.connect(home / "one.db")) as connection, connection:
        body = connection.execute(f"SELECT body FROM {table} WHERE oid=?", (oid,)).fetchone()[0]
        changed, count = re.subn(pattern, replacement, body, count=1)
        assert count == 1
        connection.execute(f"UPDATE {table} SET body=? WHERE oid=?", (changed, oid))


def test_a_healthy_cloud_has_nothing_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fsck", "--home", str(home)]) == 0
    assert re.fullmatch(r"\d\d+ rows looked at: nothing is wrong\.\n", capsys.readouterr().out)


Damage = Callable[[Path], None]
#: What is put wrong, and what fsck says of it.
REPAIRABLE: dict[str, tuple[Damage, str]] = {
    "host usage": (
        lambda home: edit(home, "host_pool", 0, r"<CPU_USAGE>\d+<", "<CPU_USAGE>1234<"),
        r"host 0: .*1234",
    ),
    "host VMs": (lambda home: edit(home, "host_pool", 1, r"<VMS>.*</VMS>", "<VMS/>"), r"host 1: VMs \[\]"),
    "user quotas": (
        lambda home: change(
            home, "UPDATE user_quotas SET body='<QUOTAS><ID>2</ID></QUOTAS>' WHERE user_oid=2"
        ),
        r"quotas of user 2: Usage\(\{\}\) is stored",
    ),
    "group quotas": (
        lambda home: change(home, "DELETE FROM group_quotas"),
        r"quotas of group 1: Usage\(\{\}\) is stored",
    ),
    "image users": (
        lambda home: edit(home, "image_pool", 0, r"<RUNNING_VMS>\d+<", "<RUNNING_VMS>99<"),
        r"image 0: .*99 disks",
    ),
    "image state": (
        lambda home: edit(home, "image_pool", 0, r"<STATE>2<", "<STATE>1<"),
        r"image 0: it is READY, its users make it USED",
    ),
    "stray lease": (
        lambda home: edit(
            home, "network_pool", 0, r"(<ALLOCATED><!\[CDATA\[)[^\]]*", rf"\g<1> 7 {(1 << 36) + 77}"
        ),
        r"virtual network 0: address 7 is leased to VM 77",
    ),
    "lost leases": (
        lambda home: edit(home, "network_pool", 0, r"<ALLOCATED>.*?</ALLOCATED>", ""),
        r"VM 0: its address 0 of range 0 in network 0 is not leased to it",
    ),
    "count of leases": (
        lambda home: edit(home, "network_pool", 0, r"<USED_LEASES>\d+<", "<USED_LEASES>19<"),
        r"virtual network 0: USED_LEASES is 19",
    ),
    "cluster hosts": (
        lambda home: edit(
            home, "cluster_pool", 0, r"<HOSTS>.*</HOSTS>", "<HOSTS><ID>0</ID><ID>9</ID></HOSTS>"
        ),
        r"cluster 0: hosts \[0, 9\] are stored, \[0, 1\] belong to it",
    ),
    "datastore images": (
        lambda home: edit(home, "datastore_pool", 1, r"<IMAGES>.*</IMAGES>", "<IMAGES/>"),
        r"datastore 1: images \[\] are stored",
    ),
    "group users": (
        lambda home: edit(home, "group_pool", 1, r"<USERS>.*</USERS>", "<USERS/>"),
        r"group 1: users \[\] are stored, \[2\] belong to it",
    ),
    "security group": (
        lambda home: edit(home, "secgroup_pool", 0, r"<UPDATED_VMS>.*</UPDATED_VMS>", "<UPDATED_VMS/>"),
        r"security group 0: it has the VMs \{\}",
    ),
    "columns": (
        lambda home: change(home, "UPDATE vm_pool SET state=3, name='other' WHERE oid=0"),
        r"virtual machine 0: by its document, name is 'other', not 'one-0', state is 3, not 8",
    ),
    "columns of a finished VM": (
        lambda home: change(home, "UPDATE vm_pool SET uid=0 WHERE state=6"),
        r"virtual machine 1: by its document, uid is 0, not 2",
    ),
    "operation that is missing": (
        lambda home: change(home, "DELETE FROM merope_effect WHERE body LIKE '%vm.save%'"),
        r"virtual machine 2: it is SAVE_MIGRATE and waits for vm.save, which is not under way",
    ),
    "operation for nobody": (
        lambda home: change(
            home,
            "INSERT INTO merope_effect VALUES (900, ?)",
            json.dumps({"op": "vm.deploy", "oid": 44, "host": 0, "arguments": {}}),
        ),
        r"operation 900 \(vm.deploy\) is for vm 44, which is not there",
    ),
    "last id": (
        lambda home: change(home, "UPDATE pool_control SET last_oid=1 WHERE tablename='vm_pool'"),
        r"the last id of vm_pool is stored as 1, but there is 4",
    ),
    "last id that is missing": (
        lambda home: change(home, "DELETE FROM pool_control WHERE tablename='host_pool'"),
        r"the last id of host_pool is stored as -1, but there is 1",
    ),
    "times of a record": (
        lambda home: change(home, "UPDATE history SET etime=5 WHERE vid=1"),
        r"history record 0 of virtual machine 1: the columns say \d+ to 5",
    ),
}
HOPELESS: dict[str, tuple[Damage, str]] = {
    "document cut off": (
        lambda home: change(home, "UPDATE host_pool SET body=substr(body, 1, 99) WHERE oid=1"),
        r"host 1: not a HOST document",
    ),
    "document of another": (
        lambda home: edit(home, "host_pool", 1, r"<ID>1</ID>", "<ID>7</ID>"),
        r"host 1: its document says that it is 7",
    ),
    "element that nobody knows": (
        lambda home: edit(home, "host_pool", 1, r"</HOST>", "<SECRET>1</SECRET></HOST>"),
        r"host 1: its document reads back differently from character \d+",
    ),
    "record that is missing": (
        lambda home: edit(home, "vm_pool", 0, r"<SEQ>0</SEQ>", "<SEQ>3</SEQ>"),
        r"virtual machine 0: its history records are numbered \[3\]",
    ),
    "history of nobody": (
        lambda home: change(
            home,
            "INSERT INTO history VALUES (70, 0, ?, 1, 2)",
            "<HISTORY><OID>70</OID><SEQ>0</SEQ><STIME>1</STIME><ETIME>2</ETIME></HISTORY>",
        ),
        r"history of virtual machine 70, which is not there",
    ),
    "image that is gone": (
        lambda home: change(home, "DELETE FROM image_pool WHERE oid=0"),
        r"VM 0: it uses image 0, which is not there",
    ),
    "quotas that are none": (
        lambda home: change(home, "UPDATE user_quotas SET body='<QUOT'"),
        r"quotas of user 2: Stored quotas are not well-formed",
    ),
    "operation that is none": (
        lambda home: change(home, "INSERT INTO merope_effect VALUES (900, 'x')"),
        r"operation 900: JSONDecodeError",
    ),
    "operation of another release": (
        lambda home: change(
            home,
            "INSERT INTO merope_effect VALUES (900, ?)",
            json.dumps({"op": "vm.teleport", "oid": 0, "host": 0, "arguments": {}}),
        ),
        r"operation 900: there is no operation 'vm.teleport'",
    ),
}


@pytest.mark.parametrize("name", [*REPAIRABLE, *HOPELESS])
def test_what_is_wrong_is_found(home: Path, name: str) -> None:
    damage, expected = {**REPAIRABLE, **HOPELESS}[name]
    damage(home)
    found = sentences(home)
    assert any(re.search(expected, sentence) for sentence in found), found


@pytest.mark.parametrize("name", REPAIRABLE)
def test_what_is_certain_is_put_right(home: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    damage, expected = REPAIRABLE[name]
    damage(home)
    assert main(["fsck", "--repair", "--home", str(home)]) == 0
    assert re.search(f"repaired: .*{expected}", capsys.readouterr().out)
    assert sentences(home) == []


@pytest.mark.parametrize("name", HOPELESS)
def test_what_is_not_certain_is_left_to_a_person(
    home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, expected = HOPELESS[name]
    damage(home)
    assert main(["fsck", "--repair", "--home", str(home)]) == 1
    assert re.search(expected, capsys.readouterr().out)


def test_the_answer_as_json_names_table_and_id(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    REPAIRABLE["count of leases"][0](home)
    assert main(["fsck", "--json", "--home", str(home)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["found"] == [
        {
            "table": "network_pool",
            "id": 0,
            "message": "virtual network 0: USED_LEASES is 19, the ranges have 4",
            "repairable": True,
        }
    ]


def test_looking_changes_nothing(home: Path, healthy: bytes) -> None:
    REPAIRABLE["host usage"][0](home)
    main(["fsck", "--home", str(home)])
    assert len(sentences(home)) == 1


def test_a_cloud_that_runs_is_checked_by_a_copy_and_not_repaired(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    REPAIRABLE["host usage"][0](home)
    claim = Claim(home / "one.db")
    assert main(["fsck", "--home", str(home)]) == 1
    assert "host 0" in capsys.readouterr().out
    assert main(["fsck", "--repair", "--home", str(home)]) == 2
    assert "is in use by process" in capsys.readouterr().err
    claim.release()
    assert sorted(path.name for path in home.iterdir()) == ["one.db", "one.db.lock"]


def test_a_damaged_file_is_not_repaired(home: Path) -> None:
    content = bytearray((home / "one.db").read_bytes())
    for place in range(8192, len(content), 4096):
        content[place : place + 2048] = b"\xff" * 2048
    (home / "one.db").write_bytes(bytes(content))
    report = fsck.check(home / "one.db")
    assert report.status == 1
    assert report.found[0].sentence.startswith("the file: ")
    with pytest.raises(StoreError, match=r"damaged .* \(`one restore`\)"):
        fsck.run(home, True, False)


def test_a_database_whose_process_was_killed_has_nothing_wrong(home: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from merope.store.sqlite import SqliteStore\n"
        "from merope.model.state import State\n"
        "from merope.model.change import Change, Put\n"
        "store = SqliteStore(Path(sys.argv[1])); state = State(); store.load(state)\n"
        "row = dict(name='A', body='1')\n"
        "store.commit([Change(state.index + 1, 0, (Put('system_attributes', 'A', row),))])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(home / "one.db")])
    assert done.returncode == -9
    assert (home / "one.db-wal").stat().st_size > 0
    assert sentences(home) == []


def test_a_home_without_a_cloud_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fsck", "--home", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"one fsck: There is no cloud in {tmp_path}: it has no one.db.\n"
