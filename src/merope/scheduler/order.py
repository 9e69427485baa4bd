"""Hosts by rank, kept sorted while a plan changes them, and quick to skip the full ones.

The order is a list of blocks.  A block remembers the most free CPU and memory that any of its hosts may
have; capacity only shrinks in a plan, so that this stays a bound, and a full block costs one comparison.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from merope.scheduler.live import ALLOCATED, MEASURED, LiveDatastore, LiveHost, RankTable

BLOCK = 256

_Entry = tuple[int, int]


class Board:
    """What a plan works on: hosts, system datastores, and the hosts' indexes in the order of placements.
    `returned` counts placements that were taken back: room that comes back is more than an order expects.
    `per_host` is MAX_HOST, 0 for none; `different_networks` is DIFFERENT_VNETS."""

    __slots__ = ("changes", "datastores", "different_networks", "hosts", "per_host", "returned")

    def __init__(
        self,
        hosts: Sequence[LiveHost],
        datastores: Sequence[LiveDatastore],
        per_host: int,
        *,
        different_networks: bool = True,
    ) -> None:
        self.different_networks = different_networks
        self.hosts = hosts
        self.datastores = datastores
        self.per_host = per_host
        self.changes: list[int] = []
        self.returned = 0

    def closed(self, host: LiveHost) -> bool:
        """Whether the host takes no more VMs in this plan."""
        return 0 < self.per_host <= host.placed


class _Block:
    __slots__ = ("cpu", "entries", "memory")

    def __init__(self, entries: list[_Entry], cpu: float, memory: float) -> None:
        self.entries = entries
        self.cpu = cpu
        self.memory = memory


class Order:
    """The best host first, equal ones by id."""

    __slots__ = ("_blocks", "_board", "_hosts", "_keys", "_lasts", "_moves", "_rank", "_returned", "_seen")

    def __init__(self, board: Board, hosts: Sequence[LiveHost], rank: RankTable) -> None:
        self._board = board
        self._rank = rank
        self._moves = not rank.names.isdisjoint(ALLOCATED | MEASURED)
        self._hosts = hosts
        self._sort()

    def _sort(self) -> None:
        board, rank = self._board, self._rank
        self._seen, self._returned = len(board.changes), board.returned
        entries = sorted((-rank.value(host), host.index) for host in self._hosts if not board.closed(host))
        self._keys = {index: (key, index) for key, index in entries}
        unknown = float("inf")
        self._blocks = [
            _Block(entries[start : start + BLOCK], unknown, unknown)
            for start in range(0, len(entries), BLOCK)
        ]
        self._lasts = [block.entries[-1] for block in self._blocks]

    def with_room(self, cpu: int, memory: int) -> Iterator[LiveHost]:
        """Open hosts with so much free; to be used up before the next placement."""
        if self._returned != self._board.returned:
            self._sort()
        self._catch_up()
        hosts = self._board.hosts
        for block in self._blocks:
            if cpu > block.cpu or memory > block.memory:
                continue
            most_cpu = most_memory = float("-inf")
            for _, index in block.entries:
                host = hosts[index]
                free_cpu, free_memory = host.free_cpu, host.free_memory
                if cpu <= free_cpu and memory <= free_memory:
                    yield host
                # Comparisons, not max(): this runs for every host of a nearly full cloud.
                if free_cpu > most_cpu:
                    most_cpu = free_cpu
                if free_memory > most_memory:
                    most_memory = free_memory
            block.cpu, block.memory = most_cpu, most_memory

    def _catch_up(self) -> None:
        changes = self._board.changes
        if self._seen == len(changes) or not (self._moves or self._board.per_host):
            return
        for index in set(changes[self._seen :]):
            old = self._keys.get(index)
            if old is None:
                continue
            host = self._board.hosts[index]
            if self._board.closed(host):
                del self._keys[index]
                self._remove(old)
            elif (new := (-self._rank.value(host), index)) != old:
                self._keys[index] = new
                self._remove(old)
                self._insert(new, host)
        self._seen = len(changes)

    def _remove(self, entry: _Entry) -> None:
        position = bisect_left(self._lasts, entry)
        entries = self._blocks[position].entries
        del entries[bisect_left(entries, entry)]
        if entries:
            self._lasts[position] = entries[-1]
        else:
            del self._blocks[position], self._lasts[position]

    def _insert(self, entry: _Entry, host: LiveHost) -> None:
        if not self._blocks:
            self._blocks.append(_Block([entry], host.free_cpu, host.free_memory))
            self._lasts.append(entry)
            return
        position = min(bisect_left(self._lasts, entry), len(self._blocks) - 1)
        block = self._blocks[position]
        insort(block.entries, entry)
        block.cpu, block.memory = max(block.cpu, host.free_cpu), max(block.memory, host.free_memory)
        if len(block.entries) > 2 * BLOCK:
            self._blocks.insert(position + 1, _Block(block.entries[BLOCK:], block.cpu, block.memory))
            del block.entries[BLOCK:]
            self._lasts.insert(position, block.entries[-1])
        self._lasts[position] = block.entries[-1]
        if position + 1 < len(self._blocks):
            self._lasts[position + 1] = self._blocks[position + 1].entries[-1]
