"""Everything of one database into another, whatever kinds they are."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice

from merope.model.change import Cell
from merope.model.kinds import BY_TABLE
from merope.store import parts
from merope.store.schema import TABLES
from merope.store.sql import SqlStore

Progress = Callable[[int, int], None]
"""Is told (done, in all): bytes of a file, or rows."""

_ROWS = 200
_UNSIGNED = "BIGINT UNSIGNED"
_GREATEST = (1 << 64) - 1
_SIGNED = 1 << 63


def fill(
    target: SqlStore,
    source: SqlStore,
    progress: Progress | None = None,
    tables: Collection[str] = TABLES,
) -> int:
    """Makes `target` hold what `source` holds at this moment, and nothing else; answers the number of rows.

    Rows that `source` has in parts are whole in `target`. Other tables than `tables` stay as they are. One
    transaction: whole, or (StoreError) as it was. `target` is to be opened anew before changes are committed
    to it.
    """
    columns = source.columns()
    there = [name for name in tables if name in columns and name != parts.TABLE]
    done = 0
    with source.reading() as read, target.transaction() as tx:
        whole = source.whole(read)
        total = sum(count for name in there for (count,) in list(read(f"SELECT COUNT(*) FROM {name}")))  # noqa: S608 - names of TABLES
        for name in tables:
            tx.run(f"DELETE FROM {name}")  # noqa: S608 - names of TABLES
        for name in there:
            found = read(f"SELECT {source.selection(name)} FROM {name}")  # noqa: S608 - names of TABLES
            texts = _whole(name, map(_as_text, found), whole)
            rows = _fitting(name, texts, target.dialect.name)
            for some in _batches(rows):
                tx.run_many(target.dialect.put(name), some)
                done += len(some)
                if progress is not None:
                    progress(done, total)
        if "merope_log" in tables and "merope_log" not in there:
            tx.run(target.dialect.put("merope_log"), (0, 0))
    return done


def _whole(name: str, rows: Iterable[list[Cell]], whole: parts.Whole) -> Iterator[Sequence[Cell]]:
    if name not in BY_TABLE:
        yield from rows
        return
    oid, body = TABLES[name].names.index("oid"), TABLES[name].names.index("body")
    for row in rows:
        row[body] = whole.body(name, int(str(row[oid])), str(row[body] or ""))
        yield row


def _as_text(row: Sequence[Cell | bytes]) -> list[Cell]:
    """Texts that come as bytes are UTF-8, whatever their table says; where they are not, it is right."""
    return [_decoded(cell) if isinstance(cell, bytes) else cell for cell in row]


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _batches(rows: Iterable[Sequence[Cell]]) -> Iterator[list[Sequence[Cell]]]:
    found = iter(rows)
    while some := list(islice(found, _ROWS)):
        yield some


def _fitting(name: str, rows: Iterable[Sequence[Cell]], kind: str) -> Iterator[Sequence[Cell]]:
    """SQLite has no whole number as large as 2^64-1, and keeps that as a fraction."""
    places = [place for place, (_, type_) in enumerate(TABLES[name].columns) if type_ == _UNSIGNED]
    if not places:
        yield from rows
        return
    for row in rows:
        cells = list(row)
        for place in places:
            cells[place] = _number(cells[place], kind)
        yield cells


def _number(cell: object, kind: str) -> Cell:
    if not isinstance(cell, int | float):
        return None
    if kind != "sqlite":
        return min(int(cell), _GREATEST)
    # SQLite takes a whole number of that size only as text, and makes a fraction of it in such a column.
    return cell if isinstance(cell, int) and cell < _SIGNED else str(int(cell))
