"""Quotas: what a user or group may use of datastores, networks, VMs and images, and what is in use.

Every amount and limit is held as an integer of hundredths, so that adding and taking away the same thing
always comes back to the same figure; documents show them as 5.12 does, whole numbers without decimals and
others with two. Sizes are MB, CPU is in processors. A fraction finer than a hundredth counts as the next
hundredth (0.125 CPU as 0.13): the same VM counts the same whenever it is counted, and a great many tiny
ones cannot slip through. Source of the rules: spec `quotas`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.model.template import Template

Section = Literal["DATASTORE", "NETWORK", "VM", "IMAGE"]

METRICS: Final[dict[Section, tuple[str, ...]]] = {
    "DATASTORE": ("SIZE", "IMAGES"),
    "NETWORK": ("LEASES",),
    "VM": ("VMS", "RUNNING_VMS", "CPU", "RUNNING_CPU", "MEMORY", "RUNNING_MEMORY", "SYSTEM_DISK_SIZE"),
    "IMAGE": ("RVMS",),
}
"""What is limited, by section: sections in document order, metrics in the order they are checked."""

DEFAULT: Final = -1
"""A limit: as in the default quotas, and unlimited where they have none."""
UNLIMITED: Final = -2

_DEFAULT: Final = DEFAULT * 100
_UNLIMITED: Final = UNLIMITED * 100
_NO_ID: Final = -1
_NUMBER: Final = re.compile(r"(-?)(\d{1,18})(?:\.(\d*))?", re.ASCII)


class QuotaError(ValueError):
    """A quota template that cannot be taken; the text is a sentence for the caller."""


class Key(NamedTuple):
    """One entry: a section and the id of its datastore, network or image; -1 in the VM section."""

    section: Section
    oid: int = _NO_ID


class Usage:
    """What something takes of quotas, in every section at once; made by chaining `vm`, `datastore`, ….

    To go from one demand to another (a resize) subtract the two; the difference may be negative.
    """

    __slots__ = ("amounts",)

    def __init__(self) -> None:
        self.amounts: dict[Key, list[int]] = {}

    def vm(
        self,
        *,
        vms: int = 0,
        running_vms: int = 0,
        cpu: float = 0,
        running_cpu: float = 0,
        memory: int = 0,
        running_memory: int = 0,
        system_disk_size: int = 0,
    ) -> Usage:
        """`cpu` in processors, `memory` and `system_disk_size` in MB."""
        return self._count(
            Key("VM"), vms, running_vms, cpu, running_cpu, memory, running_memory, system_disk_size
        )

    def datastore(self, oid: int, *, images: int = 0, size: int = 0) -> Usage:
        """`size` in MB."""
        return self._count(Key("DATASTORE", oid), size, images)

    def network(self, oid: int, leases: int = 1) -> Usage:
        return self._count(Key("NETWORK", oid), leases)

    def image(self, oid: int, rvms: int = 1) -> Usage:
        """`rvms`: disks of VMs that use the image."""
        return self._count(Key("IMAGE", oid), rvms)

    def _count(self, key: Key, *amounts: float) -> Usage:
        known = self.amounts.setdefault(key, [0] * len(amounts))
        for position, amount in enumerate(amounts):
            known[position] += hundredths(amount)
        return self

    def __add__(self, other: Usage) -> Usage:
        return self._combined(other, 1)

    def __sub__(self, other: Usage) -> Usage:
        return self._combined(other, -1)

    def _combined(self, other: Usage, sign: int) -> Usage:
        total = Usage()
        total.amounts = {key: list(amounts) for key, amounts in self.amounts.items()}
        for key, amounts in other.amounts.items():
            known = total.amounts.setdefault(key, [0] * len(amounts))
            for position, amount in enumerate(amounts):
                known[position] += sign * amount
        return total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Usage) and self._nonzero() == other._nonzero()

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return any(any(amounts) for amounts in self.amounts.values())

    def __repr__(self) -> str:
        return f"Usage({self._nonzero()})"

    def _nonzero(self) -> dict[Key, list[int]]:
        return {key: amounts for key, amounts in self.amounts.items() if any(amounts)}


@dataclass(slots=True)
class _Entry:
    """Limits and use, in hundredths, in the order of METRICS."""

    limits: list[int]
    used: list[int]

    def copy(self) -> _Entry:
        return _Entry(self.limits.copy(), self.used.copy())


@dataclass(slots=True)
class Quotas:
    """The quotas of one user or group, or the defaults of all (`is_default`: limits only).

    An entry exists while something is used or limited; most users have none.
    """

    is_default: bool = False
    _entries: dict[Key, _Entry] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def copy(self) -> Quotas:
        return Quotas(self.is_default, {key: entry.copy() for key, entry in self._entries.items()})

    def check(self, delta: Usage, defaults: Quotas | None = None) -> str | None:
        """The first limit that `delta` would break, as a sentence without full stop; None when it fits.

        A metric of which nothing more is asked is not checked, so that who is above a lowered limit can
        still give back.
        """
        entries = self._entries
        fallback = defaults._entries if defaults is not None else {}
        for key, amounts in delta.amounts.items():
            entry = entries.get(key)
            default = fallback.get(key)
            if entry is None and default is None:
                continue
            for position, amount in enumerate(amounts):
                limit = entry.limits[position] if entry is not None else _DEFAULT
                if limit == _DEFAULT:
                    limit = default.limits[position] if default is not None else _UNLIMITED
                if amount > 0 and limit >= 0 and (entry.used[position] if entry else 0) + amount > limit:
                    return _reached(key, position, limit)
        return None

    def add(self, delta: Usage) -> None:
        """Counts without checking; nothing falls below zero."""
        self._count(delta, 1)

    def check_and_add(self, delta: Usage, defaults: Quotas | None = None) -> str | None:
        """Counts all of `delta` when every limit allows it; else counts nothing and says which does not."""
        fault = self.check(delta, defaults)
        if fault is None:
            self._count(delta, 1)
        return fault

    def subtract(self, delta: Usage) -> None:
        """Gives back; nothing falls below zero."""
        self._count(delta, -1)

    def _count(self, delta: Usage, sign: int) -> None:
        for key, amounts in delta.amounts.items():
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = self._new_entry(key)
            used = entry.used
            for position, amount in enumerate(amounts):
                used[position] = max(0, used[position] + sign * amount)
            self._clean(key, entry)

    def usage(self) -> Usage:
        """All that is in use."""
        total = Usage()
        total.amounts = {key: entry.used.copy() for key, entry in self._entries.items()}
        return total

    def replace_usage(self, usage: Usage) -> None:
        """Makes `usage` all that is in use (after a recount)."""
        for key, entry in list(self._entries.items()):
            entry.used = [0] * len(entry.used)
            self._clean(key, entry)
        self._count(usage, 1)

    def set_limits(self, template: Template) -> None:
        """Takes the limits of a quota template (`one.user.quota`), all of them or none.

        A vector sets every metric of its entry: those it leaves out go to the default. Raises QuotaError
        when one is negative (but -1, except in the defaults, and -2), no number, or has no id.
        """
        limits: dict[Key, list[int]] = {}
        for section in METRICS:
            for value in template.values(section):
                try:
                    if isinstance(value, str):
                        raise ValueError("a quota is a vector")
                    limits[_key(section, value)] = self._limits(section, value)
                except ValueError as fault:
                    raise QuotaError(
                        f"Negative limits or bad format in quota {section} = {_vector_text(value)}"
                    ) from fault
        for key, numbers in limits.items():
            entry = self._entries.setdefault(key, self._new_entry(key))
            entry.limits = numbers
            self._clean(key, entry)

    def _limits(self, section: Section, vector: Mapping[str, str]) -> list[int]:
        limits = []
        for metric in METRICS[section]:
            text = vector.get(metric, "")
            limit = _parse(text) if text else self._implicit
            if limit < 0 and limit != _UNLIMITED and (self.is_default or limit != _DEFAULT):
                raise ValueError(f"{metric} cannot be {text}")
            limits.append(limit)
        return limits

    @property
    def _implicit(self) -> int:
        return _UNLIMITED if self.is_default else _DEFAULT

    def _new_entry(self, key: Key) -> _Entry:
        count = len(METRICS[key.section])
        return _Entry([self._implicit] * count, [0] * count)

    def _clean(self, key: Key, entry: _Entry) -> None:
        if not any(entry.used) and entry.limits.count(self._implicit) == len(entry.limits):
            self._entries.pop(key, None)

    @staticmethod
    def from_xml(text: str, *, is_default: bool = False) -> Quotas:
        """From a stored QUOTAS, DEFAULT_USER_QUOTAS or DEFAULT_GROUP_QUOTAS. Raises ValueError."""
        try:
            root = ElementTree.fromstring(text)  # noqa: S314 - our own stored text
        except ElementTree.ParseError as fault:
            raise ValueError(f"Stored quotas are not well-formed XML: {fault}") from fault
        return Quotas.from_element(root, is_default=is_default)

    @staticmethod
    def from_element(element: Element, *, is_default: bool = False) -> Quotas:
        """From an element that has the four sections as children (missing ones are empty)."""
        quotas = Quotas(is_default)
        for section, metrics in METRICS.items():
            for child in element.iterfind(f"{section}_QUOTA/{section}"):
                texts = {part.tag: part.text or "" for part in child}
                key = _key(section, texts)
                entry = quotas._new_entry(key)
                for position, metric in enumerate(metrics):
                    if limit := texts.get(metric):
                        entry.limits[position] = _parse(limit)
                    entry.used[position] = max(0, _parse(texts.get(f"{metric}_USED") or "0"))
                quotas._entries[key] = entry
        return quotas

    def to_xml(self, oid: int) -> str:
        """The QUOTAS that are stored for the user or group of that id."""
        return f"<QUOTAS><ID>{oid}</ID>{sections_xml(self)}</QUOTAS>"

    def to_document(self, root: str) -> str:
        """The sections under a root of their own: DEFAULT_USER_QUOTAS, DEFAULT_GROUP_QUOTAS."""
        return f"<{root}>{sections_xml(self)}</{root}>"

    def _section_xml(self, section: Section) -> str:
        entries = "".join(
            f"<{section}>{''.join(_entry_xml(key, entry))}</{section}>"
            for key, entry in self._entries.items()
            if key.section == section
        )
        return f"<{section}_QUOTA>{entries}</{section}_QUOTA>" if entries else f"<{section}_QUOTA/>"


_EMPTY: Final = "".join(f"<{section}_QUOTA/>" for section in METRICS)
_BY_NAME: Final = {
    section: sorted((metric, position) for position, metric in enumerate(metrics))
    for section, metrics in METRICS.items()
}


def sections_xml(quotas: Quotas | None) -> str:
    """The four sections as they stand in USER and GROUP; empty ones for who has no quotas."""
    if not quotas:
        return _EMPTY
    return "".join(quotas._section_xml(section) for section in METRICS)


def hundredths(amount: float) -> int:
    """An amount as the integer that is counted, rounded away from zero (past float noise of a millionth).

    Raises ValueError or OverflowError when it is not finite.
    """
    if isinstance(amount, int):
        return amount * 100
    millionths = round(abs(amount) * 1_000_000)
    return (-1 if amount < 0 else 1) * -(-millionths // 10_000)


def _entry_xml(key: Key, entry: _Entry) -> Iterator[str]:
    if key.oid != _NO_ID:
        yield f"<ID><![CDATA[{key.oid}]]></ID>"
    for metric, position in _BY_NAME[key.section]:
        yield f"<{metric}><![CDATA[{_text(entry.limits[position])}]]></{metric}>"
        yield f"<{metric}_USED><![CDATA[{_text(entry.used[position])}]]></{metric}_USED>"


def _key(section: Section, parts: Mapping[str, str]) -> Key:
    if section == "VM":
        return Key(section)
    text = parts.get("ID", "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise ValueError(f"{section} quota needs the ID of what it is for, not {text!r}")
    return Key(section, int(text))


def _parse(text: str) -> int:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a number")
    decimals = match[3] or ""
    number = int(match[2]) * 100 + int(f"{decimals}00"[:2]) + bool(decimals[2:].strip("0"))
    return -number if match[1] else number


def _text(number: int) -> str:
    whole, part = divmod(number, 100)
    return f"{whole}.{part:02}" if part else f"{whole}"


def _reached(key: Key, position: int, limit: int) -> str:
    where = f" with ID: {key.oid}" if key.oid != _NO_ID else ""
    metric = METRICS[key.section][position]
    return f"limit of {_text(limit)} reached for {metric} quota in {key.section}{where}"


def _vector_text(value: str | Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    return f"[ {','.join(f'{name}={text}' for name, text in sorted(value.items()))} ]"
