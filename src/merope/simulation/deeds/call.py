"""What a deed is: a call of the API with its arguments and the id of who asks, or nothing at all."""

from collections.abc import Callable
from typing import Any

from merope.simulation.draws import Draw

Call = tuple[str, list[Any], int]
Deed = Callable[[Draw], Call | None]


def any_of(draw: Draw, *calls: Call) -> Call:
    return draw.one(calls)
