"""Events: what subscribers are told of, besides the hooks that it is due to."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """`keys` are what subscriptions are compared with; `message` is the document (spec drivers.yaml `hm`)."""

    keys: tuple[str, ...]
    message: str


Heard = Callable[[str], bool]
"""Whether anybody has subscribed to a key."""


def nobody(_key: str) -> bool:
    return False
