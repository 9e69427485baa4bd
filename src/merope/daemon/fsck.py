"""`one fsck`: every check of the core, on the database of a cloud."""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from merope.core import (
    check_counts,
    check_groups,
    check_markets,
    check_relations,
    check_rows,
    check_topology,
    commands,
)
from merope.core.check import Finding
from merope.core.transaction import SYSTEM, Context, Transaction
from merope.model.change import Row
from merope.model.effect import TABLE as EFFECTS
from merope.model.hook_run import TABLE as HOOK_RUNS
from merope.model.host_failure import TABLE as HOST_FAILURES
from merope.model.kinds import KINDS
from merope.model.settings import Settings
from merope.model.state import State
from merope.model.vm import VM
from merope.store.backup import copy, copy_server, database_of, integrity_faults
from merope.store.claim import Claim
from merope.store.errors import InUseError, StoreError, sentence
from merope.store.location import File, Location, open_beside, open_store
from merope.store.schema import TABLES
from merope.store.server import Server
from merope.store.sql import SqlStore
from merope.store.sqlite import SqliteStore

CHECKS = (
    *check_counts.CHECKS,
    *check_groups.CHECKS,
    *check_markets.CHECKS,
    *check_relations.CHECKS,
    *check_topology.CHECKS,
)
#: Repairs may bring to light what another finding hid.
_ROUNDS = 3


@dataclass(slots=True)
class Report:
    """What was found and what of it was put right, as sentences; `rows` counts what was looked at."""

    found: list[Finding] = field(default_factory=list)
    repaired: list[Finding] = field(default_factory=list)
    rows: int = 0

    @property
    def status(self) -> int:
        return 1 if self.found else 0


def run(home: Path, repair: bool, as_json: bool, location: Location | None = None) -> int:
    """Prints what is wrong; 0 when nothing is (any more), 1 when something is. Raises StoreError.

    `location` is where the database is when not in the home.
    """
    place = location or File(database_of(home))
    if isinstance(place, File) and not place.path.exists():
        raise StoreError(f"There is no cloud in {home}: it has no {place.path.name}.")
    if repair and _is_anothers(place):
        where = f"{place.where[:1].upper()}{place.where[1:]}"
        raise StoreError(f"{where} is still OpenNebula's: take it over first (`one start`).")
    if repair:
        report = _repaired(place)
    elif isinstance(place, File):
        with _still(place.path) as path:
            report = check(path)
    else:
        report = _check_server(home, place)
    _tell(report, as_json)
    return report.status


def _is_anothers(location: Location) -> bool:
    """Whether no Merope has opened it yet: looking must not turn it into ours."""
    try:
        with closing(open_beside(location)) as store:
            return "merope_log" not in store.columns()
    except StoreError:
        # What is damaged is looked at as it is.
        return False


def _check_server(home: Path, server: Server) -> Report:
    """The database itself when no cloud runs on it, else a copy, which goes."""
    report = Report()
    if not _is_anothers(server):
        with suppress(InUseError), closing(open_store(server)) as store:
            _check(store, report)
            return report
    with TemporaryDirectory(prefix="fsck-", dir=home) as directory:
        part = Path(directory) / "copy.db"
        copy_server(server, part)
        with closing(SqliteStore(part)) as copied:
            _check(copied, report)
    return report


@contextmanager
def _still(database: Path) -> Iterator[Path]:
    """A database that nobody changes: the cloud's own when it does not run, else a copy, which goes."""
    try:
        claim = None if _is_anothers(File(database)) else Claim(database)
    except StoreError:
        claim = None
    if claim is None:
        part = database.with_name(f"{database.name}.fsck-{os.getpid()}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(descriptor)
        try:
            with closing(sqlite3.connect(database)) as reading, closing(sqlite3.connect(part)) as writing:
                copy(reading, writing)
                writing.execute("PRAGMA journal_mode=DELETE")
            yield part
        except sqlite3.Error as error:
            raise StoreError(f"Cannot copy the database {database}: {sentence(error)}.") from error
        finally:
            for side in ("", "-wal", "-shm", "-journal", ".lock"):
                part.with_name(part.name + side).unlink(missing_ok=True)
        return
    claim.release()
    yield database


def check(path: Path) -> Report:
    """Looks at everything and changes nothing. Raises StoreError when the database cannot be opened."""
    report = Report()
    with closing(sqlite3.connect(path)) as connection:
        report.found = [Finding("", -1, f"the file: {fault}") for fault in integrity_faults(connection)]
    if report.found:
        return report
    store = SqliteStore(path)
    try:
        _check(store, report)
    finally:
        store.close()
    return report


def _check(store: SqlStore, report: Report) -> State | None:
    """Adds what is found; answers the state where every row could be read."""
    report.found = []
    report.rows = 0
    report.found += _rows(store, report)
    if any(finding.unreadable for finding in report.found):
        # Counts that are derived from what cannot be read would all be wrong.
        return None
    state = State()
    store.load(state)
    for look in CHECKS:
        if look is check_relations.effects and not state.index:
            # Nothing of ours has run on it: what OpenNebula had under way is taken up at the first start.
            continue
        report.found += look(state)
    report.found += check_relations.last_ids(state, _highest(store))
    report.found += _finished_histories(store)
    return state


def _rows(store: SqlStore, report: Report) -> Iterator[Finding]:
    for kind in KINDS:
        for row in _each(store, kind.table, report):
            yield from check_rows.object_faults(kind, row)
    for row in _each(store, "history", report):
        yield from check_rows.history_faults(row)
    for scope in ("user", "group"):
        for row in _each(store, f"{scope}_quotas", report):
            yield from check_rows.quota_faults(scope, row)
    for row in _each(store, "system_attributes", report):
        yield from check_rows.attribute_faults(row)
    for row in _each(store, EFFECTS, report):
        yield from check_rows.effect_faults(row)
    for row in _each(store, HOOK_RUNS, report):
        yield from check_rows.hook_run_faults(row)
    for row in _each(store, HOST_FAILURES, report):
        yield from check_rows.host_failure_faults(row)


def _each(store: SqlStore, table: str, report: Report) -> Iterator[Row]:
    names = TABLES[table].names
    for cells in store.whole_rows(table):
        report.rows += 1
        yield dict(zip(names, cells, strict=True))


def _highest(store: SqlStore) -> dict[str, int]:
    tables = [*(kind.table for kind in KINDS), "acl", EFFECTS, HOOK_RUNS]
    found = {table: store.query(f"SELECT MAX(oid) FROM {table}")[0][0] for table in tables}  # noqa: S608
    return {table: oid for table, oid in found.items() if oid is not None}


def _finished_histories(store: SqlStore) -> Iterator[Finding]:
    """The records of finished VMs, of which the last is in their document and a row besides."""
    closed: dict[int, dict[int, str]] = {}
    for vm_id, seq, body in store.query("SELECT vid, seq, body FROM history ORDER BY vid, seq"):
        closed.setdefault(vm_id, {})[seq] = body
    known = {row[0] for row in store.query("SELECT oid FROM vm_pool")}
    for vm_id in closed.keys() - known:
        yield Finding("history", vm_id, f"history of virtual machine {vm_id}, which is not there")
    for entry in store.archived_vms():
        current = VM.from_xml(entry.body).history
        if current is None:
            continue
        records = {seq: check_rows.history_of(body) for seq, body in closed.get(entry.oid, {}).items()}
        records[current.seq] = current
        for fault in check_relations.chain_faults([records[seq] for seq in sorted(records)]):
            yield Finding("vm_pool", entry.oid, f"virtual machine {entry.oid}: {fault}")


def _check_file(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        damaged = integrity_faults(connection)
    if damaged:
        raise StoreError(
            f"The file {database} is damaged and cannot be repaired: put a backup back (`one restore`). "
            f"SQLite says: {damaged[0]}"
        )


def _repaired(location: Location) -> Report:
    if isinstance(location, File):
        _check_file(location.path)
    store = open_store(location)
    report = Report()
    try:
        for attempt in range(_ROUNDS + 1):
            state = _check(store, report)
            wanted = [finding for finding in report.found if finding.repair is not None]
            if state is None or not wanted or attempt == _ROUNDS:
                break
            for finding in wanted:
                _repair(store, state, finding)
                report.repaired.append(finding)
    finally:
        store.close()
    return report


def _repair(store: SqlStore, state: State, finding: Finding) -> None:
    assert finding.repair is not None
    context = Context(
        now=int(time.time()), caller=SYSTEM, settings=Settings(), random=os.urandom, internal=True
    )
    tx = Transaction(state, context)
    finding.repair(tx)
    change, parsed = tx.commit(state.index + 1)
    store.commit([change])
    state.apply(change, parsed)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        shown = {
            "rows": report.rows,
            "repaired": [_as_data(finding) for finding in report.repaired],
            "found": [_as_data(finding) for finding in report.found],
        }
        print(json.dumps(shown, indent=2))
        return
    for finding in report.repaired:
        print(f"repaired: {finding.sentence}")
    for finding in report.found:
        hint = " (--repair can put that right)" if finding.repair is not None else ""
        print(f"{finding.sentence}{hint}")
    end = "nothing is wrong" if not report.found else f"{len(report.found)} findings"
    print(f"{report.rows} rows looked at: {end}.", file=sys.stderr if report.found else sys.stdout)


def _as_data(finding: Finding) -> dict[str, object]:
    return {
        "table": finding.table,
        "id": finding.oid,
        "message": finding.sentence,
        "repairable": finding.repair is not None,
    }


__all__ = ["commands", "run"]
