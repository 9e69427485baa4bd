"""Changes: the ordered, self-contained records that make the state durable and replicate it.

A change says what rows of which tables become what. It holds everything: who replays the same changes
on the same state gets the same state, without running a command again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from merope.model.event import Event
from merope.model.long_text import LongText

Key = int | str | tuple[int, ...]
Cell = int | str | LongText | None
Row = Mapping[str, Cell]


def number(row: Row, column: str) -> int:
    """The whole number in a cell, 0 for an empty one. Raises ValueError."""
    cell = row.get(column) or 0
    return cell if isinstance(cell, int) else int(str(cell))


@dataclass(frozen=True, slots=True)
class Put:
    """Row `key` of `table` becomes `row` (columns as in the database's layout)."""

    table: str
    key: Key
    row: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """Row `key` of `table` goes; that it is not there is no error."""

    table: str
    key: Key


Operation = Put | Delete


@dataclass(frozen=True, slots=True)
class Change:
    """What one command changed: `index` counts changes from 1, `time` is an epoch in seconds."""

    index: int
    time: int
    operations: tuple[Operation, ...] = field(default=())
    events: tuple[Event, ...] = field(default=(), compare=False)
    """What subscribers hear of when the change is durable; it is not stored."""
