"""Documents with long lists, stored in parts: the row has the document without them, merope_part the lists.

A row that is changed once more costs its head and the chunks that differ, however long its lists are. Whoever
opens a database makes its rows whole first, and whoever closes one does so last: between the two, and after a
crash, the lists of some rows are in merope_part only. See docs/adr/0007-long-lists-in-parts.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from merope.model.change import Cell, Change, Put
from merope.model.kinds import BY_TABLE
from merope.model.long_text import LongText
from merope.store.errors import StoreError

TABLE = "merope_part"
SELECT = f"SELECT tablename, oid, place, chunk, body FROM {TABLE}"  # noqa: S608 - our table

Object = tuple[str, int]
Lists = dict[str, Mapping[int, str]]
"""Of one object: name of the list → chunk → text. Chunk _WHERE says where in the head the list belongs."""

_WHERE = -1


def _lists_of(body: LongText) -> Lists:
    size = len(body.head)
    return {found.name: {_WHERE: f"{place} {size}", **found.chunks} for place, found in body.places()}


@dataclass
class Plan:
    """What a group of changes writes and removes in the table of parts, and what that has in the end."""

    put: list[Sequence[Cell]] = field(default_factory=list)
    removed: list[Sequence[Cell]] = field(default_factory=list)
    cleared: list[Object] = field(default_factory=list)
    """Objects of which every part goes, before anything is put."""
    after: dict[Object, Lists] = field(default_factory=dict)


class Parts:
    """What is known of the parts in a database that nobody else writes to."""

    def __init__(self) -> None:
        self._stored: dict[Object, Lists] = {}
        self._doubtful: set[Object] = set()

    def __bool__(self) -> bool:
        """Whether a row may be in parts."""
        return bool(self._stored or self._doubtful)

    def plan(self, changes: Iterable[Change]) -> Plan:
        plan = Plan()
        for change in changes:
            for operation in change.operations:
                if operation.table not in BY_TABLE or not isinstance(operation.key, int):
                    continue
                body = operation.row["body"] if isinstance(operation, Put) else None
                subject = (operation.table, operation.key)
                if isinstance(body, LongText):
                    plan.after[subject] = _lists_of(body)
                elif subject in self._stored or subject in self._doubtful or subject in plan.after:
                    plan.after[subject] = {}
        for subject, lists in plan.after.items():
            self._compare(plan, subject, lists)
        return plan

    def _compare(self, plan: Plan, subject: Object, lists: Lists) -> None:
        known = self._stored.get(subject, {})
        if subject in self._doubtful or (known and not lists):
            plan.cleared.append(subject)
            known = {}
        for place, chunks in lists.items():
            before = known.get(place, {})
            for chunk, text in chunks.items():
                if before.get(chunk) != text:
                    plan.put.append((*subject, place, chunk, text))
            plan.removed += [(*subject, place, chunk) for chunk in before if chunk not in chunks]
        gone = (place for place in known if place not in lists)
        plan.removed += [(*subject, place, chunk) for place in gone for chunk in known[place]]

    def written(self, plan: Plan) -> None:
        """The plan has been carried out and is durable."""
        for subject, lists in plan.after.items():
            self._doubtful.discard(subject)
            if lists:
                self._stored[subject] = lists
            else:
                self._stored.pop(subject, None)

    def doubt(self, plan: Plan) -> None:
        """Nobody knows whether the plan has been carried out: what it was about is written anew."""
        self._doubtful.update(plan.after)

    def keep(self, subject: Object) -> None:
        """It is in parts, and nothing is known of them."""
        self._doubtful.add(subject)


class Whole:
    """Makes rows whole again; from what SELECT reads in the same moment as the rows."""

    def __init__(self, rows: Iterable[tuple[str, int, str, int, str]] = ()) -> None:
        self._lists: dict[Object, dict[str, dict[int, str]]] = {}
        for table, oid, place, chunk, text in rows:
            self._lists.setdefault((table, oid), {}).setdefault(place, {})[chunk] = text

    @property
    def objects(self) -> list[Object]:
        """Those that are in parts."""
        return list(self._lists)

    def body(self, table: str, oid: int, head: str) -> str:
        """To be asked for once. Raises StoreError where the parts were written for another document."""
        lists = self._lists.pop((table, oid), None)
        if lists is None:
            return head
        places: list[tuple[int, str]] = []
        for name, chunks in lists.items():
            place, _, size = chunks.pop(_WHERE, "").partition(" ")
            if size != str(len(head)):
                raise StoreError(
                    f"Row {oid} of {table} was changed while its {name} was in {TABLE}: put a backup back "
                    "(`one restore`)."
                )
            places.append((int(place), "".join(chunks[number] for number in sorted(chunks))))
        pieces, end = [], 0
        for start, text in sorted(places):
            pieces += [head[end:start], text]
            end = start
        return "".join([*pieces, head[end:]])
