"""The registry writes what Prometheus reads."""

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merope.api.metrics import Histogram, Registry


def lines(registry: Registry) -> list[str]:
    return registry.render().splitlines()


def test_a_counter_shows_its_sum() -> None:
    registry = Registry()
    counter = registry.counter("a_total", "Some things.").labels()
    counter.inc()
    counter.inc(2.5)
    assert lines(registry) == ["# HELP a_total Some things.", "# TYPE a_total counter", "a_total 3.5"]


def test_a_gauge_goes_up_and_down_or_follows_a_function() -> None:
    registry = Registry()
    gauge = registry.gauge("a", "A.", ("side",))
    left = gauge.labels("left")
    left.set(5)
    left.inc()
    left.dec(4)
    gauge.labels("right").follow(lambda: 7)
    assert lines(registry)[2:] == ['a{side="left"} 2', 'a{side="right"} 7']


def test_a_histogram_counts_up_to_each_bound() -> None:
    registry = Registry()
    histogram = registry.histogram("a_seconds", "A.", ("m",), bounds=(0.5, 1)).labels("x")
    for value in (0.1, 0.5, 0.7, 3):
        histogram.observe(value)
    assert lines(registry)[1:] == [
        "# TYPE a_seconds histogram",
        'a_seconds_bucket{m="x",le="0.5"} 2',
        'a_seconds_bucket{m="x",le="1"} 3',
        'a_seconds_bucket{m="x",le="+Inf"} 4',
        'a_seconds_sum{m="x"} 4.3',
        'a_seconds_count{m="x"} 4',
    ]


@given(st.lists(st.floats(0, 1e6)))
def test_every_observation_is_in_one_bucket_from_its_bound_on(values: list[float]) -> None:
    histogram = Histogram((0.5, 10, 100))
    for value in values:
        histogram.observe(value)
    counts = [count for suffix, _, count in histogram.samples() if suffix == "_bucket"]
    bounds = (0.5, 10, 100, math.inf)
    assert counts == [sum(value <= bound for value in values) for bound in bounds]


def test_label_values_and_help_are_escaped() -> None:
    registry = Registry()
    registry.counter("a_total", "one\ntwo \\", ("l",)).labels('"quoted" \\ \n').inc()
    assert lines(registry) == [
        "# HELP a_total one\\ntwo \\\\",
        "# TYPE a_total counter",
        'a_total{l="\\"quoted\\" \\\\ \\n"} 1',
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e15, "1000000000000000"), (0.1, "0.1"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)
def test_numbers_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    registry = Registry()
    registry.gauge("a", "A.").labels().set(value)
    assert lines(registry)[-1] == f"a {text}"


def test_the_same_labels_give_the_same_metric() -> None:
    family = Registry().counter("a_total", "A.", ("x", "y"))
    assert family.labels("1", "2") is family.labels("1", "2")
    assert family.labels("1", "2") is not family.labels("2", "1")


def test_a_wrong_number_of_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="a_total has the labels"):
        Registry().counter("a_total", "A.", ("x",)).labels()


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "é"])
def test_a_bad_name_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a metric"):
        Registry().gauge(name, "A.")


@pytest.mark.parametrize("label", ["__a", "a-b", "0"])
def test_a_bad_label_is_an_error(label: str) -> None:
    with pytest.raises(ValueError, match="is no name for a label"):
        Registry().gauge("a", "A.", (label,))


def test_a_name_is_registered_once() -> None:
    registry = Registry()
    registry.gauge("a", "A.")
    with pytest.raises(ValueError, match="registered already"):
        registry.counter("a", "A.")


def test_bounds_must_rise() -> None:
    with pytest.raises(ValueError, match="rising bounds"):
        Registry().histogram("a", "A.", bounds=(1, 1))


def test_it_can_be_rendered_while_a_thread_adds_to_it() -> None:
    registry = Registry()
    family = registry.counter("a_total", "A.", ("n",))
    stop = threading.Event()

    def add() -> None:
        number = 0
        while not stop.is_set() and number < 5000:
            family.labels(str(number)).inc()
            number += 1

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(50):
            assert registry.render().startswith("# HELP a_total A.\n")
    finally:
        stop.set()
        thread.join()
