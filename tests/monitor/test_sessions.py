"""Whose messages are believed, and which of them only once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.monitor.agents import MASTER, FakeAgent

from merope.monitor.sessions import LATE_SECONDS, Reason, Refused, Sessions
from merope.monitor.window import WIDTH, Ages, Window
from merope_agent import message
from merope_agent.sealing import Keys, session_secret

STATES = message.VM_STATES


@pytest.fixture
def sessions() -> Sessions:
    made = Sessions(MASTER)
    made.expect(0, "s1", 0.0)
    return made


def refused(sessions: Sessions, line: bytes, now: float = 0.0) -> Refused:
    with pytest.raises(Refused) as caught:
        sessions.take(line, now)
    assert sessions.refused[caught.value.reason] >= 1
    return caught.value


def test_a_message_of_the_expected_agent_is_taken(sessions: Sessions) -> None:
    taken = sessions.take(FakeAgent().say(STATES, "A=1"), 5.0)
    assert (taken.message.host, taken.message.payload, taken.at) == (0, "A=1", 5.0)


def test_garbage_is_refused(sessions: Sessions) -> None:
    assert refused(sessions, b"\xff\x00 hello\n").reason is Reason.MALFORMED


def test_a_message_that_somebody_else_sealed_is_refused(sessions: Sessions) -> None:
    assert refused(sessions, FakeAgent(master=bytes(32)).say()).reason is Reason.FORGED


def test_a_message_for_another_host_is_refused(sessions: Sessions) -> None:
    line = FakeAgent(host=0).say()
    sessions.expect(1, "s1", 0.0)
    assert refused(sessions, line.replace(b"SUCCESS 0 ", b"SUCCESS 1 ")).reason is Reason.FORGED


def test_a_message_that_comes_again_is_refused(sessions: Sessions) -> None:
    line = FakeAgent().say()
    sessions.take(line, 0.0)
    assert refused(sessions, line).reason is Reason.REPLAYED


def test_messages_out_of_order_are_taken_once_each(sessions: Sessions) -> None:
    agent = FakeAgent()
    lines = [agent.say() for _ in range(4)]
    for place in (2, 0, 3, 1):
        sessions.take(lines[place], 0.0)
    assert sessions.taken == 4
    for line in lines:
        assert refused(sessions, line).reason is Reason.REPLAYED


def test_how_things_were_is_not_taken_after_how_they_are(sessions: Sessions) -> None:
    agent = FakeAgent()
    older, newer = agent.say(STATES, "A=1"), agent.say(STATES, "A=2")
    sessions.take(newer, 0.0)
    assert refused(sessions, older).reason is Reason.LATE


def test_a_message_that_was_held_back_is_refused(sessions: Sessions) -> None:
    agent = FakeAgent()
    sessions.take(agent.say(clock=10), 1000.0)
    assert sessions.take(agent.say(clock=20), 1020.0).at == 1010.0 + 0
    late = agent.say(clock=30)
    assert refused(sessions, late, 1000.0 + 20 + LATE_SECONDS + 1).reason is Reason.LATE


def test_an_agent_whose_time_is_over_is_told_to_stop(sessions: Sessions) -> None:
    old = FakeAgent(session="s0")
    refusal = refused(sessions, old.say())
    assert refusal.reason is Reason.ENDED
    keys = Keys.of(session_secret(MASTER, 0, "s0"))
    assert message.is_stop_order(refusal.answer, "s0", keys)


def test_the_agent_of_a_host_that_is_gone_is_told_to_stop(sessions: Sessions) -> None:
    sessions.forget(0)
    assert refused(sessions, FakeAgent().say()).answer


def test_who_cannot_seal_gets_no_answer(sessions: Sessions) -> None:
    assert refused(sessions, FakeAgent(session="s0", master=bytes(32)).say()).answer == b""


def test_the_agent_before_is_heard_until_its_successor_is(sessions: Sessions) -> None:
    old, new = FakeAgent(), FakeAgent(session="s2")
    sessions.expect(0, "s2", 1.0)
    sessions.take(old.say(), 2.0)
    sessions.take(new.say(), 3.0)
    assert refused(sessions, old.say(), 4.0).reason is Reason.ENDED


def test_a_host_that_is_not_heard_of_is_told_of_once_until_it_speaks(sessions: Sessions) -> None:
    agent = FakeAgent()
    assert sessions.fallen_silent(30.0, 30.0) == []
    assert sessions.fallen_silent(31.0, 30.0) == [0]
    assert sessions.fallen_silent(99.0, 30.0) == []
    sessions.take(agent.say(clock=99), 100.0)
    assert sessions.heard_again(0)
    assert not sessions.heard_again(0)
    assert sessions.fallen_silent(131.0, 30.0) == [0]


def test_an_agent_that_was_just_started_has_its_time(sessions: Sessions) -> None:
    assert sessions.fallen_silent(31.0, 30.0) == [0]
    sessions.wait(0, 40.0)
    assert sessions.fallen_silent(70.0, 30.0) == []
    assert sessions.fallen_silent(71.0, 30.0) == [0]


def test_refused_messages_are_no_sign_of_life(sessions: Sessions) -> None:
    line = FakeAgent().say()
    sessions.take(line, 1.0)
    refused(sessions, line, 20.0)
    refused(sessions, FakeAgent(master=bytes(32)).say(), 25.0)
    assert sessions.fallen_silent(32.0, 30.0) == [0]


def test_after_the_receiver_died_old_messages_are_not_taken_for_new_ones(sessions: Sessions) -> None:
    agent = FakeAgent()
    old, fresh = agent.say(clock=10), agent.say(clock=1000)
    sessions.expect(0, "s1", 5000.0, began=4000.0)
    assert refused(sessions, old, 5000.0).reason is Reason.LATE
    assert sessions.take(fresh, 5000.0).at == 5000.0


def test_the_first_message_of_an_agent_is_dated_from_its_start_however_late_it_comes(
    sessions: Sessions,
) -> None:
    sessions.start(0, 1000.0)
    assert sessions.take(FakeAgent().say(STATES, clock=0.3), 1050.0).at == pytest.approx(1000.3)


def test_an_agent_that_took_long_to_start_is_dated_by_its_fastest_message_after_a_while(
    sessions: Sessions,
) -> None:
    agent = FakeAgent()
    sessions.start(0, 1000.0)
    assert sessions.take(agent.say(clock=0), 1020.0).at == pytest.approx(1000.0)
    sessions.take(agent.say(clock=320), 1340.0)
    assert sessions.take(agent.say(clock=640), 1660.0).at == pytest.approx(1660.0)


# Encryption


def unwrap(wrapped: bytes) -> bytes:
    if wrapped != b"wrapped":
        raise ValueError("not this key")
    return b"second"


@pytest.fixture
def closed() -> Sessions:
    made = Sessions(MASTER, unwrap)
    made.expect(0, "s1", 0.0)
    return made


def test_an_encrypted_message_is_taken(closed: Sessions) -> None:
    agent = FakeAgent(second=b"second", wrapped=b"wrapped")
    assert closed.take(agent.say(STATES, "A=1"), 0.0).message.payload == "A=1"
    assert closed.take(agent.say(STATES, "A=2"), 0.0).message.payload == "A=2"


def test_where_there_is_a_key_an_open_message_is_refused(closed: Sessions) -> None:
    assert refused(closed, FakeAgent().say()).reason is Reason.OPEN


def test_a_key_that_cannot_be_opened_is_refused(closed: Sessions) -> None:
    assert refused(closed, FakeAgent(second=b"x", wrapped=b"other").say()).reason is Reason.UNREADABLE


def test_an_encrypted_message_without_a_key_to_open_it_is_refused(sessions: Sessions) -> None:
    agent = FakeAgent(second=b"second", wrapped=b"wrapped")
    assert refused(sessions, agent.say(STATES, "A=1")).reason is Reason.UNREADABLE


# The parts


@given(st.lists(st.integers(1, 3 * WIDTH), max_size=60))
def test_a_number_is_let_through_once_or_not_at_all(numbers: list[int]) -> None:
    window, seen, highest = Window(), set[int](), 0
    for number in numbers:
        expected = number not in seen and number > highest - WIDTH
        assert window.admit(number) is expected
        seen.add(number)
        highest = max(highest, number)


@given(st.floats(-1e6, 1e6), st.lists(st.tuples(st.floats(0, 50), st.floats(0, 5)), min_size=1, max_size=20))
def test_ages_are_those_of_the_way_whatever_the_clocks_show(
    apart: float, sent: list[tuple[float, float]]
) -> None:
    ages, fastest = Ages(), float("inf")
    for clock, delay in sorted(sent):
        fastest = min(fastest, delay)
        assert ages.of(clock, clock + apart + delay) == pytest.approx(delay - fastest, abs=1e-3)


def test_clocks_may_drift_apart() -> None:
    ages = Ages()
    found = [ages.of(second * 0.9999, float(second)) for second in range(0, 100_000, 30)]
    assert max(found) < 0.1
