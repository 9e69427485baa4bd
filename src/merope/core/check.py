"""Whether a stored cloud agrees with itself: everything that can be derived is derived anew and compared.

A check yields a Finding for each thing that is wrong. A finding has a repair only where what is right
follows from the documents with certainty; repairs are commands like any other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.kinds import BY_DOCUMENT
from merope.model.state import State

D = TypeVar("D", bound=Document)
Repair = Callable[[Transaction], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one row; `repair` is None where only a person can decide what is right.

    `unreadable`: as long as this is so, nothing that is derived from the row can be checked.
    """

    table: str
    oid: int
    sentence: str
    repair: Repair | None = None
    unreadable: bool = False


Check = Callable[[State], Iterator[Finding]]


def every(state: State, kind: type[D]) -> Iterator[D]:
    """The live objects of a kind, shared with the state."""
    pool = state.pools[BY_DOCUMENT[kind].table]
    for oid in list(pool.entries):
        value = pool.parsed(oid)
        assert isinstance(value, kind)
        yield value


def finding(value: Document, sentence: str, repair: Repair | None = None) -> Finding:
    kind = BY_DOCUMENT[type(value)]
    return Finding(kind.table, value.id, f"{kind.label} {value.id}: {sentence}", repair)


def setting(kind: type[Document], oid: int, **fields: object) -> Repair:
    """A repair that gives fields of an object other values."""

    def repair(tx: Transaction) -> None:
        own = tx.edit(kind, oid)
        for name, value in fields.items():
            setattr(own, name, value)

    return repair
