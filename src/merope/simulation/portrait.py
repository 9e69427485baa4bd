"""A state as plain values, to compare two: what was taken back, reloaded or kept must be the same."""

from typing import Any

from merope.model.quota import Quotas
from merope.model.state import Entry, Pool, State


def portrait(state: State) -> dict[str, Any]:
    """Everything of a state that a command can see, its indexes included; not the figures of monitoring."""
    live = state.pools["vm_pool"].entries
    taken: dict[str, Any] = {table: _pool(pool) for table, pool in state.pools.items()}
    taken |= {
        "rules": {rule.id: rule.key for rule in state.rules},
        "user_quotas": _quotas(state.user_quotas),
        "group_quotas": _quotas(state.group_quotas),
        "attributes": dict(state.attributes),
        "last_oids": dict(state.last_oids),
        "history": {vm: dict(records) for vm, records in state.history.items() if records and vm in live},
        "effects": {oid: effect.to_json() for oid, effect in state.effects.items()},
        "effects_of": {key: set(ids) for key, ids in state.effects_of.items()},
        "host_failures": {oid: failure.to_json() for oid, failure in state.host_failures.items()},
        "to_be_moved": set(state.to_be_moved),
        "vnc_ports": dict(state.vnc_ports),
        "index": state.index,
    }
    return taken


def _pool(pool: Pool) -> dict[str, Any]:
    return {
        "entries": {oid: _entry(entry) for oid, entry in pool.entries.items()},
        "order": list(pool.ids(descending=False)),
        "states": {number: set(ids) for number, ids in pool.by_state.items() if ids},
        "names": {
            entry.oid: pool.named(entry.name, entry.uid) if pool.kind.unique != "none" else None
            for entry in pool.entries.values()
        },
    }


def _entry(entry: Entry) -> tuple[Any, ...]:
    bits = (entry.owner_u, entry.group_u, entry.other_u)
    numbers = (entry.uid, entry.gid, bits, entry.state, entry.lcm_state, entry.parent)
    return (entry.name, *numbers, entry.short, entry.body)


def _quotas(quotas: dict[int, Quotas]) -> dict[int, str]:
    return {oid: value.to_xml(oid) for oid, value in quotas.items()}


def difference(one: object, other: object, path: str = "state") -> str:
    """Where two portraits differ first, empty when they don't."""
    if one == other:
        return ""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            found = difference(one.get(key), other.get(key), f"{path}/{key}")
            if found:
                return found
    return f"{path}: {one!r} is not {other!r}"
