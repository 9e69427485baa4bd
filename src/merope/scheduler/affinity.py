"""What the rules of a VM group ask of its VMs: who shares a host, who does not, and which hosts are left.

Source: spec scheduler.yaml `vm_groups`. VMs that must share a host are a bundle, placed whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from merope.scheduler.snapshot import GroupView, RoleView, VmRequest

#: Places of other VMs that a rule's text names; the text of a large group must stay readable.
NAMED_PLACES = 3


class Rule(NamedTuple):
    """What a rule leaves of the hosts: those of `only` (None: all) without those of `never`."""

    text: str
    only: frozenset[int] | None = None
    never: frozenset[int] = frozenset()

    def allows(self, host_id: int) -> bool:
        return (self.only is None or host_id in self.only) and host_id not in self.never


@dataclass(frozen=True, slots=True)
class Bundle:
    """VMs that wait and must share a host, most often one. `apart` are VMs that must not be on that host."""

    vms: tuple[VmRequest, ...]
    apart: frozenset[int]
    bound: bool
    """Whether any rule is about them: others are placed as if they were in no group."""


class Relations:
    """The rules of one group, by the ids of its VMs."""

    def __init__(self, group: GroupView) -> None:
        self._roles = {role.name: role for role in group.roles}
        self._role_of = {vm_id: role for role in group.roles for vm_id in role.vm_ids}
        alone = [frozenset({role.name}) for role in group.roles if role.policy == "AFFINED"]
        self._together = _merged([*group.affined, *alone])
        self._anti_affined = group.anti_affined

    def bundles(self, waiting: Iterable[VmRequest]) -> list[Bundle]:
        """The waiting VMs of the group as bundles, in the order of their first VMs."""
        found: dict[object, list[VmRequest]] = {}
        for vm in waiting:
            role = self._role_of.get(vm.id)
            key = None if role is None else self._set_of(role)
            found.setdefault(key or vm.id, []).append(vm)
        return [self._bundle(tuple(vms)) for vms in found.values()]

    def _bundle(self, vms: tuple[VmRequest, ...]) -> Bundle:
        ids = frozenset(vm.id for vm in vms)
        apart = frozenset[int]().union(*(enemies for _, enemies in self._apart(ids))) - ids
        together = len(vms) > 1 or bool(self._mates(ids))
        hosts = any(role.host_affined or role.host_anti_affined for role in self._roles_of(ids))
        return Bundle(vms, apart, together or hosts or bool(apart))

    def rules(self, vm_ids: Iterable[int], located: Mapping[int, int]) -> list[Rule]:
        """What the group asks of the host of these VMs of one bundle, given where other VMs are."""
        ids = frozenset(vm_ids)
        rules = []
        mates = self._mates(ids) & located.keys()
        if mates:
            names = ", ".join(sorted(self._set_of(self._role_of[min(ids)])))
            text = f"AFFINED {names} ({_places(mates, located)})"
            rules.append(Rule(text, only=frozenset(located[vm_id] for vm_id in mates)))
        for text, enemies in self._apart(ids):
            there = (enemies - ids) & located.keys()
            if there:
                never = frozenset(located[vm_id] for vm_id in there)
                rules.append(Rule(f"{text} ({_places(there, located)})", never=never))
        for role in self._roles_of(ids):
            if role.host_affined:
                rules.append(
                    Rule(f"HOST_AFFINED {_listed(role.host_affined)} of {role.name}", role.host_affined)
                )
            if role.host_anti_affined:
                text = f"HOST_ANTI_AFFINED {_listed(role.host_anti_affined)} of {role.name}"
                rules.append(Rule(text, never=role.host_anti_affined))
        return rules

    def _roles_of(self, ids: frozenset[int]) -> list[RoleView]:
        """Their roles, and those of the VMs that must be on their host."""
        names = {self._role_of[vm_id].name for vm_id in ids if vm_id in self._role_of}
        return [self._roles[name] for name in sorted(self._closed(names))]

    def _closed(self, names: Iterable[str]) -> frozenset[str]:
        """Roles of which some have VMs, with the roles of VMs that must be on the host of these."""
        peopled = [name for name in names if self._roles[name].vm_ids]
        sets = [self._set_of(self._roles[name]) for name in peopled]
        both = frozenset(peopled).union(*sets)
        return frozenset(name for name in both if self._roles[name].vm_ids)

    def _set_of(self, role: RoleView) -> frozenset[str]:
        return next((roles for roles in self._together if role.name in roles), frozenset())

    def _mates(self, ids: frozenset[int]) -> frozenset[int]:
        """The other VMs that must be on their host."""
        names = frozenset[str]().union(*(self._set_of(role) for role in self._roles_of(ids)))
        return frozenset[int]().union(*(self._roles[name].vm_ids for name in names)) - ids

    def _apart(self, ids: frozenset[int]) -> list[tuple[str, frozenset[int]]]:
        """Each rule that keeps VMs away from the host of these, and which VMs."""
        roles = self._roles_of(ids)
        found = [(f"ANTI_AFFINED role {r.name}", r.vm_ids) for r in roles if r.policy == "ANTI_AFFINED"]
        mine = frozenset(role.name for role in roles)
        for rule in self._anti_affined:
            if rule & mine:
                others = self._closed(rule - mine)
                enemies = frozenset[int]().union(*(self._roles[name].vm_ids for name in others))
                found.append((f"ANTI_AFFINED {', '.join(sorted(rule))}", enemies))
        return found


def conflict(rules: Sequence[Rule], host_ids: Sequence[int]) -> list[Rule]:
    """The smallest part of `rules` (none of it can be left out) that leaves none of the hosts; empty when
    a host satisfies all of them, or there is none at all."""
    if not host_ids or _survivors(rules, host_ids):
        return []
    needed = list(rules)
    for rule in rules:
        fewer = [other for other in needed if other is not rule]
        if not _survivors(fewer, host_ids):
            needed = fewer
    return needed


def _survivors(rules: Sequence[Rule], host_ids: Sequence[int]) -> bool:
    return any(all(rule.allows(host_id) for rule in rules) for host_id in host_ids)


def _merged(rules: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Rules that have a role in common are one."""
    merged: list[frozenset[str]] = []
    for rule in rules:
        joined = rule.union(*(other for other in merged if other & rule))
        merged = [other for other in merged if not other & rule] + [joined]
    return merged


def _places(vm_ids: Iterable[int], located: Mapping[int, int]) -> str:
    ordered = sorted(vm_ids)
    named = [f"VM {vm_id} is on host {located[vm_id]}" for vm_id in ordered[:NAMED_PLACES]]
    rest = len(ordered) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _listed(ids: Iterable[int]) -> str:
    return ",".join(map(str, sorted(ids)))
