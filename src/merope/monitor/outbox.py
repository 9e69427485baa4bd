"""What the core is to be told, as lines of JSON: the newest of each, when there is room."""

import json
from collections.abc import Iterator
from typing import Any

#: Documents in a line: the core reads a line in one go, and others wait meanwhile.
FIGURES_OF_A_LINE = 100
_WORDS = 1000


class Outbox:
    """What is told of a host or a VM replaces what was to be told of it before."""

    def __init__(self) -> None:
        self._reports: dict[tuple[str, int], dict[str, Any]] = {}
        self._figures: dict[tuple[str, int], str] = {}
        self._words: list[dict[str, Any]] = []

    def report(self, kind: str, host: int, facts: dict[str, Any]) -> None:
        self._reports.pop((kind, host), None)
        self._reports[kind, host] = {kind: host, **facts}

    def figures(self, table: str, oid: int, document: str) -> None:
        self._figures[table, oid] = document

    def say(self, word: dict[str, Any]) -> None:
        """What is told once, in order; too much of it is not told at all."""
        if len(self._words) < _WORDS:
            self._words.append(word)

    def lines(self) -> Iterator[bytes]:
        """Takes all out."""
        words, self._words = self._words, []
        reports, self._reports = self._reports, {}
        yield from map(_line, words)
        yield from map(_line, reports.values())
        found, self._figures = [(*key, text) for key, text in self._figures.items()], {}
        for first in range(0, len(found), FIGURES_OF_A_LINE):
            yield _line({"figures": found[first : first + FIGURES_OF_A_LINE]})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
