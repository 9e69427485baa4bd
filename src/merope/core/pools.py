"""Listing pools: the filters of the `*pool.info` methods and the bytes that they answer."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

from merope.core import authorization
from merope.core.methods import Listing, Pieces
from merope.core.preferences import preference
from merope.core.transaction import Transaction
from merope.model.errors import ApiError, Code
from merope.model.kinds import Kind
from merope.model.state import Entry

FILTER_GROUP = -4
FILTER_MINE = -3
FILTER_ALL = -2
FILTER_MINE_AND_GROUPS = -1

Render = Callable[[Transaction, Entry], bytes]

#: Entries that a list is made of without a pause.
AT_ONCE = 256


def listing(
    tx: Transaction, kind: Kind, entries: Iterable[Entry], render: Render, tail: bytes = b""
) -> Listing:
    """The pool document, escaped, of the entries; one of more than a few is made as it is asked for."""
    tx.seen = max(tx.seen, tx.state.pool(kind).last_index)
    items = (render(tx, entry) for entry in entries)
    first = list(islice(items, AT_ONCE))
    root = kind.pool_root.encode()
    if not first and not tail:
        return b"&lt;%s/&gt;" % root
    head, foot = b"&lt;%s&gt;" % root, b"%s&lt;/%s&gt;" % (tail, root)
    if len(first) < AT_ONCE:
        return b"".join((head, *first, foot))
    return Pieces(chain((head, *first), items, (foot,)))


def select(
    tx: Transaction,
    kind: Kind,
    flag: int,
    start: int,
    end: int,
    keep: Callable[[Entry], bool] | None = None,
    extra: Iterable[Entry] = (),
) -> Iterator[Entry]:
    """The entries that the caller may see and that the filter, the range of ids and `keep` let through.

    `start`, `end`: first and last id (-1: open), or, when `end` < -1, a page of -`end` entries from
    position `start` (spec xml.yaml `pool_rules`). `extra` are entries that the pool does not hold.
    """
    chosen = _by_owner(tx, flag, authorization.visible(tx, kind, ordered(tx, kind, extra)))
    if keep is not None:
        chosen = filter(keep, chosen)
    if end < -1:
        offset = max(start, 0)
        return islice(chosen, offset, offset - end)
    if start < 0 and end < 0:
        return chosen
    low, high = max(start, 0), end if end >= 0 else float("inf")
    return (entry for entry in chosen if low <= entry.oid <= high)


def ordered(tx: Transaction, kind: Kind, extra: Iterable[Entry] = ()) -> Iterator[Entry]:
    """Every entry by id, in the order that the caller or the configuration asks for (API_LIST_ORDER)."""
    pool = tx.state.pool(kind)
    descending = (preference(tx, "API_LIST_ORDER") or tx.settings.api_list_order) == "DESC"
    more = list(extra)
    if more:
        return iter(sorted([*pool.entries.values(), *more], key=lambda entry: entry.oid, reverse=descending))
    # What changes while a long list is made does not change what it lists.
    return iter([pool.entries[oid] for oid in pool.ids(descending=descending)])


def _by_owner(tx: Transaction, flag: int, entries: Iterator[Entry]) -> Iterator[Entry]:
    caller = tx.caller
    if flag == FILTER_ALL:
        return entries
    if flag < FILTER_GROUP:
        raise ApiError(Code.XML_RPC_API, "Incorrect filter_flag")
    if flag == FILTER_MINE:
        return (entry for entry in entries if entry.uid == caller.uid)
    if flag == FILTER_GROUP:
        return (entry for entry in entries if entry.gid == caller.gid)
    if flag == FILTER_MINE_AND_GROUPS:
        groups = caller.groups
        return (
            entry for entry in entries if entry.uid == caller.uid or (entry.gid in groups and entry.group_u)
        )
    return (entry for entry in entries if entry.uid == flag)
