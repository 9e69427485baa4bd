"""Which tests show that a method answers, and that it refuses: found by running the tests of core and door.

What is found is kept in methods.tsv, one line for each method. `pytest tests/core tests/api
--write-method-tests` writes it (make method-tests); any other run says which of its lines are no longer true.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("methods.tsv")
ANSWERS, REFUSES = "answers", "refuses"
_HEAD = ("method", "since", ANSWERS, REFUSES)

Call = tuple[str, str, str]
"""(test, method, ANSWERS or REFUSES); a test is `tests/core/test_x.py::test_y`."""

CALLS: set[Call] = set()
"""What the tests of this process have called."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The release that a method came with, and a test of each outcome; empty where there is none."""

    since: str
    answers: str = ""
    refuses: str = ""


def note(method: str, outcome: str) -> None:
    """To be called when a method was run. What fixtures do to get ready does not count, nor do calls that
    hypothesis draws, or a test that says it is random: nobody says which it will be."""
    test, _, phase = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")
    if phase == "(call)" and not test.endswith("::runTest") and "_random_" not in test:
        CALLS.add((test.partition("[")[0], method, outcome))


def read() -> dict[str, Shown]:
    lines = FILE.read_text().splitlines()[1:] if FILE.exists() else []
    return {name: Shown(*rest) for name, *rest in (line.split("\t") for line in lines)}


def write(found: dict[str, Shown]) -> None:
    rows = (_HEAD, *((name, *_cells(shown)) for name, shown in sorted(found.items())))
    FILE.write_text("".join("\t".join(row) + "\n" for row in rows))


def _cells(shown: Shown) -> tuple[str, str, str]:
    return shown.since, shown.answers, shown.refuses


def stale(known: dict[str, Shown], calls: set[Call], passed: set[str]) -> list[str]:
    """The lines that tests which ran and passed show to be untrue, as sentences."""
    return [
        f"{test} does not show that {name} {outcome}"
        for name, shown in known.items()
        for outcome, test in ((ANSWERS, shown.answers), (REFUSES, shown.refuses))
        if test in passed and (test, name, outcome) not in calls
    ]


def updated(
    known: dict[str, Shown], calls: Iterable[Call], methods: Iterable[str], release: str
) -> dict[str, Shown]:
    """What a run of every test shows of the methods; one that is new came with `release`."""
    showing: dict[tuple[str, str], set[str]] = {}
    for test, name, outcome in calls:
        showing.setdefault((name, outcome), set()).add(test)
    return {
        name: Shown(
            known[name].since if name in known else release,
            _likeliest(name, showing.get((name, ANSWERS), set())),
            _likeliest(name, showing.get((name, REFUSES), set())),
        )
        for name in methods
    }


def _likeliest(method: str, tests: set[str]) -> str:
    """The test that is about the method, most likely: many of its file call it, its name has its action."""
    files = Counter(test.partition("::")[0] for test in tests)
    action = method.rpartition(".")[2]

    def rank(test: str) -> tuple[int, bool, str]:
        file, _, name = test.partition("::")
        return (-files[file], action not in name, test)

    return min(tests, key=rank, default="")
