"""What a state holds after any changes is what a new process loads; what is undone leaves no trace."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store import rows

from merope.model.change import Change, Delete, Operation, Put
from merope.model.effect import TABLE as EFFECTS
from merope.model.effect import Effect
from merope.model.phase import Phase
from merope.model.quota import Quotas, Usage
from merope.model.state import State, undo
from merope.model.states import VmState
from merope.store.sqlite import SqliteStore

_IDS = st.integers(0, 4)
_PHASES = st.sampled_from([Phase.PENDING, Phase.PROLOG, Phase.RUNNING, Phase.POWEROFF, Phase.DONE])


def _quota_row(scope: str, oid: int, vms: int) -> Put:
    quotas = Quotas()
    quotas.add(Usage().vm(vms=vms, cpu=0.5 * vms))
    return Put(f"{scope}_quotas", oid, {f"{scope}_oid": oid, "body": quotas.to_xml(oid)})


def _rule_row(oid: int, user: int) -> Put:
    row = {"oid": oid, "userset": 1 << 32 | user, "resource": 1 << 36 | 1 << 34, "rights": 1, "zone": 1 << 34}
    return Put("acl", oid, row)


def _history_row(vm_id: int, seq: int) -> Put:
    body = f"<HISTORY><OID>{vm_id}</OID><SEQ>{seq}</SEQ><VM><ID>{vm_id}</ID></VM></HISTORY>"
    return Put("history", (vm_id, seq), {"vid": vm_id, "seq": seq, "body": body, "stime": 1, "etime": 2})


def _effect_row(effect_id: int, oid: int) -> Put:
    effect = Effect(effect_id, "vm.deploy", oid, 0)
    return Put(EFFECTS, effect_id, {"oid": effect_id, "body": effect.to_json()})


def _vm_row(oid: int, phase: Phase, port: bool) -> Put:
    return rows.put(rows.vm(oid, phase, 5900 + oid if port else 0))


_OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(_vm_row, _IDS, _PHASES, st.booleans()),
    # Names are unique among hosts: each id has two of its own, and takes one or the other.
    st.builds(lambda oid, which: rows.put(rows.host(oid, f"h{oid}{which}")), _IDS, st.sampled_from("ab")),
    st.builds(lambda oid, which: rows.put(rows.cluster(oid, f"c{oid}{which}")), _IDS, st.sampled_from("ab")),
    st.builds(_quota_row, st.sampled_from(["user", "group"]), _IDS, st.integers(0, 3)),
    # The four components of a rule are unique together.
    st.builds(lambda oid, which: _rule_row(oid, oid * 10 + which), _IDS, st.integers(0, 1)),
    st.builds(_history_row, _IDS, st.integers(0, 2)),
    st.builds(_effect_row, st.integers(1, 5), _IDS),
    st.builds(
        lambda name, body: Put("system_attributes", name, {"name": name, "body": body}),
        st.sampled_from("AB"),
        st.sampled_from(["1", "2"]),
    ),
    st.builds(
        lambda table, last: Put("pool_control", table, {"tablename": table, "last_oid": last}),
        st.sampled_from(["vm_pool", "host_pool"]),
        st.integers(0, 9),
    ),
    st.builds(Delete, st.sampled_from(["host_pool", "cluster_pool", "acl", "user_quotas", EFFECTS]), _IDS),
)
_CHANGES = st.lists(st.lists(_OPERATIONS, max_size=4), max_size=8)


def _numbered(groups: list[list[Operation]], state: State) -> list[Change]:
    """Changes that follow the state, without what no command does: to write of a VM that is gone."""
    changes = []
    known, gone = set(state.pools["vm_pool"].entries), set[int]()
    for place, group in enumerate(groups, start=1):
        kept = [operation for operation in group if _is_sensible(operation, known, gone)]
        # Objects come before other rows, and each row once, as a transaction writes them.
        last = {(operation.table, operation.key): operation for operation in kept}
        ordered = sorted(last.values(), key=lambda operation: operation.table != "vm_pool")
        changes.append(Change(state.index + place, 0, tuple(ordered)))
    return changes


def _is_sensible(operation: Operation, known: set[int], gone: set[int]) -> bool:
    if operation.table == "vm_pool" and isinstance(operation, Put) and isinstance(operation.key, int):
        if operation.key in gone:
            return False
        known.add(operation.key)
        if operation.row["state"] == VmState.DONE:
            gone.add(operation.key)
    if operation.table == "history" and isinstance(operation.key, tuple):
        return operation.key[0] in known - gone
    return True


@settings(max_examples=60, deadline=None)
@given(_CHANGES)
def test_a_new_process_loads_what_the_old_one_had(groups: list[list[Operation]]) -> None:
    state = State()
    changes = _numbered(groups, state)
    for change in changes:
        state.apply(change)
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteStore(Path(directory) / "one.db")
        half = len(changes) // 2
        store.commit(changes[:half])
        store.commit(changes[half:])
        loaded = rows.loaded(store)
        store.close()
    assert rows.portrait(loaded) == rows.portrait(state)


@given(_CHANGES, _CHANGES)
def test_changes_that_are_undone_leave_no_trace(
    kept: list[list[Operation]], lost: list[list[Operation]]
) -> None:
    state = State()
    for change in _numbered(kept, state):
        state.apply(change)
    before = rows.portrait(state)
    indexes = {table: pool.last_index for table, pool in state.pools.items()}
    steps = [state.apply(change) for change in _numbered(lost, state)]
    for taken in reversed(steps):
        undo(taken)
    state.index = before["index"]
    assert rows.portrait(state) == before
    # Who reads a pool waits for its last change: one that was taken back would never come.
    assert {table: pool.last_index for table, pool in state.pools.items()} == indexes
