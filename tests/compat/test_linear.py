"""Many clients on the same object see answers that one client after the other could have seen.

Each model is what the object is to its users: a value, a thing that one can hold, a name that one can have.
"""

import random
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.compat.conftest import Sandbox
from tests.compat.linear import Seen, order_of
from tests.compat.raw_calls import RawClient

CLIENTS = 8
CALLS = 80
"""Of each client."""
ADDRESS = "10.9.0.7"

Do = Callable[[RawClient, Hashable], Hashable]


@pytest.fixture
def admin(sandbox: Sandbox) -> Iterator[RawClient]:
    client = RawClient(sandbox.endpoint, sandbox.auth)
    yield client
    client.close()


def watched(sandbox: Sandbox, do: Do, draw: Callable[[random.Random], Hashable]) -> list[Seen]:
    """What eight clients saw that did what `draw` chose, all at once."""
    history: list[Seen] = []
    start = threading.Barrier(CLIENTS)

    def work(number: int) -> None:
        dice = random.Random(number)
        client = RawClient(sandbox.endpoint, sandbox.auth)
        start.wait()
        for _ in range(CALLS):
            call = draw(dice)
            sent = time.perf_counter()
            answer = do(client, call)
            history.append(Seen(sent, time.perf_counter(), call, answer))
        client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(history) == CLIENTS * CALLS
    return history


def value_model(state: str, call: Any) -> tuple[Hashable, str]:
    kind, value = call
    return (True, value) if kind == "write" else (state, state)


def test_a_value_that_many_write_and_read_is_what_was_written_last(
    sandbox: Sandbox, admin: RawClient
) -> None:
    oid = admin.number("one.template.allocate", 'NAME="value"\nVALUE="0"')

    def do(client: RawClient, call: Any) -> Hashable:
        if call[0] == "write":
            return client.call("one.template.update", oid, f'VALUE="{call[1]}"', 1).success
        return ElementTree.fromstring(client.text("one.template.info", oid)).findtext("TEMPLATE/VALUE")

    def draw(dice: random.Random) -> Hashable:
        return ("write", str(dice.getrandbits(40))) if dice.random() < 0.4 else ("read", "")

    assert order_of(watched(sandbox, do, draw), "0", value_model) is not None


def held_model(state: bool, call: Any) -> tuple[Hashable, bool]:
    wanted = call == "hold"
    return (state != wanted, wanted if state != wanted else state)


def test_an_address_is_held_by_one_at_a_time(sandbox: Sandbox, admin: RawClient) -> None:
    net = 'NAME="held"\nVN_MAD="dummy"\nBRIDGE="b"\nAR=[TYPE="IP4",IP="10.9.0.1",SIZE="20"]'
    oid = admin.number("one.vn.allocate", net, -1)

    def do(client: RawClient, call: Any) -> Hashable:
        return client.call(f"one.vn.{call}", oid, f'LEASES=[IP="{ADDRESS}"]').success

    def draw(dice: random.Random) -> Hashable:
        return dice.choice(("hold", "release"))

    assert order_of(watched(sandbox, do, draw), False, held_model) is not None


def test_a_name_is_given_to_one_at_a_time(sandbox: Sandbox) -> None:
    """Who makes the object deletes it in the next call; nobody else can make another before."""

    def do(client: RawClient, call: Any) -> Hashable:
        made = client.call("one.cluster.allocate", "one-of-us")
        if made.success:
            assert client.call("one.cluster.delete", made.value).success
        return made.success

    history = watched(sandbox, do, lambda _: "make")
    winners = [seen for seen in history if seen.answer]
    assert winners
    apart = sorted(winners, key=lambda seen: seen.sent)
    # A loser's name was taken: somebody's making and deleting was on its way at the same time.
    for loser in (seen for seen in history if not seen.answer):
        assert any(seen.sent < loser.answered and seen.answered > loser.sent for seen in apart)


def lock_model(state: int, call: Any) -> tuple[Hashable, int]:
    if call[0] == "lock":
        return True, 1
    if call[0] == "unlock":
        return True, 0
    return (state == 0, state)


def test_a_lock_that_was_told_of_stops_every_change_until_it_is_lifted(
    sandbox: Sandbox, admin: RawClient
) -> None:
    oid = admin.number("one.template.allocate", 'NAME="locked"\nVALUE="0"')

    def do(client: RawClient, call: Any) -> Hashable:
        if call[0] == "lock":
            return client.call("one.template.lock", oid, 1).success
        if call[0] == "unlock":
            return client.call("one.template.unlock", oid).success
        return client.call("one.template.update", oid, f'VALUE="{call[1]}"', 1).success

    def draw(dice: random.Random) -> Hashable:
        return dice.choice((("lock", 0), ("unlock", 0), ("change", dice.getrandbits(20))))

    assert order_of(watched(sandbox, do, draw), 0, lock_model) is not None


@pytest.mark.parametrize(
    "history",
    [
        # Read before the write began, and after it ended.
        [Seen(0, 1, ("read", ""), "1"), Seen(2, 3, ("write", "1"), True)],
        [Seen(0, 1, ("write", "1"), True), Seen(2, 3, ("read", ""), "0")],
        # Two readers who disagree on the order of two writes.
        [
            Seen(0, 9, ("write", "1"), True),
            Seen(0, 9, ("write", "2"), True),
            Seen(1, 2, ("read", ""), "1"),
            Seen(3, 4, ("read", ""), "2"),
            Seen(5, 6, ("read", ""), "1"),
        ],
    ],
)
def test_a_history_that_cannot_be_is_found_out(history: list[Seen]) -> None:
    assert order_of(history, "0", value_model) is None


def test_calls_that_overlap_may_have_happened_in_any_order() -> None:
    history = [Seen(0, 9, ("write", "1"), True), Seen(1, 2, ("read", ""), "1"), Seen(1, 3, ("read", ""), "0")]
    order = order_of(history, "0", value_model)
    assert order is not None
    assert [seen.answer for seen in order] == ["0", True, "1"]
