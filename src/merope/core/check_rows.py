"""Whether stored rows are what they should be: documents that parse, columns that agree with them."""

import json
from collections.abc import Iterator
from enum import IntEnum
from functools import partial
from xml.etree import ElementTree

from merope.core import results
from merope.core.check import Finding
from merope.core.transaction import Transaction, object_row
from merope.model.change import Row, number
from merope.model.datastore import Datastore
from merope.model.document import Document, DocumentError
from merope.model.effect import TABLE as EFFECTS
from merope.model.effect import Effect
from merope.model.hook_run import TABLE as HOOK_RUNS
from merope.model.hook_run import HookRun
from merope.model.host import Host
from merope.model.host_failure import TABLE as HOST_FAILURES
from merope.model.host_failure import HostFailure
from merope.model.image import Image
from merope.model.kinds import Kind
from merope.model.marketplace_app import MarketplaceApp
from merope.model.phase import Phase
from merope.model.quota import Quotas
from merope.model.states import (
    AppState,
    DatastoreState,
    DatastoreType,
    HostState,
    ImageState,
    ImageType,
    VmState,
)
from merope.model.vm import VM, History

#: Written for databases that search in full text, and not read again.
_UNREAD = frozenset({"search_token"})
_NUMBERS: dict[type[Document], dict[str, type[IntEnum]]] = {
    Image: {"state": ImageState, "type": ImageType},
    Host: {"state": HostState},
    Datastore: {"state": DatastoreState, "type": DatastoreType},
    MarketplaceApp: {"state": AppState},
}


def object_faults(kind: Kind, row: Row) -> Iterator[Finding]:
    """What is wrong with the row of an object. The document counts; the columns are copies from it."""
    oid, body = number(row, "oid"), str(row["body"])
    what = f"{kind.label} {oid}"
    try:
        value = kind.document.from_xml(body)
        expected = object_row(value)
    except (DocumentError, ValueError) as error:
        yield _unreadable(kind.table, oid, f"{what}: {error}")
        return
    repair = partial(_put_row, table=kind.table, oid=oid, row={**expected, **_unread(row)})
    if value.id != oid:
        yield _unreadable(kind.table, oid, f"{what}: its document says that it is {value.id}")
        return
    unknown = _unknown_number(value)
    if unknown:
        yield _unreadable(kind.table, oid, f"{what}: its document has the {unknown}, which means nothing")
        return
    if expected["body"] != body:
        place = _first_difference(str(expected["body"]), body)
        sentence = (
            f"{what}: its document reads back differently from character {place}: {_around(body, place)}"
        )
        yield Finding(kind.table, oid, sentence)
        return
    wrong = [name for name, cell in expected.items() if name not in _UNREAD and row.get(name) != cell]
    if wrong:
        told = ", ".join(f"{name} is {_short(row.get(name))}, not {_short(expected[name])}" for name in wrong)
        yield Finding(kind.table, oid, f"{what}: by its document, {told}", repair)


def _unknown_number(value: Document) -> str:
    """A state or type of the document that there is none of, in words; empty when all are known."""
    if isinstance(value, VM):
        states = {phase.value for phase in Phase}
        known = value.state in {state for state, _ in states}
        if not known or (value.state == VmState.ACTIVE and (value.state, value.lcm_state) not in states):
            return f"state {value.state}, {value.lcm_state}"
    for name, numbers in _NUMBERS.get(type(value), {}).items():
        if getattr(value, name) not in set(numbers):
            return f"{name} {getattr(value, name)}"
    return ""


def _unread(row: Row) -> Row:
    return {name: row[name] for name in _UNREAD if name in row}


def _put_row(tx: Transaction, *, table: str, oid: int, row: Row) -> None:
    tx.put_row(table, oid, row)


def _first_difference(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _around(text: str, place: int) -> str:
    return repr(text[max(0, place - 10) : place + 30])


def _short(cell: object) -> str:
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:40]}…"


def history_faults(row: Row) -> Iterator[Finding]:
    """What is wrong with the row of a history record: a record with the VM as it was then in it."""
    vm_id, seq, body = number(row, "vid"), number(row, "seq"), str(row["body"])
    what = f"history record {seq} of virtual machine {vm_id}"
    try:
        record = history_of(body)
        start = body.find("<VM>")
        vm = VM.from_xml(body[start : body.rindex("</HISTORY>")]) if start >= 0 else None
    except (DocumentError, ValueError) as error:
        yield _unreadable("history", vm_id, f"{what}: {error}")
        return
    if (record.oid, record.seq) != (vm_id, seq) or (vm is not None and vm.id != vm_id):
        yield Finding("history", vm_id, f"{what}: its document is of record {record.seq} of VM {record.oid}")
    elif (record.stime, record.etime) != (row["stime"], row["etime"]):
        stated, true = f"{row['stime']} to {row['etime']}", f"{record.stime} to {record.etime}"
        sentence = f"{what}: the columns say {stated}, it is {true}"
        right = {**row, "stime": record.stime, "etime": record.etime}
        yield Finding("history", vm_id, sentence, partial(_put_history, key=(vm_id, seq), row=right))


def history_of(body: str) -> History:
    """The record of a row's document, without the VM. Raises DocumentError."""
    start = body.find("<VM>")
    return History.from_xml(body if start < 0 else f"{body[:start]}</HISTORY>")


def _put_history(tx: Transaction, *, key: tuple[int, int], row: Row) -> None:
    tx.put_row("history", key, row)


def quota_faults(scope: str, row: Row) -> Iterator[Finding]:
    oid = number(row, f"{scope}_oid")
    try:
        Quotas.from_xml(str(row["body"]))
    except ValueError as error:
        yield _unreadable(f"{scope}_quotas", oid, f"quotas of {scope} {oid}: {error}")


def attribute_faults(row: Row) -> Iterator[Finding]:
    name = str(row["name"])
    if not name.endswith("_QUOTAS"):
        return
    try:
        Quotas.from_xml(str(row["body"]), is_default=True)
    except (ValueError, ElementTree.ParseError) as error:
        yield _unreadable("system_attributes", -1, f"system attribute {name}: {error}")


def effect_faults(row: Row) -> Iterator[Finding]:
    effect_id = number(row, "oid")
    try:
        effect = Effect.from_json(effect_id, str(row["body"]))
    except (ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        yield _unreadable(EFFECTS, effect_id, f"operation {effect_id}: {error!r}")
        return
    if effect.op not in results.handled():
        yield Finding(EFFECTS, effect_id, f"operation {effect_id}: there is no operation {effect.op!r}")


def hook_run_faults(row: Row) -> Iterator[Finding]:
    run_id = number(row, "oid")
    try:
        HookRun.from_json(run_id, str(row["body"]))
    except (ValueError, TypeError) as error:
        yield _unreadable(HOOK_RUNS, run_id, f"run {run_id} of a hook: {error!r}")


def host_failure_faults(row: Row) -> Iterator[Finding]:
    host_id = number(row, "oid")
    try:
        HostFailure.from_json(host_id, str(row["body"]))
    except (ValueError, KeyError, TypeError) as error:
        yield _unreadable(HOST_FAILURES, host_id, f"the failures of host {host_id}: {error!r}")


def _unreadable(table: str, oid: int, sentence: str) -> Finding:
    return Finding(table, oid, sentence, unreadable=True)
