"""Counters, gauges and histograms in Prometheus' text format.

prometheus_client would do the same, but takes 85 ms to import and 1.1 microseconds for each request (a
counter and a histogram, a lock for each), of the ten or so that a whole request takes. Any room may register
here.

A value is changed by one thread at a time: give each thread its own label value, or its own registry.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Upper bounds of a histogram of durations that reach from a cached read to a slow driver."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")

Sample = tuple[str, tuple[tuple[str, str], ...], float]
"""What is appended to the metric's name, further labels, the value."""


class Counter:
    """A number that only grows."""

    kind = "counter"
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        """Add `amount`, which is not negative."""
        self.value += amount

    def samples(self) -> Iterator[Sample]:
        yield "", (), self.value


class Gauge:
    """A number that goes up and down, or that a function gives when it is asked for."""

    kind = "gauge"
    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self.read: Callable[[], float] | None = None

    def set(self, value: float) -> None:
        self.value = value

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        self.value -= amount

    def follow(self, read: Callable[[], float]) -> None:
        """Take the value from `read` at each scrape; it is called in the loop's thread and must be quick."""
        self.read = read

    def samples(self) -> Iterator[Sample]:
        yield "", (), self.read() if self.read else self.value


class Histogram:
    """How many observations there were up to each of some bounds, and their sum."""

    kind = "histogram"
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total: float = 0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def samples(self) -> Iterator[Sample]:
        cumulated = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            cumulated += count
            yield "_bucket", (("le", _number(bound)),), cumulated
        yield "_sum", (), self.total
        yield "_count", (), cumulated


Metric = TypeVar("Metric", bound=Counter | Gauge | Histogram)


class Family(Generic[Metric]):
    """The metrics of one name, one for each combination of label values that was asked for."""

    def __init__(self, name: str, text: str, labels: Sequence[str], make: Callable[[], Metric]) -> None:
        self.name = name
        self.text = text
        self.label_names = tuple(labels)
        self.make = make
        self.kind = make().kind
        self.children: dict[tuple[str, ...], Metric] = {}

    def labels(self, *values: str) -> Metric:
        """Give the metric for these label values, in the order of the label names.

        Every combination lives for ever: never pass what a client can make up.
        """
        child = self.children.get(values)
        if child is None:
            if len(values) != len(self.label_names):
                raise ValueError(f"Metric {self.name} has the labels {self.label_names}, got {values}.")
            child = self.children[values] = self.make()
        return child

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {_escape_help(self.text)}"
        yield f"# TYPE {self.name} {self.kind}"
        # A copy: another thread may add a child while this one is being scraped.
        for values, child in sorted(self.children.copy().items()):
            own = tuple(zip(self.label_names, values, strict=True))
            for suffix, further, value in child.samples():
                yield f"{self.name}{suffix}{_labels((*own, *further))} {_number(value)}"


class Registry:
    """All metrics of a process, by name."""

    def __init__(self) -> None:
        self.families: dict[str, Family[Counter] | Family[Gauge] | Family[Histogram]] = {}

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Family[Counter]:
        """Register a counter; its name ends in _total. `ValueError` for a bad or a taken name."""
        self._check(name, labels)
        self.families[name] = family = Family(name, text, labels, Counter)
        return family

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Family[Gauge]:
        """Register a gauge; `ValueError` for a bad or a taken name."""
        self._check(name, labels)
        self.families[name] = family = Family(name, text, labels, Gauge)
        return family

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS
    ) -> Family[Histogram]:
        """Register a histogram with these rising upper bounds; `ValueError` for a bad or a taken name."""
        self._check(name, labels)
        if list(bounds) != sorted(set(bounds)) or "le" in labels:
            raise ValueError(f"Histogram {name} needs rising bounds and no label 'le'.")
        self.families[name] = family = Family(name, text, labels, lambda: Histogram(bounds))
        return family

    def render(self) -> str:
        """Give everything in the text format, ending in a line feed."""
        lines = [line for _, family in sorted(self.families.items()) for line in family.lines()]
        return "\n".join(lines) + "\n"

    def _check(self, name: str, labels: Sequence[str]) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' is no name for a metric.")
        if name in self.families:
            raise ValueError(f"Metric {name} is registered already.")
        for label in labels:
            if not _LABEL.fullmatch(label):
                raise ValueError(f"'{label}' is no name for a label of {name}.")


def _labels(pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    return "{" + ",".join(f'{name}="{_escape_value(value)}"' for name, value in pairs) + "}"


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escape_value(text: str) -> str:
    return _escape_help(text).replace('"', '\\"')


def _number(value: float) -> str:
    if not math.isfinite(value):
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[str(float(value))]
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
