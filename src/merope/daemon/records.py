"""History records of VMs, as they are stored: those that ended, and those that live VMs have open.

Blocks, and is to be called in a thread. Records are read page by page: not all of a large cloud's documents
are held at once where only figures of them are wanted.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from merope.model.states import VmState

_PAGE = 500
_RECORDS = re.compile(r"<HISTORY_RECORDS>(<HISTORY>.*?)</HISTORY></HISTORY_RECORDS>", re.DOTALL)
_TIMES = re.compile(r"<SEQ>(\d+)</SEQ>.*?<STIME>(\d+)</STIME><ETIME>(\d+)</ETIME>", re.DOTALL)


class Rows(Protocol):
    """Answers a statement with rows; blocks."""

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...


class Stay(NamedTuple):
    """One record: `text` is the document with the VM in it. Times are epochs, 0 while it is open."""

    vm: int
    seq: int
    start: int
    end: int
    text: str


def current(store: Rows) -> Iterator[Stay]:
    """The current records of live VMs, which are in their documents; some have ended."""
    last = -1
    statement = (
        f"SELECT oid, body FROM vm_pool WHERE state <> {VmState.DONE:d} AND oid > ? "  # noqa: S608 - numbers
        f"ORDER BY oid LIMIT {_PAGE}"
    )
    while page := store.query(statement, (last,)):
        last = page[-1][0]
        for oid, body in page:
            found = _RECORDS.search(body)
            times = None if found is None else _TIMES.search(found[1])
            if found is not None and times is not None:
                vm = f"{body[: found.start()]}<HISTORY_RECORDS/>{body[found.end() :]}"
                seq, start, end = map(int, times.groups())
                yield Stay(oid, seq, start, end, f"{found[1]}{vm}</HISTORY>")


def stored(store: Rows, start: int, end: int) -> Iterator[Stay]:
    """The rows of records that overlap a time (-1: open), by VM and number."""
    within, values = overlapping(start, end)
    statement = (
        "SELECT vid, seq, stime, etime, body FROM history WHERE (vid > ? OR (vid = ? AND seq > ?)) "  # noqa: S608
        f"AND {within} ORDER BY vid, seq LIMIT {_PAGE}"
    )
    last = (-1, -1)
    while page := store.query(statement, (last[0], last[0], last[1], *values)):
        last = (page[-1][0], page[-1][1])
        yield from (Stay(*row) for row in page)


def overlapping(start: int, end: int) -> tuple[str, list[int]]:
    """The condition on history rows, and its values, for a time from `start` to `end` (-1: open)."""
    conditions, values = ["1=1"], list[int]()
    if start >= 0:
        conditions.append("(history.etime > ? OR history.etime = 0)")
        values.append(start)
    if end >= 0:
        conditions.append("history.stime < ?")
        values.append(end)
    return " AND ".join(conditions), values


def all_of(store: Rows, start: int, end: int) -> Iterator[Stay]:
    """Every record of that time once: by VM and number, and what is only in a VM's document after that.

    What is open is read first: should it end meanwhile, it is a row too, and the row counts.
    """
    opened = {(stay.vm, stay.seq): stay for stay in current(store) if not 0 <= end <= stay.start}
    for stay in stored(store, start, end):
        opened.pop((stay.vm, stay.seq), None)
        yield stay
    yield from (stay for stay in opened.values() if not stay.end)


def accounting(store: Rows, visible: Collection[int], start: int, end: int) -> str:
    """The records of those VMs, one after the other, by VM and number."""
    found = [stay for stay in all_of(store, start, end) if stay.vm in visible]
    return "".join(stay.text for stay in sorted(found))
