"""The leases of one address range: which of its indexes are given, and to whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Final

from merope.model.long_text import ChunkTexts
from merope.model.permissions import ObjectType

_ID: Final = 0xFFFF_FFFF


def owner_of(kind: ObjectType, oid: int) -> int:
    """An owner as stored: the bit of its type above its 32-bit id (VM, NET for a reservation, VROUTER)."""
    return kind | oid & _ID


def owner_parts(owner: int) -> tuple[int, int]:
    """The type bit and the id of a stored owner; the id of a held lease is -1."""
    oid = owner & _ID
    return owner & ~_ID, oid - (1 << 32) if oid >> 31 else oid


HELD: Final = owner_of(ObjectType.VM, -1)
"""The owner of a lease that is on hold."""


class Leases:
    """Indexes given out, each to one owner.

    The stored state is the text of ALLOCATED alone (" index owner index owner …"); everything else here
    follows from it and is built when it is first needed. The lowest free index is found in O(log n) on
    average: all free indexes below a frontier are in a heap, and what lies above is looked at once.
    """

    __slots__ = ("_by_owner", "_frontier", "_holes", "_is_hole", "_owners", "_texts")

    def __init__(self, owners: Mapping[int, int] | Iterable[tuple[int, int]] = ()) -> None:
        self._owners: dict[int, int] = dict(owners)
        self._by_owner: dict[int, set[int]] | None = None
        self._frontier = 0
        self._holes: list[int] = []
        self._is_hole: set[int] = set()
        self._texts: ChunkTexts | None = None

    @staticmethod
    def parse(text: str) -> Leases:
        """From ALLOCATED. Raises ValueError when it isn't pairs of numbers, or gives an index twice."""
        numbers = [int(word) for word in text.split()]
        leases = Leases(zip(numbers[::2], numbers[1::2], strict=True))
        if 2 * len(leases) != len(numbers):
            raise ValueError("an index is given twice in ALLOCATED")
        return leases

    @staticmethod
    def of_chunks(chunks: Mapping[int, str]) -> Leases:
        """The leases that `chunks` is answered of."""
        numbers = [int(word) for text in chunks.values() for word in text.split()]
        leases = Leases(zip(numbers[::2], numbers[1::2], strict=True))
        leases._texts = ChunkTexts.of(chunks, leases.last())
        return leases

    def to_text(self) -> str:
        """The text of ALLOCATED, in order of indexes; empty when nothing is given."""
        return "".join(self.chunks().values())

    def chunks(self) -> Mapping[int, str]:
        """The text by chunk; not to be kept, as it changes with the leases."""
        if self._texts is None:
            self._texts = ChunkTexts(self._owners)
        return self._texts.fresh(self._render)

    def _render(self, span: range) -> str:
        owners = self._owners
        return "".join([f" {index} {owners[index]}" for index in span if index in owners])

    def copy(self) -> Leases:
        twin = Leases(self._owners)
        twin._frontier = self._frontier
        twin._holes = self._holes.copy()
        twin._is_hole = self._is_hole.copy()
        twin._texts = None if self._texts is None else self._texts.copy()
        return twin

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, index: int) -> bool:
        return index in self._owners

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(index, owner) in order of indexes."""
        return iter(sorted(self._owners.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leases) and self._owners == other._owners

    __hash__ = None  # type: ignore[assignment]

    def owner(self, index: int) -> int | None:
        return self._owners.get(index)

    def of(self, owner: int) -> list[int]:
        """The indexes of an owner, lowest first."""
        return sorted(self._index().get(owner, ()))

    def count(self, owner: int) -> int:
        return len(self._index().get(owner, ()))

    def last(self) -> int:
        """The highest index that is given, -1 when there is none."""
        return max(self._owners, default=-1)

    def give(self, index: int, owner: int) -> None:
        """Raises ValueError when the index is already given."""
        if index in self._owners:
            raise ValueError(f"Lease {index} is already given to {owner_parts(self._owners[index])[1]}")
        self._owners[index] = owner
        if self._texts is not None:
            self._texts.add(index, f" {index} {owner}")
        if self._by_owner is not None:
            self._by_owner.setdefault(owner, set()).add(index)

    def release(self, index: int, owner: int) -> bool:
        """Takes a lease back from its owner; False when it is not theirs."""
        if self._owners.get(index) != owner:
            return False
        del self._owners[index]
        if self._texts is not None:
            self._texts.touch(index)
        if index < self._frontier and index not in self._is_hole:
            self._is_hole.add(index)
            heappush(self._holes, index)
        if self._by_owner is not None:
            indexes = self._by_owner[owner]
            indexes.discard(index)
            if not indexes:
                del self._by_owner[owner]
        return True

    def first_free(self, size: int) -> int | None:
        """The lowest free index of a range of `size` addresses, None when all are given."""
        holes = self._holes
        while holes and holes[0] in self._owners:
            self._is_hole.discard(heappop(holes))
        if holes and holes[0] < size:
            return holes[0]
        while self._frontier in self._owners:
            self._frontier += 1
        return self._frontier if self._frontier < size else None

    def first_free_run(self, count: int, size: int) -> int | None:
        """The lowest index from which `count` consecutive ones of a range of `size` are free."""
        start = 0
        for index in sorted(self._owners):
            if index - start >= count:
                break
            start = index + 1
        return start if start + count <= size else None

    def is_free_run(self, first: int, count: int) -> bool:
        return all(index not in self._owners for index in range(first, first + count))

    def _index(self) -> dict[int, set[int]]:
        if self._by_owner is None:
            self._by_owner = {}
            for index, owner in self._owners.items():
                self._by_owner.setdefault(owner, set()).add(index)
        return self._by_owner
