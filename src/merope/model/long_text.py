"""Texts with long lists in them, held in pieces: an entry more or less changes one piece of one list.

The document of an image that 100,000 VMs use has all their ids in it. Writing it whole with every VM costs
in proportion to their number; what is written is therefore the text without its long lists, and those
chunks of the lists that have changed (store/parts.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

CHUNK = 8
"""Numbers that differ only in this many of their last bits stand in one chunk."""


class ChunkTexts:
    """The texts of a collection of numbers, by chunk, kept up to date; made of all that are in it.

    `render` answers the text of those numbers of a span that are in the collection.
    """

    __slots__ = ("_dirty", "_texts", "_top")

    def __init__(self, numbers: Iterable[int]) -> None:
        self._texts: dict[int, str] = {}
        self._dirty: set[int] = set()
        self._top = -1
        for number in numbers:
            self._dirty.add(number >> CHUNK)
            self._top = max(self._top, number)

    def add(self, number: int, text: str) -> None:
        """`number`, whose own text this is, has come into the collection."""
        chunk = number >> CHUNK
        if number > self._top and chunk not in self._dirty:
            self._texts[chunk] = self._texts.get(chunk, "") + text
        else:
            self._dirty.add(chunk)
        self._top = max(self._top, number)

    def touch(self, number: int) -> None:
        """What the text says of `number` has changed."""
        self._dirty.add(number >> CHUNK)

    def fresh(self, render: Callable[[range], str]) -> Mapping[int, str]:
        """The texts by chunk, in order; not to be kept, as they change with the collection."""
        texts, ordered = self._texts, True
        for chunk in sorted(self._dirty):
            text = render(range(chunk << CHUNK, (chunk + 1) << CHUNK))
            if not text:
                texts.pop(chunk, None)
                continue
            ordered = ordered and (chunk in texts or not texts or chunk > next(reversed(texts)))
            texts[chunk] = text
        self._dirty.clear()
        if not ordered:
            self._texts = dict(sorted(texts.items()))
        return self._texts

    @classmethod
    def of(cls, texts: Mapping[int, str], top: int) -> "ChunkTexts":
        """Of a collection whose texts are these, and whose greatest number is `top`."""
        made = cls(())
        made._texts, made._top = dict(texts), top
        return made

    def copy(self) -> "ChunkTexts":
        twin = ChunkTexts(())
        twin._texts, twin._dirty, twin._top = self._texts.copy(), self._dirty.copy(), self._top
        return twin


@dataclass(frozen=True, slots=True)
class LongList:
    """A list as it is at one moment. `name` tells it from the others of its text; `chunks` are in order."""

    name: str
    chunks: Mapping[int, str]

    def __str__(self) -> str:
        return "".join(self.chunks.values())


class LongText:
    """A text as it is at one moment; `str` of it is the text."""

    __slots__ = ("lists", "texts")

    def __init__(self, pieces: Iterable[str | LongList]) -> None:
        self.texts: list[str] = []
        """What stands before, between and behind the lists."""
        self.lists: list[LongList] = []
        between: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                between.append(piece)
            else:
                self.texts.append("".join(between))
                self.lists.append(piece)
                between = []
        self.texts.append("".join(between))

    @property
    def head(self) -> str:
        """The text without its lists."""
        return "".join(self.texts)

    def places(self) -> Iterator[tuple[int, LongList]]:
        """Each list and where in the head it belongs."""
        place = 0
        for text, found in zip(self.texts, self.lists, strict=False):
            place += len(text)
            yield place, found

    def __str__(self) -> str:
        parts = [self.texts[0]]
        for found, text in zip(self.lists, self.texts[1:], strict=True):
            parts += found.chunks.values()
            parts.append(text)
        return "".join(parts)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, str | LongText) else NotImplemented

    __hash__ = None  # type: ignore[assignment]
