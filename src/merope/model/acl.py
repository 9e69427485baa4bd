"""ACL rules: their 64-bit encoding, their text, and who may do what by them.

A rule grants rights on resources to users in a zone. Each of the four is a number (spec `acl`): user,
resource and zone consist of a selector (one of # individual, @ group, * all, % cluster) above a 32-bit id,
the resource has its object types above that. Permission bits of an object are not rules here: the caller
asks `Permissions.allows` first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from merope.model.permissions import ObjectType, Op

INDIVIDUAL: Final = 0x1_0000_0000
GROUP: Final = 0x2_0000_0000
ALL: Final = 0x4_0000_0000
CLUSTER: Final = 0x8_0000_0000

_ID: Final = 0xFFFF_FFFF
_SELECTOR: Final = 0xF_0000_0000
_SELECTION: Final = _SELECTOR | _ID
_SIGNS: Final = {INDIVIDUAL: "#", GROUP: "@", CLUSTER: "%"}
_SELECTORS: Final = {sign: bit for bit, sign in _SIGNS.items()}

TEXT_TYPES: Final = tuple(kind for kind in ObjectType if kind not in (ObjectType.ACL, ObjectType.HOOK))
"""The types that a rule's text may name, in the order in which it names them."""

_KNOWN_TYPES: Final = sum(kind for kind in ObjectType if kind != ObjectType.HOOK)
_IN_CLUSTERS: Final = ObjectType.HOST | ObjectType.NET | ObjectType.DATASTORE
_WITHOUT_GROUP: Final = (
    ObjectType.HOST | ObjectType.GROUP | ObjectType.CLUSTER | ObjectType.ZONE | ObjectType.VDC
)
_FEDERATED: Final = ObjectType.USER | ObjectType.GROUP | ObjectType.ZONE | ObjectType.ACL | ObjectType.VDC


class AclError(ValueError):
    """A rule that cannot be read or added; the text is a sentence for the caller."""


def individual(oid: int) -> int:
    """The component `#oid` of a user, resource or zone."""
    return INDIVIDUAL | oid & _ID


def group(gid: int) -> int:
    """The component `@gid` of a user or resource."""
    return GROUP | gid & _ID


def cluster(cid: int) -> int:
    """The component `%cid` of a resource."""
    return CLUSTER | cid & _ID


def to_signed(number: int) -> int:
    """A component as the signed BIGINT of the database."""
    return number - (1 << 64) if number >> 63 else number


def from_signed(number: int) -> int:
    """A component from the signed BIGINT of the database."""
    return number & 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `id` is -1 while it has none; the other four are unsigned 64-bit components."""

    id: int
    user: int
    resource: int
    rights: int
    zone: int

    @property
    def key(self) -> tuple[int, int, int, int]:
        """What makes two rules the same one."""
        return (self.user, self.resource, self.rights, self.zone)

    def to_string(self) -> str:
        """The text of STRING, "@1 VM+NET/* CREATE #0". A component without selector shows as "??"."""
        types = "+".join(kind.name for kind in TEXT_TYPES if self.resource & kind)
        rights = "+".join(op.name for op in Op if self.rights & op)
        return (
            f"{_selection_text(self.user)} {types}/{_selection_text(self.resource)} "
            f"{rights} {_selection_text(self.zone)}"
        )

    def to_xml(self) -> str:
        return (
            f"<ACL><ID>{self.id}</ID><USER>{self.user:x}</USER><RESOURCE>{self.resource:x}</RESOURCE>"
            f"<RIGHTS>{self.rights:x}</RIGHTS><ZONE>{self.zone:x}</ZONE><STRING>{self.to_string()}</STRING></ACL>"
        )


def rule_from_hex(user: str, resource: str, rights: str, zone: str, rule_id: int = -1) -> Rule:
    """From the hexadecimal arguments of `one.acl.addrule`. Raises AclError when one is not 64-bit hex."""
    return Rule(
        rule_id,
        _hex("user", user),
        _hex("resource", resource),
        _hex("rights", rights),
        _hex("zone", zone),
    )


def parse_rule(text: str, default_zone: int = INDIVIDUAL, rule_id: int = -1) -> Rule:
    """From "<user> <TYPE+…>/<selection> <RIGHT+…> [<zone>]", words in any case, types in any order.

    A missing zone is `default_zone` (a component; #0 unless given). Raises AclError naming the part that
    is wrong; whether the parts go together is for `validate`.
    """
    fields = text.split()
    if len(fields) not in (3, 4):
        raise AclError(
            f"ACL rule {text!r} must have a user, resources, rights and optionally a zone, "
            "for example: @1 VM+IMAGE/* CREATE *"
        )
    types, slash, selection = fields[1].rpartition("/")
    if not slash:
        raise AclError(f"ACL rule resource {fields[1]!r} must be TYPE+TYPE/selection, for example VM+IMAGE/*")
    return Rule(
        rule_id,
        _parse_selection("user", fields[0], "#@"),
        _parse_words("type", types, _TYPE_WORDS) | _parse_selection("resource", selection, "#@%"),
        _parse_words("right", fields[2], _RIGHT_WORDS),
        _parse_selection("zone", fields[3], "#") if len(fields) == 4 else default_zone,
    )


def validate(rule: Rule) -> list[str]:
    """Every reason why the rule is malformed (spec `acl.malformed`); none when it is well formed."""
    reasons = [
        *_selection_faults("user", rule.user, INDIVIDUAL | GROUP | ALL),
        *_selection_faults("resource", rule.resource & _SELECTION, _SELECTOR),
        *_selection_faults("zone", rule.zone, INDIVIDUAL | ALL),
    ]
    types = rule.resource & ~_SELECTION
    if not types:
        reasons.append("[resource] names no object type")
    if types & ~_KNOWN_TYPES:
        reasons.append("[resource] has unknown object types")
    if rule.resource & CLUSTER and types & ~_IN_CLUSTERS:
        reasons.append("[resource] % (cluster) is only for HOST, NET and DATASTORE")
    if rule.resource & GROUP and types & _WITHOUT_GROUP:
        reasons.append("[resource] @ (group) is not for HOST, GROUP, CLUSTER, ZONE and VDC")
    if rule.resource & INDIVIDUAL and rule.zone & ALL and types & ~_FEDERATED:
        reasons.append("[resource] # (individual) in all zones is only for USER, GROUP, ZONE and VDC")
    if not 0 < rule.rights <= 0xF:
        reasons.append("[rights] must lie between 1 and F")
    return reasons


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which objects of a type the rules give somebody: all, single ones, those of groups, of clusters."""

    all: bool
    oids: frozenset[int]
    gids: frozenset[int]
    cids: frozenset[int]

    def covers(self, oid: int, gid: int, cids: Iterable[int] = (), *, reservation: bool = False) -> bool:
        """Whether it takes in an object; a network reservation is taken in by id or group only."""
        if oid in self.oids or gid in self.gids:
            return True
        return not reservation and (self.all or not self.cids.isdisjoint(cids))


class RuleSet:
    """All rules of a cloud, indexed by whom they are for, type and selection."""

    __slots__ = ("_by_id", "_index", "_keys")

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._by_id: dict[int, Rule] = {}
        self._keys: dict[tuple[int, int, int, int], int] = {}
        # user component → type bit → selection of the resource → rules
        self._index: dict[int, dict[int, dict[int, list[Rule]]]] = {}
        for rule in rules:
            self.add(rule)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Rule]:
        """In order of ids."""
        return (self._by_id[rule_id] for rule_id in sorted(self._by_id))

    def get(self, rule_id: int) -> Rule | None:
        return self._by_id.get(rule_id)

    def find(self, rule: Rule) -> Rule | None:
        """The stored rule that says the same, whatever its id."""
        rule_id = self._keys.get(rule.key)
        return None if rule_id is None else self._by_id[rule_id]

    def add(self, rule: Rule) -> None:
        """Takes it in as it is (see `check_new`). Raises AclError when it or its id is already there."""
        if rule.key in self._keys:
            raise AclError(f"Rule {rule.to_string()} already exists")
        if rule.id in self._by_id:
            raise AclError(f"Rule id {rule.id} is already taken by {self._by_id[rule.id].to_string()}")
        self._by_id[rule.id] = rule
        self._keys[rule.key] = rule.id
        by_type = self._index.setdefault(rule.user, {})
        for bit in _type_bits(rule.resource):
            by_type.setdefault(bit, {}).setdefault(rule.resource & _SELECTION, []).append(rule)

    def remove(self, rule_id: int) -> Rule:
        """Raises AclError when there is no such rule."""
        rule = self._by_id.pop(rule_id, None)
        if rule is None:
            raise AclError(f"Rule {rule_id} does not exist")
        del self._keys[rule.key]
        by_type = self._index[rule.user]
        for bit in _type_bits(rule.resource):
            selections = by_type[bit]
            rules = selections[rule.resource & _SELECTION]
            rules.remove(rule)
            if not rules:
                del selections[rule.resource & _SELECTION]
            if not selections:
                del by_type[bit]
        if not by_type:
            del self._index[rule.user]
        return rule

    def check_new(self, rule: Rule) -> None:
        """Raises AclError when the rule is already there or malformed, with 5.12's message."""
        if rule.key in self._keys:
            raise AclError(f"Rule {rule.to_string()} already exists")
        if reasons := validate(rule):
            raise AclError(f"Rule {rule.to_string()} is malformed: {'; '.join(reasons)}")

    def allows(
        self,
        uid: int,
        gids: Iterable[int],
        kind: ObjectType,
        op: Op,
        *,
        oid: int = -1,
        gid: int = -1,
        cids: Iterable[int] = (),
        zone_id: int = 0,
        reservation: bool = False,
    ) -> bool:
        """Whether a rule lets a user, member of `gids`, do `op` with one object of a type.

        `oid`, `gid` (owner group) and `cids` describe the object; -1 for what it has not: a creation has
        no `oid`, and the group of its creator as `gid`. Rules for all and for clusters pass by network
        reservations (`reservation`). Source: spec `auth.decision`.
        """
        index = self._index
        zones = (ALL, INDIVIDUAL | zone_id)
        selections = [] if reservation else [ALL, *(CLUSTER | cid for cid in cids)]
        if gid >= 0:
            selections.append(GROUP | gid)
        if oid >= 0:
            selections.append(INDIVIDUAL | oid)
        bit, right = int(kind), int(op)
        for user in (ALL, INDIVIDUAL | uid, *(GROUP | member for member in gids)):
            by_type = index.get(user)
            rules_of = by_type.get(bit) if by_type else None
            if not rules_of:
                continue
            for selection in selections:
                for rule in rules_of.get(selection, ()):
                    if rule.rights & right == right and rule.zone in zones:
                        return True
        return False

    def visible(
        self, uid: int, gids: Iterable[int], kind: ObjectType, op: Op = Op.USE, zone_id: int = 0
    ) -> Visibility:
        """What `allows` permits over a whole type, so that a pool need not ask it for each object."""
        everything = False
        found: dict[int, set[int]] = {INDIVIDUAL: set(), GROUP: set(), CLUSTER: set()}
        zones = (ALL, INDIVIDUAL | zone_id)
        bit, right = int(kind), int(op)
        for user in (ALL, INDIVIDUAL | uid, *(GROUP | member for member in gids)):
            by_type = self._index.get(user)
            if not by_type:
                continue
            for selection, rules in by_type.get(bit, {}).items():
                if any(rule.rights & right == right and rule.zone in zones for rule in rules):
                    if selection == ALL:
                        everything = True
                    elif (selector := selection & _SELECTOR) in found:
                        found[selector].add(selection & _ID)
        return Visibility(
            everything, frozenset(found[INDIVIDUAL]), frozenset(found[GROUP]), frozenset(found[CLUSTER])
        )

    def rules_about(self, kind: ObjectType, oid: int) -> list[Rule]:
        """The rules that go when an object goes, in order of ids.

        Those that name it alone as their resource (not VM+NET/#7, which another object may need), those
        for a user, those for and about the objects of a group, those about the objects of a cluster, and
        those for a zone.
        """
        resource = kind | individual(oid)
        user = {ObjectType.USER: individual(oid), ObjectType.GROUP: group(oid)}.get(kind)
        selection = {ObjectType.GROUP: group(oid), ObjectType.CLUSTER: cluster(oid)}.get(kind)
        zone = individual(oid) if kind == ObjectType.ZONE else None
        return [
            rule
            for rule in self
            if rule.resource == resource
            or rule.user == user
            or rule.zone == zone
            or rule.resource & _SELECTION == selection
        ]

    def to_xml(self) -> str:
        """The ACL_POOL document."""
        return f"<ACL_POOL>{''.join(rule.to_xml() for rule in self)}</ACL_POOL>"


_TYPE_WORDS: Final = {kind.name: int(kind) for kind in TEXT_TYPES}
_RIGHT_WORDS: Final = {op.name: int(op) for op in Op}


def _type_bits(resource: int) -> list[int]:
    types = resource >> 36
    return [1 << bit for bit in range(36, 36 + types.bit_length()) if resource >> bit & 1]


def _selection_text(component: int) -> str:
    for bit in (GROUP, INDIVIDUAL, CLUSTER):
        if component & bit:
            return f"{_SIGNS[bit]}{component & _ID}"
    return "*" if component & ALL else "??"


def _parse_selection(part: str, text: str, signs: str) -> int:
    if text == "*":
        return ALL
    digits = text[1:]
    number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 10 else -1
    if text[:1] not in signs or not 0 <= number <= 0x7FFF_FFFF:
        forms = ", ".join(f"{sign}<id>" for sign in signs)
        raise AclError(f"ACL rule {part} {text!r} must be * or one of {forms}")
    return _SELECTORS[text[0]] | number


def _parse_words(what: str, text: str, words: dict[str, int]) -> int:
    mask = 0
    for word in text.upper().split("+"):
        if word not in words:
            raise AclError(f"ACL rule {what} {word!r} must be one of {', '.join(words)}")
        mask |= words[word]
    return mask


def _hex(part: str, text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise AclError(f"ACL rule {part} {text!r} must be a hexadecimal number of at most 64 bits")
    return number


def _selection_faults(part: str, component: int, selectors: int) -> Iterator[str]:
    allowed = [sign for bit, sign in (*_SIGNS.items(), (ALL, "*")) if bit & selectors]
    chosen = component & _SELECTOR
    if component & ~_SELECTION:
        yield f"[{part}] has unknown bits"
    if chosen & ~selectors or chosen.bit_count() != 1:
        yield f"[{part}] must have exactly one of {' '.join(allowed)}"
    if component >> 31 & 1:
        yield f"[{part}] has a negative id"
    if chosen == ALL and component & _ID:
        yield f"[{part}] must have id 0 with *"
