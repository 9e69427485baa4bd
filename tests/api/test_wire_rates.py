"""The measuring program counts what it should."""

import os

import pytest
from bench.wire_rates import Round, measure, median_round, request_for, table
from tests.api.door_harness import running_door

from merope.api.backend import Outcome


def test_it_counts_requests_and_times_over_kept_connections() -> None:
    with running_door() as door:
        request = request_for(f"http://127.0.0.1:{door.port}/RPC2", "ann:secret", "one.vm.info:7:x")
        found = measure(("127.0.0.1", door.port), request, connections=4, seconds=0.1)
        calls = door.backend.calls
    assert calls[0][:2] == ("one.vm.info", ["ann:secret", 7, "x"])
    assert 0 < found.requests <= len(calls) <= found.requests + 4
    assert found.rate == pytest.approx(found.requests / 0.1, rel=0.5)
    assert 0 < found.p50 <= found.p99
    assert (found.reconnects, found.errors) == (0, 0)


def test_it_tells_the_cpu_time_of_a_server_whose_process_it_knows() -> None:
    with running_door() as door:
        request = request_for(f"http://127.0.0.1:{door.port}", "ann:secret", "m")
        found = measure(("127.0.0.1", door.port), request, connections=2, seconds=0.2, pid=os.getpid())
    assert 1 < found.server_cpu < 1e6


def test_it_connects_again_where_the_server_closes() -> None:
    with running_door(keepalive_requests=2) as door:
        request = request_for(f"http://127.0.0.1:{door.port}/RPC2", "ann:secret", "m")
        found = measure(("127.0.0.1", door.port), request, connections=1, seconds=0.1)
    assert found.errors == 0
    assert found.reconnects == pytest.approx(found.requests / 2, abs=2)


def test_it_counts_failures_as_errors() -> None:
    with running_door(lambda *_: Outcome.failure(1024, "no")) as door:
        request = request_for(f"http://127.0.0.1:{door.port}", "ann:secret", "m")
        found = measure(("127.0.0.1", door.port), request, connections=1, seconds=0.05)
    assert found.errors == found.requests > 0


def test_it_takes_the_median_of_rates_and_the_sum_of_errors() -> None:
    rounds = [Round(8, 10, rate, 1, 2, 0, 1, 50) for rate in (30.0, 10.0, 20.0)]
    middle = median_round(rounds)
    assert (middle.rate, middle.requests, middle.errors) == (20, 30, 3)
    assert "20" in table({"m": [middle]}).splitlines()[1]
