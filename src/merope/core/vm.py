"""Virtual machines: creation, actions, capacity, and the listings that differ from other kinds'."""

import json
from collections.abc import Iterator

from merope.core import (
    generic,
    host_topology,
    lifecycle,
    pools,
    quota,
    views,
    vm_allocate,
    vm_deploy,
    vm_devices,
    vm_import,
    vm_machine,
    vm_quotas,
    vm_recover,
    vm_requests,
    vm_requirements,
    vm_rights,
    vm_schedule,
    vm_steps,
    vm_topology,
)
from merope.core.methods import Listing, Need, Type, boolean, integer, method, text
from merope.core.transaction import Transaction
from merope.model.document import Document
from merope.model.errors import ApiError, Code
from merope.model.host import Host
from merope.model.kinds import VM_KIND
from merope.model.owned import Owned
from merope.model.permissions import Op
from merope.model.phase import Phase
from merope.model.state import Entry
from merope.model.states import VmState
from merope.model.template import Template
from merope.model.vm import VM

_ALIASES = {"shutdown": "terminate", "shutdown-hard": "terminate-hard", "delete": "terminate-hard"}
ACTIONS = (
    "terminate",
    "terminate-hard",
    "undeploy",
    "undeploy-hard",
    "poweroff",
    "poweroff-hard",
    "reboot",
    "reboot-hard",
    "hold",
    "release",
    "stop",
    "suspend",
    "resume",
    "resched",
    "unresched",
)
_RESCHED = (Phase.RUNNING, Phase.UNKNOWN, Phase.POWEROFF)
_RESIZED = (
    Phase.POWEROFF,
    Phase.INIT,
    Phase.PENDING,
    Phase.HOLD,
    Phase.UNDEPLOYED,
    Phase.CLONING,
    Phase.CLONING_FAILURE,
)


@method("one.vm.allocate", text("template"), boolean("hold", False), needs=(Need(Op.CREATE, VM),))
def allocate(tx: Transaction, source: str, hold: bool) -> int:
    """Creates a VM from a template, pending or on hold."""
    template = generic.parse_template(source)
    vm_allocate.check_restricted(tx, template)
    return vm_allocate.allocate(tx, template, on_hold=hold).id


@method(
    "one.vm.action",
    text("action"),
    integer("id"),
    also="the right of the action: MANAGE VM unless VM_*_OPERATIONS say otherwise",
)
def action(tx: Transaction, name: str, vm_id: int) -> int:
    """Takes a VM from one state to another: one of the ACTIONS."""
    wanted = _ALIASES.get(name, name)
    vm = tx.get(VM, vm_id)
    if wanted not in ACTIONS:
        raise ApiError(Code.ACTION, f'Action "{name[:64]}" is not supported', vm_id)
    vm_rights.require(tx, vm, wanted.replace("unresched", "resched"))
    perform(tx, vm, wanted, name)
    return vm_id


def perform(tx: Transaction, vm: VM, wanted: str, name: str) -> None:
    """Does an action that the caller may do; raises ApiError ACTION when the state forbids it."""
    vm_import.refuse(tx, vm, wanted)
    phase = vm.phase
    if wanted in ("resched", "unresched"):
        _set_resched(tx, vm, wanted == "resched", name)
        return
    if wanted.startswith("terminate") and phase in lifecycle.FAILURES:
        vm_recover.delete(tx, vm.id)
        return
    row = vm_machine.row_for(tx, vm, wanted)
    if row is None:
        raise _wrong_state(vm, wanted, name)
    if row.to is None and not row.effect:
        return
    vm_machine.fire(tx, tx.edit(VM, vm.id), wanted)


def _wrong_state(vm: VM, wanted: str, name: str) -> ApiError:
    phase = vm.phase.name
    if wanted.startswith("terminate"):
        detail = f"Could not terminate VM {vm.id}, wrong state {phase}."
    else:
        detail = f"This action is not available for state {phase}"
    return ApiError(Code.ACTION, f'Error performing action "{name}": {detail}', vm.id)


def _set_resched(tx: Transaction, vm: VM, wanted: bool, name: str) -> None:
    if vm.phase not in _RESCHED:
        raise _wrong_state(vm, name, name)
    own = tx.edit(VM, vm.id)
    if wanted:
        vm_requirements.compute(tx, own)
    own.resched = int(wanted)


@method(
    "one.vm.resize",
    integer("id"),
    text("template"),
    boolean("enforce", True),
    also="MANAGE VM (resize; moved by VM_*_OPERATIONS), quotas",
)
def resize(tx: Transaction, vm_id: int, source: str, enforce: bool) -> int:
    """Changes CPU, MEMORY and VCPU of a VM that does not run; what is missing or 0 stays."""
    vm = tx.get(VM, vm_id)
    vm_rights.require(tx, vm, "resize")
    vm_import.refuse(tx, vm, "resize")
    wanted = _capacity(generic.parse_template(source), vm_id)
    if vm.phase not in _RESIZED:
        raise ApiError(Code.ACTION, f"Cannot resize a VM in state {vm.phase.name}", vm_id)
    own = tx.edit(VM, vm_id)
    before, taken, old = vm_quotas.whole(own), vm_steps.capacity(own), own.template.copy()
    if own.phase is Phase.POWEROFF:
        host_topology.give_back_pins(tx, own, vm_steps.record(own).hid)
    for name, value in wanted.items():
        own.template.set(name, value)
    with vm_devices.refusals(vm_id):
        vm_topology.resize(own.template, old)
    quota.charge(tx, own.uid, own.gid, vm_quotas.whole(own) - before)
    if own.phase is Phase.POWEROFF:
        _resize_on_host(tx, own, taken, enforce=enforce)
    return vm_id


def _capacity(template: Template, vm_id: int) -> dict[str, str]:
    found = {}
    for name, whole in (("CPU", False), ("MEMORY", True), ("VCPU", True)):
        stated = template.get(name)
        if not stated:
            continue
        number = vm_requests.whole(stated) if whole else vm_requests.decimal(stated)
        if number is None:
            what = "integer" if whole else "float or integer"
            detail = f"{name} must be a positive {what} value, not {vm_requests.shown(stated)}."
            raise ApiError(Code.INTERNAL, detail, vm_id)
        if number:
            found[name] = stated
    return found


def _resize_on_host(tx: Transaction, vm: VM, before: tuple[int, int], *, enforce: bool) -> None:
    host = tx.edit(Host, vm_steps.record(vm).hid)
    cpu, memory = vm_steps.capacity(vm)
    more_cpu, more_memory = cpu - before[0], memory - before[1]
    if enforce:
        vm_deploy.check_capacity(vm, host, more_cpu, more_memory)
    host.host_share.cpu_usage += more_cpu
    host.host_share.mem_usage += more_memory
    host_topology.take_pins(vm, host)


@method(
    "one.vmpool.info",
    *generic.FILTERS,
    integer("state"),
    text("query", ""),
    returns=Type.STRING,
    read_only=True,
    also="USE on each VM that is listed",
    prepare="vmpool.search",
    prepare_for="query",
)
def pool_info(tx: Transaction, flag: int, start: int, end: int, state: int, query: str) -> Listing:
    """The VMs that the filters let through, short form."""

    return pools.listing(tx, VM_KIND, _selected(tx, flag, start, end, state, query), views.short_vm)


@method(
    "one.vmpool.infoextended",
    *generic.FILTERS,
    integer("state"),
    text("query", ""),
    returns=Type.STRING,
    read_only=True,
    also="USE on each VM that is listed",
    prepare="vmpool.search",
    prepare_for="query",
)
def pool_info_extended(tx: Transaction, flag: int, start: int, end: int, state: int, query: str) -> Listing:
    """The same with the whole documents."""
    return pools.listing(tx, VM_KIND, _selected(tx, flag, start, end, state, query), views.extended_vm)


_ANY, _NOT_DONE = -2, -1


def _selected(tx: Transaction, flag: int, start: int, end: int, state: int, query: str) -> Iterator[Entry]:
    if state < _ANY:
        raise ApiError(Code.XML_RPC_API, "Incorrect filter_flag, state")
    finished = tx.archived_vms() if state in (_ANY, VmState.DONE) else []
    if state < 0 and not query:
        return pools.select(tx, VM_KIND, flag, start, end, extra=finished)
    # What is found was looked for in the database before: the ids in JSON.
    found = set(json.loads(str(tx.context.prepared.get("found", "[]"))))

    def keep(entry: Entry) -> bool:
        return (state < 0 or entry.state == state) and (not query or entry.oid in found)

    return pools.select(tx, VM_KIND, flag, start, end, keep, finished)


@generic.checks_updates(VM)
def check_update(tx: Transaction, value: Document, new: Template) -> Template:
    """Users may not change restricted attributes of the user template; actions in it are numbered."""
    assert isinstance(value, VM)
    try:
        vm_schedule.take_actions(new)
    except vm_schedule.ScheduleError as fault:
        raise generic.update_error(str(fault), value.id) from fault
    vm_schedule.require_rights(tx, value, new)
    return generic.check_restricted(tx, tx.settings.vm_restricted_attr, new, value.user_template, value.id)


def _move_quotas(tx: Transaction, value: Owned, uid: int, gid: int) -> None:
    assert isinstance(value, VM)
    if value.phase is Phase.DONE:
        raise ApiError(
            Code.ACTION, f"Could not change the owner of VM {value.id}, wrong state DONE", value.id
        )
    quota.move(tx, (value.uid, value.gid), (uid, gid), vm_quotas.everything(value))


generic.moves_quotas(VM, _move_quotas)
