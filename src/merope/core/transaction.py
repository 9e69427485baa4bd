"""A transaction: what a command reads and writes, and all that it may know of the world outside.

A command runs to its end or raises; what it edited becomes one change, or nothing at all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from merope.core import hook_matching
from merope.model.addressing import Answers
from merope.model.change import Cell, Change, Delete, Key, Operation, Put, Row
from merope.model.document import Document
from merope.model.effect import TABLE as EFFECT_TABLE
from merope.model.effect import Effect
from merope.model.errors import ApiError, Code
from merope.model.event import Event, Heard, nobody
from merope.model.hook import TYPES as HOOK_TYPES
from merope.model.hook import Hook
from merope.model.kinds import BY_DOCUMENT, Kind
from merope.model.owned import Owned
from merope.model.quota import Quotas
from merope.model.secret_attributes import conceal
from merope.model.settings import Settings
from merope.model.state import Entry, Parsed, State
from merope.model.stored_document import StoredDocument
from merope.model.vm import VM, History
from merope.model.vm_search import search_token
from merope.model.vnet import VirtualNetwork

D = TypeVar("D", bound=Document)

ONEADMIN = 0
ONEADMIN_GROUP = 0
USERS_GROUP = 1


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `gid` is the effective group: of the token, else the primary one."""

    uid: int
    gid: int
    name: str = ""
    group_name: str = ""
    groups: frozenset[int] = frozenset()
    umask: int = 0o177

    @property
    def is_admin(self) -> bool:
        """uid 0 or a member of group oneadmin: ACL rules do not apply (locks do)."""
        return self.uid == ONEADMIN or ONEADMIN_GROUP in self.groups


#: The cloud itself, for what it does of its own accord.
SYSTEM = Caller(ONEADMIN, ONEADMIN_GROUP, "oneadmin", "oneadmin", frozenset({ONEADMIN_GROUP}))


#: A security group waits for the answer, whatever becomes of the VM.
KEPT_EFFECTS = frozenset({"vm.update_sg"})

#: Changes of the state of these are events.
_WITH_EVENTS = frozenset({"vm_pool", "host_pool"})

#: In place of an id: every finished object.
ALL_ARCHIVED = -1


class Archived(Exception):  # noqa: N818 - a signal to the dispatcher, not an error
    """The command needs an object that is in the database only: read it, then run the command again."""

    def __init__(self, table: str, oid: int) -> None:
        super().__init__(f"{table} {oid}")
        self.table = table
        self.oid = oid


@dataclass(frozen=True, slots=True)
class Context:
    """What a transaction knows from outside: `now` is an epoch in seconds, `random(n)` gives n bytes.

    `archive` holds what was read from the database for it, `prepared` what a slow look at the world found.
    """

    now: int
    caller: Caller
    settings: Settings
    random: Callable[[int], bytes]
    request_id: int = -1
    internal: bool = False
    archive: dict[tuple[str, int], Entry | None] = field(default_factory=dict)
    archived_vms: list[Entry] | None = None
    prepared: dict[str, str | int] = field(default_factory=dict)
    addresses: Answers = field(default_factory=Answers)
    """What address managers outside answered (core/ipam.py)."""
    heard: Heard = nobody


class Transaction:
    """See the module. `get` answers shared objects, not to be changed; `edit` one's own."""

    def __init__(self, state: State, context: Context) -> None:
        self.state = state
        self.context = context
        self.now = context.now
        self.caller = context.caller
        self.settings = context.settings
        self.seen = 0
        """The newest change among those that wrote what was read: the answer depends on it."""
        self._edited: dict[tuple[str, int], Document] = {}
        self._deleted: dict[tuple[str, int], Kind] = {}
        self._quotas: dict[tuple[str, int], Quotas] = {}
        self._rows: dict[tuple[str, Key], Row | None] = {}
        self._last_oids: dict[str, int] = {}
        self._effects: list[Effect] = []
        self._events: list[Event] = []

    # Reading

    def find(self, kind: type[D], oid: int) -> D | None:
        table = BY_DOCUMENT[kind].table
        own = self._edited.get((table, oid))
        if own is None and (table, oid) not in self._deleted:
            own = self.state.pools[table].parsed(oid)
            if own is None:
                own = self._from_archive(table, oid)
        assert own is None or isinstance(own, kind)
        return own

    def get(self, kind: type[D], oid: int) -> D:
        """Raises ApiError NO_EXISTS."""
        found = self.find(kind, oid)
        if found is None:
            raise no_such(kind, oid)
        return found

    def entry(self, kind: type[Document], oid: int) -> Entry:
        """The stored form of a live object that this transaction has not changed; NO_EXISTS otherwise."""
        table = BY_DOCUMENT[kind].table
        found = self.state.pools[table].entries.get(oid)
        if found is not None:
            self.seen = max(self.seen, found.index)
            return found
        self._from_archive(table, oid)
        archived = self.context.archive.get((table, oid))
        if archived is None:
            raise no_such(kind, oid)
        return archived

    def named(self, kind: type[Document], name: str, uid: int = 0) -> int | None:
        """The id of the object of that name, in the scope in which its kind's names are unique."""
        known = BY_DOCUMENT[kind]
        for (table, oid), own in self._edited.items():
            same_scope = known.unique != "owner" or (isinstance(own, Owned) and own.uid == uid)
            if table == known.table and own.name == name and same_scope:
                return oid
        found = self.state.pools[known.table].named(name, uid)
        if found is None or (known.table, found) in self._deleted or (known.table, found) in self._edited:
            return None
        return found

    def archived_vms(self) -> list[Entry]:
        """Every finished VM."""
        if self.context.archived_vms is None:
            raise Archived("vm_pool", ALL_ARCHIVED)
        return self.context.archived_vms

    def _from_archive(self, table: str, oid: int) -> Document | None:
        if table != "vm_pool" or oid < 0 or oid > self.state.last_oids.get(table, -1):
            return None
        if (table, oid) not in self.context.archive:
            raise Archived(table, oid)
        entry = self.context.archive[table, oid]
        return None if entry is None else VM.from_xml(entry.body)

    # Writing

    def edit(self, kind: type[D], oid: int) -> D:
        """The object, for this transaction to change; raises ApiError NO_EXISTS."""
        table = BY_DOCUMENT[kind].table
        own = self._edited.get((table, oid))
        if own is None:
            own = None if (table, oid) in self._deleted else self.state.pools[table].take(oid)
            if own is None:
                own = self._from_archive(table, oid)
            if own is None:
                raise no_such(kind, oid)
            self._edited[table, oid] = own
        assert isinstance(own, kind)
        return own

    def new_id(self, kind: type[Document]) -> int:
        """The next id of the kind; ids are not used again."""
        known = BY_DOCUMENT[kind]
        last = self._last_oids.get(known.table)
        if last is None:
            last = self.state.last_oids.get(known.table, known.first - 1)
        self._last_oids[known.table] = max(last + 1, known.first)
        return self._last_oids[known.table]

    def add(self, value: Document) -> None:
        """A new object, whose id came from `new_id`."""
        self._edited[BY_DOCUMENT[type(value)].table, value.id] = value

    def delete(self, value: Document) -> None:
        known = BY_DOCUMENT[type(value)]
        self._edited.pop((known.table, value.id), None)
        self.state.pools[known.table].take(value.id)
        self._deleted[known.table, value.id] = known

    def put_row(self, table: str, key: Key, row: Row | None) -> None:
        """A row of a table that is not a pool of objects; None removes it."""
        self._rows[table, key] = row

    def next_number(self, table: str) -> int:
        """The next key, from 1, of a table whose rows are no objects."""
        last = self._last_oids.get(table)
        if last is None:
            last = self.state.last_oids.get(table, 0)
        self._last_oids[table] = last + 1
        return last + 1

    def row(self, table: str, key: Key) -> Row | None:
        """A row that this transaction has put."""
        return self._rows.get((table, key))

    def quotas(self, scope: str, oid: int) -> Quotas:
        """The quotas of a user or a group (`scope`), for this transaction to change."""
        table = f"{scope}_quotas"
        own = self._quotas.get((table, oid))
        if own is None:
            stored = (self.state.user_quotas if scope == "user" else self.state.group_quotas).get(oid)
            own = Quotas() if stored is None else stored.copy()
            self._quotas[table, oid] = own
        return own

    def history(self, vm_id: int) -> list[History]:
        """The closed records of a live VM, oldest first."""
        stored = self.state.history.get(vm_id, {})
        return [History.from_xml(stored[seq]) for seq in sorted(stored)]

    # Effects

    def effect(self, op: str, oid: int, host: int = -1, **arguments: str | int) -> Effect:
        """Asks for something to be done once this change is durable; its result is a command of its own."""
        wanted = Effect(self.next_number(EFFECT_TABLE), op, oid, host, arguments)
        self._effects.append(wanted)
        self._rows[EFFECT_TABLE, wanted.id] = {"oid": wanted.id, "body": wanted.to_json()}
        return wanted

    def drop_effects(self, family: str, oid: int) -> None:
        """What is under way for an object is no longer wanted; a late answer finds no row and is ignored.

        But what somebody else than the object waits for (KEPT_EFFECTS).
        """
        for effect_id in self.state.effects_of.get((family, oid), set()):
            if self.state.effects[effect_id].op not in KEPT_EFFECTS:
                self._rows[EFFECT_TABLE, effect_id] = None
        kept = []
        for effect in self._effects:
            mine = (effect.op.partition(".")[0], effect.oid) == (family, oid)
            if mine and effect.op not in KEPT_EFFECTS:
                del self._rows[EFFECT_TABLE, effect.id]
            else:
                kept.append(effect)
        self._effects = kept

    def complete_effect(self, effect_id: int) -> None:
        self._rows[EFFECT_TABLE, effect_id] = None

    # Events

    def tell(self, keys: tuple[str, ...], message: str) -> None:
        """Subscribers hear of it once this change is durable."""
        self._events.append(Event(keys, message))

    # Ending

    def commit(self, index: int) -> tuple[Change, Parsed]:
        """The change that this transaction amounts to, and the parsed objects that go with it."""
        operations: list[Operation] = []
        parsed: Parsed = {}
        for (table, oid), value in self._edited.items():
            conceal(value, self.settings)
            row = object_row(value, self.settings.long_list)
            operations.append(Put(table, oid, row))
            parsed[table, oid] = value
            if table in _WITH_EVENTS:
                hook_matching.state_changed(self, value, str(row["body"]))
        operations += [Delete(table, oid) for table, oid in self._deleted]
        for (table, oid), quotas in self._quotas.items():
            column = f"{table.removesuffix('_quotas')}_oid"
            operations.append(Put(table, oid, {column: oid, "body": quotas.to_xml(oid)}))
            parsed[table, oid] = quotas
        for (table, key), other in self._rows.items():
            operations.append(Delete(table, key) if other is None else Put(table, key, other))
        for table, last in self._last_oids.items():
            operations.append(Put("pool_control", table, {"tablename": table, "last_oid": last}))
        return Change(index, self.now, tuple(operations), tuple(self._events)), parsed

    def abandon(self) -> None:
        """The command failed: what it took for editing is parsed anew by the next reader."""
        self._edited.clear()


def no_such(kind: type[Document], oid: int) -> ApiError:
    return ApiError(Code.NO_EXISTS, f"Error getting {BY_DOCUMENT[kind].label} [{oid}].", oid)


def object_row(value: Document, most: int = Settings.long_list) -> Row:
    """The columns of an object's row (spec db.yaml `body`).

    Lists of more than `most` entries are in pieces.
    """
    row: dict[str, Cell] = {"oid": value.id, "name": value.name, "body": value.to_body(most)}
    if isinstance(value, Owned):
        bits = value.permissions
        row |= {"uid": value.uid, "gid": value.gid}
        row |= {"owner_u": int(bits.owner_u), "group_u": int(bits.group_u), "other_u": int(bits.other_u)}
    else:
        row |= {"uid": 0, "gid": 0, "owner_u": 1, "group_u": 0, "other_u": 0}
    if isinstance(value, VM):
        row |= {"state": value.state, "lcm_state": value.lcm_state}
        row |= {"short_body": value.to_short_xml(), "search_token": search_token(value)}
    elif isinstance(value, VirtualNetwork):
        row["pid"] = value.parent_network_id
    elif isinstance(value, StoredDocument):
        row["type"] = value.type
    elif isinstance(value, Hook):
        row["type"] = HOOK_TYPES[value.type]
    else:
        for name, column in (("state", "state"), ("cluster_id", "cid")):
            if column in BY_DOCUMENT[type(value)].columns:
                row[column] = getattr(value, name)
    return row
