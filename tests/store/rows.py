"""Rows of small objects, and what a state holds, to be compared."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from merope.core.transaction import object_row
from merope.model.change import Change, Delete, Operation, Put
from merope.model.cluster import Cluster
from merope.model.document import Document
from merope.model.host import Host
from merope.model.kinds import BY_DOCUMENT
from merope.model.phase import Phase
from merope.model.state import State
from merope.model.template import Template, Vector
from merope.model.vm import VM, History
from merope.store.sql import SqlStore
from merope.store.sqlite import SqliteStore


def put(value: Document) -> Put:
    return Put(BY_DOCUMENT[type(value)].table, value.id, object_row(value))


def host(oid: int, name: str = "", state: int = 2, cluster: int = 0) -> Host:
    return Host(id=oid, name=name or f"host{oid}", state=state, cluster_id=cluster)


def cluster(oid: int, name: str) -> Cluster:
    return Cluster(id=oid, name=name)


def vm(oid: int, phase: Phase = Phase.RUNNING, port: int = 0, name: str = "") -> VM:
    template = Template([("CPU", "1"), ("MEMORY", "128"), ("VMID", str(oid))])
    if port:
        template.set("GRAPHICS", Vector(TYPE="VNC", PORT=str(port)))
    made = VM(id=oid, uid=0, gid=0, uname="oneadmin", gname="oneadmin", name=name or f"vm{oid}")
    made.template = template
    made.state, made.lcm_state = phase.state, phase.lcm_state
    made.history_records = [History(oid=oid, seq=0, hostname="host0", hid=0, cid=0, stime=1)]
    return made


def change(index: int, *operations: Operation) -> Change:
    return Change(index, 1000 + index, operations)


def stored(path: Path, operations: Iterable[Operation]) -> None:
    """A database that holds the rows."""
    store = SqliteStore(path)
    store.commit([change(1, *operations)])
    store.close()


def portrait(state: State) -> dict[str, Any]:
    """Everything that a state holds and every index of it, in values that compare."""
    entries = {
        table: {
            oid: (entry.name, entry.body, entry.short, entry.uid, entry.gid, entry.state, entry.lcm_state)
            for oid, entry in sorted(pool.entries.items())
        }
        for table, pool in state.pools.items()
    }
    names = {
        (table, entry.uid, entry.name): pool.named(entry.name, entry.uid)
        for table, pool in state.pools.items()
        for entry in pool.entries.values()
    }
    live = state.pools["vm_pool"].entries
    return {
        "index": state.index,
        "entries": entries,
        "names": names,
        "order": {table: list(pool.ids(descending=False)) for table, pool in state.pools.items()},
        "by_state": {
            table: {number: set(oids) for number, oids in pool.by_state.items() if oids}
            for table, pool in state.pools.items()
        },
        "rules": [rule.to_xml() for rule in state.rules],
        "quotas": [
            {oid: quotas.to_xml(oid) for oid, quotas in held.items()}
            for held in (state.user_quotas, state.group_quotas)
        ],
        "attributes": dict(state.attributes),
        "last_oids": dict(state.last_oids),
        "history": {oid: dict(records) for oid, records in state.history.items() if records and oid in live},
        "effects": dict(state.effects),
        "effects_of": {of: set(ids) for of, ids in state.effects_of.items()},
        "consoles": dict(state.vnc_ports),
        "to_be_moved": set(state.to_be_moved),
    }


def loaded(store: SqlStore) -> State:
    state = State()
    store.load(state)
    return state


def loaded_index(store: SqlStore) -> int:
    """The number of the last change, without loading anything."""
    return int(store.query("SELECT change_index FROM merope_log WHERE id=0")[0][0])


__all__ = ["Delete", "change", "cluster", "host", "loaded", "loaded_index", "portrait", "put", "stored", "vm"]
