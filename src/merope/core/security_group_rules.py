"""How the rules of a security group reach the VMs that use it.

A VM carries a copy of the rules of its groups. A change makes every copy old (OUTDATED_VMS); then they are
written anew, some VMs at a time so that nobody waits for a group of thousands. A VM that is on no host has
them with that (UPDATED_VMS); where it runs, its host is told (UPDATING_VMS until it answers); what is on its
way up, or nobody knows where, keeps the old ones (ERROR_VMS) until the group is committed again.
Source: spec states.yaml `secgroup_update_by_lcm`.
"""

from heapq import nsmallest
from typing import Final

from merope.core import vm_nics, vm_steps
from merope.core.results import on_result
from merope.core.transaction import Transaction
from merope.model.document import Ids
from merope.model.effect import Effect
from merope.model.errors import ApiError
from merope.model.kinds import VM_KIND
from merope.model.phase import Phase
from merope.model.security_group import SecurityGroup
from merope.model.vm import VM

BATCH: Final = 20
"""VMs that are written in one change."""

UPDATE: Final = "vm.update_sg"
SPREAD: Final = "secgroup.spread"

LIVE: Final = frozenset(
    {
        Phase.RUNNING,
        Phase.HOTPLUG,
        Phase.HOTPLUG_SNAPSHOT,
        Phase.HOTPLUG_SAVEAS,
        Phase.DISK_SNAPSHOT,
        Phase.DISK_SNAPSHOT_DELETE,
        Phase.DISK_RESIZE,
    }
)
"""Where the host has the rules in force and can take others."""

UNCERTAIN: Final = frozenset(
    {Phase.MIGRATE, Phase.HOTPLUG_NIC, Phase.HOTPLUG_NIC_POWEROFF, Phase.UNKNOWN}
    | {phase for phase in Phase if phase.name.startswith("BOOT")}
)
"""Where rules are being put in force this moment, or may be in force and cannot be reached."""


def members(group: SecurityGroup) -> set[int]:
    """The VMs that use a group."""
    return group.updated_vms | group.outdated_vms | group.updating_vms | group.error_vms


def spread(tx: Transaction, group: SecurityGroup, *, everybody: bool) -> None:
    """Begins to bring the rules of a group that is being edited to all of its VMs, or those that lack them.

    Of those that are being updated only they lack them whose host was never asked: in a database that
    another program wrote.
    """
    asked = {vm_id for vm_id in group.updating_vms if _is_asked(tx, vm_id, group.id)}
    taken = members(group) if everybody else members(group) - group.updated_vms - asked
    group.outdated_vms = Ids(taken)
    group.updated_vms = Ids(group.updated_vms - taken)
    group.updating_vms = Ids(group.updating_vms - taken)
    group.error_vms = Ids()
    _go_on(tx, group)


def _go_on(tx: Transaction, group: SecurityGroup, asked: int = -1) -> None:
    """`asked` is the effect that this is the answer to."""
    rules = vm_nics.rules_of(tx, group)
    live = tx.state.pool(VM_KIND).entries
    for vm_id in nsmallest(BATCH, group.outdated_vms):
        group.outdated_vms.discard(vm_id)
        if vm_id in live:
            _renew(tx, group, tx.edit(VM, vm_id), rules)
    if group.outdated_vms and tx.state.effects_of.get(("secgroup", group.id), set()) <= {asked}:
        tx.effect(SPREAD, group.id)


def _renew(tx: Transaction, group: SecurityGroup, vm: VM, rules: list[dict[str, str]]) -> None:
    if vm.phase in UNCERTAIN:
        group.error_vms.add(vm.id)
        return
    try:
        vm_nics.put_rules(vm, group.id, rules)
    except ApiError as error:
        vm_steps.say(tx, vm, error.message)
        group.error_vms.add(vm.id)
        return
    if vm.phase in LIVE:
        group.updating_vms.add(vm.id)
        tx.effect(UPDATE, vm.id, vm_steps.record(vm).hid, secgroup=group.id)
    else:
        group.updated_vms.add(vm.id)


@on_result(SPREAD)
def _next(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    """Nothing had to be done: it was asked for so that others have their turn in between."""
    if tx.find(SecurityGroup, effect.oid) is not None:
        _go_on(tx, tx.edit(SecurityGroup, effect.oid), effect.id)


@on_result(UPDATE)
def _updated(tx: Transaction, effect: Effect, ok: bool, message: str, data: dict[str, str]) -> None:
    group_id, vm_id = int(effect.arguments["secgroup"]), effect.oid
    group = tx.find(SecurityGroup, group_id)
    if group is None or vm_id not in group.updating_vms or _is_asked(tx, vm_id, group_id, but=effect.id):
        return
    own, vm = tx.edit(SecurityGroup, group_id), tx.edit(VM, vm_id)
    own.updating_vms.discard(vm_id)
    # Where it is next, it starts with the rules that its document has.
    if ok or vm.phase not in LIVE | UNCERTAIN:
        own.updated_vms.add(vm_id)
    else:
        own.error_vms.add(vm_id)
        vm_steps.say(tx, vm, f"The rules of security group {group_id} could not be updated: {message}")


def _is_asked(tx: Transaction, vm_id: int, group_id: int, *, but: int = -1) -> bool:
    """Whether the host of a VM has been asked to take the rules of the group, and has not answered."""
    effects = (tx.state.effects[number] for number in tx.state.effects_of.get(("vm", vm_id), ()))
    return any(
        effect.op == UPDATE and effect.arguments.get("secgroup") == group_id and effect.id != but
        for effect in effects
    )
