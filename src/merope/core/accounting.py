"""What was used and what was measured: history records of VMs, figures of VMs and hosts.

Both are in the database only. A method's `prepared` holds what was read for it: rows in JSON under "rows",
each with its text last, of objects that the caller may see (`visible_vms`, `visible_hosts`).
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from merope.core import pools
from merope.core.methods import Need, Type, integer, method
from merope.core.transaction import Transaction
from merope.core.views import wire
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.kinds import HOST, VM_KIND
from merope.model.permissions import Op
from merope.model.state import Entry
from merope.model.vm import VM

_SECONDS = integer("seconds", -1)
_FILTER = integer("filter")


def visible_vms(tx: Transaction, flag: int, finished: Iterable[Entry] = ()) -> set[int]:
    """The VMs that the filter lets through and the caller may USE, among the live ones and `finished`."""
    return {entry.oid for entry in pools.select(tx, VM_KIND, flag, -1, -1, extra=finished)}


def visible_hosts(tx: Transaction) -> set[int]:
    return {entry.oid for entry in pools.select(tx, HOST, pools.FILTER_ALL, -1, -1)}


@method(
    "one.vmpool.accounting",
    _FILTER,
    integer("start"),
    integer("end"),
    returns=Type.STRING,
    read_only=True,
    also="USE on each VM whose records are listed",
    prepare="vmpool.accounting",
)
def accounting(tx: Transaction, flag: int, start: int, end: int) -> bytes:
    """History records that overlap the time from `start` to `end` (epochs, -1: open), with the VM in each."""
    _check_filter(flag)
    # Open records were read from memory when the rows were looked for.
    tx.seen = max(tx.seen, tx.state.pool(VM_KIND).last_index)
    return _document("HISTORY_RECORDS", (row[-1] for row in _rows(tx)))


def open_records(tx: Transaction, flag: int, end: int) -> Iterator[tuple[int, int, str]]:
    """(VM, number, text) of the current records of live VMs, which become rows when they end."""
    for oid in visible_vms(tx, flag):
        record = tx.get(VM, oid).history
        if record is None or record.etime or 0 <= end <= record.stime:
            continue
        body = tx.entry(VM, oid).body
        head, _, rest = body.rpartition("<HISTORY_RECORDS>")
        tail = rest.rpartition("</HISTORY_RECORDS>")[2]
        document = f"{head}<HISTORY_RECORDS/>{tail}"
        yield oid, record.seq, f"{record.to_xml().removesuffix('</HISTORY>')}{document}</HISTORY>"


@method(
    "one.vmpool.monitoring",
    _FILTER,
    _SECONDS,
    returns=Type.STRING,
    read_only=True,
    also="USE on each VM whose figures are listed",
    prepare="vmpool.monitoring",
)
def vm_pool_monitoring(tx: Transaction, flag: int, seconds: int) -> bytes:
    """What was measured of the VMs in the last `seconds`; 0: the last figures only, -1: all there are."""
    _check_filter(flag)
    return _document("MONITORING_DATA", (row[-1] for row in _rows(tx)))


@method(
    "one.hostpool.monitoring",
    _SECONDS,
    returns=Type.STRING,
    read_only=True,
    also="USE on each host whose figures are listed",
    prepare="hostpool.monitoring",
)
def host_pool_monitoring(tx: Transaction, seconds: int) -> bytes:
    """What was measured of the hosts in the last `seconds`; 0: the last figures only, -1: all there are."""
    return _document("MONITORING_DATA", (row[-1] for row in _rows(tx)))


@method(
    "one.vm.monitoring",
    integer("id"),
    returns=Type.STRING,
    needs=(Need(Op.USE, VM, "id", lock=False),),
    read_only=True,
    prepare="vm.monitoring",
)
def vm_monitoring(tx: Transaction, vm_id: int) -> bytes:
    """What was measured of a VM, oldest first."""
    return _document("MONITORING_DATA", (row[-1] for row in _rows(tx)))


@method(
    "one.host.monitoring",
    integer("id"),
    returns=Type.STRING,
    needs=(Need(Op.USE, Host, "id"),),
    read_only=True,
    prepare="host.monitoring",
)
def host_monitoring(tx: Transaction, host_id: int) -> bytes:
    """What was measured of a host, oldest first."""
    return _document("MONITORING_DATA", (row[-1] for row in _rows(tx)))


def _check_filter(flag: int) -> None:
    if flag < pools.FILTER_GROUP:
        raise ApiError(Code.XML_RPC_API, "Incorrect filter_flag")


def _rows(tx: Transaction) -> list[list[Any]]:
    rows: list[list[Any]] = json.loads(str(tx.context.prepared.get("rows", "[]")))
    return rows


def _document(root: str, items: Iterable[object]) -> bytes:
    inner = "".join(map(str, items))
    return wire(f"<{root}>{inner}</{root}>" if inner else f"<{root}/>")
