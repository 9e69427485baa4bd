"""What the showback methods need from the database: the records to be charged, and what was charged before.

Reading and charging take a thread: years of records may have to be read.
"""

import json
import re
from datetime import tzinfo
from xml.sax.saxutils import unescape

from merope.core.showback import Owner, Rates, charges, month_start, periods, read_usage, record
from merope.daemon import records
from merope.daemon.records import Rows
from merope.model.settings import Settings

#: Characters at the beginning of a VM's document that hold its owner's names, whatever is escaped in them.
_HEAD = 4000
_NAMES = re.compile(r"<UNAME>(.*?)</UNAME><GNAME>(.*?)</GNAME>", re.DOTALL)

Span = tuple[int, int, int, int]


def listed(store: Rows, span: Span) -> list[tuple[int, str]]:
    """(VM, document) of what was calculated for the months of the span, by month."""
    conditions, values = ["1=1"], list[int]()
    for (month, year), beyond in ((span[:2], ">"), (span[2:], "<")):
        if month != -1 and year != -1:
            conditions.append(f"(year {beyond} ? OR (year = ? AND month {beyond}= ?))")
            values += [year, year, month]
    statement = (
        f"SELECT vmid, body FROM vm_showback WHERE {' AND '.join(conditions)} "  # noqa: S608 - words of ours
        "ORDER BY year, month, vmid"
    )
    return [(row[0], str(row[1])) for row in store.query(statement, values)]


def calculated(store: Rows, settings: Settings, now: int, span: Span, zone: tzinfo) -> str:
    """The rows (VM, year, month, document) that a calculation makes new or changes, in JSON."""
    start, end = _window(now, span, zone)
    defaults = Rates(settings.default_cpu_cost, settings.default_memory_cost, settings.default_disk_cost)
    usages = [read_usage(stay.text, defaults) for stay in records.all_of(store, start, end + 1)]
    first = start if start >= 0 else min((usage.start for usage in usages if usage.start), default=now)
    months = periods(first, end, zone)
    owners = _owners(store)
    known = {(vm, year, month): body for vm, year, month, body in store.query(_STORED)}
    rows = []
    for key, charge in sorted(charges(usages, months).items()):
        body = record(*key, owners.get(key[0], Owner("", 0, 0, "", "")), charge)
        if known.get(key) != body:
            rows.append([*key, body])
    return json.dumps(rows)


_STORED = "SELECT vmid, year, month, body FROM vm_showback"


def _window(now: int, span: Span, zone: tzinfo) -> tuple[int, int]:
    """From when until when (epochs) is charged; -1: from the first record."""
    start_month, start_year, end_month, end_year = span
    start = -1 if -1 in (start_month, start_year) else month_start(start_year, start_month, zone)
    return start, now if -1 in (end_month, end_year) else min(now, month_start(end_year, end_month + 1, zone))


def _owners(store: Rows) -> dict[int, Owner]:
    statement = (
        f"SELECT oid, name, uid, gid, SUBSTR(body, 1, {_HEAD}) FROM vm_pool "  # noqa: S608 - a number of ours
        "WHERE oid > ? ORDER BY oid LIMIT 5000"
    )
    found: dict[int, Owner] = {}
    last = -1
    while page := store.query(statement, (last,)):
        last = page[-1][0]
        for oid, name, uid, gid, head in page:
            names = _NAMES.search(head)
            uname, gname = (unescape(names[1]), unescape(names[2])) if names else ("", "")
            found[oid] = Owner(str(name), uid, gid, uname, gname)
    return found
