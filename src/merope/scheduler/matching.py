"""Which hosts and system datastores suit a VM at all, and, where none does, why.

VMs that ask for the same are matched once; an expression is asked once for each host or datastore.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from merope.model.expression import ExpressionError, Requirement, compile_requirements
from merope.scheduler.live import ALLOCATED, LiveDatastore, LiveHost, LiveNetwork
from merope.scheduler.networks import suitable
from merope.scheduler.reasons import Code, Reason, shortages, tally
from merope.scheduler.snapshot import KEPT_ANSWERS, Access, HostView, NicRequest, Snapshot, VmRequest

_EVERYTHING = Access(None, None, None)
_NOTHING = Access()


@dataclass(frozen=True, slots=True)
class Eligible:
    """Hosts that suit a VM but for capacity, and what excluded the others.
    `allowed` passed all but the requirements; `live` are requirements that depend on what is placed in
    this plan and are not yet applied."""

    hosts: Sequence[LiveHost]
    allowed: Sequence[LiveHost]
    excluded: tuple[Reason, ...]
    live: tuple[Requirement, ...] = ()

    def indexes(self) -> frozenset[int]:
        """Of the hosts; made when it is asked for, for it is large."""
        return frozenset(host.index for host in self.hosts)


@dataclass(frozen=True, slots=True)
class Match:
    """Where a VM may go, or, when `eligible` is None, the reasons why it must wait."""

    eligible: Eligible | None = None
    datastores: Sequence[LiveDatastore] = ()
    networks: Sequence[tuple[NicRequest, Sequence[LiveNetwork]]] = ()
    reasons: tuple[Reason, ...] = ()


def host_key(vm: VmRequest) -> Hashable:
    """What VMs must have in common for the same hosts to suit them, but for capacity."""
    return (
        None if vm.privileged else vm.uid,
        vm.automatic_requirements,
        vm.requirements,
        vm.group_requirements,
        vm.current_host if vm.resched else None,
    )


def request_key(vm: VmRequest) -> Hashable:
    """What VMs must have in common to be placed by the same rules, one after the other."""
    return (
        host_key(vm),
        (vm.cpu, vm.memory, vm.system_disk, vm.image_space, vm.rank),
        (vm.automatic_ds_requirements, vm.ds_requirements, vm.ds_rank),
        (vm.keep_datastore, vm.public_cloud),
        (vm.automatic_nic_requirements, vm.nics),
        vm.parts,
    )


def host_requirements(vm: VmRequest) -> str:
    """All requirements as one expression, for messages."""
    return _joined((vm.automatic_requirements, vm.requirements, *vm.group_requirements))


class _Clause(NamedTuple):
    requirement: Requirement
    code: Code


class Matcher:
    """Matches VMs with the hosts and datastores of one snapshot, as they were before any placement."""

    def __init__(
        self,
        snapshot: Snapshot,
        hosts: Sequence[LiveHost],
        datastores: Sequence[LiveDatastore],
        images: Iterable[LiveDatastore],
        networks: Sequence[LiveNetwork] = (),
    ) -> None:
        self._access = snapshot.access
        self._networks = networks
        self._hosts = hosts
        self._datastores = datastores
        self._images = {item.view.id: item.view for item in images}
        self._known: dict[Hashable, Eligible | Reason] = {}
        self._answers: dict[tuple[bool, str], list[bool]] = {}

    def match(self, vm: VmRequest) -> Match:
        access = _EVERYTHING if vm.privileged else self._access.get(vm.uid, _NOTHING)
        no_local = self._image_space_missing(vm)
        if no_local and not vm.public_cloud:
            return Match(reasons=no_local)
        datastores, ds_reasons = self._match_datastores(vm, access)
        no_local = no_local or (ds_reasons if vm.public_cloud else ())
        eligible = self._eligible(vm, access, bool(no_local))
        if isinstance(eligible, Reason):
            return Match(reasons=(eligible,))
        if not any(host.fitted(vm) for host in eligible.hosts):
            only_local = no_local and not any(host.view.public_cloud for host in self._hosts)
            return Match(reasons=no_local if only_local else self._host_reasons(vm, eligible))
        if ds_reasons and not no_local:
            return Match(reasons=ds_reasons)
        networks = []
        for nic in vm.nics:
            found, net_reasons = suitable(vm, nic, access, self._networks)
            if net_reasons:
                return Match(reasons=net_reasons)
            networks.append((nic, found))
        return Match(eligible, datastores, networks)

    def forget(self, vm: VmRequest) -> None:
        """No other VM will ask for the hosts of this one."""
        for only_public in (False, True):
            self._known.pop((host_key(vm), only_public), None)
        # What users wrote is shared by few; the automatic requirements are shared by most.
        for text in (vm.requirements, *vm.group_requirements):
            self._answers.pop((True, text), None)

    def _image_space_missing(self, vm: VmRequest) -> tuple[Reason, ...]:
        if vm.restarted:
            return ()
        for ds_id, space in vm.image_space:
            view = self._images.get(ds_id)
            if space and (view is None or view.free < space):
                return (Reason(Code.IMAGE_DATASTORE_FULL, detail=str(ds_id)),)
        return ()

    def _eligible(self, vm: VmRequest, access: Access, only_public: bool) -> Eligible | Reason:
        key = (host_key(vm), only_public)
        if key not in self._known:
            self._known[key] = self._find_eligible(vm, access, only_public)
        return self._known[key]

    def _find_eligible(self, vm: VmRequest, access: Access, only_public: bool) -> Eligible | Reason:
        try:
            clauses = _clauses((vm.automatic_requirements, Code.HOST_AUTOMATIC), (vm.requirements, None))
            clauses += _clauses(*((text, None) for text in vm.group_requirements))
        except _BadRequirement as e:
            return Reason(Code.REQUIREMENTS_ERROR, detail=str(e))
        live = tuple(c.requirement for c in clauses if not ALLOCATED.isdisjoint(c.requirement.names))
        why_not = [_not_for(vm, host, access, only_public) for host in self._hosts]
        allowed = [host for host, code in zip(self._hosts, why_not, strict=True) if code is None]
        for requirement, code in clauses:
            if requirement in live:
                continue
            for index, answer in enumerate(self._ask(requirement, self._hosts)):
                if not answer and why_not[index] is None:
                    why_not[index] = code
        suitable = [host for host, code in zip(self._hosts, why_not, strict=True) if code is None]
        excluded = tally(Reason(code) for code in why_not if code is not None)
        return Eligible(suitable, allowed, tuple(excluded), live)

    def _host_reasons(self, vm: VmRequest, eligible: Eligible) -> tuple[Reason, ...]:
        free = ((host.view.free_cpu, host.view.free_memory) for host in eligible.hosts)
        found = [*eligible.excluded, *shortages(vm.cpu, vm.memory, free)]
        if vm.parts is not None:
            lacking = (host.lacked(vm) for host in eligible.hosts if host.had_room(vm))
            found += [Reason(code) for code in lacking if code is not None]
        if not self._hosts:
            headline = Reason(Code.NO_HOSTS)
        elif not eligible.allowed:
            forbidden = any(reason.code is Code.HOST_FORBIDDEN for reason in found)
            headline = Reason(Code.NOT_AUTHORIZED if forbidden else Code.NO_OTHER_HOST)
        elif not any(host.fitted(vm) for host in eligible.allowed):
            headline = Reason(Code.NO_CAPACITY)
        else:
            headline = Reason(Code.NO_MATCH, detail=host_requirements(vm))
        return headline, *tally(found)

    def _match_datastores(
        self, vm: VmRequest, access: Access
    ) -> tuple[Sequence[LiveDatastore], tuple[Reason, ...]]:
        """As 5.12, a VM that is moved or resumed stays in its datastore, whatever its requirements say."""
        if vm.restarted:
            kept = [ds for ds in self._datastores if ds.view.id == vm.keep_datastore]
            return kept, () if kept else (Reason(Code.NO_DATASTORES),)
        try:
            clauses = _clauses((vm.automatic_ds_requirements, None), (vm.ds_requirements, None))
        except _BadRequirement as e:
            return (), (Reason(Code.DS_REQUIREMENTS_ERROR, detail=str(e)),)
        allowed = [
            ds for ds in self._datastores if access.datastores is None or ds.view.id in access.datastores
        ]
        roomy = [ds for ds in allowed if ds.room(vm)]
        suitable = roomy
        for clause in clauses:
            answers = self._ask(clause.requirement, self._datastores)
            suitable = [ds for ds in suitable if answers[ds.index]]
        if suitable:
            return suitable, ()
        return (), self._datastore_reasons(vm, allowed, roomy, clauses)

    def _datastore_reasons(
        self,
        vm: VmRequest,
        allowed: Sequence[LiveDatastore],
        roomy: Sequence[LiveDatastore],
        clauses: Iterable[_Clause],
    ) -> tuple[Reason, ...]:
        if not self._datastores:
            return (Reason(Code.NO_DATASTORES),)
        found = [Reason(Code.DS_FORBIDDEN)] * (len(self._datastores) - len(allowed))
        for ds in allowed:
            if not all(self._ask(clause.requirement, self._datastores)[ds.index] for clause in clauses):
                found.append(Reason(Code.DS_REQUIREMENTS))
            else:
                found.append(Reason(Code.DS_FULL, missing_disk=vm.system_disk - ds.view.free))
        if not allowed:
            headline = Reason(Code.DS_NOT_AUTHORIZED)
        elif not roomy:
            headline = Reason(Code.DS_NO_CAPACITY)
        else:
            detail = _joined((vm.automatic_ds_requirements, vm.ds_requirements))
            headline = Reason(Code.DS_NO_MATCH, detail=detail)
        return headline, *tally(found)

    def _ask(
        self, requirement: Requirement, items: Sequence[LiveHost] | Sequence[LiveDatastore]
    ) -> list[bool]:
        key = (items is self._hosts, requirement.text)
        if key not in self._answers:
            if items is self._hosts:
                self._answers[key] = [_answer(requirement, host.view) for host in self._hosts]
            else:
                self._answers[key] = [requirement.matches(item.view.attributes) for item in items]
        return self._answers[key]


def _answer(requirement: Requirement, view: HostView) -> bool:
    answer = view.answers.get(requirement.text)
    if answer is None:
        if len(view.answers) >= KEPT_ANSWERS:
            view.answers.clear()
        answer = view.answers[requirement.text] = requirement.matches(view.attributes)
    return answer


class _BadRequirement(Exception):  # noqa: N818 - a way out of this module's functions only
    pass


def _clauses(*texts: tuple[str, Code | None]) -> list[_Clause]:
    clauses = []
    for text, code in texts:
        try:
            if text:
                clauses.append(_Clause(compile_requirements(text), code or Code.HOST_REQUIREMENTS))
        except ExpressionError as e:
            raise _BadRequirement(f"'{text}', error: {e}") from e
    return clauses


def _joined(texts: Iterable[str]) -> str:
    first, *rest = [text for text in texts if text] or [""]
    return first + "".join(f" & ( {text} )" for text in rest)


def _not_for(vm: VmRequest, host: LiveHost, access: Access, only_public: bool) -> Code | None:
    if vm.resched and host.view.id == vm.current_host:
        return Code.HOST_CURRENT
    if only_public and not host.view.public_cloud:
        return Code.HOST_LOCAL
    if access.hosts is not None and host.view.id not in access.hosts:
        return Code.HOST_FORBIDDEN
    return None
