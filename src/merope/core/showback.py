"""Showback: what VMs cost in each month, from their history records and the prices of what they used.

Source: spec xml.yaml `acct_showback_formula`, recorded showback.xml. Money is without a unit; a price is for
an hour: of one CPU, of one MB of memory, of one MB of disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from merope.core import pools
from merope.core.accounting import documents
from merope.core.methods import Access, Type, integer, method
from merope.core.transaction import Transaction
from merope.model.document import escape
from merope.model.errors import ApiError, Code

TABLE = "vm_showback"
_HOUR = 3600
#: Prices and costs are shown with so many decimals at most: a MB for an hour costs very little.
_DECIMALS = 8
_OPEN = -1
_YEARS = range(1970, 9999)

_SPAN = (integer("start_month"), integer("start_year"), integer("end_month"), integer("end_year"))


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices for an hour: of one CPU, of one MB of memory, of one MB of disk."""

    cpu: float = 0
    memory: float = 0
    disk: float = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a history record says was used from `start` to `end` (epochs; 0: still is): CPUs and MB."""

    vm: int
    start: int
    end: int
    cpu: float
    memory: float
    disk: float
    rates: Rates


@dataclass(frozen=True, slots=True)
class Period:
    """A month, or the part of it that is accounted for: from `start` until before `end` (epochs)."""

    year: int
    month: int
    start: int
    end: int


@dataclass(slots=True)
class Charge:
    """What a VM cost in a month, and how long it had a host."""

    cpu: float = 0
    memory: float = 0
    disk: float = 0
    seconds: int = 0

    def add(self, usage: Usage, seconds: int) -> None:
        hours = seconds / _HOUR
        self.cpu += usage.rates.cpu * usage.cpu * hours
        self.memory += usage.rates.memory * usage.memory * hours
        self.disk += usage.rates.disk * usage.disk * hours
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a VM is, as its record in the showback says."""

    name: str
    uid: int
    gid: int
    uname: str
    gname: str


def month_start(year: int, month: int, zone: tzinfo) -> int:
    """The epoch at which a month begins; month 13 is January of the next year."""
    return int(datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=zone).timestamp())


def periods(start: int, end: int, zone: tzinfo) -> list[Period]:
    """The months from that of `start`, whole, to the one that `end` cuts off."""
    first = datetime.fromtimestamp(start, zone)
    year, month, found = first.year, first.month, list[Period]()
    while (begin := month_start(year, month, zone)) < end:
        found.append(Period(year, month, begin, min(month_start(year, month + 1, zone), end)))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return found


def read_usage(record: str, defaults: Rates) -> Usage:
    """What a history record with its VM says. Raises ValueError when it cannot be read."""
    try:
        root = ElementTree.fromstring(record)  # noqa: S314 - ours
    except ElementTree.ParseError as error:
        raise ValueError(f"not a history record: {error}") from error
    template = root.find("VM/TEMPLATE")
    if template is None:
        template = Element("TEMPLATE")
    rates = Rates(
        _number(template, "CPU_COST", defaults.cpu),
        _number(template, "MEMORY_COST", defaults.memory),
        _number(template, "DISK_COST", defaults.disk),
    )
    disks = sum(
        _number(disk, "SIZE") + _number(disk, "DISK_SNAPSHOT_TOTAL_SIZE") for disk in template.findall("DISK")
    )
    return Usage(
        int(_number(root, "OID", -1)),
        int(_number(root, "STIME")),
        int(_number(root, "ETIME")),
        _number(template, "CPU"),
        _number(template, "MEMORY"),
        disks,
        rates,
    )


def _number(element: Element, name: str, default: float = 0) -> float:
    text = element.findtext(name)
    return float(text) if text else default


def charges(usages: Iterable[Usage], months: Sequence[Period]) -> dict[tuple[int, int, int], Charge]:
    """(VM, year, month) → what it cost then, for the months in which it had a host."""
    found: dict[tuple[int, int, int], Charge] = {}
    for usage in usages:
        if not usage.start:
            continue
        for month in months:
            if usage.start > month.end or (usage.end and usage.end <= month.start):
                continue
            until = min(month.end, usage.end or month.end)
            seconds = max(until - max(usage.start, month.start), 0)
            found.setdefault((usage.vm, month.year, month.month), Charge()).add(usage, seconds)
    return found


def record(vm: int, year: int, month: int, owner: Owner, charge: Charge) -> str:
    """The SHOWBACK document of a VM in a month."""
    values = {
        "VMID": vm,
        "VMNAME": escape(owner.name),
        "UID": owner.uid,
        "GID": owner.gid,
        "UNAME": escape(owner.uname),
        "GNAME": escape(owner.gname),
        "YEAR": year,
        "MONTH": month,
        "CPU_COST": _money(charge.cpu),
        "MEMORY_COST": _money(charge.memory),
        "DISK_COST": _money(charge.disk),
        "TOTAL_COST": _money(charge.cpu + charge.memory + charge.disk),
        "HOURS": f"{charge.seconds / _HOUR:.2f}",
    }
    return f"<SHOWBACK>{''.join(f'<{name}>{value}</{name}>' for name, value in values.items())}</SHOWBACK>"


def _money(amount: float) -> str:
    return f"{amount:.{_DECIMALS}f}".rstrip("0").rstrip(".")


@method(
    "one.vmpool.showback",
    integer("filter"),
    *_SPAN,
    returns=Type.STRING,
    read_only=True,
    also="USE on each VM whose records are listed",
    prepare="vmpool.showback",
)
def showback(tx: Transaction, flag: int, *span: int) -> bytes:
    """What VMs cost, by month, as it was last calculated; from and to a month, -1: open."""
    if flag < pools.FILTER_GROUP:
        raise ApiError(Code.XML_RPC_API, "Incorrect filter_flag")
    _check_span(*span)
    return documents(tx, "SHOWBACK_RECORDS")


@method(
    "one.vmpool.calculateshowback",
    *_SPAN,
    returns=Type.STRING,
    access=Access.ADMIN_GROUP,
    prepare="vmpool.calculateshowback",
)
def calculate(tx: Transaction, *span: int) -> str:
    """Works out what VMs cost in each month from a month to another, -1: from the first record, until now."""
    _check_span(*span)
    for vm, year, month, body in _prepared(tx):
        row: dict[str, int | str | None] = {"vmid": vm, "year": year, "month": month, "body": body}
        tx.put_row(TABLE, (vm, year, month), row)
    return ""


def span_fault(*span: int) -> str:
    """Why there are no such months, empty when there are."""
    for month, year in (span[:2], span[2:]):
        if month != _OPEN and not 1 <= month <= 12:
            return f"Wrong month {month}: it must be from 1 to 12, or -1"
        if year != _OPEN and year not in _YEARS:
            return f"Wrong year {year}: it must be from 1970 to 9998, or -1"
    return ""


def _check_span(*span: int) -> None:
    fault = span_fault(*span)
    if fault:
        raise ApiError(Code.XML_RPC_API, fault)


def _prepared(tx: Transaction) -> list[list[Any]]:
    rows: list[list[Any]] = json.loads(str(tx.context.prepared.get("rows", "[]")))
    return rows
