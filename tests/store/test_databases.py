"""What holds for every database: what is committed is there, whole, for whoever opens it next."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store import rows
from tests.store.stored_cloud import eventful

from merope.model.change import Change, Delete, Put
from merope.model.phase import Phase
from merope.model.state import State
from merope.store.errors import StoreError
from merope.store.location import File, Location, open_store
from merope.store.schema import TABLES, VERSION
from merope.store.sql import SqlStore


@pytest.fixture
def store(location: Location) -> Iterator[SqlStore]:
    opened = open_store(location)
    yield opened
    opened.close()


def attribute(name: str, body: str) -> Put:
    return Put("system_attributes", name, {"name": name, "body": body})


def test_what_was_committed_is_there_after_opening_again(location: Location) -> None:
    store = open_store(location)
    store.commit([rows.change(1, rows.put(rows.host(3, "alpha"))), rows.change(2, rows.put(rows.vm(0)))])
    store.close()
    again = open_store(location)
    state = rows.loaded(again)
    again.close()
    assert state.index == 2
    assert state.pools["host_pool"].entries[3].name == "alpha"
    assert state.pools["vm_pool"].entries[0].body == rows.vm(0).to_xml()


def test_a_new_database_has_every_table_and_says_its_version(store: SqlStore) -> None:
    found = store.columns()
    assert {name: set(table.names) for name, table in TABLES.items()} == {
        name: found[name] for name in TABLES
    }
    assert store.query("SELECT version FROM db_versioning") == [(VERSION,)]
    assert store.query("SELECT version, is_slave FROM local_db_versioning") == [(VERSION, 0)]
    assert not store.adopted


def test_opening_again_makes_nothing_anew(location: Location) -> None:
    open_store(location).close()
    again = open_store(location)
    count = again.query("SELECT COUNT(*) FROM db_versioning")
    again.close()
    assert count == [(1,)]


def test_a_whole_cloud_is_loaded_as_it_was(store: SqlStore) -> None:
    cloud = eventful()
    for first in range(0, len(cloud.changes), 7):
        store.commit(cloud.changes[first : first + 7])
    expected = State()
    for change in cloud.changes:
        expected.apply(change)
    assert rows.portrait(rows.loaded(store)) == rows.portrait(expected)


def test_a_group_of_changes_leaves_the_last_row_of_each_object(store: SqlStore) -> None:
    store.commit(
        [
            rows.change(1, rows.put(rows.host(0, "first")), rows.put(rows.host(1, "gone"))),
            rows.change(2, rows.put(rows.host(0, "second"))),
            rows.change(3, Delete("host_pool", 1)),
        ]
    )
    entries = rows.loaded(store).pools["host_pool"].entries
    assert {oid: entry.name for oid, entry in entries.items()} == {0: "second"}


def test_a_row_is_replaced_by_a_later_one(store: SqlStore) -> None:
    store.commit([rows.change(1, rows.put(rows.cluster(0, "a")), rows.put(rows.vm(0, name="a")))])
    store.commit([rows.change(2, rows.put(rows.cluster(0, "b")), rows.put(rows.vm(0, name="b")))])
    assert store.query("SELECT oid, name FROM cluster_pool") == [(0, "b")]
    assert store.query("SELECT oid, name FROM vm_pool") == [(0, "b")]


def test_names_may_be_exchanged_within_a_group(store: SqlStore) -> None:
    store.commit([rows.change(1, rows.put(rows.cluster(0, "a")), rows.put(rows.cluster(1, "b")))])
    store.commit(
        [
            rows.change(2, rows.put(rows.cluster(0, "c"))),
            rows.change(3, rows.put(rows.cluster(1, "a"))),
            rows.change(4, rows.put(rows.cluster(0, "b"))),
        ]
    )
    entries = rows.loaded(store).pools["cluster_pool"].entries
    assert {oid: entry.name for oid, entry in entries.items()} == {0: "b", 1: "a"}


def test_a_name_may_go_to_another_object_within_a_group(store: SqlStore) -> None:
    store.commit([rows.change(1, rows.put(rows.cluster(0, "a")))])
    store.commit([rows.change(2, Delete("cluster_pool", 0)), rows.change(3, rows.put(rows.cluster(1, "a")))])
    assert store.query("SELECT oid, name FROM cluster_pool") == [(1, "a")]


def test_a_group_that_breaks_a_constraint_leaves_nothing_behind(store: SqlStore) -> None:
    store.commit([rows.change(1, rows.put(rows.cluster(0, "same")))])
    group = [rows.change(2, rows.put(rows.host(7))), rows.change(3, rows.put(rows.cluster(1, "same")))]
    with pytest.raises(StoreError, match=r"(?i)unique|duplicate"):
        store.commit(group)
    state = rows.loaded(store)
    assert state.index == 1
    assert not state.pools["host_pool"].entries
    assert {oid: entry.name for oid, entry in state.pools["cluster_pool"].entries.items()} == {0: "same"}
    store.commit([rows.change(2, rows.put(rows.cluster(1, "other")))])


@pytest.mark.parametrize("other", ["Ann", "ann ", " ann", "änn", "ann\u00a0"])
def test_names_are_the_same_only_byte_by_byte(store: SqlStore, other: str) -> None:
    store.commit([rows.change(1, rows.put(rows.cluster(0, "ann")))])
    store.commit([rows.change(2, rows.put(rows.cluster(1, other)))])
    assert store.query("SELECT oid FROM cluster_pool WHERE name=?", ("ann",)) == [(0,)]
    assert store.query("SELECT oid FROM cluster_pool WHERE name=?", (other,)) == [(1,)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_text_comes_back_as_it_was(store: SqlStore, text: str) -> None:
    index = rows.loaded(store).index
    store.commit([rows.change(index + 1, attribute("A", text))])
    assert store.query("SELECT body FROM system_attributes WHERE name=?", ("A",)) == [(text,)]


@pytest.mark.parametrize(
    "text",
    ["\\", "\\'", "'; DROP TABLE vm_pool; --", "%s %(a)s %%", "a?b", "𝒳😀", "\r\n\t", '"', "\\0\\n", " a "],
)
def test_texts_that_databases_trip_over_come_back_as_they_were(store: SqlStore, text: str) -> None:
    store.commit([rows.change(1, attribute("A", text), attribute(text, "b"))])
    assert rows.loaded(store).attributes == {"A": text, text: "b"}


def test_a_document_of_eight_megabytes_is_stored_whole(store: SqlStore) -> None:
    text = "<a>ü😀</a>" * 700_000
    store.commit([rows.change(1, attribute("A", text))])
    assert rows.loaded(store).attributes["A"] == text


def test_many_large_rows_are_one_group(store: SqlStore) -> None:
    group = [
        rows.change(1 + oid, Put("user_quotas", oid, {"user_oid": oid, "body": "x" * 300_000}))
        for oid in range(60)
    ]
    store.commit(group)
    assert store.query("SELECT COUNT(*), SUM(LENGTH(body)) FROM user_quotas") == [(60, 18_000_000)]


def test_the_largest_numbers_of_the_layout_fit(store: SqlStore) -> None:
    rule = {"oid": 0, "userset": -(1 << 63), "resource": (1 << 63) - 1, "rights": 15, "zone": 1 << 36}
    store.commit([rows.change(1, Put("acl", 0, rule))])
    assert store.query("SELECT userset, resource FROM acl") == [(-(1 << 63), (1 << 63) - 1)]


def test_finished_vms_are_in_the_archive_only(store: SqlStore) -> None:
    store.commit([rows.change(1, rows.put(rows.vm(0)), rows.put(rows.vm(1, Phase.DONE)))])
    assert list(rows.loaded(store).pools["vm_pool"].entries) == [0]
    assert [entry.oid for entry in store.archived_vms()] == [1]
    assert store.archived_vms(0) == []
    assert store.archived_vms(1)[0].body == rows.vm(1, Phase.DONE).to_xml()


def test_measurements_are_kept_and_expire(store: SqlStore) -> None:
    store.write_rows("vm_monitoring", [(1, 100, "<M/>"), (1, 200, "<N/>")])
    store.write_rows("vm_monitoring", [(1, 200, "<O/>")])
    store.expire("vm_monitoring", 150)
    assert store.query("SELECT vmid, last_poll, body FROM vm_monitoring") == [(1, 200, "<O/>")]


def test_no_second_core_opens_it(location: Location) -> None:
    store = open_store(location)
    with pytest.raises(StoreError, match=r"in use by .* stop that cloud first"):
        open_store(location)
    store.commit([rows.change(1, rows.put(rows.host(0)))])
    store.close()
    open_store(location).close()


def test_a_database_of_another_version_is_refused_and_says_what_to_do(location: Location) -> None:
    store = open_store(location)
    with store.transaction() as tx:
        tx.run("INSERT INTO db_versioning VALUES (1, '5.13.80', 0, 'upgraded')")
    store.close()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"version 5\.13\.80 \(db_versioning\).*onedb upgrade"):
            open_store(location)


def test_a_database_that_is_no_clouds_is_left_alone(location: Location) -> None:
    store = open_store(location)
    before = store.columns()
    with store.transaction() as tx:
        for name in before:
            tx.run(f"DROP TABLE {name}")
        tx.run("CREATE TABLE recipes (name INTEGER)")
    store.close()
    with pytest.raises(StoreError, match="no cloud's database"):
        open_store(location)


def test_a_table_that_lacks_a_column_is_named(location: Location) -> None:
    store = open_store(location)
    with store.transaction() as tx:
        tx.run("ALTER TABLE host_pool DROP COLUMN cid")
    store.close()
    with pytest.raises(StoreError, match=r"Table host_pool .* lacks the columns cid"):
        open_store(location)


def test_a_row_that_is_no_document_is_named(store: SqlStore) -> None:
    with store.transaction() as tx:
        tx.run("INSERT INTO user_quotas VALUES (4, '<QUOTAS>')")
    with pytest.raises(StoreError, match="row 4 of user_quotas"):
        rows.loaded(store)


def test_a_transaction_that_raises_leaves_nothing(store: SqlStore) -> None:
    def fail() -> None:
        with store.transaction() as tx:
            tx.run("INSERT INTO user_quotas VALUES (4, '<QUOTAS/>')")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.query("SELECT COUNT(*) FROM user_quotas") == [(0,)]
    store.probe()


def test_reads_of_one_moment_do_not_see_what_is_written_meanwhile(store: SqlStore) -> None:
    store.commit([rows.change(1, attribute("A", "1"))])
    with store.reading() as read:
        first = list(read("SELECT body FROM system_attributes"))
        store.commit([rows.change(2, attribute("A", "2"))])
        second = list(read("SELECT body FROM system_attributes"))
    assert first == second == [("1",)]
    assert store.query("SELECT body FROM system_attributes") == [("2",)]


def test_threads_read_while_another_writes(store: SqlStore) -> None:
    store.commit([rows.change(1, attribute("A", "1"), attribute("B", "1"))])
    odd: list[object] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            found = store.query("SELECT body FROM system_attributes")
            if len(set(found)) != 1:
                odd.append(found)

    readers = [threading.Thread(target=look) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(2, 60):
        group = [
            rows.change(number, attribute("A", str(number)), attribute("B", str(number))),
        ]
        store.commit(group)
    ended.set()
    for reader in readers:
        reader.join()
    assert odd == []


def test_what_is_stored_is_known_by_the_number_of_the_last_change(store: SqlStore) -> None:
    store.commit([rows.change(1, attribute("A", "1"))])
    assert store.settle(1)
    assert not store.settle(2)


def test_nothing_to_commit_is_committed_at_once(store: SqlStore) -> None:
    store.commit([])
    store.commit([Change(1, 0, ())])
    assert rows.loaded(store).index == 1


def test_no_message_holds_the_password(location: Location) -> None:
    if isinstance(location, File):
        pytest.skip("SQLite has no password")
    import dataclasses

    wrong = dataclasses.replace(location, password="open sesame")
    with pytest.raises(StoreError) as caught:
        open_store(wrong)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert "open sesame" not in " ".join(map(str, chain)) + repr(wrong)
    assert "oneadmin" in str(caught.value)
