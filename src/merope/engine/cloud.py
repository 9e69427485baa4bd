"""The running cloud: commands one at a time, their changes made durable in groups, then told.

`execute` runs a command at once and answers with the number of the change that its answer depends on;
`durable(n)` is when that answer may go out. Who wants to know of changes subscribes and is called, in
order, after they are durable.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from merope.core.methods import Result
from merope.core.transaction import SYSTEM, Caller, Context, Transaction
from merope.model.addressing import Answers
from merope.model.change import Change
from merope.model.event import Heard, nobody
from merope.model.settings import Settings
from merope.model.state import Entry, State, Undo, undo
from merope.store.errors import InDoubtError, StoreError, SupersededError

log = logging.getLogger("merope.store")

_QUIET_TURNS = 3
"""Turns of the loop without another change that end a group: whoever has just been answered has a request on
its way by then. A group costs the disk, and this thread, nearly the same however many changes are in it."""
_ENOUGH = 16
"""Changes that are a group without waiting for more: while they are stored, the next ones are made."""

Command = Callable[[Transaction], Result]
Listener = Callable[[Change], None]
Committed = Callable[[int, float], None]
"""Hears of each group that is durable: how many changes, and the seconds that it took."""


def _uncounted(changes: int, seconds: float) -> None:
    """Nobody counts."""


class Store(Protocol):
    """What makes changes durable; `commit` blocks, and raises StoreError when nothing was stored."""

    def commit(self, changes: Sequence[Change]) -> None: ...


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a command is given from outside besides its arguments."""

    caller: Caller = SYSTEM
    request_id: int = -1
    internal: bool = False
    archive: dict[tuple[str, int], Entry | None] | None = None
    archived_vms: list[Entry] | None = None
    prepared: dict[str, str | int] | None = None
    addresses: Answers | None = None


@dataclass(slots=True)
class _Pending:
    change: Change
    undo: Undo


class NotDurable(Exception):  # noqa: N818 - what became of a change, not always an error of the caller
    """The change could not be stored and has been taken back.

    `in_doubt`: whether it is stored is not known yet; it is taken back until it is (`Cloud.settle`).
    """

    def __init__(self, reason: str, in_doubt: bool = False) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt


class Cloud:
    """One per process. Must be used from the event loop's thread only."""

    def __init__(
        self,
        state: State,
        store: Store,
        settings: Settings,
        *,
        now: Callable[[], int],
        random: Callable[[int], bytes],
        executor: Executor,
    ) -> None:
        self.state = state
        self.settings = settings
        self._store = store
        self._now = now
        self._random = random
        self._executor = executor
        self._durable = state.index
        self._pending: list[_Pending] = []
        self._writing: list[_Pending] = []
        self._gathering = False
        self._grouped = 0
        """Changes in the last group that was written."""
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._listeners: list[Listener] = []
        self.heard: Heard = nobody
        """Whether anybody has subscribed to an event."""
        self.committed: Committed = _uncounted
        self.trouble = ""
        """Why the last write failed; empty while the store is well."""
        self.superseded = False
        """Another has written to the database: what is in memory is not true any more."""
        self._doubtful: list[Change] = []

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def now(self) -> int:
        return self._now()

    def execute(self, command: Command, inputs: Inputs) -> tuple[Result, int]:
        """Runs a command. Raises what it raises, and then nothing has changed.

        The answer depends on change `n`, the second value: until `durable(n)`, it is not to go out.
        """
        tx = Transaction(self.state, self._context(inputs))
        try:
            result = command(tx)
            change, parsed = tx.commit(self.state.index + 1)
        except BaseException:
            tx.abandon()
            raise
        if not change.operations:
            self._tell_alone(change)
            return result, self.state.index
        steps = self.state.apply(change, parsed)
        self._pending.append(_Pending(change, steps))
        if not self._writing:
            self._write_soon()
        return result, change.index

    def _tell_alone(self, change: Change) -> None:
        """Events of a command that changed nothing: they are told when what it saw is durable."""
        if change.events:
            self.when_durable(self.state.index, lambda stored: self._tell(change) if stored else None)

    def look(self, command: Command, inputs: Inputs) -> tuple[Result, int]:
        """Runs a command that changes nothing; its answer depends on the change that comes with it."""
        tx = Transaction(self.state, self._context(inputs))
        result = command(tx)
        return result, tx.seen

    def run(
        self,
        command: Command,
        *,
        read_only: bool,
        caller: Caller,
        request_id: int,
        archive: dict[tuple[str, int], Entry | None] | None,
        archived_vms: list[Entry] | None,
        prepared: dict[str, str | int] | None,
        addresses: Answers | None = None,
    ) -> tuple[Result, int]:
        """`look` or `execute`, for a request from outside."""
        inputs = Inputs(caller, request_id, False, archive, archived_vms, prepared, addresses)
        return self.look(command, inputs) if read_only else self.execute(command, inputs)

    def _context(self, inputs: Inputs) -> Context:
        return Context(
            now=self._now(),
            caller=inputs.caller,
            settings=self.settings,
            random=self._random,
            request_id=inputs.request_id,
            internal=inputs.internal,
            archive=inputs.archive or {},
            archived_vms=inputs.archived_vms,
            prepared=inputs.prepared or {},
            addresses=inputs.addresses or Answers(),
            heard=self.heard,
        )

    def is_durable(self, index: int) -> bool:
        return index <= self._durable

    def durable(self, index: int) -> "asyncio.Future[None]":
        """Done when change `index` is stored; fails with NotDurable when it was taken back."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_durable(index):
            future.set_result(None)
        else:
            self._waiters.append((index, future))
        return future

    def when_durable(self, index: int, tell: Callable[[bool], None]) -> None:
        """Calls `tell` with whether change `index` was stored or taken back; at once where that is known."""
        if self.is_durable(index):
            tell(True)
        else:
            self.durable(index).add_done_callback(lambda future: tell(future.exception() is None))

    def _write_soon(self) -> None:
        if self._gathering:
            return
        self._gathering = True
        # After a group of one, there is nobody to wait for.
        self._gather(0, 0 if self._grouped > 1 else _QUIET_TURNS)

    def _gather(self, seen: int, quiet: int) -> None:
        count = len(self._pending)
        if count and quiet < _QUIET_TURNS and count < _ENOUGH:
            more = 0 if count > seen else quiet + 1
            asyncio.get_running_loop().call_soon(self._gather, count, more)
            return
        self._gathering = False
        if count:
            self._write()

    def _write(self) -> None:
        self._writing, self._pending = self._pending, []
        self._grouped = len(self._writing)
        changes = [item.change for item in self._writing]
        loop = asyncio.get_running_loop()
        commit = self._refuse if self._doubtful else self._store.commit
        written = partial(self._written, time.perf_counter())
        loop.run_in_executor(self._executor, commit, changes).add_done_callback(written)

    def _refuse(self, _: Sequence[Change]) -> None:
        """They were made without those whose fate is not known, and could not be stored after them."""
        raise StoreError(self.trouble)

    def _written(self, began: float, future: "asyncio.Future[None]") -> None:
        error = future.exception()
        if error is not None:
            self._take_back(error)
            return
        self.trouble = ""
        written, self._writing = self._writing, []
        self.committed(len(written), time.perf_counter() - began)
        self._durable = written[-1].change.index
        if self._pending:
            self._write_soon()
        while self._waiters and self._waiters[0][0] <= self._durable:
            waiter = self._waiters.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)
        for item in written:
            self._tell(item.change)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                log.exception("a listener failed on change %d", change.index)

    def _take_back(self, error: BaseException) -> None:
        """Everything since the last durable change was built on what is lost: it goes too."""
        self.trouble = str(error)
        log.error("%s; %d changes taken back", error, len(self._writing) + len(self._pending))
        for item in reversed(self._writing + self._pending):
            undo(item.undo)
        if isinstance(error, InDoubtError):
            self._doubtful = [item.change for item in self._writing]
        self.superseded = self.superseded or isinstance(error, SupersededError)
        last = self._doubtful[-1].index if isinstance(error, InDoubtError) else -1
        self._writing, self._pending = [], []
        self.state.index = self._durable
        waiters, self._waiters = self._waiters, deque()
        for index, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(NotDurable(str(error), index <= last))
        if not isinstance(error, StoreError):
            raise error

    @property
    def in_doubt(self) -> int | None:
        """The last change of those of which it is not known whether they are stored."""
        return self._doubtful[-1].index if self._doubtful else None

    def settle(self, stored: bool) -> bool:
        """What became of the changes in doubt is known. Those that are stored are made again.

        False while others are being refused, which have to be taken back first.
        """
        if self._writing or self._pending:
            return False
        doubtful, self._doubtful = self._doubtful, []
        self.trouble = ""
        became = "stored" if stored else "not stored"
        log.warning("%d changes were %s when the connection was lost", len(doubtful), became)
        if stored:
            for change in doubtful:
                self.state.apply(change)
            self._durable = doubtful[-1].index
            for change in doubtful:
                self._tell(change)
        return True
