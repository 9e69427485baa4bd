"""The state of a cloud: pools of rendered documents, the rows beside them, and their indexes.

Pure data. A change is applied as soon as its command has run, before it is durable; `apply` answers what
undoes it, for the one case in which the store could not make it durable (`undo`).
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from merope.model.acl import Rule, RuleSet, from_signed
from merope.model.change import Change, Key, Put, Row, number
from merope.model.document import Document, escape, unescape
from merope.model.effect import TABLE as EFFECT_TABLE
from merope.model.effect import Effect
from merope.model.hook import Logged
from merope.model.hook_run import TABLE as HOOK_RUN_TABLE
from merope.model.hook_run import HookRun
from merope.model.host_failure import TABLE as HOST_FAILURE_TABLE
from merope.model.host_failure import HostFailure
from merope.model.kinds import KINDS, Kind
from merope.model.long_text import LongText
from merope.model.quota import Quotas
from merope.model.states import VmState

#: Parsed objects kept for each pool. The rest is parsed again when it is needed.
PARSED_LIMIT = 4096
#: The same of VMs: one takes 12 KB, three times its document, and most of them rest.
PARSED_VMS = 1024


class Entry:
    """One object as it is stored: the columns and the rendered document.

    `index` is the change that wrote it. A cloud has one of these for each object, so each text is held
    once: as the database has it until somebody asks for it as it goes out (`wire`, escaped and encoded), and
    in that form from then on. `info_wire` and `pool_wire` hold documents that show more than the object's
    own, for kinds of which there are not many; whoever renders one keeps it there.
    """

    __slots__ = (
        "_body",
        "_short",
        "_short_wire",
        "_wire",
        "gid",
        "group_u",
        "index",
        "info_wire",
        "lcm_state",
        "name",
        "oid",
        "other_u",
        "owner_u",
        "parent",
        "pool_wire",
        "state",
        "type",
        "uid",
    )

    def __init__(self, oid: int, row: Row, index: int) -> None:
        self.oid = oid
        self.index = index
        self.name = str(row["name"])
        body = row["body"]
        self._body: str | LongText | None = body if isinstance(body, LongText) else str(body)
        self._short: str | None = str(row.get("short_body") or "")
        self._wire = self._short_wire = b""
        self.uid = number(row, "uid")
        self.gid = number(row, "gid")
        self.owner_u = number(row, "owner_u")
        self.group_u = number(row, "group_u")
        self.other_u = number(row, "other_u")
        self.state = number(row, "state")
        self.lcm_state = number(row, "lcm_state")
        self.type = number(row, "type")
        self.parent = number(row, "cid" if "cid" in row else "pid")
        self.info_wire: bytes | None = None
        self.pool_wire: bytes | None = None

    @property
    def body(self) -> str:
        """The document as the database has it."""
        return str(self.stored)

    @property
    def stored(self) -> str | LongText:
        """As `body`, in pieces where it is held in pieces."""
        return unescape(self._wire) if self._body is None else self._body

    @property
    def short(self) -> str:
        """The document of lists, for kinds that have one of their own."""
        return unescape(self._short_wire) if self._short is None else self._short

    @property
    def wire(self) -> bytes:
        """The document as it stands inside a string value of an answer."""
        if isinstance(self._body, LongText):
            # Its pieces are shared with the entries before and after it, and are read without a parser.
            self._wire = self._wire or escape(str(self._body)).encode()
        elif self._body is not None:
            self._wire, self._body = escape(self._body).encode(), None
        return self._wire

    @property
    def short_wire(self) -> bytes:
        if self._short is not None:
            self._short_wire, self._short = escape(self._short).encode(), None
        return self._short_wire


class Pool:
    """The live objects of one kind, by id and by name. Ids are kept in ascending order."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.entries: dict[int, Entry] = {}
        self.by_state: dict[int, set[int]] = {}
        self.last_index = 0
        self._names: dict[tuple[int, str], int] = {}
        self._parsed: OrderedDict[int, Document] = OrderedDict()
        self._parsed_limit = PARSED_VMS if kind.table == "vm_pool" else PARSED_LIMIT
        self._sorted = True

    def __len__(self) -> int:
        return len(self.entries)

    def parsed(self, oid: int) -> Document | None:
        """The object, shared with every reader: not to be changed."""
        found = self._parsed.get(oid)
        if found is not None:
            return found
        entry = self.entries.get(oid)
        if entry is None:
            return None
        fresh = self.kind.document.from_body(entry.stored)
        self.remember(oid, fresh)
        return fresh

    def take(self, oid: int) -> Document | None:
        """The object for its editor alone. Should the edit come to nothing, the next reader parses anew."""
        found = self._parsed.pop(oid, None)
        if found is None:
            entry = self.entries.get(oid)
            return None if entry is None else self.kind.document.from_body(entry.stored)
        return found

    def remember(self, oid: int, value: Document) -> None:
        self._parsed[oid] = value
        if len(self._parsed) > self._parsed_limit:
            self._parsed.popitem(last=False)

    def named(self, name: str, uid: int) -> int | None:
        """The id of the object of that name: the owner's where names are unique by owner."""
        return self._names.get((uid if self.kind.unique == "owner" else 0, name))

    def ids(self, *, descending: bool) -> Iterator[int]:
        if not self._sorted:
            self.entries = dict(sorted(self.entries.items()))
            self._sorted = True
        return reversed(self.entries) if descending else iter(self.entries)

    def replace(self, oid: int, new: Entry | None) -> Entry | None:
        """Puts or removes an entry, keeps the indexes, answers what was there."""
        old = self.entries.get(oid)
        if old is not None:
            self._forget(old)
        if new is None:
            self.entries.pop(oid, None)
            return old
        if old is None and self.entries and oid < next(reversed(self.entries)):
            self._sorted = False
        self.entries[oid] = new
        self.by_state.setdefault(new.state, set()).add(oid)
        if self.kind.unique != "none":
            self._names[self._name_key(new)] = oid
        return old

    def _forget(self, old: Entry) -> None:
        self._parsed.pop(old.oid, None)
        self.by_state[old.state].discard(old.oid)
        key = self._name_key(old)
        if self._names.get(key) == old.oid:
            del self._names[key]

    def _name_key(self, entry: Entry) -> tuple[int, str]:
        return (entry.uid if self.kind.unique == "owner" else 0, entry.name)


Undo = list[Callable[[], object]]
Parsed = dict[tuple[str, Key], Document | Quotas]


class State:
    """Everything that lives. `parsed` objects handed to `apply` spare the next reader a parse."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {kind.table: Pool(kind) for kind in KINDS}
        self.rules = RuleSet()
        self.user_quotas: dict[int, Quotas] = {}
        self.group_quotas: dict[int, Quotas] = {}
        self.attributes: dict[str, str] = {}
        self.last_oids: dict[str, int] = {}
        self.history: dict[int, dict[int, str]] = {}
        self.hook_log: dict[int, dict[int, Logged]] = {}
        """hook → number of the execution → what is logged of it."""
        self.hook_runs: dict[int, HookRun] = {}
        """Runs of hooks that are due, oldest first."""
        self.host_failures: dict[int, HostFailure] = {}
        """Host → what is known of its failures."""
        self.effects: dict[int, Effect] = {}
        self.effects_of: dict[tuple[str, int], set[int]] = {}
        self.vnc_ports: dict[tuple[int, int], int] = {}
        """(cluster, port) of every graphical console in use → VM; follows from the VMs' documents."""
        self.to_be_moved: set[int] = set()
        """VMs whose RESCHED flag is set; follows from their documents too."""
        self.monitoring: dict[str, dict[int, str]] = {"host_pool": {}, "vm_pool": {}}
        self.index = 0
        self._parsed: Parsed = {}
        self._tables: dict[str, Callable[[Key, Row | None], Callable[[], object]]] = {
            "acl": self._put_rule,
            "user_quotas": self._put_user_quotas,
            "group_quotas": self._put_group_quotas,
            "system_attributes": self._put_attribute,
            "pool_control": self._put_last_oid,
            "history": self._put_history,
            "hook_log": self._put_execution,
            EFFECT_TABLE: self._put_effect,
            HOOK_RUN_TABLE: self._put_hook_run,
            HOST_FAILURE_TABLE: self._put_host_failure,
        }

    def pool(self, kind: Kind) -> Pool:
        return self.pools[kind.table]

    def apply(self, change: Change, parsed: Parsed | None = None) -> Undo:
        """Applies a change; answers the steps that undo it, to be run in reverse."""
        undo: Undo = []
        self.index = change.index
        self._parsed = parsed or {}
        for operation in change.operations:
            row = operation.row if isinstance(operation, Put) else None
            undo.append(self._put(operation.table, operation.key, row, change.index))
        for (table, key), value in self._parsed.items():
            pool = self.pools.get(table)
            if pool is not None and isinstance(value, Document) and key in pool.entries:
                pool.remember(value.id, value)
        self._parsed = {}
        return undo

    def load(self, table: str, key: Key, row: Row) -> None:
        """Takes one stored row in, at start."""
        self._put(table, key, row, self.index)

    def _put(self, table: str, key: Key, row: Row | None, index: int) -> Callable[[], object]:
        pool = self.pools.get(table)
        if pool is not None and isinstance(key, int):
            return self._put_object(pool, key, row, index)
        put = self._tables.get(table)
        return put(key, row) if put is not None else _nothing

    def _put_object(self, pool: Pool, oid: int, row: Row | None, index: int) -> Callable[[], object]:
        entry = None if row is None else Entry(oid, row, index)
        before, pool.last_index = pool.last_index, index
        done = entry is not None and pool.kind.table == "vm_pool" and entry.state == VmState.DONE
        new = None if done else entry
        old = self._replace(pool, oid, new)
        history = self._drop_companions(pool.kind.table, oid) if new is None else {}

        def undo() -> None:
            self._replace(pool, oid, old)
            pool.last_index = before
            if history:
                self.history[oid] = history

        return undo

    def _replace(self, pool: Pool, oid: int, new: Entry | None) -> Entry | None:
        old = pool.replace(oid, new)
        if pool.kind.table == "vm_pool":
            self.to_be_moved.discard(oid)
            if old is not None and (port := _console(old)):
                self.vnc_ports.pop(port, None)
            if new is not None and (port := _console(new)):
                self.vnc_ports[port] = oid
            if new is not None and "<RESCHED>1</RESCHED>" in new.short:
                self.to_be_moved.add(oid)
        return old

    def _drop_companions(self, table: str, oid: int) -> dict[int, str]:
        """Done VMs live in the database only; answers the history that a change that is undone puts back.

        The figures of monitoring are lost then, which the next monitoring brings again.
        """
        if table in self.monitoring:
            self.monitoring[table].pop(oid, None)
        return self.history.pop(oid, {}) if table == "vm_pool" else {}

    def _put_rule(self, key: Key, row: Row | None) -> Callable[[], object]:
        assert isinstance(key, int)
        old = self.rules.get(key)
        if old is not None:
            self.rules.remove(key)
        if row is not None:
            parts = (from_signed(number(row, name)) for name in ("userset", "resource", "rights", "zone"))
            self.rules.add(Rule(key, *parts))

        def undo() -> None:
            if self.rules.get(key) is not None:
                self.rules.remove(key)
            if old is not None:
                self.rules.add(old)

        return undo

    def _put_user_quotas(self, key: Key, row: Row | None) -> Callable[[], object]:
        return self._put_quotas(self.user_quotas, "user_pool", key, row)

    def _put_group_quotas(self, key: Key, row: Row | None) -> Callable[[], object]:
        return self._put_quotas(self.group_quotas, "group_pool", key, row)

    def _put_quotas(
        self, table: dict[int, Quotas], pool: str, key: Key, row: Row | None
    ) -> Callable[[], object]:
        assert isinstance(key, int)
        old = table.get(key)
        self.forget_wires(pool, key)
        if row is None:
            table.pop(key, None)
        else:
            known = self._parsed.get((f"{pool.removesuffix('_pool')}_quotas", key))
            table[key] = known if isinstance(known, Quotas) else Quotas.from_xml(str(row["body"]))
        return _restore(table, key, old)

    def _put_attribute(self, key: Key, row: Row | None) -> Callable[[], object]:
        for pool in ("user_pool", "group_pool"):
            for oid in self.pools[pool].entries:
                self.forget_wires(pool, oid)
        return _put_value(self.attributes, str(key), None if row is None else str(row["body"]))

    def _put_last_oid(self, key: Key, row: Row | None) -> Callable[[], object]:
        return _put_value(self.last_oids, str(key), None if row is None else number(row, "last_oid"))

    def _put_history(self, key: Key, row: Row | None) -> Callable[[], object]:
        assert isinstance(key, tuple)
        vm_id, seq = key
        if vm_id not in self.pools["vm_pool"].entries:
            return _nothing
        records = self.history.setdefault(vm_id, {})
        return _put_value(records, seq, None if row is None else _without_snapshot(str(row["body"])))

    def _put_execution(self, key: Key, row: Row | None) -> Callable[[], object]:
        assert isinstance(key, tuple)
        hook_id, run = key
        self.forget_wires("hook_pool", hook_id)
        new = None
        if row is not None:
            new = Logged(number(row, "timestamp"), number(row, "rc"), str(row["body"]))
        return _put_value(self.hook_log.setdefault(hook_id, {}), run, new)

    def _put_hook_run(self, key: Key, row: Row | None) -> Callable[[], object]:
        assert isinstance(key, int)
        new = None if row is None else HookRun.from_json(key, str(row["body"]))
        return _put_value(self.hook_runs, key, new)

    def _put_host_failure(self, key: Key, row: Row | None) -> Callable[[], object]:
        assert isinstance(key, int)
        new = None if row is None else HostFailure.from_json(key, str(row["body"]))
        return _put_value(self.host_failures, key, new)

    def _put_effect(self, key: Key, row: Row | None) -> Callable[[], object]:
        assert isinstance(key, int)
        old = self.effects.get(key)
        new = None if row is None else Effect.from_json(key, str(row["body"]))
        self._set_effect(key, new)
        return lambda: self._set_effect(key, old)

    def _set_effect(self, effect_id: int, new: Effect | None) -> None:
        old = self.effects.pop(effect_id, None)
        if old is not None:
            held = self.effects_of[_object_of(old)]
            held.discard(effect_id)
            if not held:
                del self.effects_of[_object_of(old)]
        if new is not None:
            self.effects[effect_id] = new
            self.effects_of.setdefault(_object_of(new), set()).add(effect_id)

    def forget_wires(self, table: str, oid: int) -> None:
        """What an object's document shows from elsewhere has changed: it is rendered again when asked for."""
        entry = self.pools[table].entries.get(oid)
        if entry is not None:
            entry.info_wire = entry.pool_wire = None

    def set_monitoring(self, table: str, oid: int, document: str) -> None:
        """The latest MONITORING of a host or a VM; live data, not part of any change."""
        self.monitoring[table][oid] = document


def undo(steps: Undo) -> None:
    """Takes an applied change back."""
    for step in reversed(steps):
        step()


def _object_of(effect: Effect) -> tuple[str, int]:
    return (effect.op.partition(".")[0], effect.oid)


_CONSOLE = re.compile(r"<GRAPHICS>.*<PORT><!\[CDATA\[(\d+)\]\].*</GRAPHICS>.*<CID>(-?\d+)</CID>", re.DOTALL)


def _console(entry: Entry) -> tuple[int, int] | None:
    if "<GRAPHICS>" not in entry.short:
        return None
    found = _CONSOLE.search(entry.short)
    return (int(found[2]), int(found[1])) if found else None


def _without_snapshot(record: str) -> str:
    """A closed history record without the VM document that the database keeps in it for accounting."""
    start = record.find("<VM>")
    return record if start < 0 else record[:start] + "</HISTORY>"


def _nothing() -> None:
    """Tables without a place in memory need no undoing."""


def _put_value(table: dict[Any, Any], key: object, value: object) -> Callable[[], object]:
    old = table.get(key)
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
    return _restore(table, key, old)


def _restore(table: dict[Any, Any], key: object, old: object) -> Callable[[], object]:
    def restore() -> None:
        if old is None:
            table.pop(key, None)
        else:
            table[key] = old

    return restore
