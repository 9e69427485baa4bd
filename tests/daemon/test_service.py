"""When a service that died is started again, and what it is told."""

import pytest

from merope.daemon.service import BackOff, Options
from merope.daemon.supervisor import options_from


def test_the_wait_doubles_up_to_a_limit() -> None:
    back_off, waits = BackOff(first=1, longest=5, stable=10), [0.0]
    for _ in range(5):
        waits.append(back_off.next(waits[-1], lived=0.1))
    assert waits[1:] == [1, 2, 4, 5, 5]


def test_a_stable_life_makes_the_wait_short_again() -> None:
    assert BackOff(first=1, longest=5, stable=10).next(5, lived=10) == 1


@pytest.mark.parametrize("options", [Options("/h", 1, "::1"), Options("/h", 2, "127.0.0.1", "/c", "dummy")])
def test_a_service_reads_back_the_options_that_it_is_given(options: Options) -> None:
    assert options_from(options.arguments()) == options


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:2633/RPC2"),
        ("0.0.0.0", "http://127.0.0.1:2633/RPC2"),
        ("::", "http://[::1]:2633/RPC2"),
        ("192.0.2.7", "http://192.0.2.7:2633/RPC2"),
    ],
)
def test_the_endpoint_is_an_address_that_this_machine_can_reach(listen: str, url: str) -> None:
    assert Options("/h", 2633, listen).endpoint == url
