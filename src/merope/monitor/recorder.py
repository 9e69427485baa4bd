"""Keeps what was measured: in batches, off the loop, and for as long as the configuration says."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

from merope.model.change import Cell

log = logging.getLogger("merope.monitor")

BATCH = 500
BATCH_SECONDS = 10.0
#: Between two looks for measurements whose time is over.
EXPIRY_SECONDS = 20.0
_TABLES = {"host_pool": "host_monitoring", "vm_pool": "vm_monitoring"}


class Rows(Protocol):
    """Where rows that are no part of a change go; blocks."""

    def write_rows(self, table: str, rows: Iterable[Sequence[Cell]]) -> None: ...

    def expire(self, table: str, before: int) -> None: ...


class Recorder:
    """Collects measurements and writes them when there are BATCH of them or BATCH_SECONDS have passed."""

    def __init__(
        self, rows: Rows, executor: Executor, *, host_seconds: int, vm_seconds: int, vm_every: int = 0
    ) -> None:
        """The seconds are how long measurements are kept; 0: none are. `vm_every` is the least seconds
        between two of a VM that are kept, -1: none are (MONITORING_INTERVAL_DB_UPDATE)."""
        self._rows = rows
        self._executor = executor
        self._lasting = {"host_pool": host_seconds, "vm_pool": vm_seconds if vm_every >= 0 else 0}
        self._vm_every = vm_every
        self._kept: dict[int, int] = {}
        self._collected: dict[str, list[tuple[int, int, str]]] = {table: [] for table in _TABLES}
        self._written = time.monotonic()
        self._expired = dict.fromkeys(_TABLES, 0.0)

    def record(self, table: str, oid: int, now: int, document: str) -> None:
        if self._lasting[table] <= 0 or (table == "vm_pool" and self._is_early(oid, now)):
            return
        self._collected[table].append((oid, now, document))
        late = time.monotonic() - self._written > BATCH_SECONDS
        if late or len(self._collected[table]) >= BATCH:
            self._written = time.monotonic()
            self._kept = {vm: at for vm, at in self._kept.items() if now - at < self._vm_every}
            for name, rows in self._take():
                self._executor.submit(self._write, name, rows)

    def _is_early(self, oid: int, now: int) -> bool:
        """Whether another measurement of the VM was kept a short while ago."""
        if self._vm_every > 0:
            if now - self._kept.get(oid, now - self._vm_every) < self._vm_every:
                return True
            self._kept[oid] = now
        return False

    async def written(self) -> None:
        """Returns when what was recorded until now is written."""
        loop = asyncio.get_running_loop()
        for name, rows in self._take():
            await loop.run_in_executor(self._executor, self._write, name, rows)

    def flush(self) -> None:
        """Writes what has been collected, now."""
        for name, rows in self._take():
            self._write(name, rows)

    def _take(self) -> list[tuple[str, list[tuple[int, int, str]]]]:
        taken = [(name, rows) for name, rows in self._collected.items() if rows]
        self._collected = {table: [] for table in _TABLES}
        return taken

    def _write(self, name: str, rows: list[tuple[int, int, str]]) -> Any:
        try:
            self._rows.write_rows(_TABLES[name], rows)
            if time.monotonic() - self._expired[name] > EXPIRY_SECONDS:
                self._expired[name] = time.monotonic()
                self._rows.expire(_TABLES[name], rows[-1][1] - self._lasting[name])
        except Exception as error:
            log.warning("measurements were not kept: %s", error)
