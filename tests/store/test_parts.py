"""Documents with long lists: written in parts while a cloud runs, whole for whoever opens or reads them."""

import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store import rows, servers
from tests.store.wire import Wire

from merope.core.transaction import object_row
from merope.model.address_range import AddressRange
from merope.model.change import Change, Delete, Operation, Put
from merope.model.cluster import Cluster
from merope.model.document import Document, Ids
from merope.model.kinds import BY_DOCUMENT
from merope.model.leases import owner_of
from merope.model.long_text import LongText
from merope.model.permissions import ObjectType
from merope.model.state import State
from merope.model.vnet import VirtualNetwork
from merope.store import sql
from merope.store.backup import backup
from merope.store.errors import InDoubtError, StoreError
from merope.store.location import Location, driver_of, open_beside, open_store
from merope.store.parts import TABLE, Parts
from merope.store.scratch import read
from merope.store.server import ServerStore
from merope.store.sql import SqlStore
from merope.store.sqlite import SqliteStore

MOST = 3
HOSTS = range(0, 2000, 7)


def put(value: Document, most: int = MOST) -> Put:
    return Put(BY_DOCUMENT[type(value)].table, value.id, object_row(value, most))


def cluster(oid: int = 100, hosts: range = HOSTS) -> Cluster:
    return Cluster(id=oid, name=f"cluster{oid}", hosts=Ids(hosts))


def network(leases: int) -> VirtualNetwork:
    """Its name and its range tempt whoever looks for a list in the text."""
    made = VirtualNetwork(id=7, uid=0, gid=0, uname="a", gname="b", name="<VROUTERS/>")
    made.bridge = "<AR><ALLOCATED/><VROUTERS/>"
    for number in range(3):
        ranged = AddressRange.create(
            number, {"TYPE": "IP4", "IP": "10.0.0.1", "SIZE": "5000"}, mac_prefix=2, random=1
        )
        for index in range(leases if number else 1):
            ranged.allocate(owner_of(ObjectType.VM, index), 3 * index)
        made.ar_pool.append(ranged)
    made.vrouters = Ids(range(leases))
    made.recount()
    return made


def heads(store: SqlStore) -> list[int]:
    return [len(row[0]) for row in store.query("SELECT body FROM cluster_pool ORDER BY oid")]


def parts(store: SqlStore) -> int:
    return int(store.query(f"SELECT COUNT(*) FROM {TABLE}")[0][0])


def test_a_long_list_is_not_in_the_row_while_the_cloud_runs_and_is_there_when_it_is_read(
    location: Location,
) -> None:
    value = cluster()
    with closing(open_store(location)) as store:
        store.commit([rows.change(1, put(value), put(network(50)))])
        assert heads(store) == [
            len(cluster(hosts=range(0)).to_xml()) + len("<HOSTS></HOSTS>") - len("<HOSTS/>")
        ]
        entries = {table: pool.entries for table, pool in rows.loaded(store).pools.items()}
        assert entries["cluster_pool"][100].body == value.to_xml()
        assert entries["network_pool"][7].body == network(50).to_xml()
        with closing(open_beside(location)) as beside:
            [row] = beside.whole_rows("cluster_pool")
        assert value.to_xml() in row


def test_rows_are_whole_when_the_database_is_closed(location: Location) -> None:
    with closing(open_store(location)) as store:
        store.commit([rows.change(1, put(cluster()), put(network(50)))])
        assert parts(store)
    with closing(open_beside(location)) as beside:
        assert beside.query("SELECT body FROM cluster_pool") == [(cluster().to_xml(),)]
        assert beside.query("SELECT body FROM network_pool") == [(network(50).to_xml(),)]
        assert parts(beside) == 0


def test_a_list_that_becomes_short_or_goes_leaves_nothing(location: Location) -> None:
    with closing(open_store(location)) as store:
        store.commit([rows.change(1, put(cluster(100)), put(cluster(101)), put(network(50)))])
        store.commit(
            [rows.change(2, put(cluster(100, range(2))), Delete("cluster_pool", 101), put(network(1)))]
        )
        assert parts(store) == 0
        assert store.query("SELECT body FROM cluster_pool") == [(cluster(100, range(2)).to_xml(),)]
        assert store.query("SELECT body FROM network_pool") == [(network(1).to_xml(),)]


def test_one_id_more_writes_one_chunk() -> None:
    known, value = Parts(), cluster()
    first = known.plan([rows.change(1, put(value))])
    known.written(first)
    assert len(first.put) == 1 + len({oid >> 8 for oid in HOSTS})
    value.hosts.add(3)
    plan = known.plan([rows.change(2, put(value))])
    assert [row[:4] for row in plan.put] == [("cluster_pool", 100, "HOSTS", 0)]
    assert not plan.removed
    assert not plan.cleared


def killed(path: Path, directory: Path) -> Path:
    """The files as a process leaves them that is killed now."""
    for name in path.parent.glob(f"{path.name}*"):
        shutil.copy(name, directory / name.name)
    return directory / path.name


def test_after_a_crash_rows_are_whole_for_the_next_who_opens(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    with closing(SqliteStore(tmp_path / "one.db")) as store:
        store.commit([rows.change(1, put(cluster()))])
        copied = killed(store.path, tmp_path / "later")
    with closing(SqliteStore(copied)) as again:
        assert again.query("SELECT body FROM cluster_pool") == [(cluster().to_xml(),)]
        assert parts(again) == 0


def test_what_is_too_large_for_a_row_stays_in_parts(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "_LARGEST", 1000)
    with closing(open_store(location)) as store:
        store.commit([rows.change(1, put(cluster(100)), put(cluster(101, range(20))))])
    with closing(open_store(location)) as again:
        assert parts(again)
        assert heads(again)[0] < 300 < heads(again)[1]
        value = cluster()
        value.hosts.remove(7)
        assert rows.loaded(again).pools["cluster_pool"].entries[100].body == cluster().to_xml()
        again.commit([rows.change(2, put(value))])
        assert rows.loaded(again).pools["cluster_pool"].entries[100].body == value.to_xml()


def test_a_row_that_was_changed_by_hand_after_a_crash_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    with closing(SqliteStore(tmp_path / "one.db")) as store:
        store.commit([rows.change(1, put(cluster()))])
        copied = killed(store.path, tmp_path / "later")
    with closing(sqlite3.connect(copied)) as connection, connection:
        connection.execute("UPDATE cluster_pool SET body=replace(body, 'cluster100', 'other')")
    with pytest.raises(StoreError, match="Row 100 of cluster_pool was changed while its HOSTS was in"):
        SqliteStore(copied)


def test_a_backup_of_a_cloud_that_runs_has_whole_rows(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "one.db")) as store:
        store.commit([rows.change(1, put(cluster()))])
        backup(tmp_path, tmp_path / "saved")
    with closing(sqlite3.connect(tmp_path / "saved")) as saved:
        assert saved.execute("SELECT body FROM cluster_pool").fetchall() == [(cluster().to_xml(),)]


def test_an_administrators_sql_sees_whole_rows(location: Location) -> None:
    with closing(open_store(location)) as store:
        store.commit([rows.change(1, put(cluster()))])
        _, found = read(store, "SELECT body FROM cluster_pool")
    assert found == [(cluster().to_xml(),)]


@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
@pytest.mark.parametrize("how", ["before", "after"])
def test_lists_are_right_after_a_commit_whose_end_was_not_known(
    how: str, backend: str, tmp_path: Path
) -> None:
    with Wire(servers.running(backend).database(), tmp_path) as wire:
        with closing(ServerStore(wire.server, driver_of(wire.server), patience=0.3)) as store:
            value = cluster()
            store.commit([rows.change(1, put(value))])
            wire.cut_at_commit, wire.stays_shut = how, True
            value.hosts.remove(7)
            with pytest.raises(InDoubtError):
                store.commit([rows.change(2, put(value))])
            wire.open, wire.stays_shut = True, False
            time.sleep(0.6)  # until the server may be asked again
            following = 3 if store.settle(2) else 2
            # What was in doubt and was not stored has been taken back, and something else is done.
            other = cluster(hosts=range(5, 3000, 3))
            store.commit([rows.change(following, put(other))])
            assert rows.loaded(store).pools["cluster_pool"].entries[100].body == other.to_xml()
        with closing(open_beside(wire.server)) as beside:
            assert beside.query("SELECT body FROM cluster_pool") == [(other.to_xml(),)]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 1), st.integers(0, 900)),
        st.tuples(
            st.sampled_from(["fill", "empty", "delete", "commit", "crash"]), st.integers(0, 1), st.just(0)
        ),
    ),
    max_size=40,
)


class Two:
    """Two clusters in a database, and the changes to them that are not committed yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = SqliteStore(directory / "0.db")
        self.values = {oid: cluster(oid, range(0)) for oid in (0, 1)}
        self.state = State()
        self.changes: list[Change] = []
        self.crashes = 0

    def change(self, *operations: Operation) -> None:
        made = rows.change(self.state.index + 1, *operations)
        self.state.apply(made)
        self.changes.append(made)

    def crash(self) -> None:
        self.crashes += 1
        self.commit()
        following = self.directory / f"{self.crashes}.db"
        for side in ("", "-wal"):
            before = self.store.path.with_name(self.store.path.name + side)
            if before.exists():
                shutil.copy(before, following.with_name(following.name + side))
        self.store.close()
        self.store = SqliteStore(following)

    def commit(self) -> None:
        self.store.commit(self.changes)
        self.changes.clear()


@settings(deadline=None)
@given(_STEPS)
def test_whatever_is_done_to_lists_is_what_is_loaded(steps: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        two = Two(Path(directory))
        for what, oid, host in steps:
            hosts = two.values[oid].hosts
            if what in ("add", "remove"):
                (hosts.add if what == "add" else hosts.discard)(host)
            elif what == "fill":
                two.values[oid] = cluster(oid, range(0, 900, 2))
            elif what == "empty":
                hosts.clear()
            if what in ("commit", "crash"):
                getattr(two, what)()
                assert rows.portrait(rows.loaded(two.store)) == rows.portrait(two.state)
            else:
                two.change(Delete("cluster_pool", oid) if what == "delete" else put(two.values[oid]))
        two.commit()
        expected = {oid: entry.body for oid, entry in two.state.pools["cluster_pool"].entries.items()}
        two.store.close()
        with closing(sqlite3.connect(two.store.path)) as connection:
            assert dict(connection.execute("SELECT oid, body FROM cluster_pool")) == expected
            assert connection.execute(f"SELECT * FROM {TABLE}").fetchall() == []


@given(st.sets(st.integers(0, 2000), min_size=2), st.lists(st.integers(0, 2100)))
def test_what_is_read_from_pieces_is_what_is_read_from_the_text(oids: set[int], more: list[int]) -> None:
    made = network(30)
    made.vrouters = Ids(oids)
    found = VirtualNetwork.from_body(made.to_body(1))
    assert found.vrouters == oids
    assert [dict(each.leases) for each in found.ar_pool] == [dict(each.leases) for each in made.ar_pool]
    for oid in more:
        for value in (made, found):
            (value.vrouters.discard if oid in oids else value.vrouters.add)(oid)
            value.ar_pool[1].allocate(owner_of(ObjectType.VM, oid), oid)
            value.ar_pool[1].release(owner_of(ObjectType.VM, 3), 9)
    assert str(found.to_body(1)) == found.to_xml() == made.to_xml()


def test_a_document_is_in_pieces_only_from_the_length_on() -> None:
    assert isinstance(cluster(hosts=range(MOST)).to_body(MOST), str)
    body = cluster(hosts=range(MOST + 1)).to_body(MOST)
    assert isinstance(body, LongText)
    assert str(body) == cluster(hosts=range(MOST + 1)).to_xml()
