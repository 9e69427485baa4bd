"""Cuts a failing schedule down to the steps that it takes (delta debugging, Zeller and Hildebrandt 2002)."""

import time
from collections.abc import Callable, Sequence


def shrink(
    steps: Sequence[int],
    fails: Callable[[Sequence[int]], bool],
    budget: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[int]:
    """A subset of `steps` that still fails, none of which can be left out alone; `budget` in seconds."""
    kept = list(steps)
    end = clock() + budget
    chunk = max(len(kept) // 2, 1)
    while kept:
        shorter = _without_a_chunk(kept, chunk, fails, lambda: clock() > end)
        if shorter is not None:
            kept = shorter
        elif chunk == 1 or clock() > end:
            break
        else:
            chunk = max(chunk // 2, 1)
    return kept


def _without_a_chunk(
    kept: list[int], chunk: int, fails: Callable[[Sequence[int]], bool], too_late: Callable[[], bool]
) -> list[int] | None:
    # From the end: what comes late is the least likely to be what the rest stands on.
    for start in range(len(kept) - chunk, -chunk, -chunk):
        if too_late():
            return None
        shorter = kept[: max(start, 0)] + kept[max(start + chunk, 0) :]
        if len(shorter) < len(kept) and fails(shorter):
            return shorter
    return None
