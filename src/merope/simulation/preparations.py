"""What methods need to have found out before their command runs, as the daemon's preparations do it."""

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any

from merope.core import showback
from merope.simulation.disk import Disk

Prepared = dict[str, str | int]

_RATES = showback.Rates(0.0, 0.0, 0.0)


def prepared(name: str, disk: Disk, now: int, arguments: list[Any]) -> Prepared:
    """By the name that methods give (`Method.prepare`)."""
    find = _TABLE.get(name)
    return {} if find is None else find(disk, now, arguments)


def _nothing_measured(disk: Disk, now: int, arguments: list[Any]) -> Prepared:  # noqa: ARG001 - of a table
    return {"wire": ""}


def _password(disk: Disk, now: int, arguments: list[Any]) -> Prepared:  # noqa: ARG001 - of a table
    return {"password": "hashed"}


def _size(disk: Disk, now: int, arguments: list[Any]) -> Prepared:  # noqa: ARG001 - of a table
    return {"size": 100}


def _found(disk: Disk, now: int, arguments: list[Any]) -> Prepared:  # noqa: ARG001 - of a table
    return {"found": json.dumps(sorted(key for key in disk.rows["vm_pool"] if isinstance(key, int)))}


def _selected(disk: Disk, now: int, arguments: list[Any]) -> Prepared:  # noqa: ARG001 - of a table
    return {"answer": json.dumps({"names": ["oid"], "rows": [["0"], ["1"]]})}


def _written(disk: Disk, now: int, arguments: list[Any]) -> Prepared:  # noqa: ARG001 - of a table
    """What an administrator's statement writes: a note into the documents of the first VM template."""
    rows = disk.rows["template_pool"]
    found = []
    for oid in sorted(key for key in rows if isinstance(key, int))[:1]:
        body = str(rows[oid]["body"]).replace("<TEMPLATE>", "<TEMPLATE><SQL><![CDATA[1]]></SQL>")
        after = {**rows[oid], "body": body}
        found.append({"table": "template_pool", "key": oid, "before": rows[oid], "after": after})
    return {"differences": json.dumps(found)}


def _charged(disk: Disk, now: int, arguments: list[Any]) -> Prepared:
    """What the records that ended cost."""
    if showback.span_fault(*arguments):
        return {}
    usages = [showback.read_usage(str(row["body"]), _RATES) for row in disk.rows["history"].values()]
    first = min((usage.start for usage in usages if usage.start), default=now)
    charges = showback.charges(usages, showback.periods(first, now, UTC))
    owner = showback.Owner("", 0, 0, "", "")
    rows = [[*key, showback.record(*key, owner, charge)] for key, charge in sorted(charges.items())]
    return {"rows": json.dumps(rows)}


_TABLE: dict[str, Callable[[Disk, int, list[Any]], Prepared]] = {
    "password": _password,
    "image.stat": _size,
    "vm.monitoring": _nothing_measured,
    "host.monitoring": _nothing_measured,
    "vmpool.monitoring": _nothing_measured,
    "hostpool.monitoring": _nothing_measured,
    "vmpool.accounting": _nothing_measured,
    "vmpool.showback": _nothing_measured,
    "vmpool.search": _found,
    "system.sqlquery": _selected,
    "system.sql": _written,
    "vmpool.calculateshowback": _charged,
}
