"""Numbers in requests about VMs: text from outside becomes a number here, or nothing.

Python takes more for a number than other readers of the API's documents do ("1_000", "٣", "nan"), and
refuses to read very long ones at all.
"""

import re

LARGEST = (1 << 31) - 1
"""The largest id, and the largest amount of CPU, memory (MB) or virtual CPUs."""
LARGEST_SIZE = 1 << 43
"""MB of the largest disk."""

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,18}(\.\d{0,18})?|\.\d{1,18}", re.ASCII)


def whole(text: str, largest: int = LARGEST) -> int | None:
    """A whole number from 0 to `largest`; None for everything else."""
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text)
    return number if number <= largest else None


def decimal(text: str, largest: int = LARGEST) -> float | None:
    """A number from 0 to `largest`, written with or without decimals; None for everything else."""
    if not _DECIMAL.fullmatch(text):
        return None
    number = float(text)
    return number if number <= largest else None


def shown(text: str) -> str:
    """A user's text as an error quotes it: bounded."""
    return repr(text if len(text) <= 48 else f"{text[:48]}…")
