"""Commands of `onedb` that remove what is past: history records, VMs that are done."""

import argparse
import time
from collections.abc import Iterator, Sequence

from merope.core import check_rows
from merope.core.transaction import object_row
from merope.daemon.onedb_session import Session, progress
from merope.model.change import Change, Delete, Operation, Put
from merope.model.states import VmState
from merope.model.vm import VM
from merope.store.sql import SqlStore

#: VMs whose rows are written together.
_VMS = 200
_KEPT = 2


def purge_history(session: Session, args: argparse.Namespace) -> int:
    """Keeps the last two records of each VM, which become 0 and 1."""
    start, end = _period(args)
    with session.writing() as store:
        records = _records(store)
        live = f"state <> {VmState.DONE:d}"
        oids = [row[0] for row in store.query(f"SELECT oid FROM vm_pool WHERE {live} ORDER BY oid")]  # noqa: S608
        wanted = [oid for oid in oids if args.id in (None, oid) and records.get(oid)]
        removed = vms = 0
        writing = _Writing(store)
        with progress("purging the history") as shown:
            for place, oid in enumerate(wanted):
                body = store.query("SELECT body FROM vm_pool WHERE oid=?", (oid,))[0][0]
                vm = VM.from_xml(body)
                if start <= vm.stime < end:
                    operations, count = _shortened(store, vm, records[oid])
                    writing.add(operations)
                    removed, vms = removed + count, vms + bool(count)
                shown(place + 1, len(wanted))
        writing.flush()
    print(f"{removed} history records of {vms} VMs are removed.")
    return 0


def _period(args: argparse.Namespace) -> tuple[int, int]:
    return args.start or 0, int(time.time()) if args.end is None else args.end


def _records(store: SqlStore) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for vm_id, seq in store.query("SELECT vid, seq FROM history ORDER BY vid, seq"):
        found.setdefault(vm_id, []).append(seq)
    return found


def _shortened(store: SqlStore, vm: VM, stored: Sequence[int]) -> tuple[list[Operation], int]:
    """What makes the history of a VM begin anew with its last two records, and how many go."""
    current = vm.history
    if current is None or current.seq < _KEPT:
        return [], 0
    first = current.seq - _KEPT + 1
    operations: list[Operation] = []
    for seq in stored:
        operations.append(Delete("history", (vm.id, seq)))
    for seq in stored:
        if seq < first:
            continue
        row = store.query("SELECT body, stime, etime FROM history WHERE vid=? AND seq=?", (vm.id, seq))[0]
        moved = {"vid": vm.id, "seq": seq - first, "stime": row[1], "etime": row[2]}
        body = row[0].replace(f"<SEQ>{seq}</SEQ>", f"<SEQ>{seq - first}</SEQ>", 1)
        assert check_rows.history_of(body).seq == seq - first
        operations.append(Put("history", (vm.id, seq - first), {**moved, "body": body}))
    current.seq -= first
    operations.append(Put("vm_pool", vm.id, object_row(vm)))
    return operations, sum(seq < first for seq in stored)


def purge_done(session: Session, args: argparse.Namespace) -> int:
    start, end = _period(args)
    with session.writing() as store:
        records = _records(store)
        done = store.query(f"SELECT oid FROM vm_pool WHERE state={VmState.DONE:d} ORDER BY oid")  # noqa: S608
        writing = _Writing(store)
        removed = 0
        with progress("purging VMs that are done") as shown:
            for place, (oid,) in enumerate(done):
                body = store.query("SELECT body FROM vm_pool WHERE oid=?", (oid,))[0][0]
                if start <= VM.from_xml(body).etime < end:
                    writing.add(list(_without(oid, records.get(oid, ()))))
                    removed += 1
                shown(place + 1, len(done))
        writing.flush()
    print(f"{removed} VMs that were done are removed.")
    return 0


def _without(oid: int, seqs: Sequence[int]) -> Iterator[Operation]:
    yield Delete("vm_pool", oid)
    for seq in seqs:
        yield Delete("history", (oid, seq))


class _Writing:
    """Commits what is added, many VMs at a time."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._index = last_index(store)
        self._changes: list[Change] = []

    def add(self, operations: Sequence[Operation]) -> None:
        if not operations:
            return
        self._index += 1
        self._changes.append(Change(self._index, int(time.time()), tuple(operations)))
        if len(self._changes) >= _VMS:
            self.flush()

    def flush(self) -> None:
        self._store.commit(self._changes)
        self._changes = []


def last_index(store: SqlStore) -> int:
    rows = store.query("SELECT change_index FROM merope_log WHERE id=0")
    return int(rows[0][0]) if rows else 0
