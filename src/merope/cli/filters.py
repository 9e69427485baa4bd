"""Row filters of lists: `STAT=runn,CPU>1`, over what the columns show (uncut, without blanks around)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from merope.cli.errors import UsageError

_FILTER = re.compile(r"\s*(\w+)\s*(!=|=|>|<)(.*)", re.DOTALL)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)([KMGTPE%]?)")
_UNITS = {
    "": 1.0,
    "%": 1.0,
    "K": 2.0**10,
    "M": 2.0**20,
    "G": 2.0**30,
    "T": 2.0**40,
    "P": 2.0**50,
    "E": 2.0**60,
}


class Condition(NamedTuple):
    column: str
    operator: str
    value: str

    def holds(self, cell: str) -> bool:
        return _OPERATORS[self.operator](cell.strip(), self.value)


def parse_filter(text: str) -> list[Condition]:
    """A part without an operator goes on with the value before it (`IP=10.0.0.1,10.0.0.2`).

    Raises UsageError.
    """
    conditions: list[Condition] = []
    for part in text.split(","):
        if match := _FILTER.fullmatch(part):
            conditions.append(Condition(match[1].upper(), match[2], match[3].strip()))
        elif conditions:
            last = conditions[-1]
            conditions[-1] = last._replace(value=f"{last.value},{part.strip()}")
        else:
            raise UsageError(f"A filter is COLUMN=value (or !=, >, <), not '{part}'.")
    return conditions


def matches(conditions: Sequence[Condition], cells: Mapping[str, str], operator: str = "AND") -> bool:
    results = (c.holds(cells[c.column]) for c in conditions)
    return any(results) if operator == "OR" else all(results)


def _quantity(text: str) -> float | None:
    """`256M` and `1.5G` compare as bytes, `28%` and plain numbers as they are."""
    match = _NUMBER.fullmatch(text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def _greater(left: str, right: str) -> bool:
    a, b = _quantity(left), _quantity(right)
    return left > right if a is None or b is None else a > b


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda cell, value: cell == value,
    "!=": lambda cell, value: cell != value,
    ">": _greater,
    "<": lambda cell, value: _greater(value, cell),
}
