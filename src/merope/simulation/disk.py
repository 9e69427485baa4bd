"""The database of the simulation: what has been committed, in memory, with the rules of the real one."""

from collections.abc import Callable, Sequence

from merope.model.change import Change, Key, Put, Row
from merope.model.kinds import KINDS
from merope.model.state import Entry, State
from merope.model.states import VmState
from merope.store.errors import StoreError
from merope.store.schema import TABLES
from merope.store.sql import LOADED
from merope.store.sqlite import SqliteStore

Rows = dict[str, dict[Key, Row]]

_UNIQUE = [
    (name, tuple(constraint.removeprefix("UNIQUE").strip("()").replace(" ", "").split(",")))
    for name, table in TABLES.items()
    for constraint in table.constraints
]


class Broken(AssertionError):  # noqa: N818 - a finding, like a violation
    """A change that no database would take: a bug of whoever made it."""


class Disk:
    """Rows by table and key. `fails` is asked before each group whether the write comes to nothing.

    `twin` is a real database that gets the same changes.
    """

    def __init__(self, rows: Rows | None = None, index: int = 0) -> None:
        self.rows: Rows = {name: dict((rows or {}).get(name, ())) for name in TABLES}
        self.index = index
        self.fails: Callable[[], bool] = lambda: False
        self.twin: SqliteStore | None = None

    def commit(self, changes: Sequence[Change]) -> None:
        """All of the changes, or (StoreError) none."""
        if self.fails():
            raise StoreError("Cannot write to the database: simulated fault")
        for change in changes:
            if change.index != self.index + 1:
                raise Broken(f"change {change.index} was stored after {self.index}")
            self.index = change.index
            for operation in change.operations:
                if isinstance(operation, Put):
                    self._put(operation)
                else:
                    self.rows[operation.table].pop(operation.key, None)
        if self.twin is not None:
            self.twin.commit(changes)

    def _put(self, operation: Put) -> None:
        table = TABLES[operation.table]
        key = operation.key if isinstance(operation.key, tuple) else (operation.key,)
        row = operation.row
        stated = tuple(row.get(column) for column in table.key)
        if stated != key:
            raise Broken(f"{operation.table}: row {stated} is stored as {key}")
        self.rows[operation.table][operation.key] = row

    def check_constraints(self) -> None:
        """Raises Broken where two rows of a table have what must be unique."""
        for name, columns in _UNIQUE:
            seen: dict[tuple[object, ...], Key] = {}
            for key, row in self.rows[name].items():
                value = tuple(row.get(column) for column in columns)
                if value in seen:
                    raise Broken(f"{name}: rows {seen[value]} and {key} have the same {columns}: {value}")
                seen[value] = key

    def load(self, state: State) -> None:
        """As SqliteStore.load: everything that lives."""
        state.index = self.index
        for kind in KINDS:
            rows = self.rows[kind.table]
            for oid in sorted(key for key in rows if isinstance(key, int)):
                if kind.table != "vm_pool" or rows[oid]["state"] != VmState.DONE:
                    state.load(kind.table, oid, rows[oid])
        for name in LOADED:
            for key, row in self.rows[name].items():
                state.load(name, key, row)
        live = state.pools["vm_pool"].entries
        for key, row in self.rows["history"].items():
            if row["vid"] in live:
                state.load("history", key, row)

    def loaded(self) -> State:
        """What a process finds that starts now."""
        state = State()
        self.load(state)
        return state

    def archived_vms(self, oid: int | None = None) -> list[Entry]:
        rows = self.rows["vm_pool"]
        return [
            Entry(key, row, 0)
            for key, row in sorted(rows.items())
            if isinstance(key, int) and row["state"] == VmState.DONE and oid in (None, key)
        ]

    def vm_document(self, oid: int) -> str | None:
        found = self.archived_vms(oid)
        return found[0].body if found else None

    def history(self, oid: int) -> list[str]:
        rows = sorted((key, row) for key, row in self.rows["history"].items() if row["vid"] == oid)
        return [str(row["body"]) for _, row in rows]

    def copy(self) -> "Disk":
        return Disk(self.rows, self.index)
