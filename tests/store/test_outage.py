"""A database server that goes away: what was acknowledged stays, what was not is refused or looked up."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store import rows, servers
from tests.store.servers import DatabaseServer
from tests.store.wire import Wire

from merope.model.change import Change, Put
from merope.store.errors import InDoubtError, StoreError, SupersededError
from merope.store.location import driver_of, open_beside, open_store
from merope.store.server import ServerStore

_PATIENCE = 0.3


@pytest.fixture(params=["mysql", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wire(backend: str, tmp_path: Path) -> Iterator[Wire]:
    with Wire(servers.running(backend).database(), tmp_path) as made:
        yield made


@pytest.fixture
def store(wire: Wire) -> Iterator[ServerStore]:
    made = ServerStore(wire.server, driver_of(wire.server), patience=_PATIENCE)
    made.commit([group(1)])
    yield made
    wire.open = True
    made.close()


def group(number: int) -> Change:
    return rows.change(number, Put("system_attributes", "A", {"name": "A", "body": f"value-{number}"}))


def stored(wire: Wire) -> tuple[int, str]:
    """Number of the last change, and what it wrote."""
    beside = open_beside(wire.server)
    try:
        index = beside.query("SELECT change_index FROM merope_log")[0][0]
        return index, beside.query("SELECT body FROM system_attributes")[0][0]
    finally:
        beside.close()


@pytest.mark.parametrize("how", ["before", "after", "hang"])
def test_a_commit_whose_connection_breaks_is_made_exactly_once(
    store: ServerStore, wire: Wire, how: str
) -> None:
    before = wire.writes
    wire.cut_at_commit = how
    store.commit([group(2)])
    assert stored(wire) == (2, "value-2")
    assert wire.writes - before == (1 if how == "after" else 2)
    store.commit([group(3)])
    assert stored(wire) == (3, "value-3")


@pytest.mark.parametrize(("how", "became"), [("before", False), ("after", True)])
def test_a_commit_whose_end_cannot_be_known_is_settled_later(
    store: ServerStore, wire: Wire, how: str, became: bool
) -> None:
    wire.cut_at_commit, wire.stays_shut = how, True
    with pytest.raises(InDoubtError, match="whether they are stored will be known"):
        store.commit([group(2)])
    with pytest.raises(StoreError, match="Cannot write"):
        store.settle(2)
    wire.open, wire.stays_shut = True, False
    time.sleep(0.6)  # until the server may be asked again
    assert store.settle(2) is became
    assert stored(wire)[0] == (2 if became else 1)
    following = 3 if became else 2
    store.commit([group(following)])
    assert stored(wire) == (following, f"value-{following}")


def test_writes_are_refused_soon_while_the_server_is_away_and_go_on_when_it_is_back(
    store: ServerStore, wire: Wire
) -> None:
    wire.cut_at_commit, wire.stays_shut = "before", True
    with pytest.raises(StoreError):
        store.commit([group(2)])
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(StoreError, match="Cannot write to the database one_"):
            store.probe()
    assert time.monotonic() - began < 2
    wire.open, wire.stays_shut = True, False
    time.sleep(0.6)
    store.probe()
    assert store.settle(2) is False
    store.commit([group(2)])
    assert stored(wire) == (2, "value-2")


def test_reads_come_back_by_themselves(store: ServerStore, wire: Wire) -> None:
    assert store.query("SELECT body FROM system_attributes") == [("value-1",)]
    wire.open = False
    wire.cut()
    with pytest.raises(StoreError, match="Cannot read"):
        store.query("SELECT body FROM system_attributes")
    wire.open = True
    assert store.query("SELECT body FROM system_attributes") == [("value-1",)]


def test_a_process_that_lost_the_database_to_another_writes_nothing_more(
    store: ServerStore, wire: Wire
) -> None:
    # The server ends the session, as an administrator would; another process takes the database.
    wire.cut()
    other = open_store(wire.server)
    other.commit([group(2)])
    with pytest.raises(SupersededError, match="in use by"):
        store.commit([group(2), group(3)])
    other.close()
    with pytest.raises(SupersededError, match="Somebody else has written"):
        store.commit([group(2), group(3)])
    assert stored(wire) == (2, "value-2")


@pytest.fixture
def server(backend: str) -> Iterator[DatabaseServer]:
    with servers.of_its_own(backend) as made:
        yield made


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_under_load(server: DatabaseServer) -> None:
    place = server.database()
    store = ServerStore(place, driver_of(place), patience=_PATIENCE)
    acknowledged = refused = 0
    ended = threading.Event()

    def restart() -> None:
        for _ in range(3):
            time.sleep(0.3)
            server.kill()
            time.sleep(0.2)
            server.start()
        time.sleep(0.3)
        ended.set()

    killer = threading.Thread(target=restart)
    killer.start()
    doubt: int | None = None
    while not ended.is_set():
        number = acknowledged + 1
        try:
            if doubt is not None:
                acknowledged += int(store.settle(doubt))
                doubt = None
                continue
            store.commit([rows.change(number, rows.put(rows.host(number)))])
            acknowledged = number
        except InDoubtError:
            doubt = number
        except StoreError:
            refused += 1
            time.sleep(0.01)
    killer.join()
    # The last one may be in doubt still.
    if doubt is not None:
        acknowledged += int(store.settle(doubt))
    found = store.query("SELECT oid FROM host_pool ORDER BY oid")
    loaded = rows.loaded(store).index
    store.close()
    assert found == [(number,) for number in range(1, acknowledged + 1)]
    assert loaded == acknowledged > 0
