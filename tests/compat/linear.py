"""Whether what many clients saw of one object can have happened in some order, one call after the other.

Wing and Gong's search (1993) with Lowe's memory of what was tried (2017): take any call before which no other
had ended, see whether the model answers it as the cloud did, and go on with the rest.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Seen:
    """One call as its client saw it: when it was sent and answered (seconds), what it was, what came back."""

    sent: float
    answered: float
    call: Hashable
    answer: Hashable


def order_of(
    history: Sequence[Seen], state: State, model: Callable[[State, Hashable], tuple[Hashable, State]]
) -> list[Seen] | None:
    """An order in which a cloud that does one call after the other would have answered so, None for none.

    `model` gives the answer to a call in a state, and the state after it.
    """
    calls = sorted(history, key=lambda seen: seen.sent)
    tried: set[tuple[int, State]] = set()
    path: list[int] = []
    stack: list[tuple[int, State, list[int]]] = [(0, state, _candidates(calls, 0))]
    while stack:
        done, now, candidates = stack[-1]
        if done == (1 << len(calls)) - 1:
            return [calls[place] for place in path]
        if not candidates:
            stack.pop()
            if path:
                path.pop()
            continue
        place = candidates.pop()
        answer, after = model(now, calls[place].call)
        then = done | 1 << place
        if answer != calls[place].answer or (then, after) in tried:
            continue
        tried.add((then, after))
        path.append(place)
        stack.append((then, after, _candidates(calls, then)))
    return None


def _candidates(calls: Sequence[Seen], done: int) -> list[int]:
    """The calls not done yet that began before any other of these had ended, the earliest last."""
    found: list[int] = []
    first_end = float("inf")
    for place, seen in enumerate(calls):
        if done >> place & 1:
            continue
        if seen.sent > first_end:
            break
        first_end = min(first_end, seen.answered)
        found.append(place)
    return [place for place in reversed(found) if calls[place].sent <= first_end]
