"""What was used and what was measured: history records of VMs, figures of VMs and hosts.

Both are in the database. A method's `prepared` holds what was read for it, under "wire": the documents of
objects that the caller may see (`visible_vms`, `visible_hosts`), one after the other, escaped.
"""

from collections.abc import Iterable

from merope.core import pools
from merope.core.methods import Need, Type, integer, method
from merope.core.transaction import Transaction
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
    return documents(tx, "HISTORY_RECORDS")


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
    return documents(tx, "MONITORING_DATA")


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
    return documents(tx, "MONITORING_DATA")


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
    return documents(tx, "MONITORING_DATA")


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
    return documents(tx, "MONITORING_DATA")


def _check_filter(flag: int) -> None:
    if flag < pools.FILTER_GROUP:
        raise ApiError(Code.XML_RPC_API, "Incorrect filter_flag")


def documents(tx: Transaction, root: str) -> bytes:
    """A document of those that were read for the method, which are escaped already."""
    inner = str(tx.context.prepared.get("wire", ""))
    return (f"&lt;{root}&gt;{inner}&lt;/{root}&gt;" if inner else f"&lt;{root}/&gt;").encode()
