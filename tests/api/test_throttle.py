"""How long guesses must wait, on a clock that stands still."""

import pytest

from merope.api import throttle
from merope.api.throttle import FORGOTTEN_AFTER, MOST_WAITING, Throttle


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.throttle = Throttle(lambda: self.now)

    def guess(self, address: str = "a", account: str = "ann", *, success: bool = False) -> float | None:
        """The wait of an attempt, which has waited and ended."""
        wait = self.throttle.begin(address, account)
        if wait:
            self.throttle.left(address, account)
        if wait is not None:
            self.throttle.end(address, account, success=success)
        return wait


@pytest.fixture
def world() -> World:
    return World()


def test_a_few_mistakes_cost_nothing_and_more_cost_more_and_more(world: World) -> None:
    waits = [world.guess() for _ in range(13)]
    assert waits == [0, 0, 0, 0, 0, 0.25, 0.5, 1, 2, 4, 8, 8, 8]


def test_the_right_password_ends_the_waiting(world: World) -> None:
    for _ in range(8):
        world.guess()
    assert world.guess(success=True) == 2
    assert [world.guess() for _ in range(6)] == [0, 0, 0, 0, 0, 0.25]


def test_failures_are_forgotten(world: World) -> None:
    for _ in range(12):
        world.guess()
    world.now += FORGOTTEN_AFTER - 1
    assert world.guess() == 8
    world.now += FORGOTTEN_AFTER
    assert world.guess() == 0


def test_attempts_at_once_count_before_they_fail(world: World) -> None:
    waits = [world.throttle.begin("a", "ann") for _ in range(7)]
    assert waits == [0, 0, 0, 0, 0, 0.25, 0.5]


def test_only_a_few_wait_at_the_same_time(world: World) -> None:
    for _ in range(10):
        world.guess()
    assert [world.throttle.begin("a", "ann") for _ in range(MOST_WAITING)] == [8] * MOST_WAITING
    assert world.throttle.begin("a", "ann") is None
    world.throttle.left("a", "ann")
    assert world.throttle.begin("a", "ann") == 8


def test_guessing_at_one_account_holds_up_no_other(world: World) -> None:
    for _ in range(50):
        world.guess()
    assert world.guess(account="bob") == 0


def test_guessing_elsewhere_holds_up_an_account_for_a_moment_only(world: World) -> None:
    for number in range(200):
        world.guess(f"a{number % 50}")
    assert world.guess("home") == 2


def test_an_address_that_fails_at_many_accounts_is_slowed_down_for_all(world: World) -> None:
    waits = [world.guess(account=f"user{number}") for number in range(30)]
    assert waits[:20] == [0] * 20
    assert waits[-1] == 1
    assert world.guess("b", "user0") == 0


def test_logins_of_many_users_at_once_wait_for_nothing(world: World) -> None:
    assert {world.guess(account=f"user{number}", success=True) for number in range(500)} == {0}
    assert {world.throttle.begin("a", f"user{number}") for number in range(500)} == {0}


def test_all_addresses_of_one_ipv6_network_are_one_peer(world: World) -> None:
    for number in range(8):
        world.guess(f"2001:db8:1:2::{number:x}")
    assert world.guess("2001:db8:1:2:ffff::1%eth0") == 2
    assert world.guess("2001:db8:1:3::1") == 0
    assert world.guess("::ffff:192.0.2.1") == 0
    assert world.guess("::ffff:192.0.2.2") == 0


def test_a_service_may_log_in_for_many_users_at_once_and_waits_when_it_failed(world: World) -> None:
    assert {world.throttle.begin("a", "serveradmin", service=True) for _ in range(100)} == {0}
    for _ in range(6):
        world.throttle.end("a", "serveradmin", success=False, service=True)
    assert world.throttle.begin("a", "serveradmin", service=True) == 0.5
    world.throttle.left("a", "serveradmin")
    world.throttle.end("a", "serveradmin", success=True, service=True)
    assert world.throttle.begin("a", "serveradmin", service=True) == 0


def test_what_is_counted_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "REMEMBERED", 100)
    for number in range(1000):
        world.guess(f"a{number}", f"user{number}")
    assert len(world.throttle._counts) <= 100
    assert world.throttle._waiting == {}
